"""Events: what a surface sees of a running turn, in order.

Layer: core/terms. A turn's stream starts with TurnStarted and ends with exactly one TurnEnded.
"""

from __future__ import annotations

from dataclasses import dataclass

from carapax.core.terms.approval import Approval
from carapax.core.terms.conversation import TurnState
from carapax.core.terms.ids import CallId, EntryIndex, SessionId, TurnId
from carapax.core.terms.incident import Incident
from carapax.core.terms.limit import Usage


@dataclass(frozen=True, slots=True)
class TurnStarted:
    session: SessionId
    turn: TurnId
    number: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the reply, as it is written."""

    text: str


@dataclass(frozen=True, slots=True)
class StepJudged:
    """The guard's answer to a proposal: "allow", "ask" or "deny", the rule, and the ledger entry."""

    call: CallId
    tool: str
    summary: str  # "write hello.py (15 B)"
    answer: str
    rule: str
    reason: str
    entry: EntryIndex


@dataclass(frozen=True, slots=True)
class StepDone:
    """A call's outcome, with the entry of its receipt."""

    call: CallId
    tool: str
    summary: str
    outcome: str
    detail: str  # first line of the result, cut
    duration_ms: int
    entry: EntryIndex


@dataclass(frozen=True, slots=True)
class Waiting:
    """The turn waits for a person."""

    approval: Approval


@dataclass(frozen=True, slots=True)
class Answered:
    """A waiting approval was answered, expired or withdrawn."""

    approval: Approval


@dataclass(frozen=True, slots=True)
class Question:
    """The agent asks its person something (the ask_user tool); the next message answers it."""

    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """The gateway's own words: a budget, an interruption, a retry."""

    code: str
    text: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Contained:
    """Too much of something: the session was halted. People are told wherever they look."""

    incident: Incident


@dataclass(frozen=True, slots=True)
class TurnEnded:
    session: SessionId
    turn: TurnId
    state: TurnState
    reply: str
    usage: Usage
    code: str = ""  # the error's code when the state is not DONE


Event = TurnStarted | TextDelta | StepJudged | StepDone | Waiting | Answered | Question | Notice | Contained | TurnEnded
