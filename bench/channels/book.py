"""What was said and what came back: every message has a number, so that each can be found again.

Absent: how it travelled (`peers`), what it cost (`run`). Times are of `time.monotonic`, in seconds.
"""

from __future__ import annotations

import itertools
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

NUMBER = re.compile(r"\bn\d{7}\b")


@dataclass(slots=True)
class Said:
    """One message of a person. `taken_s` is when the platform knew that it was kept."""

    channel: str
    chat: str
    said_s: float
    taken_s: float = 0.0
    replies: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Book:
    """Everything of one run."""

    said: dict[str, Said] = field(default_factory=dict)
    order: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # as it was said, by conversation
    came: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # as it was answered
    notices: list[tuple[str, str]] = field(default_factory=list)  # words of the gateway's own
    modelled: dict[str, float] = field(default_factory=dict)  # when the model's last token was written
    answered: int = 0
    _count: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def say(self, channel: str, chat: str) -> tuple[str, str]:
        """A new message's number and its text."""
        number = f"n{next(self._count):07}"
        self.said[number] = Said(channel, chat, time.monotonic())
        self.order[f"{channel}/{chat}"].append(number)
        return number, f"Please say that you have read {number}"

    def take(self, number: str) -> None:
        if not self.said[number].taken_s:
            self.said[number].taken_s = time.monotonic()

    def reply(self, channel: str, chat: str, text: str) -> None:
        """A message of the agent's."""
        now_s = time.monotonic()
        numbers = NUMBER.findall(text) if text.startswith("read") else []
        if not numbers:
            self.notices.append((channel, text))
        for number in numbers:
            if number in self.said:
                self.answered += not self.said[number].replies
                self.said[number].replies.append(now_s)
                self.said[number].texts.append(text[:200])
                self.came[f"{channel}/{chat}"].append(number)

    def open(self) -> int:
        """Messages without an answer."""
        return len(self.said) - self.answered

    def judge(self, unknown: Iterable[str]) -> Verdict:
        """What became of all, with the numbers of those whose sending nobody knows the outcome of."""
        listed = set(unknown)
        lost = [n for n, said in self.said.items() if not said.replies and n not in listed]
        twice = [n for n, said in self.said.items() if len(said.replies) > 1]
        crossed = [pair for numbers in self.came.values() for pair in find_crossed(list(dict.fromkeys(numbers)))]
        arrived = sum(bool(self.said[n].replies) for n in listed if n in self.said)
        return Verdict(len(self.said), lost, twice, crossed, len(listed), arrived)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`unknown` were listed for a person; `unknown_arrived` of them had arrived."""

    said: int
    lost: list[str]
    twice: list[str]
    crossed: list[tuple[str, str]]
    unknown: int
    unknown_arrived: int


def find_crossed(numbers: Sequence[str]) -> list[tuple[str, str]]:
    """Answers that came before one to an earlier message, each with that one."""
    return [(first, then) for first, then in itertools.pairwise(numbers) if then < first]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
