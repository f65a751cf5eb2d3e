"""Asking a person: one card, recorded before and after.

Layer: guard. Law: an answer counts only for the digest that the card was made for, and once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from carapax.core.policy.document import Policy
from carapax.core.rules.turn import Seen
from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.event import Answered, Event, Waiting
from carapax.core.terms.ids import ApprovalId
from carapax.core.terms.tables import Tables
from carapax.core.turn.answer import answered_body, is_same_question
from carapax.guard.card import Asked, make_card
from carapax.ports.approver import Approver
from carapax.ports.clock import Clock
from carapax.ports.ledger import Ledger
from carapax.ports.store import Store


class Means(Protocol):
    """What asking needs of the guard."""

    ledger: Ledger
    store: Store
    approver: Approver
    clock: Clock
    policy: Callable[[], Policy]
    new_approval: Callable[[], ApprovalId]

    def tables(self) -> Tables: ...


class Desk:
    """Asks for one turn."""

    def __init__(self, means: Means, emit: Callable[[Event], None]) -> None:
        self._means = means
        self._emit = emit
        self._asked: set[ApprovalId] = set()

    async def ask(self, asked: Sequence[Asked], seen: Seen) -> Approval | None:
        """The answered card when a person said yes to exactly these calls, else None."""
        means = self._means
        card = make_card(
            means.new_approval(), asked, seen, means.tables(), means.clock.now_ms(), means.policy().approval_ms
        )
        kept = await means.store.find_approval(card.call)
        if kept is not None and kept.id not in self._asked and is_same_question(kept, card):
            card = kept  # asked before a restart: the same question, and the time that is left of it
        else:
            await means.store.put_approval(card)  # a code used before is a Conflict: the turn stops, nothing was done
        self._asked.add(card.id)
        self._emit(Waiting(card))
        answered = await means.approver.ask(card)
        await means.ledger.append("answered", answered_body(card, answered))
        self._emit(Answered(answered))
        agreed = answered.state is ApprovalState.APPROVED and answered.digest == card.digest
        return answered if agreed else None
