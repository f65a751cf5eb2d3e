"""The approvals' desk: where a waiting turn and a person's answer meet.

Layer: app; implements ports.approver.Approver. The store keeps every card; this keeps who waits for it now.
Laws: one answer, once; silence until the deadline is no; the deadline runs on the monotonic clock.
"""

from __future__ import annotations

import asyncio

from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.conversation import TurnState
from carapax.core.terms.error import Conflict, NotFound, Refused
from carapax.core.terms.ids import ApprovalId, PrincipalId, SessionId
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.core.turn.machine import answer_state
from carapax.ports.clock import Clock
from carapax.ports.store import Store

NOBODY = PrincipalId("nobody")


class Desk:
    """Implements Approver; surfaces answer through `answer`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: dict[ApprovalId, tuple[Approval, asyncio.Future[Approval]]] = {}

    async def ask(self, approval: Approval) -> Approval:
        answer: asyncio.Future[Approval] = asyncio.get_running_loop().create_future()
        self._waiting[approval.id] = (approval, answer)
        try:
            await self._store.set_turn(approval.turn, TurnState.WAITING)
            left_ms = approval.deadline_ms - approval.asked_ms
            await asyncio.wait({answer}, timeout=left_ms / 1000)
            answered = answer.result() if answer.done() else await self._expire(approval)
            await self._store.set_turn(approval.turn, TurnState.RUNNING)
            return answered
        except asyncio.CancelledError:
            await asyncio.shield(self._expire(approval))
            raise
        finally:
            del self._waiting[approval.id]

    def waiting_in(self, session: SessionId) -> Approval | None:
        """The approval that this session waits for, if any."""
        return next((card for card, _ in self._waiting.values() if card.session == session), None)

    async def answer(self, principal: Principal, approval: ApprovalId, *, approve: bool) -> Approval:
        """Give a person's answer. Raises Refused, NotFound, Conflict."""
        if Scope.APPROVE not in principal.scopes or principal.role not in (Role.OWNER, Role.APPROVER):
            raise Refused("This token may not answer approvals.")
        found = self._waiting.get(ApprovalId(approval.upper()))
        if found is None:
            raise await self._why_not(approval)
        card, waiter = found
        state = answer_state(card, approve=approve, now_ms=self._clock.now_ms())
        answered = await self._store.answer_approval(card.id, state, principal.id, self._clock.now_ms())
        if not waiter.done():
            waiter.set_result(answered)
        return answered

    async def _expire(self, approval: Approval) -> Approval:
        try:
            return await self._store.answer_approval(approval.id, ApprovalState.EXPIRED, NOBODY, self._clock.now_ms())
        except Conflict:  # answered in the same moment
            cards = await self._store.list_approvals(None, limit=200)
            return next((card for card in cards if card.id == approval.id), approval)

    async def _why_not(self, approval: ApprovalId) -> Conflict | NotFound:
        cards = await self._store.list_approvals(None, limit=200)
        known = next((card for card in cards if card.id == approval.upper()), None)
        if known is None:
            return NotFound(f"There is no approval {approval}.")
        return Conflict(f"{known.id} was already {known.state.value}.")
