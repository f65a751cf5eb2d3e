"""The desk: one answer, once, from somebody who may give it; silence until the deadline is no."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.conversation import Turn, TurnState
from carapax.core.terms.error import Conflict, NotFound, Refused
from carapax.core.terms.ids import ApprovalId, CallId, Digest, PrincipalId, RuleId, SessionId, TurnId
from carapax.core.terms.label import OWNER
from carapax.core.terms.limit import Usage
from carapax.core.terms.principal import Principal, Role, Scope
from tests.unit.app.stage import ME, Stage

NOW = 1_800_000_000_000


def card(wait_ms: int = 20_000) -> Approval:
    return Approval(
        ApprovalId("K7M2"), SessionId("s1"), TurnId("t1"), CallId("c"), Digest("d"), "delete 6 files", (), RuleId("r"),
        "reason", "", NOW, NOW + wait_ms,
    )  # fmt: skip


async def prepare(stage: Stage, approval: Approval) -> asyncio.Task[Approval]:
    await stage.store.open_session(approval.session, OWNER, "", NOW)
    turn = Turn(approval.turn, approval.session, 0, TurnState.RUNNING, OWNER, "test", "x", "", NOW, None, Usage())
    await stage.store.accept_turn(turn, ())
    await stage.store.put_approval(approval)
    task = asyncio.create_task(stage.desk.ask(approval))
    await asyncio.sleep(0)
    return task


def test_a_yes_is_handed_to_the_waiting_turn_once() -> None:
    stage = Stage()

    async def play() -> None:
        waiting = await prepare(stage, card())
        assert stage.desk.waiting_in(SessionId("s1")) is not None
        answered = await stage.desk.answer(ME, ApprovalId("k7m2"), approve=True)
        assert answered.state is ApprovalState.APPROVED
        assert (await waiting).answered_by == OWNER
        assert stage.desk.waiting_in(SessionId("s1")) is None
        with pytest.raises(Conflict, match="already approved"):
            await stage.desk.answer(ME, ApprovalId("K7M2"), approve=False)

    asyncio.run(play())


def test_silence_until_the_deadline_is_no() -> None:
    stage = Stage()

    async def play() -> None:
        waiting = await prepare(stage, card(wait_ms=20))
        assert (await waiting).state is ApprovalState.EXPIRED
        with pytest.raises(Conflict, match="expired"):
            await stage.desk.answer(ME, ApprovalId("K7M2"), approve=True)

    asyncio.run(play())


def test_a_turn_that_is_stopped_withdraws_its_question() -> None:
    stage = Stage()

    async def play() -> None:
        waiting = await prepare(stage, card())
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        (kept,) = await stage.store.list_approvals(None)
        assert kept.state is ApprovalState.EXPIRED

    asyncio.run(play())


CHAT_ONLY = replace(ME, scopes=frozenset({Scope.CHAT}))
MEMBER = Principal(PrincipalId("anna"), Role.MEMBER, frozenset(Scope), "test")


@pytest.mark.parametrize("who", [CHAT_ONLY, MEMBER])
def test_who_may_not_answer_is_refused_and_the_question_stays(who: Principal) -> None:
    stage = Stage()

    async def play() -> None:
        waiting = await prepare(stage, card())
        with pytest.raises(Refused):
            await stage.desk.answer(who, ApprovalId("K7M2"), approve=True)
        assert not waiting.done()
        await stage.desk.answer(ME, ApprovalId("K7M2"), approve=False)
        assert (await waiting).state is ApprovalState.DENIED

    asyncio.run(play())


def test_an_unknown_code_is_not_found() -> None:
    stage = Stage()

    async def play() -> None:
        with pytest.raises(NotFound):
            await stage.desk.answer(ME, ApprovalId("ZZZZ"), approve=True)

    asyncio.run(play())
