"""Resuming a turn: what of it was begun before the gateway ended, and what is still to be handed on.

Layer: app; pure but for its inputs. The store says it all: every wish is kept before it is handed on, every call is
opened before it runs, every result is kept when it came.
Laws: a call that was ever opened is never handed on again; an outcome that nobody knows is said so, to the model and
to the person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from carapax.agent.prompt import UNKNOWN_OUTCOME
from carapax.core.terms.action import Outcome
from carapax.core.terms.conversation import Part, PartKind
from carapax.core.terms.ids import CallId, TurnId
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Source
from carapax.ports.provider import Wish
from carapax.ports.store import NewPart

LABEL = Label(Integrity.SYSTEM, OWNER_ONLY, frozenset({Source("system", "recovery")}))
LOST = (
    "It ended ({outcome}), but Carapax was restarted before its output was kept. Look at what is true before you go on."
)


@dataclass(frozen=True, slots=True)
class Left:
    """What a turn left: wishes nobody began, results to be kept for calls that were, and the tools of unknown outcome."""

    wishes: tuple[Wish, ...] = ()
    results: tuple[NewPart, ...] = ()
    unknown: tuple[str, ...] = ()

    def without_wishes(self, parts: Sequence[Part]) -> list[Part]:
        """The parts as a prompt shows them while these wishes are still to be answered."""
        open_ = {wish.id for wish in self.wishes}
        return [part for part in parts if part.kind is not PartKind.CALL or str(part.call) not in open_]


def find_left(turn: TurnId, parts: Sequence[Part], calls: Mapping[CallId, str | None]) -> Left:
    """What is left of a turn, by its parts and by how its calls stand in the store."""
    own = [part for part in parts if part.turn == turn]
    answered = {part.call for part in own if part.kind is PartKind.RESULT}
    wishes: list[Wish] = []
    results: list[NewPart] = []
    unknown: list[str] = []
    for part in own:
        if part.kind is not PartKind.CALL or part.call is None or part.call in answered:
            continue
        if part.call not in calls:
            wishes.append(Wish(str(part.call), part.tool, part.text))
            continue
        outcome = calls[part.call] or Outcome.UNKNOWN.value
        text = UNKNOWN_OUTCOME if outcome == Outcome.UNKNOWN.value else LOST.format(outcome=outcome)
        if outcome == Outcome.UNKNOWN.value:
            unknown.append(part.tool)
        results.append(NewPart(PartKind.RESULT, text, LABEL, part.tool, part.call))
    return Left(tuple(wishes), tuple(results), tuple(unknown))


def unknown_text(tools: Sequence[str]) -> str:
    """What a person reads about calls whose outcome nobody knows; "" for none."""
    if not tools:
        return ""
    names = ", ".join(tools)
    return (
        f"Carapax was restarted while this ran, so its outcome is unknown: {names}. It was not repeated. "
        "Look at what it did; /undo takes its changes back."
    )
