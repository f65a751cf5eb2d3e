"""What goes into the watch over a turn, and what comes back for each proposal.

Layer: guard. Data only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from carapax.core.terms.action import Effect
from carapax.core.terms.event import Event
from carapax.core.terms.ids import CallId, SessionId, TurnId
from carapax.core.terms.label import OWNER_ONLY, Label, Labeled, Readers
from carapax.core.terms.principal import Principal


@dataclass(frozen=True, slots=True)
class Step:
    """What the loop gets back for one proposal: labelled text, and how it went."""

    call: CallId
    tool: str
    text: Labeled[str]
    answer: str  # "allow", "ask" (and approved) or "deny"
    outcome: str  # an Outcome's value; "refused" when nothing ran
    ends_turn: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """The turn a guard watches: who, where, what the owner typed, and the label of what the model is shown."""

    principal: Principal
    session: SessionId
    turn: TurnId
    owner_words: str  # everything the owner typed that is shown: values may come from it
    context: Label
    emit: Callable[[Event], None]
    task: str = ""  # what the owner asks for now: capabilities come from it; "" is owner_words
    earlier: tuple[str, ...] = ()  # what the owner asked before, oldest first: "go on" means the last of it
    channel: str = "cli"
    audience: Readers = OWNER_ONLY  # who may know all that earlier turns' tools told
    effects: frozenset[Effect] = frozenset()  # what a planner with a clean context found beyond the words
