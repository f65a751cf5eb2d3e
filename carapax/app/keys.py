"""The keys of a home, as far as others than their owner need them.

Layer: app. Absent: making keys (`adapters/vault/keys`) and signing with them (ledger, policy file).
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carapax.adapters.vault.keys import load_or_create_seed
from carapax.app.home import Home
from carapax.core.terms.error import NotFound


def ledger_public_key(home: Home) -> bytes:
    """The key that checkpoints are verified with. Raises NotFound when there is none yet."""
    seed = home.keys / "ledger.seed"
    if not seed.exists():
        raise NotFound("There is no ledger key.", next_step="It is made at the first start: `carapax chat`.")
    return Ed25519PrivateKey.from_private_bytes(load_or_create_seed(seed)).public_key().public_bytes_raw()
