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
