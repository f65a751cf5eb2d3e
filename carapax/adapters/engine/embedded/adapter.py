"""EmbeddedEngine: the engine port over the gateway's own store, on the gateway's own loop.

Layer: adapters/engine/embedded. Owns when a piece is run and what is written about it. No thread and no polling: a
piece runs because it was started, because the one before it in its lane ended, or because its moment came.
Laws: a try is written down before it begins, so a death of the process is a try as well; an outcome is written down
before the next piece of the lane begins; what ended is in no memory. One process per store (the gateway holds a lock).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import replace
from enum import Enum, auto

from carapax.adapters.engine.embedded.lanes import Lanes, Piece, make_piece
from carapax.adapters.engine.rules import (
    REMEMBERED_MS,
    Kind,
    Outcome,
    judge_death,
    judge_failure,
    judge_unknown,
    make_kind,
    refuse_closed,
    refuse_unfit,
)
from carapax.core.terms.error import Conflict, NotFound, StoreUnavailable
from carapax.core.terms.work import Work, WorkState
from carapax.ports.clock import Clock
from carapax.ports.engine import Run
from carapax.ports.store import Store

AT_ONCE = 1_000
LOADED = 100_000  # unfinished pieces in memory; more of them wait in the store
LONGEST_LOOK_MS = 60_000  # wall time may jump while a piece waits for a moment
TIDY_S, TIDY_BIT = 3_600.0, 200
UNWIND_S = 5.0
STORE_PAUSE_MS, STORE_MOST_MS = 100, 5_000


class _Phase(Enum):
    NEW = auto()
    LOADING = auto()
    OPEN = auto()
    CLOSING = auto()  # what runs may still start pieces: they are kept for the next process
    CLOSED = auto()


_ENDING = (_Phase.CLOSING, _Phase.CLOSED)


class EmbeddedEngine:
    """The Engine of one process. `store` may be closed only after `close`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        at_once: int = AT_ONCE,
        loaded: int = LOADED,
        longest_look_ms: int = LONGEST_LOOK_MS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._at_once = at_once
        self._loaded = loaded
        self._longest_look_ms = longest_look_ms
        self._kinds: dict[str, Kind] = {}
        self._phase = _Phase.NEW
        self._lanes = Lanes()
        self._ready: deque[Piece] = deque()
        self._late: list[Piece] = []
        self._left: set[tuple[str, str]] | None = None  # what left memory while the store is being read
        self._more = False  # the store holds unfinished pieces that are not in memory
        self._runs: set[asyncio.Task[None]] = set()
        self._chores: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        self._tidier: asyncio.TimerHandle | None = None

    # the port
    def register(self, kind: str, run: Run, *, tries: int = 5, backoff_ms: int = 1_000, most_ms: int = 300_000) -> None:
        """Say how a kind is run. Raises RuntimeError after `launch`."""
        if self._phase is not _Phase.NEW:
            raise RuntimeError("a kind of work is registered before the engine is launched")
        self._kinds[kind] = make_kind(run, tries, backoff_ms, most_ms)

    async def launch(self) -> None:
        """Take up what earlier processes left, then run what is started. Raises StoreUnavailable."""
        if self._phase is not _Phase.NEW:
            raise RuntimeError("the engine was launched already")
        self._phase = _Phase.LOADING
        try:
            for work in await self._store.list_work([WorkState.DEAD], limit=self._loaded):
                self._lanes.count_dead(work.kind, +1)
            await self._load()
        except BaseException:
            self._phase, self._lanes, self._left, self._late = _Phase.NEW, Lanes(), None, []
            raise
        self._phase = _Phase.OPEN
        self._tidy_soon()

    async def start(self, kind: str, key: str, body: str, *, lane: str = "", due_ms: int = 0) -> bool:
        """Keep a piece and run it in its turn. Raises StoreUnavailable, TooLarge, Malformed."""
        refuse_unfit(kind, key, body, lane, due_ms)
        if self._phase is _Phase.CLOSED:
            raise refuse_closed()
        if self._lanes.knows(kind, key):
            return False
        work = Work(kind, key, lane, body, self._clock.now_ms(), due_ms=due_ms)
        piece = make_piece(work, kept=False)
        placed = self._phase is _Phase.OPEN and not self._more
        if placed:
            self._lanes.join(piece)
        try:
            fresh = await self._store.put_work(work)
        except asyncio.CancelledError:
            self._spawn(self._look_again(piece, placed))  # the write may stand
            raise
        except BaseException:
            self._leave(piece)
            raise
        self._took(piece, fresh, placed)
        return fresh

    async def find(self, kind: str, key: str) -> Work | None:
        """The piece as it is kept; the body of a finished one is empty."""
        return await self._store.find_work(kind, key)

    async def dead(self, *, limit: int = 100) -> Sequence[Work]:
        """What was given up, the newest first."""
        works = await self._store.list_work([WorkState.DEAD], limit=limit)
        return sorted(works, key=lambda work: work.ended_ms or 0, reverse=True)

    async def retry(self, kind: str, key: str) -> None:
        """Run a dead piece again, first in its lane. Raises NotFound, Conflict."""
        work = await self._get_dead(kind, key)
        again = replace(work, state=WorkState.WAITING, attempts=0, due_ms=0, error="", ended_ms=None)
        await self._store.set_work(again)
        if self._phase is _Phase.LOADING:
            self._late.append(make_piece(again))
        elif self._phase is _Phase.OPEN and not self._lanes.knows(kind, key):
            piece = make_piece(again)
            self._lanes.join(piece, front=True)
            self._turn(piece)
        self._less_dead(kind)

    async def drop(self, kind: str, key: str) -> None:
        """Forget a dead piece; its key stays known. Raises NotFound, Conflict."""
        work = await self._get_dead(kind, key)
        await self._store.set_work(replace(work, state=WorkState.DONE, ended_ms=self._clock.now_ms()))
        self._less_dead(kind)

    def counts(self) -> dict[str, int]:
        """Pieces by kind and state, of those in memory."""
        return self._lanes.counts()

    async def close(self, grace_s: float) -> None:
        """Let what runs end within the grace, cancel the rest; what is unfinished stays kept."""
        if self._phase in _ENDING:
            return
        self._phase = _Phase.CLOSING
        for handle in (self._timer, self._tidier):
            if handle is not None:
                handle.cancel()
        own = {asyncio.current_task()}
        if running := self._runs - own:
            await asyncio.wait(running, timeout=max(0.0, grace_s))
        self._phase = _Phase.CLOSED
        rest = {task for task in (self._runs | self._chores) - own if not task.done()}
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=UNWIND_S)

    def _less_dead(self, kind: str) -> None:
        if self._phase is not _Phase.NEW:  # before, nothing was counted
            self._lanes.count_dead(kind, -1)

    # what comes in
    async def _load(self) -> None:
        """Take what the store has and memory has not. What leaves, or is started, meanwhile is minded."""
        self._left = set()
        works = await self._store.list_work([WorkState.WAITING, WorkState.RUNNING], limit=self._loaded)
        found = []
        for work in works:
            if work.state is WorkState.RUNNING and self._is_new(work):
                work = await self._after_death(work)
            if work.state is WorkState.WAITING:
                found.append(work)
            elif work.state is WorkState.DEAD:
                self._lanes.count_dead(work.kind, +1)
        pieces = [make_piece(work) for work in found if self._is_new(work)]
        self._left = None
        self._more = len(works) >= self._loaded
        for piece in pieces:
            self._lanes.join(piece)
        for piece in pieces:
            self._turn(piece)
        late, self._late = self._late, []
        for piece in late if not self._more else ():  # else the store has them in their order
            self._admit(piece)

    def _is_new(self, work: Work) -> bool:
        return not self._lanes.knows(work.kind, work.key) and (work.kind, work.key) not in (self._left or ())

    async def _after_death(self, work: Work) -> Work:
        kind = self._kinds.get(work.kind)
        outcome = judge_unknown(work.kind, work.attempts) if kind is None else judge_death(kind, work.attempts)
        after = self._apply(work, outcome)
        if after.state is WorkState.DEAD:
            await self._store.set_work(after)
        return after

    def _took(self, piece: Piece, fresh: bool, placed: bool) -> None:
        if not fresh:
            self._leave(piece)
        elif placed:
            self._lanes.confirm(piece)
            self._turn(piece)
        elif self._left is not None:
            self._late.append(piece)
        elif self._phase is _Phase.OPEN and not self._more:
            self._admit(piece)

    def _admit(self, piece: Piece) -> None:
        if not self._lanes.knows(*piece.name):
            piece.kept = True
            self._lanes.join(piece)
            self._turn(piece)

    async def _look_again(self, piece: Piece, placed: bool) -> None:
        """After a caller went away in the middle: is it kept?"""
        kept = await self._read(piece.work)
        waits = kept is not None and kept.state is WorkState.WAITING
        self._took(piece, waits and not self._lanes.knows(*piece.name), placed)

    # whose turn it is
    def _turn(self, piece: Piece) -> None:
        """Run it, when it is its turn and time."""
        if self._phase in _ENDING or not self._lanes.may_run(piece):
            return
        if piece.work.due_ms > self._clock.now_ms():
            self._lanes.put_off(piece, piece.work.due_ms)
            self._set_timer()
        elif len(self._runs) >= self._at_once:
            self._ready.append(piece)
        else:
            self._lanes.mark(piece, running=True)
            task = asyncio.get_running_loop().create_task(self._serve(piece))
            self._runs.add(task)
            task.add_done_callback(self._ran)

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._runs.discard(task)
        while self._ready and len(self._runs) < self._at_once:
            self._turn(self._ready.popleft())
        low = self._more and len(self._lanes) <= self._loaded // 2
        if low and self._left is None and self._phase is _Phase.OPEN:
            self._left = set()
            self._spawn(self._refill())

    async def _refill(self) -> None:
        for pause_ms in _pauses():
            try:
                await self._load()
                return
            except StoreUnavailable:
                await asyncio.sleep(pause_ms / 1_000)

    def _leave(self, piece: Piece) -> None:
        if self._left is not None:
            self._left.add(piece.name)
        after = self._lanes.leave(piece)
        if after is not None:
            self._turn(after)

    def _set_timer(self) -> None:
        next_ms = self._lanes.next_ms()
        if next_ms is None or self._phase in _ENDING:
            return
        if self._timer is not None:
            if self._timer_ms <= next_ms:
                return
            self._timer.cancel()
        wait_ms = min(max(next_ms - self._clock.now_ms(), 0), self._longest_look_ms)
        self._timer_ms = next_ms
        self._timer = asyncio.get_running_loop().call_later(wait_ms / 1_000, self._due)

    def _due(self) -> None:
        self._timer = None
        for piece in self._lanes.take_due(self._clock.now_ms()):
            self._turn(piece)
        self._set_timer()

    # one try
    async def _serve(self, piece: Piece) -> None:
        before, final = piece.work, None
        try:
            work = await self._begin(piece)
            if work is None:
                return
            final = self._apply(work, await self._try(work))
            await self._keep(final)
        except asyncio.CancelledError:
            # Closing: a try that was cut off is not counted, an outcome that was reached is kept.
            await self._keep_once(final or replace(before, state=WorkState.WAITING))
            raise
        self._ended(piece, final)

    async def _begin(self, piece: Piece) -> Work | None:
        """Write down that a try begins; None when the piece is no longer there."""
        work = piece.work
        if work.kind not in self._kinds:
            return work
        if piece.heavy:
            kept = await self._read(work)
            if kept is None:
                self._leave(piece)
                return None
            work = replace(work, body=kept.body)
        work = replace(work, state=WorkState.RUNNING, attempts=work.attempts + 1)
        if not await self._keep(work):
            self._leave(piece)
            return None
        return work

    async def _try(self, work: Work) -> Outcome:
        kind = self._kinds.get(work.kind)
        if kind is None:
            return judge_unknown(work.kind, work.attempts)
        try:
            await kind.run(work)
        except asyncio.CancelledError as error:
            if self._phase in _ENDING:
                raise
            return judge_failure(error, kind, work.attempts, self._clock.now_ms())
        except Exception as error:  # noqa: BLE001 - broad: whatever a run raises is a failed try, not the engine's end
            return judge_failure(error, kind, work.attempts, self._clock.now_ms())
        return Outcome(WorkState.DONE, work.attempts)

    def _ended(self, piece: Piece, work: Work) -> None:
        if work.state is WorkState.WAITING:
            piece.work = replace(work, body="") if piece.heavy else work
            self._lanes.mark(piece, running=False)
            self._turn(piece)
            return
        if work.state is WorkState.DEAD:
            self._lanes.count_dead(work.kind, +1)
        self._leave(piece)

    def _apply(self, work: Work, outcome: Outcome) -> Work:
        ended_ms = None if outcome.state is WorkState.WAITING else self._clock.now_ms()
        return replace(
            work,
            state=outcome.state,
            attempts=outcome.attempts,
            error=outcome.error,
            due_ms=outcome.due_ms or work.due_ms,
            ended_ms=ended_ms,
        )

    # the store
    async def _keep(self, work: Work) -> bool:
        """Write a piece's state, however long the store is away. False when there is no such piece."""
        for pause_ms in _pauses():
            try:
                await self._store.set_work(work)
                return True
            except NotFound:
                return False
            except StoreUnavailable:
                await asyncio.sleep(pause_ms / 1_000)
        raise AssertionError  # pauses never end

    async def _keep_once(self, work: Work) -> None:
        try:
            await self._store.set_work(work)
        except (NotFound, StoreUnavailable):
            return  # it stays as it was written last, and is run again

    async def _read(self, work: Work) -> Work | None:
        for pause_ms in _pauses():
            try:
                return await self._store.find_work(work.kind, work.key)
            except StoreUnavailable:
                await asyncio.sleep(pause_ms / 1_000)
        raise AssertionError  # pauses never end

    async def _get_dead(self, kind: str, key: str) -> Work:
        work = await self._store.find_work(kind, key)
        if work is None:
            raise NotFound(f"there is no work {key!r} of the kind {kind!r}", next_step="List what was given up.")
        if work.state is not WorkState.DEAD:
            raise Conflict(f"this work is {work.state}, not given up")
        return work

    def _tidy_soon(self) -> None:
        self._spawn(self._tidy())
        self._tidier = asyncio.get_running_loop().call_later(TIDY_S, self._tidy_soon)

    async def _tidy(self) -> None:
        """Forget what ended long ago, in small bits."""
        before_ms, forgotten = self._clock.now_ms() - REMEMBERED_MS, TIDY_BIT
        try:
            while forgotten >= TIDY_BIT:
                forgotten = await self._store.forget_work(ended_before_ms=before_ms, limit=TIDY_BIT)
        except StoreUnavailable:
            return  # the next hour's turn

    def _spawn(self, chore: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


def _pauses() -> Iterator[int]:
    """Waits between two attempts at a store that is away: doubled up to a bound, without end."""
    pause_ms = STORE_PAUSE_MS
    while True:
        yield pause_ms
        pause_ms = min(pause_ms * 2, STORE_MOST_MS)
