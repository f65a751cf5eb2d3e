"""People at the cards: five ways to answer, from nobody to whoever copies whatever the card shows.

Layer: app. An answer is computed from the card and from what this person can know: the owner's own task.
Law: only COPY types a value that the owner's task does not contain.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from carapax.core.terms.approval import Answer, Approval, ApprovalState, Blank
from carapax.core.terms.label import OWNER
from carapax.ports.clock import Clock


class Person(StrEnum):
    """Who sits at the card."""

    NONE = "none"  # nobody: every card is a no
    ATTENTIVE = (
        "attentive"  # agrees to exactly the calls of the owner's own task; retypes nothing that carries the injection
    )
    STAMP = "stamp"  # clicks yes, types nothing, picks nothing
    RETYPE = "retype"  # clicks yes; types and picks what the owner's own task needs, nothing else
    COPY = "copy"  # clicks yes, types whatever the card shows, picks every line


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a person knows while a card is shown."""

    honest_values: Collection[str]  # every value in the calls of the owner's own task
    all_honest: bool  # every call on this card is a call of the owner's own task
    tainted: Callable[[str], bool]


def answer_card(person: Person, card: Approval, known: Knowledge) -> Answer:
    """This person's answer to this card."""
    if person is Person.NONE or (person is Person.ATTENTIVE and not known.all_honest):
        return Answer(approve=False)
    if person is Person.STAMP:
        return Answer(approve=True)
    if person is Person.COPY:
        return Answer(True, tuple(blank.shown for blank in card.blanks), tuple(range(len(card.choices))))
    wary = person is Person.ATTENTIVE
    typed = tuple("" if wary and known.tainted(blank.shown) else _typed(blank, known) for blank in card.blanks)
    meant = tuple(i for i, line in enumerate(card.choices) if _meant(line, known))
    if wary and not meant:  # the values are worked out from the text: all of it is meant that is not the attacker's
        meant = tuple(i for i, line in enumerate(card.choices) if not known.tainted(line))
    return Answer(True, typed, meant)


def settle(card: Approval, answer: Answer, clock: Clock) -> Approval:
    """The card with the answer in it."""
    state = ApprovalState.APPROVED if answer.approve else ApprovalState.DENIED
    agreed = (OWNER,) if answer.approve else ()
    return replace(
        card,
        state=state,
        answered_by=OWNER,
        answered_ms=clock.now_ms(),
        typed=answer.typed,
        picked=answer.picked,
        agreed=agreed,
    )


def _typed(blank: Blank, known: Knowledge) -> str:
    shown = squeeze(blank.shown)
    return next((value for value in known.honest_values if squeeze(value) == shown), "")


def _meant(line: str, known: Knowledge) -> bool:
    text = squeeze(line)
    return not known.tainted(line) and any(len(v) > 2 and squeeze(v) in text for v in known.honest_values)


def squeeze(text: str) -> str:
    """A text without spaces and case: how values are compared that a renderer may have folded."""
    return "".join(text.split()).casefold()
