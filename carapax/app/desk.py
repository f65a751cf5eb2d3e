"""The approvals' desk: where a waiting turn and a person's answer meet.

Layer: app; implements ports.approver.Approver. The store keeps every card; this keeps who waits for it now, and how
often it was answered wrongly. What an answer makes of a card is judged in core/turn/answer.
Laws: the first final answer wins; silence until the deadline is no; the deadline runs on the monotonic clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from carapax.app.factor import Standing
from carapax.core.terms.approval import Answer, Approval, ApprovalState
from carapax.core.terms.conversation import TurnState
from carapax.core.terms.error import Conflict, NotFound
from carapax.core.terms.ids import ApprovalId, PrincipalId, SessionId
from carapax.core.terms.principal import Principal, Role
from carapax.core.turn.answer import (
    MAY_ANSWER,
    Agrees,
    AnsweredWrongly,
    Code,
    Ends,
    Lacking,
    after_wrong,
    awaits_code,
    judge,
    refuse_other_digest,
    refuse_stranger,
)
from carapax.ports.clock import Clock
from carapax.ports.store import Store

NOBODY = PrincipalId("nobody")


class Codes(Protocol):
    """Whoever checks one-time codes."""

    def check(self, person: PrincipalId, code: str) -> Code:
        """Use up a code."""
        ...

    def standing(self, person: PrincipalId) -> Standing: ...


@dataclass(slots=True)
class _Waiting:
    """A card on the desk. `turn` is held while one answer is judged and kept, so that two never cross."""

    card: Approval
    given: asyncio.Future[Approval]
    until_ms: int  # on the monotonic clock
    wrong: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Desk:
    """Implements Approver; surfaces answer through `answer`. Without `codes`, nobody has a second factor."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        codes: Codes | None = None,
        approvers: Callable[[], frozenset[Role]] = lambda: MAY_ANSWER,
    ) -> None:
        self._approvers = approvers
        self._store = store
        self._clock = clock
        self._codes = codes
        self._waiting: dict[ApprovalId, _Waiting] = {}
        self.closing = False
        self.asked: Callable[[Approval], None] = lambda card: None
        self.answered: Callable[[Approval], None] = lambda card: None

    async def ask(self, approval: Approval) -> Approval:
        # A card that was asked before a restart has less time left than it was given.
        left_ms = max(0, approval.deadline_ms - max(approval.asked_ms, self._clock.now_ms()))
        given: asyncio.Future[Approval] = asyncio.get_running_loop().create_future()
        self._waiting[approval.id] = _Waiting(approval, given, self._clock.monotonic_ms() + left_ms)
        try:
            await self._store.set_turn(approval.turn, TurnState.WAITING)
            self.asked(approval)
            await asyncio.wait({given}, timeout=left_ms / 1000)
            answered = given.result() if given.done() else await self._expire(approval)
            self.answered(answered)
            await self._store.set_turn(approval.turn, TurnState.RUNNING)
            return answered
        except asyncio.CancelledError:
            if not self.closing:  # the gateway's end is not the turn's: the card waits for the next start
                await asyncio.shield(self._expire(approval))
            raise
        finally:
            del self._waiting[approval.id]

    def factor(self, person: PrincipalId) -> Standing:
        """How this person's second factor stands."""
        return self._codes.standing(person) if self._codes is not None else Standing.NONE

    def waiting(self) -> Sequence[Approval]:
        """Every card that somebody waits for now, the newest last."""
        return [found.card for found in self._waiting.values()]

    def waiting_in(self, session: SessionId) -> Approval | None:
        """The approval that this session waits for, if any."""
        return next((found.card for found in self._waiting.values() if found.card.session == session), None)

    async def answer(self, principal: Principal, approval: ApprovalId, answer: Answer, *, digest: str = "") -> Approval:
        """Give a person's answer; `digest` is of the call that the person saw, "" when not said.

        Returns the card, WAITING when others have to agree too. Raises Refused, NotFound, Conflict, and Lacking for a
        yes that is not complete.
        """
        refuse_stranger(principal, self._approvers())
        found = self._waiting.get(ApprovalId(approval.upper()))
        if found is None:
            raise await self._why_not(approval)
        async with found.turn:
            if found.given.done():
                raise Conflict(f"{found.card.id} was already {found.given.result().state.value}.")
            refuse_other_digest(found.card, digest)
            return await self._settle(found, principal, answer)

    async def _settle(self, found: _Waiting, principal: Principal, answer: Answer) -> Approval:
        card = found.card
        if self._clock.monotonic_ms() > found.until_ms:
            return await self._end(found, ApprovalState.EXPIRED, NOBODY, Answer(False))
        ruling = judge(card, answer, principal, self._check(found, principal, answer), self._clock.now_ms())
        match ruling:
            case Ends(state):
                return await self._end(found, state, principal.id, answer)
            case Agrees():
                found.card = await self._store.agree_approval(card.id, principal.id)
                return found.card
            case _:
                raise await self._fall(found, principal, ruling.error)

    def _check(self, found: _Waiting, principal: Principal, answer: Answer) -> Code:
        """Look at the one-time code only when everything else of a yes is there: a code is used up by looking."""
        card = found.card
        if not card.factor or not answer.approve:
            return Code.UNASKED
        if self._codes is None:
            return Code.NONE_SET
        alone = awaits_code(card, answer, principal, self._clock.now_ms())
        return self._codes.check(principal.id, answer.code if alone else "")

    async def _end(self, found: _Waiting, state: ApprovalState, by: PrincipalId, answer: Answer) -> Approval:
        yes = state is ApprovalState.APPROVED
        typed, picked = (answer.typed, answer.picked) if yes else ((), ())
        ended = await self._store.answer_approval(
            found.card.id, state, by, self._clock.now_ms(), typed=typed, picked=picked
        )
        if not found.given.done():
            found.given.set_result(ended)
        return ended

    async def _fall(self, found: _Waiting, principal: Principal, lacking: Lacking) -> Lacking | AnsweredWrongly:
        found.wrong += 1
        error = after_wrong(found.card, lacking, found.wrong)
        if isinstance(error, AnsweredWrongly):
            await self._end(found, ApprovalState.DENIED, principal.id, Answer(False))
        return error

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
        if known.state is ApprovalState.WAITING:
            return Conflict(
                f"{known.id} waits, but its turn does not run in this gateway now.",
                next_step="Answer it where it runs; after a restart, try again in a moment.",
            )
        return Conflict(f"{known.id} was already {known.state.value}.")
