"""A breaker over fakes that note the order of what happens to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carapax.app.breaker import Breaker, Reach
from carapax.app.bulletin import Bulletin
from carapax.app.hold import Hold
from carapax.app.incident_files import IncidentFiles
from carapax.app.incidents import Incidents, Means
from carapax.core.breaker.limits import DEFAULT, Limits
from carapax.core.terms.event import Event
from carapax.core.terms.ids import CallId, EntryIndex, SessionId
from carapax.core.terms.incident import Incident
from carapax.core.terms.signal import Signal, SignalKind
from tests.fakes.ledger import MemoryLedger

A, B = SessionId("session-a"), SessionId("session-b")
USED = "vault/aws-backup -> files.example"


class Clock:
    """Told time."""

    def __init__(self) -> None:
        self.wall_ms, self.steady_ms = 1_800_000_000_000, 50_000

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_ms(self) -> int:
        return self.steady_ms


class NotingLedger(MemoryLedger):
    def __init__(self, order: list[str]) -> None:
        super().__init__()
        self._order = order

    async def append(self, kind: str, body: dict[str, Any]) -> EntryIndex:
        self._order.append(f"ledger {kind}")
        return await super().append(kind, body)


class NotingFiles(IncidentFiles):
    def __init__(self, folder: Path, order: list[str]) -> None:
        super().__init__(folder)
        self._order = order

    def write(self, incident: Incident) -> None:
        self._order.append(f"write {incident.number} {incident.state.value}")
        super().write(incident)


@dataclass
class Walls:
    """What is halted. `fails` names calls that raise."""

    order: list[str]
    fails: set[str] = field(default_factory=set)
    running: dict[CallId, SessionId] = field(default_factory=dict)

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._note("freeze", session)

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._note("thaw", session)

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._note("kill", session)

    def cut(self, session: SessionId | None) -> None:
        self._note("cut", session)

    def _note(self, act: str, session: SessionId | None) -> tuple[CallId, ...]:
        self.order.append(f"{act} {session}")
        if act in self.fails:
            raise OSError(f"{act} is broken")
        return tuple(call for call, of in self.running.items() if session in (None, of))


class Alarm:
    """Made inside a loop."""

    def __init__(self, place: Path, limits: Callable[[], Limits] = lambda: DEFAULT) -> None:
        self.place, self.order = place, list[str]()
        self.clock, self.walls = Clock(), Walls(self.order)
        self.ledger, self.files = NotingLedger(self.order), NotingFiles(place / "incidents", self.order)
        self.hold = Hold(place / "stopped")
        self.told: list[tuple[SessionId | None, Event]] = []
        self.bulletin = Bulletin()
        self.incidents = Incidents(
            self.files, self.hold, self.ledger, self.clock,
            Means(self.walls.freeze, self.walls.thaw, self.walls.kill, self._end, self._tell), self.bulletin,
        )  # fmt: skip
        self.breaker = Breaker(
            limits=limits,
            reach=Reach(self.walls.freeze, self.walls.cut, place / "jobs"),
            hold=self.hold,
            files=self.files,
            ledger=self.ledger,
            tell=self.incidents.tell,
            clock=self.clock,
            how=lambda trip: f"how of {trip.call}",
        )

    def _end(self, session: SessionId | None, text: str) -> int:
        self.order.append(f"end {session}")
        return 1

    def _tell(self, session: SessionId | None, event: Event) -> None:
        self.order.append(f"tell {session}")
        self.told.append((session, event))

    def use_canary(self, session: SessionId = A, call: str = "c") -> None:
        self.breaker.saw(Signal(SignalKind.CANARY_USED, session, CallId(call), 1, USED))

    def deny(self, times: int, session: SessionId = A) -> None:
        for _ in range(times):
            self.breaker.saw(Signal(SignalKind.DENIED, session, CallId("c")))

    async def settled(self) -> None:
        """Everything that a trip left for the loop is done."""
        for _ in range(5):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await self.breaker.close()
