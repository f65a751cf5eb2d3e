"""The machine's clock, and ids made from it.

Layer: app. Ids are 48 bits of time and 80 random bits in Crockford's base 32: sortable, and not guessable.
"""

from __future__ import annotations

import secrets
import time

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_SPOKEN = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


class SystemClock:
    """Implements ports.clock.Clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


def new_id(now_ms: int) -> str:
    """A new 26-character id."""
    number = (now_ms << 80) | secrets.randbits(80)
    return "".join(_DIGITS[(number >> shift) & 31] for shift in range(125, -1, -5))


def spoken_code(length: int) -> str:
    """A short code that people can read out: no 0, O, 1, I, L or U."""
    return "".join(secrets.choice(_SPOKEN) for _ in range(length))
