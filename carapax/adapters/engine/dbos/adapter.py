"""DbosEngine: the engine port over DBOS, for a SQLite file or a PostgreSQL database that several machines share.

Layer: adapters/engine/dbos. Owns the workflow that runs a piece, and the life of the library in this process: DBOS has
one global state, so there is one open engine at a time. The library's threads take pieces from its queue and record the
steps; the piece itself runs on the loop that called `launch`. Nothing runs before `launch`.
Laws: a try is a recorded step before it begins, so a death of the process is a try as well; the version of the
library is the one that was examined (`pinned`).
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from carapax.adapters.engine.dbos.bell import Bell
from carapax.adapters.engine.dbos.database import Database, open_database
from carapax.adapters.engine.dbos.envelope import (
    Try,
    parse_piece,
    parse_try,
    render_begin,
    render_end,
    work_id,
)
from carapax.adapters.engine.dbos.pinned import QUIET, load_dbos
from carapax.adapters.engine.dbos.rows import APPLICATION, NAME, QUEUE, VERSION, Rows
from carapax.adapters.engine.dbos.watch import Told, Watch
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
from carapax.core.terms.error import StoreUnavailable
from carapax.core.terms.work import Work, WorkState
from carapax.ports.clock import Clock
from carapax.ports.engine import Run

R = TypeVar("R")
AT_ONCE = 1_000
THREADS = 6  # of DBOS, for its reads and writes
BATCH = 256
LONGEST_SLEEP_MS = 60_000  # wall time may jump while a piece waits for a moment
POLL_S = 1.0  # for what DBOS itself moves; starts, ends and take-overs ring the bell
SETTLE_S = 5.0

_one = threading.Lock()  # DBOS keeps its state in globals


class GivenUp(Exception):
    """How a workflow ends whose piece is dead."""


class DbosEngine:
    """The Engine over DBOS. Made by `open`; `close` frees the library for the next one."""

    def __init__(self, dbos: Any, database: Database, clock: Clock, *, at_once: int = AT_ONCE) -> None:
        self._dbos = dbos
        self._database = database
        self._clock = clock
        self._kinds: dict[str, Kind] = {}
        self._bell = Bell()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="work-rows")
        self._system = _describe(dbos, database)
        self._rows = Rows(self._system)
        self._watch = Watch(
            self._rows, self._system.engine, database.postgres, Told(self._go_by, self._bell.ring, self._counted)
        )
        self._slots = asyncio.Semaphore(at_once)
        self._home: asyncio.AbstractEventLoop | None = None
        self._inner: asyncio.AbstractEventLoop | None = None
        self._queue_thread: threading.Thread | None = None
        self._waiting: list[tuple[Work, asyncio.Future[bool]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._runs: set[asyncio.Task[Outcome | None]] = set()
        self._sleepers: set[asyncio.Future[None]] = set()
        self._busy: set[str] = set()
        self._settled = threading.Condition()
        self._counts: dict[tuple[str, WorkState], int] = {}
        self._launched = self._closing = self._closed = False
        self._lost = False

    @classmethod
    async def open(cls, address: str, clock: Clock, *, at_once: int = AT_ONCE) -> DbosEngine:
        """Open the database at `postgresql://…`, or a SQLite file at this path. Raises StoreUnavailable."""
        if not _one.acquire(blocking=False):
            raise StoreUnavailable("another engine over DBOS is open in this process")
        try:
            return await asyncio.to_thread(cls._open, address, clock, at_once)
        except BaseException:
            _one.release()
            raise

    @classmethod
    def _open(cls, address: str, clock: Clock, at_once: int) -> DbosEngine:
        dbos = load_dbos()
        database = open_database(address)
        try:
            return cls(dbos, database, clock, at_once=at_once)
        except Exception as error:  # broad: the library has no one error for a database that does not serve
            database.close()
            raise StoreUnavailable(f"the work database cannot be opened ({type(error).__name__})") from error

    # the port
    def register(self, kind: str, run: Run, *, tries: int = 5, backoff_ms: int = 1_000, most_ms: int = 300_000) -> None:
        """Say how a kind is run. Raises RuntimeError after `launch`."""
        if self._launched:
            raise RuntimeError("a kind of work is registered before the engine is launched")
        self._kinds[kind] = make_kind(run, tries, backoff_ms, most_ms)

    async def launch(self) -> None:
        """Take up what earlier processes left, then run what is started. Raises StoreUnavailable."""
        if self._launched:
            raise RuntimeError("the engine was launched already")
        self._launched = True
        self._home = asyncio.get_running_loop()
        try:
            await self._blocking(self._launch)
        except StoreUnavailable:
            raise
        except Exception as error:  # broad: the library has no one error for a database that does not serve
            raise StoreUnavailable(f"the work database does not answer ({type(error).__name__})") from error

    async def start(self, kind: str, key: str, body: str, *, lane: str = "", due_ms: int = 0) -> bool:
        """Keep a piece and run it in its turn. Raises StoreUnavailable, TooLarge, Malformed."""
        refuse_unfit(kind, key, body, lane, due_ms)
        if self._closed:
            raise refuse_closed()
        work = Work(kind, key, lane, body, self._clock.now_ms(), due_ms=due_ms)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        self._waiting.append((work, answer))
        if self._writer is None:
            self._writer = loop.create_task(self._write())
        return await answer

    async def find(self, kind: str, key: str) -> Work | None:
        """The piece as it is kept; the body of a finished one is empty."""
        return await self._blocking(lambda: self._rows.find(kind, key))

    async def dead(self, *, limit: int = 100) -> Sequence[Work]:
        """What was given up, the newest first."""
        return await self._blocking(lambda: self._rows.dead(limit))

    async def retry(self, kind: str, key: str) -> None:
        """Run a dead piece again, first in its lane. Raises NotFound, Conflict, Malformed (it cannot be read)."""
        await self._blocking(lambda: self._rows.retry(kind, key))
        self._stir()

    async def drop(self, kind: str, key: str) -> None:
        """Forget a dead piece; its key stays known. Raises NotFound, Conflict."""
        await self._blocking(lambda: self._rows.drop(kind, key))
        self._stir()

    def counts(self) -> dict[str, int]:
        """Pieces by kind and state, as of at most a moment ago; a piece between two tries counts as running."""
        return {f"{kind}.{state}": count for (kind, state), count in sorted(self._counts.items())}

    async def close(self, grace_s: float) -> None:
        """Let what runs end within the grace, cancel the rest; what is unfinished stays kept."""
        if self._closing:
            return
        self._closing = True
        self._bell.set()
        own = {asyncio.current_task()}
        if running := self._runs - own:
            await asyncio.wait(running, timeout=max(0.0, grace_s))
        self._closed = True
        if rest := self._runs - own:
            for task in rest:
                task.cancel()
            await asyncio.wait(rest, timeout=SETTLE_S)
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=SETTLE_S)
        await asyncio.to_thread(self._end)

    # in
    async def _write(self) -> None:
        """Keep what waits, batch by batch; one batch is one commit."""
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            works = [work for work, _ in batch]
            try:
                fresh = await self._blocking(partial(self._rows.insert, works))
            except StoreUnavailable as error:
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (_, answer), new in zip(batch, fresh, strict=True):
                if not answer.done():
                    answer.set_result(new)
            self._stir()
        self._writer = None

    async def _blocking(self, do: Callable[[], R]) -> R:
        if self._closed and self._writer is None:
            raise refuse_closed()
        return await asyncio.get_running_loop().run_in_executor(self._threads, do)

    def _stir(self) -> None:
        self._bell.ring()
        self._watch.touch()

    # the life of the library
    def _launch(self) -> None:
        executor = self._watch.hold()
        package = self._dbos
        package.DBOS(config=self._settings(executor))
        package.DBOS.workflow(name=NAME, max_recovery_attempts=None)(self._workflow())
        package.DBOS.listen_queues([])
        package.DBOS.launch()
        inner = package._dbos._get_dbos_instance()
        inner._active_workflows_set = _watched(package, self._released)
        self._inner = inner._background_event_loop.target_loop()
        token = package._queue._INTERNAL_QUEUE_CONSTRUCTION
        queue = package._queue.Queue(QUEUE, partition_concurrency=1, polling_interval_sec=POLL_S, token=token)
        inner.background_thread_stop_events.append(self._bell)
        self._queue_thread = threading.Thread(
            target=package._queue.queue_worker_thread, args=(self._bell, inner, queue), name="work-queue", daemon=True
        )
        self._bell.ring()
        self._queue_thread.start()
        self._watch.begin()

    def _settings(self, executor: str) -> dict[str, Any]:
        return {
            "name": APPLICATION,
            "system_database_url": self._database.url,
            "system_database_engine": self._database.engine,
            "application_version": VERSION,
            "executor_id": executor,
            "serializer": self._dbos._serialization.DBOSPortableJSON,
            "use_listen_notify": False,
            "max_executor_threads": THREADS,
            "enable_otlp": False,
            "log_level": logging_name(),
            "scheduler_polling_interval_sec": 3_600.0,
            "notification_listener_polling_interval_sec": 0.2,
        }

    def _end(self) -> None:
        try:
            if self._queue_thread is not None:
                self._queue_thread.join(SETTLE_S)
            with self._settled:
                self._settled.wait_for(lambda: not self._busy, SETTLE_S)
            self._watch.end()
            if self._launched:
                self._dbos.DBOS.destroy(destroy_registry=True)
        finally:
            self._threads.shutdown(wait=False)
            self._database.close()
            _one.release()

    def _go_by(self, executor: str | None) -> None:
        """Called by the watch: this process lost its place, or found another."""
        self._lost = executor is None
        self._bell.pause(self._lost)
        if executor is not None:
            self._dbos._utils.GlobalParams.executor_id = executor
            return
        if self._home is not None and self._inner is not None:
            self._home.call_soon_threadsafe(self._cut_runs)
            self._inner.call_soon_threadsafe(self._cut_sleepers)

    def _cut_runs(self) -> None:
        for task in self._runs:
            task.cancel()

    def _cut_sleepers(self) -> None:
        for sleeper in self._sleepers:
            sleeper.cancel()

    def _counted(self, counts: dict[tuple[str, WorkState], int]) -> None:
        self._counts = counts

    # one piece, on the library's loop
    def _workflow(self) -> Callable[[Any], Any]:
        async def carry(piece: Any) -> dict[str, Any]:
            return await self._carry(piece)

        return carry

    async def _carry(self, piece: Any) -> dict[str, Any]:
        work, mine = parse_piece(piece), uuid.uuid4().hex
        while True:
            await self._until(work.due_ms)
            begun = await self._record("begin", render_begin(work.attempts + 1, mine))
            work = replace(work, attempts=begun.attempts, state=WorkState.RUNNING)
            outcome = await self._there(work) if begun.by == mine else self._died(work)
            if outcome is not None and outcome.state is WorkState.DONE:
                return {"attempts": work.attempts}
            if outcome is None and self._lost:
                raise asyncio.CancelledError  # it is another's now: nothing more may be recorded
            cut = Outcome(WorkState.WAITING, work.attempts - 1)
            end = await self._record("end", render_end(outcome or cut, self._clock.now_ms()))
            self._settle(work)
            if outcome is None:
                raise asyncio.CancelledError  # closing: the row stays as it is for the next process
            assert end.outcome is not None
            if end.outcome.state is WorkState.DEAD:
                raise GivenUp(end.outcome.error)
            work = replace(work, attempts=end.attempts, due_ms=end.outcome.due_ms, error=end.outcome.error)

    async def _record(self, name: str, step: dict[str, Any]) -> Try:
        """Record a step, or read what an earlier execution recorded in its place."""
        return parse_try(await self._dbos.DBOS.run_step_async({"name": name}, lambda: step))

    def _died(self, work: Work) -> Outcome:
        kind = self._kinds.get(work.kind)
        return judge_unknown(work.kind, work.attempts) if kind is None else judge_death(kind, work.attempts)

    async def _until(self, due_ms: int) -> None:
        loop = asyncio.get_running_loop()
        while (wait_ms := due_ms - self._clock.now_ms()) > 0:
            sleeper = loop.create_future()
            timer = loop.call_later(min(wait_ms, LONGEST_SLEEP_MS) / 1_000, _wake, sleeper)
            self._sleepers.add(sleeper)
            try:
                await sleeper
            finally:
                timer.cancel()
                self._sleepers.discard(sleeper)

    async def _there(self, work: Work) -> Outcome | None:
        """Run it on the gateway's loop; None when it was cut off."""
        assert self._home is not None
        with self._settled:
            self._busy.add(work_id(work.kind, work.key))
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._run(work), self._home))

    async def _run(self, work: Work) -> Outcome | None:
        kind = self._kinds.get(work.kind)
        if kind is None:
            return judge_unknown(work.kind, work.attempts)
        task: asyncio.Task[Outcome | None] | None = asyncio.current_task()
        assert task is not None
        self._runs.add(task)
        try:
            async with self._slots:
                if self._closing or self._lost:
                    return None
                await kind.run(work)
        except asyncio.CancelledError as error:
            if self._closed or self._lost:
                return None
            return judge_failure(error, kind, work.attempts, self._clock.now_ms())
        except Exception as error:  # noqa: BLE001 - broad: whatever a run raises is a failed try, not the engine's end
            return judge_failure(error, kind, work.attempts, self._clock.now_ms())
        finally:
            self._runs.discard(task)
        return Outcome(WorkState.DONE, work.attempts)

    def _settle(self, work: Work) -> None:
        self._released(work_id(work.kind, work.key))

    def _released(self, id: str) -> None:
        """What became of a piece is written."""
        with self._settled:
            self._busy.discard(id)
            self._settled.notify_all()
        self._stir()


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


def logging_name() -> str:
    """The level at which the library logs nothing."""
    import logging

    logging.addLevelName(QUIET, "QUIET")
    return "QUIET"


def _describe(dbos: Any, database: Database) -> Any:
    """DBOS's description of its database, with today's tables in it."""
    from dbos._sys_db import SystemDatabase

    system = SystemDatabase.create(
        system_database_url=database.url,
        engine_kwargs={},
        engine=database.engine,
        schema=None,
        serializer=dbos._serialization.DBOSPortableJSON,
        executor_id=None,
        use_listen_notify=False,
        app_name=APPLICATION,
        retry_connection_errors=False,
    )
    system.run_migrations()
    return system


def _watched(dbos: Any, released: Callable[[str], None]) -> Any:
    """DBOS's set of running workflows, which says when one has ended and is written."""

    class Watched(dbos._core.ActiveWorkflowById):  # type: ignore[misc]
        def _remove(self, key: str, bucket: Any) -> None:
            super()._remove(key, bucket)
            released(key)

    return Watched()
