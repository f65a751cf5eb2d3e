"""The seeds of the signing keys: 32 random bytes each, made once, in a private file.

Layer: adapters/vault. Owns making and reading a seed. Absent: the keys derived from it (whoever signs derives them),
and envelope encryption, which comes in a later release.
Law: two processes that start at once get the same seed.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

from carapax.adapters.vault.private import ensure_private_directory, find_private_bytes, write_private_bytes
from carapax.core.terms.error import StoreUnavailable

SEED_BYTES = 32


def load_or_create_seed(path: Path) -> bytes:
    """The seed in this file, made at the first call. Raises StoreUnavailable for a wrong length or a permissive mode."""
    ensure_private_directory(path.parent)
    seed = find_private_bytes(path, SEED_BYTES)
    if seed is None:
        with suppress(FileExistsError):  # another process was first; its seed counts
            write_private_bytes(path, secrets.token_bytes(SEED_BYTES), replace=False)
        seed = find_private_bytes(path, SEED_BYTES)
    if seed is None or len(seed) != SEED_BYTES:
        raise StoreUnavailable(
            f"The signing key {path} is not {SEED_BYTES} bytes long.",
            next_step=f"Restore {path} from a backup. Moving it away makes a new key; old signatures then need the old one.",
        )
    return seed
