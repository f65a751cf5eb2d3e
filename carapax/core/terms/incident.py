"""Incidents: a limit was passed, everything of a session (or of all) was halted, and a person decides what becomes of it.

Layer: core/terms. Absent: counting (`core/breaker`), halting and keeping (`app`).
Law: only a person ends one; what it halted stays halted until then, also over a restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.signal import SignalKind


class IncidentState(StrEnum):
    OPEN = "open"  # it is halted as far as it could be; `problems` says what could not
    FROZEN = "frozen"  # everything of it is halted
    RESUMED = "resumed"  # a person let it go on
    KILLED = "killed"  # a person ended what ran; the session itself stays closed
    KEPT = "kept"  # a person keeps it halted, for whoever looks into it


class Act(StrEnum):
    """What a person may decide."""

    RESUME = "resume"
    KILL = "kill"
    KEEP = "keep"


UNDECIDED = frozenset({IncidentState.OPEN, IncidentState.FROZEN})


@dataclass(frozen=True, slots=True)
class HaltedProcess:
    """One process as it stood when it was halted. Names only, cut; never what a file held."""

    pid: int
    parent: int
    command: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident. `session` is None when all sessions are halted."""

    number: int
    rule: str  # "breaker.canary"
    session: SessionId | None
    call: CallId | None
    signal: SignalKind
    detail: str  # host, canary or rule of the signal
    count: int
    limit: int
    sentence: str  # what happened
    how: str  # which tool and entry, and what had read a planted secret before
    opened_ms: int
    state: IncidentState
    halted: tuple[CallId, ...] = ()  # calls whose processes were halted
    to_frozen_us: int = 0  # from the signal until everything stood, in microseconds
    to_told_ms: int = -1  # from then until people were told; -1 before
    entry: int = -1  # of "incident.opened" in the ledger; -1 while there is none
    problems: tuple[str, ...] = ()  # what could not be halted or recorded
    notes: tuple[str, ...] = ()  # what came after
    decided_by: str = ""
    decided_ms: int = 0
    processes: tuple[HaltedProcess, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether its session takes no turn and runs nothing."""
        ended = self.state is IncidentState.KILLED and self.session is not None
        return ended or self.state in UNDECIDED or self.state is IncidentState.KEPT
