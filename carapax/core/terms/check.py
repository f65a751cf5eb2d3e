"""Checks: one line of `carapax doctor`, of a self-test, of a readiness answer.

Layer: core/terms. A failed check always says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    OK = "ok"
    WARNING = "warning"  # works, but look at it
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    name: str  # "sandbox", "clock"
    standing: Standing
    found: str  # what was seen: "bubblewrap 0.8.0"
    next_step: str = ""  # required unless OK
    duration_ms: int = 0
