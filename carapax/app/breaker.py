"""The breaker: counts what parts saw, and at a trip halts first, then records, then tells.

Layer: app; a thin shell round core/breaker. `saw` may be called from any thread, also while the loop is stuck.
Order of a trip: the session's processes are halted, its ways out are cut, the session is held, the incident is written,
the ledger has it, people are told. Whatever fails on the way is noted in the incident and stops nothing that follows.
Laws: halting needs neither loop nor ledger nor disk; nobody is told before the ledger was asked to record it; one
halted session has one incident, however much more is seen of it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from carapax.app.hold import Hold
from carapax.app.incident_files import IncidentFiles
from carapax.app.processes import look_at
from carapax.core.breaker.counters import Counters, Scope, Trip, step
from carapax.core.breaker.limits import Limits
from carapax.core.terms.error import CarapaxError
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.incident import Incident, IncidentState
from carapax.core.terms.plain import plain
from carapax.core.terms.signal import Signal
from carapax.ports.clock import Clock
from carapax.ports.ledger import Ledger

MAX_COUNTED = 4_096
"""Runs, and sessions, whose counters are kept; the one that was silent longest goes first."""

LOG = logging.getLogger("carapax.breaker")
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Reach:
    """How everything of a session (None: of all) is halted. All three are callable from any thread."""

    freeze: Callable[[SessionId | None], tuple[CallId, ...]]
    cut: Callable[[SessionId | None], None]
    jobs: Path  # one file per running job, for the list of processes


class Breaker:
    """Counts and trips. Made in the loop, which `close` waits for."""

    def __init__(
        self,
        *,
        limits: Callable[[], Limits],
        reach: Reach,
        hold: Hold,
        files: IncidentFiles,
        ledger: Ledger,
        tell: Callable[[Incident], None],
        clock: Clock,
        how: Callable[[Trip], str] = lambda _: "",
    ) -> None:
        self._limits, self._reach, self._hold, self._files = limits, reach, hold, files
        self._ledger, self._tell, self._clock, self._how = ledger, tell, clock, how
        self._loop = asyncio.get_running_loop()
        self._lock = threading.RLock()
        self._runs: OrderedDict[CallId, Counters] = OrderedDict()
        self._sessions: OrderedDict[SessionId, Counters] = OrderedDict()
        self._all = Counters(Scope.GATEWAY)
        self._next = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def saw(self, signal: Signal) -> None:
        """Count one signal, and halt at once when it is too much. Never raises; from any thread."""
        began_ns = time.perf_counter_ns()
        with self._lock:
            if self._hold.find(signal.session) is not None:
                return  # it is halted; what still comes of it must not halt the others
            trip = self._count(signal)
            if trip is None:
                return
            incident = self._contain(trip, began_ns)
        self._later(lambda: self._record_and_tell(incident))

    async def close(self) -> None:
        """Wait for what is still being recorded."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # counting

    def _count(self, signal: Signal) -> Trip | None:
        now_ms, limits = self._clock.monotonic_ms(), self._limits()
        trips = []
        if signal.call is not None:
            trips.append(_stepped(self._runs, signal.call, Scope.RUN, signal, now_ms, limits))
        trips.append(_stepped(self._sessions, signal.session, Scope.SESSION, signal, now_ms, limits))
        self._all, trip = step(self._all, signal, now_ms, limits)
        # What concerns everybody comes first: it halts this session too.
        return next((found for found in (trip, *reversed(trips)) if found is not None), None)

    def _forget(self, trip: Trip) -> None:
        """After a decision it is counted anew, so that going on does not trip at the first signal."""
        if trip.session is None:
            self._all = Counters(Scope.GATEWAY)
            self._sessions.clear()
            self._runs.clear()
            return
        self._sessions.pop(trip.session, None)
        if trip.call is not None:
            self._runs.pop(trip.call, None)

    # containing

    def _contain(self, trip: Trip, began_ns: int) -> Incident:
        problems: list[str] = []
        none: tuple[CallId, ...] = ()
        halted = _tried(lambda: self._reach.freeze(trip.session), none, "Halting the processes failed", problems)
        _tried(lambda: self._reach.cut(trip.session), None, "Cutting the ways out failed", problems)
        number = _tried(self._number, max(self._next, 1), "The incidents could not be listed", problems)
        self._next = number + 1
        self._hold.hold(number, trip.session)
        frozen_us = (time.perf_counter_ns() - began_ns) // 1_000
        self._forget(trip)
        incident = Incident(
            number=number,
            rule=trip.rule,
            session=trip.session,
            call=trip.call,
            signal=trip.signal,
            detail=trip.detail,
            count=trip.count,
            limit=trip.limit,
            sentence=trip.sentence,
            how=_tried(lambda: self._how(trip), "", "What led there is not known", problems),
            opened_ms=self._clock.now_ms(),
            state=IncidentState.OPEN if problems else IncidentState.FROZEN,
            halted=halted,
            to_frozen_us=frozen_us,
            problems=tuple(problems),
            processes=_tried(lambda: look_at(self._reach.jobs, trip.session), (), "No process list", problems),
        )
        return self._written(incident)

    def _number(self) -> int:
        return max(self._next, max(self._files.numbers(), default=0) + 1)

    def _written(self, incident: Incident) -> Incident:
        try:
            self._files.write(incident)
        except CarapaxError as error:
            return replace(incident, problems=(*incident.problems, error.what))
        return incident

    # recording and telling

    async def _record_and_tell(self, incident: Incident) -> None:
        began_ms = self._clock.monotonic_ms()
        try:
            told = plain(replace(incident, processes=()))
            entry = await self._ledger.append("incident.opened", told)
            incident = replace(incident, entry=int(entry))
        except CarapaxError as error:
            incident = replace(incident, problems=(*incident.problems, f"Not in the ledger: {error.what}"))
        incident = replace(incident, to_told_ms=self._clock.monotonic_ms() - began_ms)
        self._keep_if_undecided(incident)
        self._tell(incident)

    def _keep_if_undecided(self, incident: Incident) -> None:
        """Write what is now known, unless a person was quicker."""
        try:
            if self._files.read(incident.number).state in (IncidentState.OPEN, IncidentState.FROZEN):
                self._files.write(incident)
        except CarapaxError as error:
            LOG.error("incident %d: %s", incident.number, error.what)

    def _later(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        def start() -> None:
            task = self._loop.create_task(work(), name="incident")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        try:
            self._loop.call_soon_threadsafe(start)
        except RuntimeError:  # the loop has ended: it is halted and on disk, and the next start tells
            LOG.error("an incident was opened while the gateway ended")


def _stepped(
    kept: OrderedDict[K, Counters], key: K, scope: Scope, signal: Signal, now_ms: int, limits: Limits
) -> Trip | None:
    kept[key], trip = step(kept.get(key) or Counters(scope), signal, now_ms, limits)
    kept.move_to_end(key)
    while len(kept) > MAX_COUNTED:
        kept.popitem(last=False)
    return trip


R = TypeVar("R")


def _tried(act: Callable[[], R], otherwise: R, failed: str, problems: list[str]) -> R:
    try:
        return act()
    except Exception as error:  # broad: one part that fails must not keep the others from halting
        LOG.exception("%s", failed)
        problems.append(f"{failed}: {error.what if isinstance(error, CarapaxError) else type(error).__name__}.")
        return otherwise
