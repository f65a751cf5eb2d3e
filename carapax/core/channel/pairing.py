"""Pairing: one-time codes by which an account on a channel becomes a person here.

Layer: core/channel; pure. Owns how a code is spelled, read, kept (its digest) and matched, and whom it is given to.
Absent: randomness, storing, telling (`app`). Codes have 31^8 values (39.6 bits) and live one hour; with five tries an
hour per sender, guessing one of three takes longer than anybody waits.
Laws: a letter is never taken for another one; every offered code is compared, in constant time each.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""What a code is made of: nothing that reads like another sign (0 O, 1 I L)."""

CODE_CHARS = 8
CODES = len(ALPHABET) ** CODE_CHARS
"""How many codes there are; draw a number below it."""

TTL_MS = 3_600_000
MOST_PENDING = 3
"""Codes for strangers that wait on one channel at a time."""

MOST_TRIES = 5
TRIES_MS = 3_600_000
MOST_TOLD = 2
"""Answers that one stranger gets within an hour: the code, and once that it waits."""

_GAPS = frozenset(" \t\n\r\u00a0\u2009\u202f-\u2010\u2011\u2012\u2013\u2014\u2212_·.")


@dataclass(frozen=True, slots=True)
class Pair:
    """Tell the stranger this code; it ends then."""

    code: str  # as it is shown
    expires_ms: int


@dataclass(frozen=True, slots=True)
class AskedAlready:
    """Tell the stranger that the code they were given still waits."""


@dataclass(frozen=True, slots=True)
class Silent:
    """Say nothing at all."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A code that may be given: the plain part of a stored Pairing."""

    hash: str
    channel: str  # "" when it may be sent on any
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Matched:
    """Which of the offers the code is."""

    at: int


@dataclass(frozen=True, slots=True)
class Wrong:
    """None of them. `left`: tries that this sender still has."""

    left: int


def spell_code(number: int) -> str:
    """The code of a number below CODES, without its dash. Raises ValueError for another number."""
    if not 0 <= number < CODES:
        raise ValueError("a code's number is out of bounds")
    found = ""
    for _ in range(CODE_CHARS):
        number, digit = divmod(number, len(ALPHABET))
        found = ALPHABET[digit] + found
    return found


def show_code(code: str) -> str:
    """As it is shown: "7KQ2-M9XD"."""
    return f"{code[:4]}-{code[4:]}"


def read_code(text: str) -> str | None:
    """A code as somebody writes it, in any case, with spaces and dashes; None for anything else.

    No sign is mapped to another one: whoever writes "0" did not read it from a code.
    """
    if len(text) > 64:
        return None
    found = "".join(c for c in unicodedata.normalize("NFC", text) if c not in _GAPS).strip("\"'«»“”‘’`")
    if len(found) != CODE_CHARS or not found.isascii():
        return None
    found = found.upper()
    return found if all(c in ALPHABET for c in found) else None


def hash_code(code: str) -> str:
    """What is stored of a code that `read_code` or `spell_code` gave."""
    return hashlib.sha256(b"carapax pairing code\0" + code.encode("ascii")).hexdigest()


def matches(code: str, hash: str) -> bool:
    """Whether the code is the one that this digest was kept of."""
    return hmac.compare_digest(hash_code(code).encode("ascii"), hash.encode("utf-8", "replace"))


def decide_stranger(
    *,
    number: int,
    vouched: bool,
    bot: bool,
    private: bool,
    waits: bool,
    pending: int,
    told_ms: Sequence[int],
    now_ms: int,
) -> Pair | AskedAlready | Silent:
    """What to answer somebody who is nobody here.

    `waits`: a code made for this sender has not expired; `pending`: how many wait on the channel; `told_ms`: when this
    sender was answered before. Only a person whom the platform vouches for is answered, and only where nobody reads along.
    """
    told = sum(now_ms - TTL_MS < at for at in told_ms)
    if not vouched or bot or not private or told >= MOST_TOLD:
        return Silent()
    if waits:
        return AskedAlready()
    if pending >= MOST_PENDING:
        return Silent()
    return Pair(show_code(spell_code(number)), now_ms + TTL_MS)


def decide_code(
    text: str, offers: Sequence[Offer], *, channel: str, tried_ms: Sequence[int], now_ms: int
) -> Matched | Wrong | Silent:
    """What becomes of a code that came in on this channel ("" where any channel's counts).

    `tried_ms`: when this sender gave a wrong one before. Over the limit nothing is compared and nothing is said.
    """
    tries = sum(now_ms - TRIES_MS < at for at in tried_ms)
    if tries >= MOST_TRIES:
        return Silent()
    code = read_code(text)
    found: int | None = None
    for at, offer in enumerate(offers):
        fits = code is not None and matches(code, offer.hash)
        if fits and now_ms <= offer.expires_ms and (not channel or offer.channel in ("", channel)):
            found = at
    return Matched(found) if found is not None else Wrong(MOST_TRIES - tries - 1)
