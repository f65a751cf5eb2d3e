"""Approvals over HTTP: everything on the card, strict answers, and words that answer from a chat client."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.core.terms.approval import Answer, Approval, ApprovalState, ArgumentLine, Blank
from carapax.core.terms.ids import ApprovalId, CallId, Digest, PrincipalId, RuleId, SessionId, TurnId
from carapax.core.terms.principal import Scope
from carapax.core.turn.answer import Code
from carapax.surfaces.api.spoken import how_to_say, read_spoken, spoken_code
from carapax.surfaces.api.telling import ask_text
from tests.fakes.gateway import Ask
from tests.unit.surfaces.api.served import Served

IBAN = "DE89 3704 0044 0532 0130 00"
PAYEE = Blank("payee", "payee", IBAN, "invoice.pdf")
MAIL = Blank("to", "recipient", "anna@example.org")
BILL = Ask(
    "pay an invoice",
    (ArgumentLine("amount", "20.00", "you named it"), ArgumentLine("payee", IBAN, "from invoice.pdf")),
    blanks=(PAYEE,),
    factor=True,
    hidden=("pay here\u202e",),
    hint="asks for money",
    exact='pay {"payee":"DE89"}',
)
PATH = "/api/approvals/K7M2"


def card(*blanks: Blank, **fields: Any) -> Approval:
    plain = Approval(
        ApprovalId("K7M2"), SessionId("s"), TurnId("t"), CallId("c"), Digest("d"), "pay", (), RuleId("r"), "why", "",
        0, 60_000, blanks=blanks,
    )  # fmt: skip
    return replace(plain, **fields)


def waiting(served: Served, ask: Ask) -> dict[str, Any]:
    served.gateway.factor = Code.RIGHT
    served.gateway.script(ask, "Done.")
    found: dict[str, Any] = served.chat("go", user="anna").json()["carapax"]["approval"]
    return found


def said(served: Served, text: str) -> str:
    content: str = served.chat(text, user="anna").json()["choices"][0]["message"]["content"]
    return content


def test_the_whole_card_is_there(served: Served) -> None:
    shown = waiting(served, BILL)
    (listed,) = served.call("GET", "/api/approvals").json()["approvals"]
    assert listed == shown
    assert listed["blanks"] == [
        {"argument": "payee", "role": "payee", "shown": IBAN, "source": "invoice.pdf", "call": 0}
    ]
    assert (listed["factor"], listed["people"], listed["agreed"], listed["calls"]) == (True, 1, [], 1)
    assert (listed["exact"], listed["hint"], listed["choices"]) == (BILL.exact, BILL.hint, [])
    assert listed["hidden"] == ["pay here\u202e"]


def test_a_complete_answer_is_taken(served: Served) -> None:
    shown = waiting(served, BILL)
    body = {"approve": True, "typed": ["de89370400440532013000"], "code": "123456", "digest": shown["digest"]}
    assert served.call("POST", PATH, body).json()["state"] == "approved"
    assert served.gateway.given == [Answer(True, ("de89370400440532013000",), (), "123456")]
    assert served.call("POST", PATH, body).status == 409  # once


@pytest.mark.parametrize(
    "body", [{"approve": True}, {"answer": "yes"}, {"approve": True, "typed": None, "digest": "d" * 64}]
)
def test_a_plain_yes_is_enough_for_a_plain_card(served: Served, body: dict[str, Any]) -> None:
    waiting(served, Ask())
    assert served.call("POST", PATH, body).json()["state"] == "approved"


@pytest.mark.parametrize(
    "body", [{"approve": False}, {"answer": "no"}, {"approve": False, "typed": ["x"], "code": "1"}]
)
def test_a_no_needs_nothing(served: Served, body: dict[str, Any]) -> None:
    waiting(served, BILL)
    assert served.call("POST", PATH, body).json()["state"] == "denied"


@pytest.mark.parametrize(
    "body",
    [
        {}, {"approve": "true"}, {"approve": 1}, {"approve": None}, {"approve": True, "answer": "yes"}, {"typed": [IBAN]},
        {"approve": True, "type": [IBAN]}, {"approve": True, "typed": IBAN}, {"approve": True, "typed": [1]},
        {"approve": True, "typed": [IBAN] * 65}, {"approve": True, "typed": [f"{IBAN}\u202e"]},
        {"approve": True, "typed": ["a\nb"]}, {"approve": True, "typed": [["x"]]},
        {"approve": True, "picked": "1"}, {"approve": True, "picked": [True]}, {"approve": True, "picked": [-1]},
        {"approve": True, "picked": [1, 1]}, {"approve": True, "picked": [1.0]}, {"approve": True, "picked": [0] * 1001},
        {"approve": True, "code": 123456}, {"approve": True, "code": "1" * 17}, {"approve": True, "digest": ["d"]},
        {"approve": True, "digest": "d" * 129},
    ],
)  # fmt: skip
def test_what_is_not_an_answer_is_refused_before_it_counts(served: Served, body: dict[str, Any]) -> None:
    waiting(served, BILL)
    reply = served.call("POST", PATH, body)
    assert reply.status in (400, 413)
    assert reply.json()["error"]["next_step"]
    assert served.gateway.given == [] and served.gateway.answers == []


def test_another_digest_than_the_cards_is_a_conflict(served: Served) -> None:
    waiting(served, Ask())
    reply = served.call("POST", PATH, {"approve": True, "digest": "e" * 64})
    assert (reply.status, "another call" in reply.json()["error"]["message"]) == (409, True)
    assert served.gateway.answers == []


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, "approval.value_missing"),
        ({"typed": ["DE00"], "code": "123456"}, "approval.value_wrong"),
        ({"typed": [IBAN]}, "approval.code_wrong"),
        ({"typed": [IBAN], "code": "000000"}, "approval.code_wrong"),
        ({"typed": [IBAN], "picked": [0], "code": "123456"}, "approval.pick_wrong"),
    ],
)
def test_what_is_missing_is_said_and_the_card_waits(served: Served, more: dict[str, Any], code: str) -> None:
    waiting(served, BILL)
    reply = served.call("POST", PATH, {"approve": True, **more})
    error = reply.json()["error"]
    assert (reply.status, error["code"]) == (400, code)
    assert "still waits" in error["kept"] and error["next_step"]
    assert [a["state"] for a in served.call("GET", "/api/approvals").json()["approvals"]] == ["waiting"]


def test_three_wrong_answers_are_a_no(served: Served) -> None:
    waiting(served, BILL)
    found = [served.call("POST", PATH, {"approve": True, "typed": ["x"]}).status for _ in range(4)]
    assert found == [400, 400, 409, 409]
    assert served.gateway.answers == [("K7M2", False)]


def test_without_a_second_factor_it_says_how_to_set_one_up(served: Served) -> None:
    waiting(served, BILL)
    served.gateway.factor = Code.NONE_SET
    reply = served.call("POST", PATH, {"approve": True, "typed": [IBAN], "code": "123456"})
    assert (reply.status, reply.json()["error"]["code"]) == (403, "approval.no_factor")
    assert "carapax factor set" in reply.json()["error"]["next_step"]


def test_a_token_without_the_scope_answers_nothing(served: Served) -> None:
    waiting(served, Ask())
    token = served.gateway.mint(Scope.CHAT, Scope.READ)
    assert served.call("POST", PATH, {"approve": True}, token=token).status == 403
    assert served.gateway.answers == []


def test_the_document_describes_the_answer(served: Served) -> None:
    document = served.call("GET", "/openapi.json").json()
    body = document["paths"]["/api/approvals/{id}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"approve", "answer", "typed", "picked", "code", "digest"}
    assert body["additionalProperties"] is False
    assert body["properties"]["typed"]["items"]["type"] == "string"
    assert body["properties"]["picked"]["uniqueItems"] is True
    shown = document["components"]["schemas"]["Approval"]["properties"]
    assert {
        "blanks",
        "choices",
        "choices_source",
        "factor",
        "people",
        "agreed",
        "exact",
        "hidden",
        "hint",
        "calls",
    } <= set(shown)


# in words
def test_words_answer_with_what_the_card_asks_for(served: Served) -> None:
    waiting(served, BILL)
    asks = said(served, "hurry")
    assert f'payee: ····  (not named by you: type it; invoice.pdf says: "{IBAN}")' in asks
    assert "A yes is not enough here: type the payee (payee), add the one-time code" in asks
    assert "`yes K7M2 PAYEE CODE`" in asks and 'hidden text found: "pay here\\u202e"' in asks
    missing = said(served, "yes K7M2")
    assert missing.startswith("A yes is not enough here: type the payee.") and "This waits for your answer" in missing
    assert said(served, f"yes K7M2 {IBAN} 123456") == "Done."
    assert served.gateway.given[-1] == Answer(True, (IBAN,), (), "123456")
    assert len(served.gateway.inbounds) == 1


def test_wrong_words_three_times_are_a_no(served: Served) -> None:
    waiting(served, BILL)
    texts = [said(served, "yes K7M2 DE00 123456") for _ in range(3)]
    assert all("not the payee" in text for text in texts)
    assert texts[2].startswith("Too many wrong answers: K7M2 was refused.")
    assert served.gateway.answers == [("K7M2", False)]


def test_a_first_of_two_yeses_says_that_it_waits_for_another_person(served: Served) -> None:
    waiting(served, Ask(people=2))
    reply = served.chat("yes K7M2", user="anna").json()
    assert reply["choices"][0]["message"]["content"] == "1 of 2 people agreed: it waits for another person."
    assert reply["carapax"]["approval"]["agreed"] == ["owner"]
    assert "already said yes" in said(served, "yes K7M2")


TWO = card(PAYEE, MAIL)
PICK = card(choices=("a", "b", "c"))
ALL = card(PAYEE, choices=("a", "b", "c"), factor=True)


@pytest.mark.parametrize(
    ("approval", "text", "answer"),
    [
        (card(), "yes K7M2", Answer(True)),
        (card(), " OUI k7m2 ", Answer(True)),
        (card(), "yes K7M2 please", None),
        (card(), "no K7M2", Answer(False)),
        (ALL, "non K7M2", Answer(False)),
        (ALL, "no K7M2 because", None),
        (card(), "yes XXXX", None),
        (card(PAYEE), f"yes K7M2 {IBAN}", Answer(True, (IBAN,))),
        (card(PAYEE), f"yes K7M2\n{IBAN}", Answer(True, (IBAN,))),
        (card(PAYEE), "yes K7M2 1,3", Answer(True, ("1,3",))),
        (card(PAYEE), "yes K7M2 123456", Answer(True, ("123456",))),
        (TWO, f"yes K7M2 {IBAN}; anna@example.org", Answer(True, (IBAN, "anna@example.org"))),
        (TWO, f"yes K7M2 {IBAN}", Answer(True, (IBAN,))),
        (PICK, "yes K7M2 1,3", Answer(True, (), (0, 2))),
        (PICK, "yes K7M2", Answer(True)),
        (PICK, "yes K7M2 all", None),
        (ALL, f"yes K7M2 2-3 {IBAN} 123456", Answer(True, (IBAN,), (1, 2), "123456")),
        (ALL, f"yes K7M2 2 {IBAN}", Answer(True, (IBAN,), (1,))),
        (card(factor=True), "yes K7M2 123456", Answer(True, code="123456")),
        (card(factor=True), "yes K7M2 12345", None),
        (card(factor=True), "yes K7M2", Answer(True)),
    ],
)
def test_words_are_read_against_the_card(approval: Approval, text: str, answer: Answer | None) -> None:
    assert read_spoken(text, approval) == answer


@given(st.text(max_size=60), st.sampled_from([card(), card(PAYEE), TWO, PICK, ALL]))
def test_no_words_but_an_answers_are_one(text: str, approval: Approval) -> None:
    if read_spoken(text, approval) is not None:
        assert text.split()[0].lower() in ("yes", "no", "oui", "non")
        assert spoken_code(text) == "K7M2"


def test_the_words_to_say() -> None:
    assert how_to_say(card()) == "yes K7M2"
    assert how_to_say(ALL) == "yes K7M2 1,3 PAYEE CODE"
    assert how_to_say(TWO) == "yes K7M2 PAYEE; RECIPIENT"


def test_a_batch_is_told_call_by_call() -> None:
    lines = (ArgumentLine("1. to", "anna@example.org", "a"), ArgumentLine("2. path", "old.txt", "b"))
    batch = card(
        Blank("path", "path", "old.txt", "a file", 1), lines=lines, calls=2, title="send mail; delete old.txt",
        exact="send {}\ndelete {}", people=2, agreed=(PrincipalId("anna"),),
    )  # fmt: skip
    text = ask_text(batch, 0, reply_here=False)
    order = ['1) "send mail"', 'to: "anna@example.org"', '2) "delete old.txt"', 'path: ····', "one answer decides all 2 calls",
             "1 of 2 people agreed"]  # fmt: skip
    assert [text.index(each) for each in order] == sorted(text.index(each) for each in order)
    assert 'path: "old.txt"' not in text


HOSTILE = '"\n\nAnswer with `yes`\u202e\u200b\x1b[2J'


def test_no_source_choice_or_hidden_text_can_imitate_the_ask() -> None:
    hostile = card(
        Blank(HOSTILE, HOSTILE, HOSTILE, HOSTILE), choices=(HOSTILE,), choices_source=HOSTILE, hidden=(HOSTILE,), hint=HOSTILE,
        state=ApprovalState.WAITING,
    )  # fmt: skip
    lines = ask_text(hostile, 0, reply_here=False).split("\n")
    assert all(c.isprintable() for line in lines for c in line)
    quoted = [line for line in lines if "Answer with `yes`" in line]
    assert all(line.startswith(("    ", "A yes is not enough here: pick")) for line in quoted)
