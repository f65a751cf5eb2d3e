"""Bots that answer each other: the agent stops first.

Layer: core/channel; pure. Absent: remembering the exchanges of a place (`app`).
Laws: within any ten minutes a place sees at most MOST_ANSWERS answers to bots; an unpaired bot never gets one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

MOST_ANSWERS = 3
WINDOW_MS = 600_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """One message of a bot in this place, and whether it was answered. `said` is `digest_words` of its text."""

    at_ms: int
    bot: str
    said: str = ""
    answered: bool = True


def digest_words(text: str) -> str:
    """A short digest of what was said, in whatever case and spacing."""
    return hashlib.sha256(" ".join(text.casefold().split()).encode("utf-8", "replace")).hexdigest()[:16]


def decide_bot(
    history: Sequence[Exchange], *, said: str, own: Sequence[str] = (), paired: bool, addressed: bool, now_ms: int
) -> bool:
    """Whether a bot's message is answered. `own`: digests of what the agent said last in this place.

    Silent when the bot is nobody here, when it did not speak to the agent, after three answers in ten minutes, and when
    it says what it or the agent said before: whoever repeats or echoes has nothing to ask.
    """
    if not paired or not addressed:
        return False
    recent = [each for each in history if now_ms - each.at_ms < WINDOW_MS]
    if sum(each.answered for each in recent) >= MOST_ANSWERS:
        return False
    return said not in own and all(said != each.said for each in recent if each.said)
