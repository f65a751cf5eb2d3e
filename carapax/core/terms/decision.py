"""Decisions: the question that policy answers, and the three answers.

Layer: core/terms. Absent: how it is answered (`core/policy`).
Law: there is no fourth answer; an error while deciding is Deny.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from carapax.core.terms.action import ArgRole, CanonicalCall
from carapax.core.terms.approval import Blank
from carapax.core.terms.ids import RuleId
from carapax.core.terms.label import Label
from carapax.core.terms.principal import Principal


class Obligation(StrEnum):
    """What the guard must also do when it allows."""

    KEEP_VERSIONS = "keep_versions"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the guard derived from the call for policy to judge; policy has no string functions."""

    place: str  # "workspace", "outside", "none"
    destroys_count: int  # files a call says it deletes or overwrites
    network: bool
    hidden_text: bool  # an argument carries invisible or bidirectional characters
    reversible: bool
    channel: str = "cli"  # the surface that the message came through
    recipients: str = "none"  # "none", "owner", "org", "known" (directory) or "other": the furthest one
    amount_cents: int = 0  # of money, in hundredths of the policy's currency
    intended: bool = True  # the effect is in the task's capability set


@dataclass(frozen=True, slots=True)
class Question:
    """May this principal's agent make this call, in a context with this label?"""

    principal: Principal
    call: CanonicalCall
    context: Label
    facts: Facts


@dataclass(frozen=True, slots=True)
class Allow:
    rule: RuleId
    obligations: frozenset[Obligation] = frozenset()


@dataclass(frozen=True, slots=True)
class Ask:
    """A person must say yes. `typed` names the roles whose value the person must type, not merely confirm."""

    rule: RuleId
    reason: str
    obligations: frozenset[Obligation] = frozenset()
    typed: tuple[ArgRole, ...] = ()
    blanks: tuple[Blank, ...] = ()  # values that a person must type or pick, one by one
    choices: tuple[str, ...] = ()  # lines of a text, of which a person picks those that are meant
    choices_source: str = ""  # which text they are lines of
    factor: bool = False  # a second factor is asked as well
    people: int = 1  # how many different people must agree


@dataclass(frozen=True, slots=True)
class Deny:
    rule: RuleId
    reason: str


Decision = Allow | Ask | Deny
