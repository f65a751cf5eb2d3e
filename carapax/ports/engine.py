"""Port: durable work. What was started is run to its end, after a crash by the next process, on another machine too.

A piece runs at least once: whoever runs it makes a second run harmless (keys, records of what was done).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from carapax.core.terms.work import Work


class RetryLater(Exception):
    """Raised by a run: not now; try again after this long (the engine's own back-off when 0). Counts as a try."""

    def __init__(self, why: str, *, after_ms: int = 0, counts: bool = True) -> None:
        super().__init__(why)
        self.why = why
        self.after_ms = after_ms
        self.counts = counts  # False: waiting for a platform's rate limit is nobody's failure


class GiveUp(Exception):
    """Raised by a run: no further try would help. The piece is dead at once, with this reason for people."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


Run = Callable[[Work], Awaitable[None]]


class Engine(Protocol):
    def register(self, kind: str, run: Run, *, tries: int = 5, backoff_ms: int = 1_000, most_ms: int = 300_000) -> None:
        """How a kind is run; before `launch`. Any other exception of `run` is a failed try, then back-off doubled up
        to `most_ms`; after `tries` the piece is dead, and its lane goes on. CancelledError at `close` is no try."""
        ...

    async def launch(self) -> None:
        """Take up what earlier processes left, in order, then run what is started. Raises StoreUnavailable."""
        ...

    async def start(self, kind: str, key: str, body: str, *, lane: str = "", due_ms: int = 0) -> bool:
        """Keep a piece; durable when this returns. False: this key is known already, and nothing was done.

        May be called before `launch`. Raises StoreUnavailable, TooLarge.
        """
        ...

    async def find(self, kind: str, key: str) -> Work | None: ...

    async def dead(self, *, limit: int = 100) -> Sequence[Work]:
        """What was given up, the newest first."""
        ...

    async def retry(self, kind: str, key: str) -> None:
        """Run a dead piece again, with fresh tries. Raises NotFound, Conflict (not dead)."""
        ...

    async def drop(self, kind: str, key: str) -> None:
        """Forget a dead piece; its key stays known. Raises NotFound, Conflict."""
        ...

    def counts(self) -> dict[str, int]:
        """Pieces that wait or run, and that are dead, by kind and state: "turn.waiting" → 2."""
        ...

    async def close(self, grace_s: float) -> None:
        """Take up nothing more, cancel what runs after the grace; what is unfinished stays kept."""
        ...
