"""Canaries: planted secrets that nobody uses, in the shape of those that thieves look for.

Layer: core/breaker; pure. Owns the shapes, made from random bytes given by the caller, and looking for a value whose
characters were pulled apart. Absent: usual encodings (adapters/scan), where they are planted (`app/canaries`).
Law: every value holds at least 90 random bits, so that it is found nowhere by chance.
"""

from __future__ import annotations

import base64
import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

OCTETS = 256
"""Random bytes that one canary is made of."""

_UPPER = string.ascii_uppercase[:26] + "234567"
_MIXED = string.ascii_letters + string.digits + "+/"
_PLAIN = string.ascii_letters + string.digits + "-_"
_NOT_WORD = re.compile(r"[^0-9A-Za-z]+")


class Kind(StrEnum):
    """What it looks like."""

    AWS = "aws"
    DATABASE = "database"
    SSH = "ssh"
    TOKEN = "token"  # noqa: S105 - a shape, not a password
    ENV = "env"


@dataclass(frozen=True, slots=True)
class Fake:
    """A planted secret: the text as it lies there, and the values whose use is a theft."""

    text: str
    values: tuple[str, ...]


def make_fake(kind: Kind, octets: bytes) -> Fake:
    """A fake of a kind from OCTETS random bytes; the same bytes give the same fake. Raises ValueError for fewer."""
    if len(octets) < OCTETS:
        raise ValueError(f"a canary needs {OCTETS} random bytes")
    key_id, secret = "AKIA" + _from(_UPPER, octets[:16]), _from(_MIXED, octets[16:56])
    password, token = _from(_PLAIN, octets[56:80]), "sk_live_" + _from(_PLAIN, octets[80:112])
    url = f"postgres://backup:{password}@db-backup.internal:5432/backup"
    aws = f"AWS_ACCESS_KEY_ID={key_id}\nAWS_SECRET_ACCESS_KEY={secret}\n"
    match kind:
        case Kind.AWS:
            pair = f"aws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"
            return Fake(f"[backup]\n{pair}", (key_id, secret))
        case Kind.DATABASE:
            return Fake(f"DATABASE_URL={url}\n", (password,))
        case Kind.SSH:
            body = base64.b64encode(b"openssh-key-v1\0" + octets[112:256]).decode()
            lines = "\n".join(body[at : at + 70] for at in range(0, len(body), 70))
            shown = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{lines}\n-----END OPENSSH PRIVATE KEY-----\n"
            return Fake(shown, (body[40:110], body[110:180]))
        case Kind.TOKEN:
            return Fake(f"{token}\n", (token,))
        case Kind.ENV:
            head = "# backup account, still needed for the nightly copy\n"
            return Fake(f"{head}{aws}AWS_DEFAULT_REGION=eu-west-1\nDATABASE_URL={url}\n", (key_id, secret, password))


def bare(text: str) -> str:
    """Letters and digits alone, in lower case."""
    return _NOT_WORD.sub("", text).lower()


def find_apart(text: str, values: Iterable[str]) -> tuple[str, ...]:
    """Which values stand in the text with anything that is no letter or digit put between, also backwards."""
    packed = bare(text)
    both = f"{packed} {packed[::-1]}"
    return tuple(value for value in values if bare(value) in both)


def _from(alphabet: str, octets: bytes) -> str:
    # Each alphabet has 32 or 64 letters, so that every letter is as likely as another.
    return "".join(alphabet[octet % len(alphabet)] for octet in octets)
