"""Files of encrypted rooms: AES-256 in counter mode and a SHA-256 over what is stored.

Layer: adapters/channels/matrix; pure but for the random key. Law: nothing is decrypted before its digest was checked.
Source: client-server spec v1.11, "Sending encrypted attachments".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any

from carapax.core.terms.error import Malformed
from carapax.ports.channel import SendRefused


def seal(content: bytes) -> tuple[bytes, dict[str, Any]]:
    """The encrypted bytes, and what opens them: the `file` of a message but for its address."""
    key, start = os.urandom(32), os.urandom(8) + bytes(8)
    sealed = _counted(key, start, content)
    opener = {"kty": "oct", "alg": "A256CTR", "ext": True, "key_ops": ["encrypt", "decrypt"]}
    opener["k"] = base64.urlsafe_b64encode(key).decode().rstrip("=")
    return sealed, {"v": "v2", "key": opener, "iv": _b64(start), "hashes": {"sha256": _b64(_digest(sealed))}}


def unseal(content: bytes, keys: Mapping[str, str]) -> bytes:
    """The bytes in clear. Raises SendRefused: it is not what its sender sealed; Malformed: its key is none."""
    key, start, digest = (_bytes(keys.get(name, "")) for name in ("k", "iv", "sha"))
    if len(key) != 32 or len(start) != 16:
        raise Malformed("The file's key is none.")
    if not hmac.compare_digest(_digest(content), digest):
        raise SendRefused("The file is not what its sender encrypted.")
    return _counted(key, start, content)


def _counted(key: bytes, start: bytes, content: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(key), modes.CTR(start)).encryptor().update(content)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise Malformed("The file's key is none.") from None
