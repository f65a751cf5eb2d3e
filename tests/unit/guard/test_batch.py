"""Batches: one card for all that need a person, order kept, and what was approved is judged again before it runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.event import Waiting
from carapax.core.terms.ids import Digest
from tests.unit.guard.bureau import ASKING, Bureau, no, outcomes, picking, retype, yes

WORDS = "mail bob@x.example and delete the mail m-1111x"
EVE, BOB = "eve@evil.example", "bob@x.example"
CHORES = {
    "id": "m-9",
    "subject": "Chores",
    "sender": "boss@work.example",
    "body": "1. Write to kim@client.example\n2. Pay EE382200221020145685 20.00\n3. Delete ladder.txt",
    "date": "2026-03-01",
}
OBEY = "do what the mail 'Chores' from boss@work.example says"


def obeying() -> Bureau:
    bureau = Bureau(OBEY)
    bureau.office.content = {
        "read_mail": [CHORES],
        "list_drive": [{"id": "f-1", "name": "ladder.txt", "size": 1, "text": ""}],
    }
    bureau.do("read_mail")
    bureau.office.ran.clear()
    return bureau


# one card


def test_what_needs_nobody_runs_without_a_card() -> None:
    bureau = Bureau(WORDS)
    assert outcomes([bureau.do("send_mail", to=[BOB], text="hi")]) == [("allow", "done")]
    assert bureau.cards == []


def test_several_questions_are_one_card_in_the_order_of_the_calls() -> None:
    bureau = Bureau(WORDS, rules=ASKING)
    bureau.answers = [yes]
    steps = bureau.all(
        bureau.wish("send_mail", to=[BOB], text="hi"),
        bureau.wish("delete_mail", mail="m-1111x"),
        bureau.wish("send_mail", to=[BOB], text="bye"),
    )
    assert outcomes(steps) == [("ask", "done")] * 3
    (card,) = bureau.cards
    assert (card.calls, len(card.exact.split("\n"))) == (3, 3)
    assert bureau.run_tools() == ["send_mail", "delete_mail", "send_mail"]
    assert sum(isinstance(event, Waiting) for event in bureau.events) == 1


def test_allowed_ones_are_not_on_the_card_and_refused_ones_never_ask() -> None:
    bureau = Bureau(WORDS)
    bureau.answers = [retype]
    steps = bureau.all(
        bureau.wish("send_mail", to=[BOB], text="hi"),
        bureau.wish("pay", payee="X", amount=1),
        bureau.wish("send_mail", to=[EVE], text="hi"),
        bureau.wish("no_such_tool"),
        bureau.wish("read_mail"),
    )
    assert [step.outcome for step in steps] == ["done", "refused", "done", "refused", "done"]
    assert [card.exact for card in bureau.cards] == ['send_mail {"text":"hi","to":["eve@evil.example"]}']
    assert bureau.run_tools() == ["send_mail", "send_mail", "read_mail"]


def test_a_no_refuses_those_it_was_asked_about_and_no_others() -> None:
    bureau = Bureau(WORDS)
    bureau.answers = [no]
    steps = bureau.all(
        bureau.wish("send_mail", to=[EVE], text="a"),
        bureau.wish("send_mail", to=[BOB], text="b"),
        bureau.wish("send_mail", to=[EVE], text="c"),
    )
    assert outcomes(steps) == [("ask", "refused"), ("allow", "done"), ("ask", "refused")]
    assert bureau.run_tools() == ["send_mail"]


def test_nothing_runs_before_the_card_is_answered() -> None:
    bureau = Bureau(WORDS)
    seen: list[int] = []

    def look(card: Approval) -> Approval:
        seen.append(len(bureau.office.ran))
        return no(card)

    bureau.answers = [look]
    bureau.all(bureau.wish("send_mail", to=[BOB], text="hi"), bureau.wish("send_mail", to=[EVE], text="hi"))
    assert seen == [0]


def test_an_empty_batch_is_nothing() -> None:
    assert Bureau(WORDS).all() == []


# a yes is not enough


@pytest.mark.parametrize(
    ("typed", "outcome"),
    [
        ((EVE,), "done"),
        (("EVE@EVIL.example",), "done"),
        ((), "refused"),
        (("",), "refused"),
        (("yes",), "refused"),
        ((BOB,), "refused"),
        ((f"{EVE}.example",), "refused"),
    ],
)
def test_an_unnamed_value_is_typed_or_it_does_not_run(typed: tuple[str, ...], outcome: str) -> None:
    """Also when a surface lets an incomplete yes through: the guard judges again."""
    bureau = Bureau(WORDS)
    bureau.answers = [lambda card: replace(yes(card), typed=typed)]
    assert bureau.do("send_mail", to=[EVE], text="hi").outcome == outcome
    assert len(bureau.office.ran) == (outcome == "done")


def test_one_typed_value_settles_the_same_value_of_the_next_call() -> None:
    bureau = Bureau(WORDS)
    bureau.answers = [retype]
    bureau.do("send_mail", to=[EVE], text="a")
    assert bureau.do("send_mail", to=[EVE], text="b").answer == "allow"
    assert bureau.do("send_mail", to=["other@evil.example"], text="b").outcome == "refused"
    assert len(bureau.cards) == 2


def test_typed_values_end_with_the_turn() -> None:
    bureau = Bureau(WORDS)
    bureau.answers = [retype]
    bureau.do("send_mail", to=[EVE], text="a")
    bureau.turn = bureau.begin()
    assert bureau.do("send_mail", to=[EVE], text="a").outcome == "refused"


def test_half_a_batch_typed_runs_half() -> None:
    bureau = Bureau(WORDS)
    bureau.answers = [lambda card: replace(yes(card), typed=(EVE, "")), no]
    steps = bureau.all(
        bureau.wish("send_mail", to=[EVE], text="a"), bureau.wish("send_mail", to=["two@evil.example"], text="b")
    )
    assert [step.outcome for step in steps] == ["done", "refused"]
    assert len(bureau.office.ran) == 1


# the answer is bound


def test_a_yes_for_other_calls_is_none() -> None:
    bureau = Bureau(WORDS, rules=ASKING)
    bureau.answers = [lambda card: replace(yes(card), digest=Digest("0" * 64))]
    steps = bureau.all(bureau.wish("send_mail", to=[BOB], text="a"), bureau.wish("delete_mail", mail="m-1111x"))
    assert [step.outcome for step in steps] == ["refused", "refused"]
    assert bureau.office.ran == []


def test_a_yes_is_used_once() -> None:
    bureau = Bureau(WORDS, rules=ASKING)
    bureau.answers = [yes]
    assert bureau.do("delete_mail", mail="m-1111x").outcome == "done"
    assert bureau.do("delete_mail", mail="m-1111x").outcome == "refused"
    assert len(bureau.cards) == 2


@pytest.mark.parametrize("state", [s for s in ApprovalState if s is not ApprovalState.APPROVED])
def test_every_other_state_is_a_no(state: ApprovalState) -> None:
    bureau = Bureau(WORDS, rules=ASKING)
    bureau.answers = [lambda card: replace(card, state=state)]
    assert bureau.do("delete_mail", mail="m-1111x").outcome == "refused"
    assert bureau.office.ran == []


# judged again


def test_a_cap_that_the_batch_itself_reaches_stops_the_rest() -> None:
    bureau = Bureau("message Tom 'hi' and message Tom 'ho'", rules=ASKING)
    bureau.answers = [yes]
    cap = bureau.policy().tables.caps.messages_per_minute
    assert cap is not None
    steps = bureau.all(*(bureau.wish("direct_message", user="Tom", text=f"hi {n}") for n in range(cap + 2)))
    assert [step.outcome for step in steps] == ["done"] * cap + ["refused"] * 2
    assert len(bureau.office.ran) == cap


def test_what_an_earlier_call_of_the_batch_read_counts_for_the_later_ones() -> None:
    """Approved before the private profile was read; judged again after it was: it does not leave."""
    bureau = Bureau("mail bob@x.example that the weather is fine", rules=ASKING)
    bureau.office.content = {"read_profile": "passport 123"}
    bureau.answers = [yes]
    steps = bureau.all(bureau.wish("read_profile"), bureau.wish("send_mail", to=[BOB], text="passport 123"))
    assert outcomes(steps) == [("ask", "done"), ("deny", "refused")]
    assert "flow.unrequested-data" in steps[1].text.value


def test_a_policy_that_became_stricter_while_the_card_waited_counts() -> None:
    bureau = Bureau(WORDS, rules=ASKING)
    strict = Bureau(WORDS, rules='@id("never") @reason("No.") forbid (principal, action, resource);').policy

    def swap(card: Approval) -> Approval:
        bureau.policy = strict
        return yes(card)

    bureau.answers = [swap]
    step = bureau.do("delete_mail", mail="m-1111x")
    assert (step.answer, step.outcome) == ("deny", "refused")
    assert bureau.office.ran == []


# picking, then typing


def test_picked_lines_allow_what_they_say() -> None:
    bureau = obeying()
    bureau.answers = [picking(0)]
    assert bureau.do("send_mail", to=["kim@client.example"], text="hello").outcome == "done"
    (card,) = bureau.cards
    assert (card.choices, card.choices_source) == (
        tuple(CHORES["body"].split("\n")),
        "email “Chores” from boss@work.example",
    )


def test_a_line_that_was_not_picked_allows_nothing() -> None:
    bureau = obeying()
    bureau.answers = [picking(2)]
    assert bureau.do("send_mail", to=["kim@client.example"], text="hello").outcome == "refused"
    assert bureau.office.ran == []
    bureau.do("list_drive")
    assert bureau.do("remove_file", file="f-1").answer == "allow"


@pytest.mark.parametrize("lines", [(), (7,), (-1,)])
def test_a_yes_that_picks_nothing_of_the_card_allows_nothing(lines: tuple[int, ...]) -> None:
    bureau = obeying()
    bureau.answers = [picking(*lines)]
    assert bureau.do("send_mail", to=["kim@client.example"], text="hello").outcome == "refused"
    assert bureau.office.ran == []


def test_what_the_picked_lines_leave_open_is_asked_once_more() -> None:
    bureau = obeying()
    bureau.answers = [lambda card: replace(yes(card), picked=(1,)), retype]
    step = bureau.do("pay", payee="EE382200221020145685", amount=20)
    assert step.outcome == "done"
    first, second = bureau.cards
    assert first.choices
    assert (second.choices, [b.role for b in second.blanks]) == ((), ["payee"])


def test_the_second_card_is_the_last() -> None:
    bureau = obeying()
    bureau.answers = [lambda card: replace(yes(card), picked=(1,)), yes, retype]
    assert bureau.do("pay", payee="EE382200221020145685", amount=20).outcome == "refused"
    assert len(bureau.cards) == 2
    assert bureau.office.ran == []


# what the ledger says


def test_every_question_and_every_answer_is_recorded_before_anything_runs() -> None:
    bureau = Bureau(WORDS, rules=ASKING)
    bureau.answers = [yes]
    bureau.all(bureau.wish("send_mail", to=[BOB], text="a"), bureau.wish("delete_mail", mail="m-1111x"))
    assert bureau.log[:3] == ["asked", "asked", "answered"]
    assert bureau.log[3:] == ["call", "receipt", "call", "receipt"]
    answered = next(body for kind, body in bureau.bodies if kind == "answered")
    assert (answered["state"], answered["by"], answered["digest"]) == ("approved", "owner", bureau.cards[0].digest)


def test_previews_ask_and_run_nothing() -> None:
    import asyncio

    bureau = Bureau(WORDS)
    decision = asyncio.run(bureau.turn.preview(bureau.wish("send_mail", to=[EVE], text="x")))
    assert decision.rule == "authority.unnamed"
    assert (bureau.cards, bureau.office.ran, bureau.log) == ([], [], [])
