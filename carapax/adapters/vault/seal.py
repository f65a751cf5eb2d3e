"""Sealing: AES-256-GCM under a fresh random nonce, bound to what it is for; and one secret's file.

Layer: adapters/vault. Owns the envelope: a value under its own data key, the data key under the vault's key.
Absent: keys and files. Source: NIST SP 800-38D; docs/formats/vault.md.
Laws: a data key seals one value once; whoever swaps, renames or alters a file gets None, never other bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEY_BYTES = 32
NONCE_BYTES = 12
FORMAT = "carapax-sealed/1"
_HEX = re.compile(r"[0-9a-f]{32}\Z")
_KEYS = {"format", "handle", "edition", "key", "wrapped", "value"}


def seal(key: bytes, plain: bytes, *purpose: str) -> bytes:
    """Nonce, ciphertext and tag; only the same purpose opens it."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, _bound(purpose))


def unseal(key: bytes, sealed: bytes, *purpose: str) -> bytes | None:
    """The plain bytes; None when the key, the purpose or a bit is not the one it was sealed with."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if len(sealed) < NONCE_BYTES + 16:
        return None
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(purpose))
    except InvalidTag:
        return None


def _bound(purpose: tuple[str, ...]) -> bytes:
    return b"carapax-vault-v1\0" + json.dumps(purpose).encode("ascii")


def derive(key: bytes, purpose: str) -> bytes:
    """A key of its own for one purpose (HKDF-SHA256)."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), KEY_BYTES, b"carapax-vault-v1", purpose.encode("ascii")).derive(key)


def new_id() -> str:
    """Sixteen random bytes in hex: names a key or one edition of a secret."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class SealedFile:
    """One secret at rest."""

    handle: str
    edition: str
    key: str  # id of the vault key that wraps the data key
    wrapped: bytes
    value: bytes

    def render(self) -> bytes:
        """The file's bytes."""
        return dump(
            {
                "format": FORMAT,
                "handle": self.handle,
                "edition": self.edition,
                "key": self.key,
                "wrapped": encode(self.wrapped),
                "value": encode(self.value),
            }
        )


def seal_value(key_id: str, key: bytes, handle: str, edition: str, plain: bytes) -> SealedFile:
    """One edition of one secret, under a new data key."""
    data_key = secrets.token_bytes(KEY_BYTES)
    return SealedFile(
        handle,
        edition,
        key_id,
        seal(key, data_key, "key", handle, edition, key_id),
        seal(data_key, plain, "value", handle, edition),
    )


def unseal_value(key: bytes, file: SealedFile) -> bytes | None:
    """The plain bytes of a file; None when it is not what was sealed."""
    data_key = unseal(key, file.wrapped, "key", file.handle, file.edition, file.key)
    return None if data_key is None else unseal(data_key, file.value, "value", file.handle, file.edition)


def rewrap(key: bytes, new_id: str, new_key: bytes, file: SealedFile) -> SealedFile | None:
    """The same file with its data key under another vault key; None when it is not what was sealed."""
    data_key = unseal(key, file.wrapped, "key", file.handle, file.edition, file.key)
    if data_key is None or unseal(data_key, file.value, "value", file.handle, file.edition) is None:
        return None
    wrapped = seal(new_key, data_key, "key", file.handle, file.edition, new_id)
    return SealedFile(file.handle, file.edition, new_id, wrapped, file.value)


def parse_sealed(content: bytes, handle: str) -> SealedFile | None:
    """The file of this handle; None when the bytes are no such file."""
    found = load(content, _KEYS)
    if found is None or found["format"] != FORMAT or found["handle"] != handle:
        return None
    if not is_id(found["edition"]) or not is_id(found["key"]):
        return None
    wrapped, value = decode(found["wrapped"]), decode(found["value"])
    if wrapped is None or value is None:
        return None
    return SealedFile(handle, found["edition"], found["key"], wrapped, value)


def is_id(value: object) -> bool:
    """Whether it is an id as `new_id` makes them."""
    return isinstance(value, str) and bool(_HEX.match(value))


def encode(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def decode(text: object) -> bytes | None:
    """Strict base 64; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return content if encode(content) == text else None


def dump(value: Mapping[str, Any]) -> bytes:
    """One spelling for one value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def load(content: bytes, keys: set[str]) -> dict[str, Any] | None:
    """A JSON object with exactly these keys, each once; None for anything else."""
    try:
        found = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and set(found) == keys else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
