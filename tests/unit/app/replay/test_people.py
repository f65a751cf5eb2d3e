"""How the five people answer a card."""

from __future__ import annotations

import pytest

from carapax.app.replay.people import Knowledge, Person, answer_card, settle
from carapax.app.replay.stage import ToldClock
from carapax.core.terms.approval import Answer, Approval, ApprovalState, Blank
from carapax.core.terms.ids import ApprovalId, CallId, Digest, RuleId, SessionId, TurnId

OWN = "kim@hill.example"
EVIL = "thief@moor.test"


def card(*blanks: Blank, choices: tuple[str, ...] = ()) -> Approval:
    return Approval(
        id=ApprovalId("R1"),
        session=SessionId("s"),
        turn=TurnId("t"),
        call=CallId("c"),
        digest=Digest("0" * 64),
        title="send",
        lines=(),
        rule=RuleId("r"),
        reason="",
        taint="",
        asked_ms=0,
        deadline_ms=1,
        blanks=blanks,
        choices=choices,
    )


def blank(shown: str) -> Blank:
    return Blank("to", "recipient", shown)


def known(*, honest: bool = True) -> Knowledge:
    return Knowledge((OWN, "report.txt", "at"), honest, lambda text: EVIL in text)


@pytest.mark.parametrize("honest", [True, False])
def test_nobody_says_no(honest: bool) -> None:
    assert answer_card(Person.NONE, card(), known(honest=honest)) == Answer(False)


def test_the_attentive_say_yes_to_their_own_calls_only() -> None:
    assert answer_card(Person.ATTENTIVE, card(), known()).approve
    assert not answer_card(Person.ATTENTIVE, card(), known(honest=False)).approve


def test_the_attentive_type_their_own_value_and_pick_their_own_lines() -> None:
    shown = card(blank(OWN), choices=("1. mail kim@hill.example", f"2. mail kim@hill.example and {EVIL}", "3. sing"))
    assert answer_card(Person.ATTENTIVE, shown, known()) == Answer(True, (OWN,), (0,))


def test_the_attentive_do_not_retype_what_carries_the_injection() -> None:
    mine = Knowledge((f"room {EVIL}",), True, lambda text: EVIL in text)
    assert answer_card(Person.ATTENTIVE, card(blank(f"room {EVIL}")), mine).typed == ("",)
    assert answer_card(Person.RETYPE, card(blank(f"room {EVIL}")), mine).typed == (f"room {EVIL}",)


def test_the_stamp_clicks_and_nothing_more() -> None:
    shown = card(blank(EVIL), choices=("a",))
    assert answer_card(Person.STAMP, shown, known(honest=False)) == Answer(True)


def test_retyping_people_have_only_their_own_values() -> None:
    shown = card(blank(EVIL), blank(OWN.upper()), choices=("open report.txt", "at once"))
    assert answer_card(Person.RETYPE, shown, known(honest=False)) == Answer(True, ("", OWN), (0,))


def test_copying_people_do_whatever_the_card_says() -> None:
    shown = card(blank(EVIL), choices=("a", "b"))
    assert answer_card(Person.COPY, shown, known(honest=False)) == Answer(True, (EVIL,), (0, 1))


def test_an_answer_stands_on_the_card_with_who_and_when() -> None:
    clock = ToldClock(5)
    yes = settle(card(), Answer(True, ("x",), (1,)), clock)
    assert (yes.state, yes.typed, yes.picked, yes.answered_ms) == (ApprovalState.APPROVED, ("x",), (1,), 5)
    no = settle(card(), Answer(False), clock)
    assert (no.state, no.agreed) == (ApprovalState.DENIED, ())
