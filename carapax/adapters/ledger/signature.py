"""Ed25519 for checkpoints: the callables that core/ledger takes.

Layer: adapters/ledger. Apart from the others because importing `cryptography` takes longer than reading a ledger.
Source: RFC 8032.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from carapax.core.ledger.checkpoint import Check, Sign
from carapax.core.terms.error import LedgerUnavailable, Malformed


def signer(seed: bytes) -> tuple[bytes, Sign]:
    """The public key (32 bytes) and the signing function of a seed. Raises LedgerUnavailable when it is not 32 bytes."""
    try:
        key = Ed25519PrivateKey.from_private_bytes(seed)
    except ValueError as error:
        raise LedgerUnavailable(
            "the ledger's key is damaged: it is not 32 bytes", next_step="Restore the key file from a backup."
        ) from error
    return key.public_key().public_bytes_raw(), key.sign


def checker(public_key: bytes) -> Check:
    """The check of one key's signatures. Raises Malformed when this is no key."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
    except ValueError as error:
        raise Malformed("a ledger's public key is 32 bytes of Ed25519") from error

    def check(signature: bytes, message: bytes) -> bool:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return check
