"""Limits: budgets per turn, session and day, and what was used of them.

Layer: core/terms. Money is in millionths of a US dollar, time in milliseconds.
Law: usage only grows; the sum over calls is the usage of the turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Span(StrEnum):
    TURN = "turn"
    SESSION = "session"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Usage:
    tokens: int = 0  # prompt + completion
    usd_micro: int = 0
    tool_calls: int = 0
    wall_ms: int = 0

    def plus(self, other: Usage) -> Usage:
        """The sum of both."""
        return Usage(
            self.tokens + other.tokens,
            self.usd_micro + other.usd_micro,
            self.tool_calls + other.tool_calls,
            self.wall_ms + other.wall_ms,
        )

    def minus(self, other: Usage) -> Usage:
        """What is left of this without the other; never below nothing."""
        return Usage(
            max(0, self.tokens - other.tokens),
            max(0, self.usd_micro - other.usd_micro),
            max(0, self.tool_calls - other.tool_calls),
            max(0, self.wall_ms - other.wall_ms),
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """Hard bounds; None means no bound of that kind."""

    tokens: int | None = None
    usd_micro: int | None = None
    tool_calls: int | None = None
    wall_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Budgets:
    turn: Budget
    session: Budget
    day: Budget
