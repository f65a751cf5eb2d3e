"""The desk: one answer, once, from somebody who may give it; silence until the deadline is no."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from carapax.app.desk import Desk
from carapax.app.factor import Standing
from carapax.core.terms.approval import Answer, Approval, ApprovalState, Blank
from carapax.core.terms.conversation import Turn, TurnState
from carapax.core.terms.error import Conflict, NotFound, Refused
from carapax.core.terms.ids import ApprovalId, CallId, Digest, PrincipalId, RuleId, SessionId, TurnId
from carapax.core.terms.label import OWNER
from carapax.core.terms.limit import Usage
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.core.turn.answer import AnsweredWrongly, Code, CodeWrong, NoFactor, ValueMissing, ValueWrong
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
        answered = await stage.desk.answer(ME, ApprovalId("k7m2"), Answer(True))
        assert answered.state is ApprovalState.APPROVED
        assert (await waiting).answered_by == OWNER
        assert stage.desk.waiting_in(SessionId("s1")) is None
        with pytest.raises(Conflict, match="already approved"):
            await stage.desk.answer(ME, ApprovalId("K7M2"), Answer(False))

    asyncio.run(play())


def test_silence_until_the_deadline_is_no() -> None:
    stage = Stage()

    async def play() -> None:
        waiting = await prepare(stage, card(wait_ms=20))
        assert (await waiting).state is ApprovalState.EXPIRED
        with pytest.raises(Conflict, match="expired"):
            await stage.desk.answer(ME, ApprovalId("K7M2"), Answer(True))

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
        for code in ("K7M2", "ZZZZ"):  # what exists is not told either
            with pytest.raises(Refused):
                await stage.desk.answer(who, ApprovalId(code), Answer(True))
        assert not waiting.done()
        await stage.desk.answer(ME, ApprovalId("K7M2"), Answer(False))
        assert (await waiting).state is ApprovalState.DENIED

    asyncio.run(play())


def test_an_unknown_code_is_not_found() -> None:
    stage = Stage()

    async def play() -> None:
        with pytest.raises(NotFound):
            await stage.desk.answer(ME, ApprovalId("ZZZZ"), Answer(True))

    asyncio.run(play())


PAYEE = Blank("payee", "payee", "DE89 3704 0044 0532 0130 00", "a mail")
TYPED = Answer(True, ("DE89370400440532013000",))
ANNA = Principal(PrincipalId("anna"), Role.APPROVER, frozenset({Scope.APPROVE}), "test")
K7M2 = ApprovalId("K7M2")


class OneCode:
    """The code "123456" is right, once."""

    def __init__(self) -> None:
        self.looked: list[str] = []
        self.state = Code.RIGHT

    def check(self, person: PrincipalId, code: str) -> Code:
        if self.state is not Code.RIGHT or not code:
            return self.state if self.state is not Code.RIGHT else Code.MISSING
        self.looked.append(code)
        return Code.RIGHT if code == "123456" and self.looked.count(code) == 1 else Code.WRONG

    def standing(self, person: PrincipalId) -> Standing:
        return Standing.SET


def coded(codes: OneCode) -> Stage:
    stage = Stage()
    stage.desk = Desk(stage.store, stage.clock, codes)
    return stage


def play(stage: Stage, approval: Approval, body: Callable[[asyncio.Task[Approval]], Awaitable[None]]) -> Approval:
    async def main() -> Approval:
        waiting = await prepare(stage, approval)
        await body(waiting)
        (kept,) = await stage.store.list_approvals(None)
        if not waiting.done():
            waiting.cancel()
            await asyncio.wait({waiting})
        return kept

    return asyncio.run(main())


def test_what_was_typed_and_picked_is_kept_with_the_yes() -> None:
    stage = Stage()

    async def body(waiting: asyncio.Task[Approval]) -> None:
        await stage.desk.answer(ME, K7M2, replace(TYPED, picked=(1,)))
        answered = await waiting
        assert (answered.state, answered.typed, answered.picked) == (ApprovalState.APPROVED, TYPED.typed, (1,))

    play(stage, replace(card(), blanks=(PAYEE,), choices=("a", "b")), body)


def test_a_no_keeps_nothing_of_what_was_typed() -> None:
    stage = Stage()

    async def body(waiting: asyncio.Task[Approval]) -> None:
        await stage.desk.answer(ME, K7M2, replace(TYPED, approve=False))
        assert (await waiting).typed == ()

    assert play(stage, replace(card(), blanks=(PAYEE,)), body).state is ApprovalState.DENIED


def test_a_click_on_a_card_with_a_blank_is_not_a_yes_and_the_third_wrong_answer_ends_it() -> None:
    stage = Stage()

    async def body(waiting: asyncio.Task[Approval]) -> None:
        with pytest.raises(ValueMissing, match="type the payee") as first:
            await stage.desk.answer(ME, K7M2, Answer(True))
        assert first.value.next_step.endswith("2 tries left.")
        with pytest.raises(ValueWrong) as second:
            await stage.desk.answer(ME, K7M2, Answer(True, ("DE00",)))
        assert second.value.next_step.endswith("1 try left.")
        assert not waiting.done()
        with pytest.raises(AnsweredWrongly, match="Too many wrong answers: K7M2 was refused"):
            await stage.desk.answer(ME, K7M2, Answer(True, ("DE01",)))
        assert (await waiting).state is ApprovalState.DENIED
        with pytest.raises(Conflict, match="already denied"):
            await stage.desk.answer(ME, K7M2, TYPED)

    assert play(stage, replace(card(), blanks=(PAYEE,)), body).answered_by == OWNER


def test_two_wrong_answers_and_a_right_one_is_a_yes() -> None:
    stage = Stage()

    async def body(waiting: asyncio.Task[Approval]) -> None:
        for _ in range(2):
            with pytest.raises(ValueWrong):
                await stage.desk.answer(ME, K7M2, Answer(True, ("x",)))
        await stage.desk.answer(ME, K7M2, TYPED)
        assert (await waiting).state is ApprovalState.APPROVED

    play(stage, replace(card(), blanks=(PAYEE,)), body)


def test_another_digest_is_refused_and_costs_no_try() -> None:
    stage = Stage()

    async def body(waiting: asyncio.Task[Approval]) -> None:
        for _ in range(5):
            with pytest.raises(Conflict, match="another call"):
                await stage.desk.answer(ME, K7M2, Answer(True), digest="e" * 64)
        assert not waiting.done()
        await stage.desk.answer(ME, K7M2, Answer(True), digest="d")
        assert (await waiting).state is ApprovalState.APPROVED

    play(stage, card(), body)


def test_four_eyes_are_not_the_same_eyes_twice() -> None:
    stage = Stage()

    async def body(waiting: asyncio.Task[Approval]) -> None:
        first = await stage.desk.answer(ME, K7M2, TYPED)
        assert (first.state, first.agreed) == (ApprovalState.WAITING, (OWNER,))
        waits = stage.desk.waiting_in(SessionId("s1"))
        assert waits is not None and waits.agreed == (OWNER,)
        for via in ("test", "another token"):
            with pytest.raises(Conflict, match="already said yes"):
                await stage.desk.answer(replace(ME, via=via), K7M2, TYPED)
        assert not waiting.done()
        with pytest.raises(ValueMissing):
            await stage.desk.answer(ANNA, K7M2, Answer(True))
        await stage.desk.answer(ANNA, K7M2, TYPED)
        assert (await waiting).state is ApprovalState.APPROVED

    kept = play(stage, replace(card(), blanks=(PAYEE,), people=2), body)
    assert set(kept.agreed) == {OWNER, ANNA.id}


def test_two_people_at_the_same_moment_are_two_people(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    agree = stage.store.agree_approval

    async def slowly(*given: Any) -> Approval:
        for _ in range(5):
            await asyncio.sleep(0)
        return await agree(*given)

    monkeypatch.setattr(stage.store, "agree_approval", slowly)

    async def body(waiting: asyncio.Task[Approval]) -> None:
        given = await asyncio.gather(*(stage.desk.answer(who, K7M2, Answer(True)) for who in (ME, ANNA)))
        assert [each.state for each in given] == [ApprovalState.WAITING, ApprovalState.APPROVED]
        assert (await waiting).state is ApprovalState.APPROVED

    play(stage, replace(card(), people=2), body)


def test_one_no_ends_a_card_that_needs_two() -> None:
    stage = Stage()

    async def body(waiting: asyncio.Task[Approval]) -> None:
        await stage.desk.answer(ME, K7M2, Answer(True))
        await stage.desk.answer(ANNA, K7M2, Answer(False))
        assert (await waiting).state is ApprovalState.DENIED

    play(stage, replace(card(), people=2), body)


def test_a_code_is_used_up_only_by_an_answer_that_is_complete_without_it() -> None:
    codes = OneCode()
    stage = coded(codes)

    async def body(waiting: asyncio.Task[Approval]) -> None:
        with pytest.raises(ValueWrong):
            await stage.desk.answer(ME, K7M2, Answer(True, ("x",), code="123456"))
        assert codes.looked == []
        with pytest.raises(CodeWrong, match="is asked"):
            await stage.desk.answer(ME, K7M2, TYPED)
        await stage.desk.answer(ME, K7M2, replace(TYPED, code="123456"))
        assert codes.looked == ["123456"]
        assert (await waiting).state is ApprovalState.APPROVED

    play(stage, replace(card(), blanks=(PAYEE,), factor=True), body)


def test_a_no_and_a_plain_card_look_at_no_code() -> None:
    codes = OneCode()
    stage = coded(codes)

    async def body(waiting: asyncio.Task[Approval]) -> None:
        await stage.desk.answer(ME, K7M2, Answer(False, code="123456"))

    play(stage, replace(card(), factor=True), body)
    assert codes.looked == []


@pytest.mark.parametrize("state", [Code.NONE_SET, Code.LOCKED])
def test_without_a_second_factor_the_card_waits_and_only_no_ends_it(state: Code) -> None:
    codes = OneCode()
    codes.state = state
    stage = coded(codes) if state is Code.LOCKED else Stage()

    async def body(waiting: asyncio.Task[Approval]) -> None:
        for _ in range(5):
            with pytest.raises(NoFactor):
                await stage.desk.answer(ME, K7M2, Answer(True, code="123456"))
        assert not waiting.done()
        await stage.desk.answer(ME, K7M2, Answer(False))
        assert (await waiting).state is ApprovalState.DENIED

    play(stage, replace(card(), factor=True), body)


def test_the_deadline_is_the_monotonic_one_also_for_an_answer() -> None:
    stage = Stage()
    late = type("Late", (), {"now_ms": lambda self: NOW, "monotonic_ms": lambda self: self.ms, "ms": 0})()
    stage.desk = Desk(stage.store, late)

    async def body(waiting: asyncio.Task[Approval]) -> None:
        late.ms = 20_001
        answered = await stage.desk.answer(ME, K7M2, Answer(True))
        assert answered.state is ApprovalState.EXPIRED
        assert (await waiting).state is ApprovalState.EXPIRED

    play(stage, card(), body)


def test_a_card_that_waits_elsewhere_is_said_to_wait_and_not_to_be_over() -> None:
    stage = Stage()

    async def play() -> None:
        await stage.store.open_session(SessionId("s1"), OWNER, "", NOW)
        turn = Turn(TurnId("t1"), SessionId("s1"), 0, TurnState.RUNNING, OWNER, "test", "x", "", NOW, None, Usage())
        await stage.store.accept_turn(turn, ())
        await stage.store.put_approval(card())  # its turn runs in another process
        with pytest.raises(Conflict) as refused:
            await stage.desk.answer(ME, ApprovalId("K7M2"), Answer(True))
        assert "K7M2 waits" in refused.value.what
        assert (await stage.store.list_approvals())[0].state is ApprovalState.WAITING

    asyncio.run(play())
