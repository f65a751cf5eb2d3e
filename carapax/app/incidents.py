"""Incidents: what is halted, and a person's decision about it.

Layer: app. Owns loading what an earlier gateway left, and resume, kill and keep.
Laws: a decision needs a person's token with the scope `approve` or `admin`; it is in the ledger before it happens;
without a ledger nothing is let go, but killing and keeping, which only narrow, still happen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from carapax.app.bulletin import Bulletin
from carapax.app.hold import Hold
from carapax.app.incident_files import IncidentFiles
from carapax.core.terms.error import Conflict, LedgerUnavailable, Refused
from carapax.core.terms.event import Contained, Event
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.incident import UNDECIDED, Act, Incident, IncidentState
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.ports.clock import Clock
from carapax.ports.ledger import Ledger

RESTARTED = "The gateway was started anew since; the halted processes are gone, the session is still held."
MAX_NOTES = 50


_AFTER = {Act.RESUME: IncidentState.RESUMED, Act.KILL: IncidentState.KILLED, Act.KEEP: IncidentState.KEPT}


@dataclass(frozen=True, slots=True)
class Means:
    """What a decision acts on."""

    freeze: Callable[[SessionId | None], tuple[CallId, ...]]
    thaw: Callable[[SessionId | None], tuple[CallId, ...]]
    kill: Callable[[SessionId | None], tuple[CallId, ...]]
    end_turns: Callable[[SessionId | None, str], int]
    tell: Callable[[SessionId | None, Event], None]  # into the streams of the session's turns


class Incidents:
    """The incidents of a running gateway."""

    def __init__(
        self, files: IncidentFiles, hold: Hold, ledger: Ledger, clock: Clock, means: Means, bulletin: Bulletin
    ) -> None:
        self._files, self._hold, self._ledger, self._clock = files, hold, ledger, clock
        self._means, self._bulletin = means, bulletin

    def load(self) -> int:
        """Hold again what was held before a restart, and say there that its processes are gone; how many."""
        held = [incident for incident in self._files.all() if incident.holds]
        for incident in held:
            self._hold.hold(incident.number, incident.session)
            if RESTARTED not in incident.notes and incident.rule != "breaker.damaged":
                self._files.write(_noted(incident, RESTARTED))
        return len(held)

    def tell(self, incident: Incident) -> None:
        """Show it where the session is shown, and to everybody who follows the gateway."""
        event = Contained(replace(incident, processes=()))
        self._means.tell(incident.session, event)
        self._bulletin.tell(event)

    def follow(self) -> AsyncIterator[Event]:
        """Incidents from now on, opened and decided."""
        return self._bulletin.listen()

    def all(self) -> tuple[Incident, ...]:
        """Every incident, the newest first, without its processes."""
        return tuple(replace(incident, processes=()) for incident in self._files.all())

    def undecided(self) -> tuple[Incident, ...]:
        """Those that wait for a person."""
        return tuple(incident for incident in self.all() if incident.state in UNDECIDED)

    def get(self, number: int) -> Incident:
        """Raises NotFound."""
        return self._files.read(number)

    async def decide(self, principal: Principal, number: int, act: Act) -> Incident:
        """Resume, kill or keep. Raises Refused, NotFound, Conflict, LedgerUnavailable, StoreUnavailable."""
        person = principal.role in (Role.OWNER, Role.APPROVER)
        if not person or not principal.scopes & {Scope.APPROVE, Scope.ADMIN}:
            raise Refused("Deciding about an incident needs an owner or approver, with the scope approve or admin.")
        found = self._files.read(number)
        if not found.holds or found.state is _AFTER[act]:
            raise Conflict(f"Incident {number} was already {found.state.value}.")
        problem = await self._record(principal, found, act)
        decided = replace(
            found,
            state=_AFTER[act],
            decided_by=principal.via or principal.id,
            decided_ms=self._clock.now_ms(),
            problems=(*found.problems, *((problem,) if problem else ())),
        )
        self._act(decided, act)
        self.tell(decided)
        return decided

    async def _record(self, principal: Principal, found: Incident, act: Act) -> str:
        """The decision in the ledger; what is to be noted when that failed and it only narrows."""
        body = {
            "incident": found.number,
            "session": found.session,
            "opened": found.entry,
            "by": principal.id,
            "via": principal.via,
        }
        try:
            await self._ledger.append(f"incident.{_AFTER[act].value}", body)
        except LedgerUnavailable as error:
            if act is Act.RESUME:
                raise
            return f"The decision is not in the ledger: {error.what}"
        return ""

    def _act(self, decided: Incident, act: Act) -> None:
        session, number = decided.session, decided.number
        if act is Act.KILL:
            self._means.kill(session)
            self._means.end_turns(session, f"It was ended by a person (incident {number}).")
        self._files.write(decided)  # before it is let go: what a restart finds is what was decided
        if decided.holds:
            return
        self._hold.lift(number)
        if session is None or self._hold.find(session) is None:
            self._means.thaw(session)
        for still in self._hold.sessions() if session is None else ():
            self._means.freeze(still)  # other incidents hold these still


def _noted(incident: Incident, note: str) -> Incident:
    return replace(incident, notes=(*incident.notes, note)[-MAX_NOTES:])
