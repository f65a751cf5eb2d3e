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

    async def ask(self, asked: Sequence[Asked], seen: Seen) -> Approval | None:
        """The answered card when a person said yes to exactly these calls, else None."""
        means = self._means
        card = make_card(
            means.new_approval(), asked, seen, means.tables(), means.clock.now_ms(), means.policy().approval_ms
        )
        await means.store.put_approval(card)  # a code used before is a Conflict: the turn stops, nothing was done
        self._emit(Waiting(card))
        answered = await means.approver.ask(card)
        body = {
            "approval": card.id,
            "call": card.call,
            "digest": card.digest,
            "state": answered.state.value,
            "by": answered.answered_by,
            "typed": len(answered.typed),
            "picked": list(answered.picked),
        }
        await means.ledger.append("answered", body)
        self._emit(Answered(answered))
        agreed = answered.state is ApprovalState.APPROVED and answered.digest == card.digest
        return answered if agreed else None
