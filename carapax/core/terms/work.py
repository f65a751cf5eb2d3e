"""Work: one piece that is finished even when the process that took it dies.

Layer: core/terms. Absent: how it is kept (ports.engine) and what it does (`app`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum


class WorkState(StrEnum):
    WAITING = "waiting"  # kept, not begun, or to be tried again
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"  # given up; a person decides: retry or drop


@dataclass(frozen=True, slots=True)
class Work:
    """One piece. The same (kind, key) is the same piece for ever (at least 7 days after its end)."""

    kind: str  # "inbound", "turn", "delivery"
    key: str
    lane: str  # pieces of one lane run one at a time, in the order they were started; "" is no lane
    body: str  # JSON, at most 256 KiB
    started_ms: int
    state: WorkState = WorkState.WAITING
    attempts: int = 0  # tries begun so far, this one included; a try that died with its process counts
    due_ms: int = 0  # not before
    error: str = ""  # why the last try failed, in words for people; "" also for one that died with its process
    ended_ms: int | None = None

    @property
    def short(self) -> str:
        """What a person calls it: 8 characters of the digest of its kind and key."""
        return hashlib.sha256(f"{self.kind}\0{self.key}".encode()).hexdigest()[:8]
