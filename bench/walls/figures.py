"""A figure with what it is held against, and the sealed calls that every part runs with."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from carapax.core.terms.action import CanonicalCall, Effect, ToolManifest
from carapax.core.terms.authority import AuthorizedCall, authority_bytes
from carapax.core.terms.ids import CallId, Digest, EntryIndex, SessionId, ToolName, TurnId
from carapax.core.terms.label import Integrity

KEY = os.urandom(32)
MANIFEST = ToolManifest(
    ToolName("bench"), "", Effect.CODE, (), Integrity.EXTERNAL, True, True, timeout_ms=120_000, online=True
)
_CALLS = itertools.count()


class Missing(Exception):
    """A piece that is to be measured is not there; nothing is said about it but that."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured. `goal` "" is no goal: it is told for comparison."""

    name: str
    value: float
    unit: str
    goal: str = ""
    met: bool | None = None


def at_most(name: str, value: float, unit: str, most: float) -> Figure:
    """A figure that is to stay at or under a goal."""
    return Figure(name, round(value, 2), unit, f"≤ {most:g} {unit}", value <= most)


def at_least(name: str, value: float, unit: str, least: float) -> Figure:
    """A figure that is to reach a goal."""
    return Figure(name, round(value, 2), unit, f"≥ {least:g} {unit}", value >= least)


def told(name: str, value: float, unit: str) -> Figure:
    """A figure without a goal."""
    return Figure(name, round(value, 2), unit)


def median(times: Sequence[float]) -> float:
    """The middle one of times in seconds, in milliseconds."""
    return statistics.median(times) * 1000


class WallClock:
    """The real time."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


def sealed(session: str = "s", key: bytes = KEY) -> AuthorizedCall:
    """A call as the guard would seal it."""
    digest = Digest(hashlib.sha256(b"bench\0{}").hexdigest())
    name = CallId(f"bench-{os.getpid()}-{next(_CALLS)}")
    call = CanonicalCall(name, SessionId(session), TurnId("t"), MANIFEST, (), "{}", digest)
    until, entry, policy = WallClock().now_ms() + 60_000, EntryIndex(0), Digest("0" * 64)
    mac = hmac.digest(key, authority_bytes(call, entry, policy, until), "sha256")
    return AuthorizedCall(call, entry, policy, until, mac)
