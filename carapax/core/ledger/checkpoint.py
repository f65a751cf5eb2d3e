"""Checkpoints: a signed statement of the tree's size and root.

Layer: core/ledger. Owns the note's bytes, key names and key ids, and the check that a note is signed by one given key.
Absent: Ed25519 itself; `sign` and `check` are callables. Extension lines are refused: we write none.
Source: C2SP signed-note and tlog-checkpoint. A note of ours is five lines: origin, size, root, blank, signature;
further signature lines (witnesses) are allowed and ignored.
Law: `verify_checkpoint` returns the checkpoint only when the trusted key signed exactly this text.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from carapax.core.ledger.merkle import HASH_BYTES
from carapax.core.terms.error import Malformed

Sign = Callable[[bytes], bytes]
Check = Callable[[bytes, bytes], bool]  # (signature, message): True only when the trusted key made it

NOTE_BYTES = 16_384  # ceiling of a whole note, witnesses included
_ED25519 = b"\x01"
_ORIGIN = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    origin: str  # the log's name; also the name of its key
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    name: str
    key_id: bytes  # 4 bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed checkpoint note whose signatures nobody has checked yet."""

    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]


def key_id(name: str, public_key: bytes) -> bytes:
    """Four bytes that tell keys of one name apart."""
    return sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def render_verifier_key(name: str, public_key: bytes) -> str:
    """The public key as people pass it on: `name+id+base64`."""
    return f"{name}+{key_id(name, public_key).hex()}+{base64.b64encode(_ED25519 + public_key).decode()}"


def parse_verifier_key(text: str) -> tuple[str, bytes]:
    """Name and 32-byte public key of a verifier key. Raises Malformed."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3 or not _ORIGIN.fullmatch(parts[0]):
        raise Malformed("a verifier key reads NAME+ID+BASE64")
    key = _decode(parts[2])
    if len(key) != 33 or key[:1] != _ED25519 or parts[1] != key_id(parts[0], key[1:]).hex():
        raise Malformed("the verifier key's id does not belong to its key")
    return parts[0], key[1:]


def parse_origin(text: str) -> str:
    """The text itself when it can name a log. Raises Malformed for spaces, plus signs, or more than 200 characters."""
    if not _ORIGIN.fullmatch(text):
        raise Malformed(f"{text[:80]!r} cannot name a ledger: no spaces, no plus sign, 1 to 200 characters")
    return text


def render_text(checkpoint: Checkpoint) -> str:
    """The text under the signature."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{base64.b64encode(checkpoint.root).decode()}\n"


def sign_checkpoint(checkpoint: Checkpoint, public_key: bytes, sign: Sign) -> str:
    """The whole signed note."""
    text = render_text(checkpoint)
    signed = key_id(checkpoint.origin, public_key) + sign(text.encode())
    return f"{text}\n— {checkpoint.origin} {base64.b64encode(signed).decode()}\n"


def parse_checkpoint(note: str) -> Note:
    """Parse a note without checking its signatures. Raises Malformed."""
    if len(note) > NOTE_BYTES:
        raise Malformed("a checkpoint over the ceiling of 16 KiB")
    text, blank, signatures = note.rpartition("\n\n")
    lines = text.split("\n")
    if not blank or len(lines) != 3 or not _ORIGIN.fullmatch(lines[0]) or not _SIZE.fullmatch(lines[1]):
        raise Malformed("a checkpoint is three lines (origin, size, root), a blank line and signatures")
    root = _decode(lines[2])
    if len(root) != HASH_BYTES:
        raise Malformed("the checkpoint's root is not 32 bytes of base64")
    return Note(Checkpoint(lines[0], int(lines[1]), root), _signatures(signatures))


def verify_checkpoint(note: str, public_key: bytes, check: Check) -> Checkpoint:
    """The checkpoint, when a signature of its origin's key with this public key holds. Raises Malformed."""
    parsed = parse_checkpoint(note)
    origin = parsed.checkpoint.origin
    wanted = key_id(origin, public_key)
    ours = [s for s in parsed.signatures if s.name == origin and s.key_id == wanted]
    if not ours:
        raise Malformed(f"the checkpoint of {origin} is not signed by the expected key")
    text = render_text(parsed.checkpoint).encode()
    if not all(check(s.signature, text) for s in ours):
        raise Malformed(f"the signature on the checkpoint of {origin} at {parsed.checkpoint.size} entries is wrong")
    return parsed.checkpoint


def _signatures(text: str) -> tuple[Signature, ...]:
    if not text.endswith("\n"):
        raise Malformed("the checkpoint is cut off")
    found = []
    for line in text[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        signed = _decode(encoded)
        if dash != "—" or not _ORIGIN.fullmatch(name) or len(signed) < 5:
            raise Malformed("a line of the checkpoint is not a signature")
        found.append(Signature(name, signed[:4], signed[4:]))
    return tuple(found)


def _decode(text: str) -> bytes:
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("this is not base64") from error
    if base64.b64encode(decoded).decode() != text:  # unused bits set: a second spelling of the same bytes
        raise Malformed("this is not canonical base64")
    return decoded
