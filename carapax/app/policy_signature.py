"""Signatures of a policy: one line a signer, `name base64`, each an Ed25519 signature over the exact bytes.

Layer: app. Absent: whose signatures count, which the policy in force says (`policy_file`).
Law: one key counts once, whatever the names it signs under; a line that does not parse counts for nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from carapax.core.terms.error import Malformed, NotFound

DOMAIN = b"carapax-policy-v1\0"
"""What is signed begins with this, so that no signature made for something else fits."""

MAX_SIGNATURES = 32
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class Signatures:
    """Signatures over one document; none is checked before `valid`."""

    document: bytes
    lines: tuple[tuple[str, bytes], ...] = ()

    def signed(self, name: str, key: Ed25519PrivateKey) -> Signatures:
        """The same with one more signature; an earlier one under this name is replaced."""
        kept = tuple(line for line in self.lines if line[0] != name)
        return replace(self, lines=(*kept, (name, key.sign(DOMAIN + self.document))))

    def valid(self, signers: Mapping[str, str]) -> tuple[str, ...]:
        """The names among `signers` (name → public key) whose signature fits, each key once."""
        good: dict[str, str] = {}
        for name, signature in self.lines:
            public = signers.get(name)
            if public is not None and public not in good.values() and _fits(public, signature, self.document):
                good[name] = public
        return tuple(sorted(good))

    def text(self) -> bytes:
        """The file's bytes."""
        return "".join(f"{name} {base64.b64encode(raw).decode()}\n" for name, raw in self.lines).encode("ascii")


def _fits(public: str, signature: bytes, document: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public)).verify(signature, DOMAIN + document)
    except (InvalidSignature, ValueError):
        return False
    return True


def read_signatures(content: bytes, document: bytes) -> Signatures:
    """The lines of a signature file that have the form of one; at most 32."""
    lines = []
    for line in content.decode("ascii", "replace").splitlines()[:MAX_SIGNATURES]:
        name, _, text = line.strip().partition(" ")
        if not _NAME.fullmatch(name):
            continue
        try:
            lines.append((name, base64.b64decode(text, validate=True)))
        except (binascii.Error, ValueError):
            continue
    return Signatures(document, tuple(lines))


def public_text(key: Ed25519PrivateKey) -> str:
    """A key's public half, as a policy lists it."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def read_key(path: Path) -> Ed25519PrivateKey:
    """A signer's private key: PEM (PKCS 8, without a passphrase), or the 32 bytes of a seed, raw or in base64."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.", next_step="Name a key file.") from error
    try:
        if content.startswith(b"-----BEGIN"):
            key = serialization.load_pem_private_key(content, None)
            if isinstance(key, Ed25519PrivateKey):
                return key
        elif len(content) == SEED_BYTES:
            return Ed25519PrivateKey.from_private_bytes(content)
        else:
            return Ed25519PrivateKey.from_private_bytes(base64.b64decode(content.strip(), validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        pass
    raise Malformed(f"{path} holds no Ed25519 key.", next_step="`openssl genpkey -algorithm ed25519` makes one.")
