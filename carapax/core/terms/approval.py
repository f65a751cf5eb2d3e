"""Approvals: one person's answer to one exact call, used once, until a deadline.

Layer: core/terms. The card is rendered by the gateway from data; no reason written by a model is on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from carapax.core.terms.ids import ApprovalId, CallId, Digest, PrincipalId, RuleId, SessionId, TurnId


class ApprovalState(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class ArgumentLine:
    """One argument as a person sees it: name, whole value, and where it came from in words."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Blank:
    """A value that the owner never named: a yes does not fill it, the person types it.

    `shown` is what the call says, revealed; what is typed must be the same value in canonical form.
    """

    argument: str
    role: str  # an ArgRole's value
    shown: str
    source: str = ""  # where the call's value was found, in words; "" when the model composed it
    call: int = 0  # which call of a batch, from 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person gave: yes or no, the typed values in the order of the blanks, the picked lines, a one-time code."""

    approve: bool
    typed: tuple[str, ...] = ()
    picked: tuple[int, ...] = ()
    code: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """A question to a person, bound to the digest of the exact call."""

    id: ApprovalId  # short, spoken: "K7M2"
    session: SessionId
    turn: TurnId
    call: CallId
    digest: Digest
    title: str  # "delete 12 files"
    lines: tuple[ArgumentLine, ...]
    rule: RuleId
    reason: str
    taint: str  # what untrusted text the session has read, in words; empty when none
    asked_ms: int
    deadline_ms: int
    state: ApprovalState = ApprovalState.WAITING
    answered_by: PrincipalId | None = None
    answered_ms: int | None = None
    blanks: tuple[Blank, ...] = ()
    choices: tuple[str, ...] = ()  # lines to pick from
    choices_source: str = ""
    factor: bool = False  # needs the one-time code too
    people: int = 1  # how many different people must say yes
    agreed: tuple[PrincipalId, ...] = ()  # who said yes so far
    exact: str = ""  # the exact arguments of every call, canonical JSON, one a line
    hidden: tuple[str, ...] = ()  # hidden text that was found, revealed
    hint: str = ""  # what the injection detector thinks; never a gate
    calls: int = 1  # how many calls one answer decides (a batch)
    typed: tuple[str, ...] = ()  # what was typed, in the order of the blanks
    picked: tuple[int, ...] = ()
