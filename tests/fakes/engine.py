"""MemoryEngine: the engine port in dictionaries, for tests of everything above it.

What it keeps lies in `kept`: hand that to another MemoryEngine and it is the next process. `await settled()` waits
until nothing runs and nothing could run before its moment; `due()` looks again after the clock was moved.
It passes the engines' conformance suite. Absent: durability.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from carapax.adapters.engine.rules import (
    Kind,
    Outcome,
    judge_death,
    judge_failure,
    judge_unknown,
    make_kind,
    refuse_closed,
    refuse_unfit,
)
from carapax.core.terms.error import Conflict, NotFound
from carapax.core.terms.work import Work, WorkState
from carapax.ports.clock import Clock
from carapax.ports.engine import Run

Kept = dict[tuple[str, str], Work]
OPEN = (WorkState.WAITING, WorkState.RUNNING)


class MemoryEngine:
    """An Engine in memory."""

    def __init__(self, clock: Clock, kept: Kept | None = None) -> None:
        self.kept: Kept = {} if kept is None else kept
        self._clock = clock
        self._kinds: dict[str, Kind] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._launched = self._closed = self._stopping = False

    def register(self, kind: str, run: Run, *, tries: int = 5, backoff_ms: int = 1_000, most_ms: int = 300_000) -> None:
        if self._launched:
            raise RuntimeError("a kind of work is registered before the engine is launched")
        self._kinds[kind] = make_kind(run, tries, backoff_ms, most_ms)

    async def launch(self) -> None:
        if self._launched:
            raise RuntimeError("the engine was launched already")
        self._launched = True
        for name, work in list(self.kept.items()):
            if work.state is WorkState.RUNNING:
                kind = self._kinds.get(work.kind)
                died = judge_unknown(work.kind, work.attempts) if kind is None else judge_death(kind, work.attempts)
                self._came_to(name, died)
        self.due()

    async def start(self, kind: str, key: str, body: str, *, lane: str = "", due_ms: int = 0) -> bool:
        refuse_unfit(kind, key, body, lane, due_ms)
        if self._closed:
            raise refuse_closed()
        if (kind, key) in self.kept:
            return False
        self.kept[kind, key] = Work(kind, key, lane, body, self._clock.now_ms(), due_ms=due_ms)
        self.due()
        return True

    def due(self) -> None:
        """Run what can run now."""
        if not self._launched or self._stopping:
            return
        heads: set[str] = set()
        later = []
        for name, work in list(self.kept.items()):
            if work.state not in OPEN or work.lane in heads:
                continue
            if work.lane:
                heads.add(work.lane)
            if name in self._tasks:
                continue
            if work.due_ms > self._clock.now_ms():
                later.append(work.due_ms)
                continue
            self._tasks[name] = asyncio.get_running_loop().create_task(self._carry(name))
        if self._timer is not None:
            self._timer.cancel()
        if later:
            wait_s = max(0, min(later) - self._clock.now_ms()) / 1_000
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.due)

    async def settled(self, timeout_s: float = 10.0) -> None:
        """Wait until nothing runs."""
        async with asyncio.timeout(timeout_s):
            while self._tasks:
                await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)

    async def _carry(self, name: tuple[str, str]) -> None:
        before = self.kept[name]
        work = self.kept[name] = replace(before, state=WorkState.RUNNING, attempts=before.attempts + 1)
        kind = self._kinds.get(work.kind)
        outcome = Outcome(WorkState.DONE, work.attempts)
        try:
            if kind is None:
                outcome = judge_unknown(work.kind, before.attempts)
            else:
                await kind.run(work)
        except asyncio.CancelledError as error:
            if self._stopping or kind is None:
                self.kept[name] = replace(before, state=WorkState.WAITING)
                raise
            outcome = judge_failure(error, kind, work.attempts, self._clock.now_ms())
        except Exception as error:  # noqa: BLE001 - broad: whatever a run raises is a failed try
            assert kind is not None
            outcome = judge_failure(error, kind, work.attempts, self._clock.now_ms())
        finally:
            del self._tasks[name]
        self._came_to(name, outcome)
        self.due()

    def _came_to(self, name: tuple[str, str], outcome: Outcome) -> None:
        work = self.kept[name]
        ended_ms = None if outcome.state is WorkState.WAITING else self._clock.now_ms()
        self.kept[name] = replace(
            work,
            state=outcome.state,
            attempts=outcome.attempts,
            error=outcome.error,
            due_ms=outcome.due_ms or work.due_ms,
            ended_ms=ended_ms,
            body="" if outcome.state is WorkState.DONE else work.body,
        )

    async def find(self, kind: str, key: str) -> Work | None:
        return self.kept.get((kind, key))

    async def dead(self, *, limit: int = 100) -> Sequence[Work]:
        dead = [work for work in reversed(self.kept.values()) if work.state is WorkState.DEAD]
        return sorted(dead, key=lambda work: work.ended_ms or 0, reverse=True)[:limit]

    async def retry(self, kind: str, key: str) -> None:
        work = self._get_dead(kind, key)
        again = replace(work, state=WorkState.WAITING, attempts=0, due_ms=0, error="", ended_ms=None)
        self.kept[kind, key] = again
        self.due()

    async def drop(self, kind: str, key: str) -> None:
        work = self._get_dead(kind, key)
        self.kept[kind, key] = replace(work, state=WorkState.DONE, body="", ended_ms=self._clock.now_ms())

    def _get_dead(self, kind: str, key: str) -> Work:
        work = self.kept.get((kind, key))
        if work is None:
            raise NotFound("there is no such work")
        if work.state is not WorkState.DEAD:
            raise Conflict("this work is not given up")
        return work

    def counts(self) -> dict[str, int]:
        found = Counter(f"{w.kind}.{w.state}" for w in self.kept.values() if w.state is not WorkState.DONE)
        return dict(sorted(found.items()))

    async def close(self, grace_s: float) -> None:
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        running = set(self._tasks.values()) - {asyncio.current_task()}
        if running:
            await asyncio.wait(running, timeout=max(0.0, grace_s))
        self._closed = True
        rest = set(self._tasks.values()) - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=5)
