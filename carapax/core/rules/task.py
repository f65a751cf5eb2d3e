"""A task: everything the rules may look at besides the call itself.

Layer: core/rules. Fixed by the owner's words before untrusted text is read: words and plan. Growing with the turn:
what is known, what was made, what a person endorsed. Absent: anything a model said.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from carapax.core.flow.knowledge import Knowledge
from carapax.core.flow.mentions import Mentions
from carapax.core.flow.words import Words
from carapax.core.terms.label import PUBLIC, Integrity, Label, Readers
from carapax.core.terms.plan import Plan
from carapax.core.terms.tables import DirectoryEntry, Tables

Payment = tuple[tuple[str, str], ...]
"""What makes a payment the same again: whom it goes to, for what, and how much."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What was done so far, for the caps."""

    actions: int = 0  # in this task
    messages: int = 0  # in the last minute
    files: int = 0  # in the last minute
    spent_cents: int = 0  # today, without asking


@dataclass(frozen=True, slots=True)
class Task:
    """What one call is judged against."""

    words: Words  # everything the owner typed that counts, typed values included
    said: Words  # the same, and the lines that a person picked: what descriptions are read from
    plan: Plan
    knowledge: Knowledge
    mentions: Mentions
    context: Label  # of everything the model was shown
    tables: Tables = Tables()
    directory: tuple[DirectoryEntry, ...] = ()
    created: frozenset[str] = frozenset()  # ids, names and paths that this turn made
    endorsed: Words | None = None  # lines that a person picked
    typed: frozenset[tuple[str, str]] = frozenset()  # (role, value) as a person typed them into a card
    today: date | None = None
    counts: Counts = Counts()
    audience: Readers = PUBLIC  # who may know all that tools told; the owner's own words are the owner's to tell
    repeated: frozenset[Payment] = frozenset()  # payments made as often as a person agreed to

    @property
    def tainted(self) -> bool:
        """Whether untrusted text was read: from here on every step may be an attacker's."""
        return self.context.integrity <= Integrity.EXTERNAL

    @property
    def private_domains(self) -> frozenset[str]:
        """Private domains that were read, named or not."""
        return frozenset(name[7:] for name in self.context.classes if name.startswith("domain:"))
