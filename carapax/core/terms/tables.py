"""Tables of the policy document that are not rules: trust tier, caps, people, places, data classes, cleared models.

Layer: core/terms. Parsed and signed with the policy (`core/policy`); read by the rules, the guard and the app.
Absent: their judgement.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from carapax.core.terms.label import Integrity


class Tier(StrEnum):
    """How much an agent is trusted, as with a new colleague."""

    OBSERVE = "observe"  # reads and proposes
    DRAFT = "draft"  # prepares; never sends, pays, shares or deletes
    ASSIST = "assist"  # acts, with approvals
    ACT = "act"  # acts within grants without asking


@dataclass(frozen=True, slots=True)
class Caps:
    """Bounds of what happens without asking or at all. None is no bound of that kind.

    Money goes without asking up to `payment_each_cents`, to payees that the owner named or paid before, until
    `payment_day_cents` of a day are spent so. The others are hard.
    """

    currency: str = "EUR"
    payment_each_cents: int | None = 0
    payment_day_cents: int | None = 0
    messages_per_minute: int | None = 10
    files_per_minute: int | None = 200
    actions_per_task: int | None = 40


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """Somebody the owner vouches for: a name stands for these addresses."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Files of the workspace with a declared label: a glob, who could have written them, what class they hold."""

    glob: str
    integrity: Integrity | None = None  # None says nothing about who wrote them
    data_class: str = ""


@dataclass(frozen=True, slots=True)
class DataClass:
    """A kind of data the policy names: how it is recognised and who may have it.

    `patterns` are RE2 expressions; `builtin` names checks of our own ("card", "iban", "national_id").
    """

    name: str
    builtin: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    leaves: str = "ask"  # in outgoing bytes: "allow", "ask" or "deny"


@dataclass(frozen=True, slots=True)
class Clearance:
    """Models (a glob over "provider:model") and the data classes they may be shown; "*" is every class."""

    models: str
    classes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything the rules need of a policy beyond its Cedar rules."""

    tier: Tier = Tier.ASSIST
    caps: Caps = Caps()
    owner_addresses: frozenset[str] = frozenset()
    org_domains: frozenset[str] = frozenset()  # mail domains, and workspace names, of the owner's organisation
    directory: tuple[DirectoryEntry, ...] = ()
    places: tuple[Place, ...] = ()
    classes: tuple[DataClass, ...] = ()
    clearances: tuple[Clearance, ...] = ()
    four_eyes: frozenset[str] = frozenset()  # effects that two people must approve
    sinks: tuple[tuple[str, frozenset[str]], ...] = ()  # tool → who reads what it sends, beyond whom its arguments name
    second_factor: frozenset[str] = frozenset()  # effects whose approval needs a one-time code
