"""Attacks on approvals: an answer replayed, swapped, clicked through, imitated, guessed, or given twice by one person.

Each test is the attack, against the real desk, the real one-time codes and the real words of a card.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pyotp
import pytest

from carapax.app.desk import Desk
from carapax.app.factor import Factor
from carapax.core.terms.approval import Answer, Approval, ApprovalState, ArgumentLine, Blank
from carapax.core.terms.error import CarapaxError, Conflict, Refused
from carapax.core.terms.ids import ApprovalId, PrincipalId
from carapax.core.terms.label import OWNER
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.core.turn.answer import CodeWrong, NoFactor, ValueMissing, ValueWrong
from carapax.surfaces.api.telling import ask_text
from tests.unit.app.stage import ME, Stage
from tests.unit.app.test_desk import K7M2, NOW, card, prepare

REAL = Blank("payee", "payee", "DE89 3704 0044 0532 0130 00", "a mail from outside")
STEP_MS = 30_000


def answers(stage: Stage, approval: Approval, body: Callable[[Desk], Awaitable[None]]) -> ApprovalState:
    """Put the card on the desk, let the attack happen, and say what became of the card."""

    async def main() -> ApprovalState:
        waiting = await prepare(stage, approval)
        await body(stage.desk)
        (kept,) = await stage.store.list_approvals(None)
        waiting.cancel()
        await asyncio.wait({waiting})
        return kept.state

    return asyncio.run(main())


def refused(
    expected: type[CarapaxError], *tries: Answer, who: Principal = ME, digest: str = ""
) -> Callable[[Desk], Awaitable[None]]:
    async def body(desk: Desk) -> None:
        for answer in tries:
            with pytest.raises(expected):
                await desk.answer(who, K7M2, answer, digest=digest)

    return body


def test_a_click_does_not_pay_a_payee_that_the_owner_never_named() -> None:
    assert (
        answers(Stage(), replace(card(), blanks=(REAL,)), refused(ValueMissing, Answer(True))) is ApprovalState.WAITING
    )


@pytest.mark.parametrize(
    ("shown", "typed"),
    [
        ("paypal@example.org", "p\u0430ypal@example.org"),  # a Cyrillic letter
        ("p\u0430ypal@example.org", "paypal@example.org"),
        ("anna@example.org", "anna@example.org\u200b"),
        ("anna@example.org\u200b", "anna@example.org"),
        ("\u202egro.live@anna", "\u202egro.live@anna"),  # a bidi override, pasted as it is
        ("anna@example.org\u202e", "anna@example.org\u202e"),
        ("anna@example.org", "anna@example.org.evil.example"),
        ("anna@example.org", "anna@example.org, eve@evil.example"),
        ("anna@example.org", "anna@examp1e.org"),
    ],
)
def test_no_look_alike_fills_a_recipient(shown: str, typed: str) -> None:
    blank = Blank("to", "recipient", shown)
    attack = refused(ValueWrong, Answer(True, (typed,)))
    assert answers(Stage(), replace(card(), blanks=(blank,)), attack) is ApprovalState.WAITING


def test_guessing_a_value_ends_after_three_tries() -> None:
    async def body(desk: Desk) -> None:
        for n in range(6):
            with pytest.raises(CarapaxError):
                await desk.answer(ME, K7M2, Answer(True, (f"DE{n:02}",)))
        with pytest.raises(Conflict):
            await desk.answer(ME, K7M2, Answer(True, (REAL.shown,)))

    assert answers(Stage(), replace(card(), blanks=(REAL,)), body) is ApprovalState.DENIED


def test_an_answer_is_not_replayed() -> None:
    async def body(desk: Desk) -> None:
        yes = Answer(True, (REAL.shown,))
        await desk.answer(ME, K7M2, yes)
        for again in (yes, Answer(False), Answer(True)):
            with pytest.raises(Conflict, match="already approved"):
                await desk.answer(ME, K7M2, again)

    assert answers(Stage(), replace(card(), blanks=(REAL,)), body) is ApprovalState.APPROVED


def test_a_no_is_not_turned_into_a_yes() -> None:
    async def body(desk: Desk) -> None:
        await desk.answer(ME, K7M2, Answer(False))
        with pytest.raises(Conflict, match="already denied"):
            await desk.answer(ME, K7M2, Answer(True))

    assert answers(Stage(), card(), body) is ApprovalState.DENIED


def test_a_yes_to_another_call_does_not_count_for_this_one() -> None:
    attack = refused(Conflict, Answer(True), digest="e" * 64)
    assert answers(Stage(), card(), attack) is ApprovalState.WAITING


@pytest.mark.parametrize("role", [Role.MEMBER, Role.GUEST, Role.OPERATOR, Role.AUDITOR])
def test_who_wrote_the_attack_does_not_answer_it(role: Role) -> None:
    eve = Principal(PrincipalId("eve"), role, frozenset(Scope), "mail:eve")
    attack = refused(Refused, Answer(True), Answer(False), who=eve)
    assert answers(Stage(), card(), attack) is ApprovalState.WAITING


def test_one_person_is_not_two_whatever_channel_they_use() -> None:
    async def body(desk: Desk) -> None:
        await desk.answer(ME, K7M2, Answer(True))
        for via in ("test", "token:phone", "panel"):
            with pytest.raises(Conflict, match="already said yes"):
                await desk.answer(replace(ME, via=via), K7M2, Answer(True))

    assert answers(Stage(), replace(card(), people=2), body) is ApprovalState.WAITING


class Ticking:
    """Wall time that the test moves."""

    def __init__(self) -> None:
        self.ms = NOW

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ms(self) -> int:
        return self.ms


def coded(keys: Path) -> tuple[Stage, Callable[[], str]]:
    clock = Ticking()
    factor = Factor(keys, clock)
    secret = factor.offer(OWNER).secret
    factor.confirm(OWNER, secret, pyotp.TOTP(secret).at(clock.ms // 1000))
    clock.ms += STEP_MS
    stage = Stage()
    stage.desk = Desk(stage.store, stage.clock, factor)
    return stage, lambda: str(pyotp.TOTP(secret).at(clock.ms // 1000))


def test_a_code_seen_over_the_shoulder_is_worth_nothing(tmp_path: Path) -> None:
    stage, code = coded(tmp_path / "keys")

    async def main() -> None:
        first = replace(card(), factor=True)
        await prepare(stage, first)
        await stage.desk.answer(ME, K7M2, Answer(True, code=code()))
        second = replace(first, id=ApprovalId("Q2X9"))
        await stage.store.put_approval(second)
        waiting = asyncio.create_task(stage.desk.ask(second))
        await asyncio.sleep(0)
        with pytest.raises(CodeWrong, match="used before"):
            await stage.desk.answer(ME, second.id, Answer(True, code=code()))
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})

    asyncio.run(main())


def test_the_code_that_set_the_factor_up_opens_nothing(tmp_path: Path) -> None:
    clock = Ticking()
    factor = Factor(tmp_path / "keys", clock)
    secret = factor.offer(OWNER).secret
    code = pyotp.TOTP(secret).at(clock.ms // 1000)
    factor.confirm(OWNER, secret, code)
    stage = Stage()
    stage.desk = Desk(stage.store, stage.clock, factor)
    attack = refused(CodeWrong, Answer(True, code=code))
    assert answers(stage, replace(card(), factor=True), attack) is ApprovalState.WAITING


def test_without_a_second_factor_its_card_cannot_be_approved_by_leaving_it_out() -> None:
    attack = refused(NoFactor, Answer(True), Answer(True, code="000000"))
    assert answers(Stage(), replace(card(), factor=True), attack) is ApprovalState.WAITING


def test_codes_are_not_guessed_over_several_cards(tmp_path: Path) -> None:
    stage, code = coded(tmp_path / "keys")

    async def main() -> list[str]:
        met = []
        wrong = next(c for c in ("000000", "111111", "222222", "333333") if c != code())
        await prepare(stage, card())
        for name in ("AAAA", "BBBB", "CCCC"):
            one = replace(card(), id=ApprovalId(name), factor=True)
            await stage.store.put_approval(one)
            waiting = asyncio.create_task(stage.desk.ask(one))
            await asyncio.sleep(0)
            for _ in range(3):
                try:
                    await stage.desk.answer(ME, one.id, Answer(True, code=wrong))
                except CarapaxError as error:
                    met.append(error.code)
            waiting.cancel()
            await asyncio.wait({waiting})
        return met

    met = asyncio.run(main())
    assert met[:3] == ["approval.code_wrong", "approval.code_wrong", "approval.too_many_wrong"]
    assert met[3:] == ["approval.code_wrong"] * 2 + ["approval.no_factor"] * 4  # locked after the fifth


def test_a_long_value_cannot_push_its_end_off_the_card() -> None:
    value = "notes.txt " + " " * 5_000 + "; rm -r ~"
    text = ask_text(
        replace(card(), lines=(ArgumentLine("command", value, "the model chose it"),)), NOW, reply_here=True
    )
    assert "; rm -r ~" in text


def test_a_value_cannot_write_a_line_of_the_card() -> None:
    value = 'x"\n\nUntil tomorrow; you have approved this before.\u202e'
    hostile = replace(
        card(), lines=(ArgumentLine("path", value, value),), blanks=(Blank("to", "recipient", value, value),)
    )
    lines = ask_text(hostile, NOW, reply_here=True).split("\n")
    assert all(line.startswith("    ") for line in lines if "approved this before" in line)
    assert "\u202e" not in "".join(lines)
