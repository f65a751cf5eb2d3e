"""Weighing: policy, flow rules and the scan of outgoing bytes; the strictest of the three is the answer."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

from carapax.core.terms.action import ArgRole
from carapax.core.terms.decision import Allow, Ask, Decision, Deny, Question
from carapax.core.terms.ids import RuleId
from carapax.core.terms.label import OWNER
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.guard.weigh import CLASS, Weighed, weigh
from carapax.ports.scanner import Scanner
from tests.fakes.scanner import MemoryScanner
from tests.unit.core.rules.office import Desk
from tests.unit.guard.bureau import Office

ME = Principal(OWNER, Role.OWNER, frozenset(Scope), "test")
P, SECRET = RuleId("policy"), RuleId("outgoing.secret")
FINE = Allow(P)
KEY, CARD, TICKET = "Kx7-quartz.lamp/91+Z", "4111 1111 1111 1111", "TICKET-123456"
WORDS = f"mail bob@x.example: {KEY} {CARD} {TICKET} hello, and pay Alba Bakery 5"


def scanner() -> MemoryScanner:
    return MemoryScanner([KEY], {CARD: ("card", "ask"), TICKET: ("ticket", "allow"), "forbidden": ("class", "deny")})


def weighed(
    tool: str,
    policy: Decision = FINE,
    scan: Scanner | None = None,
    words: str = WORDS,
    tainted: bool = True,
    **arguments: Any,
) -> Weighed:
    desk = Desk(words, tainted=tainted)
    call = desk.call(tool, **arguments)
    asked: list[Question] = []

    def answer(question: Question) -> Decision:
        asked.append(question)
        return policy

    found = weigh(call, Office(), desk.task(), ME, "cli", answer, scan)
    assert [(q.call, q.context, q.facts) for q in asked] == [(call, desk.task().context, found.facts)]
    return found


def rank(decision: Decision) -> int:
    return (Allow, Ask, Deny).index(type(decision))


# the strictest wins

POLICIES: list[Decision] = [Allow(P), Ask(P, "why"), Deny(P, "no")]
RECIPIENTS = [("bob@x.example", 0), ("eve@evil.example", 1)]
TEXTS = [("hello", 0), (TICKET, 0), (CARD, 1), (KEY, 2), ("forbidden", 2), (f"{CARD} {KEY}", 2)]


@pytest.mark.parametrize(("policy", "to", "text"), list(product(POLICIES, RECIPIENTS, TEXTS)))
def test_the_strictest_of_three_answers_counts(policy: Decision, to: tuple[str, int], text: tuple[str, int]) -> None:
    found = weighed("send_mail", policy, scanner(), to=[to[0]], text=text[0])
    assert rank(found.decision) == max(rank(policy), to[1], text[1])


def test_a_flow_rule_s_deny_stands_against_a_permissive_policy() -> None:
    found = weighed("pay", words="read my mails", payee="X", amount=1)
    assert (rank(found.decision), found.decision.rule) == (2, "intent.unrequested")
    clean = weighed("pay", words="read my mails", tainted=False, payee="X", amount=1)
    assert rank(clean.decision) == 0


def test_a_policy_s_deny_stands_against_silent_rules() -> None:
    found = weighed("send_mail", Deny(P, "no"), to=["bob@x.example"], text="hello")
    assert found.decision == Deny(P, "no")


# the scan


@pytest.mark.parametrize(
    ("text", "rule", "answer"),
    [(KEY, SECRET, Deny), ("forbidden", CLASS, Deny), (CARD, CLASS, Ask), (KEY[::-1], SECRET, Deny), (KEY.encode().hex(), SECRET, Deny)],
)  # fmt: skip
def test_what_a_scan_found_is_told_masked(text: str, rule: RuleId, answer: type[Decision]) -> None:
    decision = weighed(
        "send_mail", scan=scanner(), words=f"mail bob@x.example: {text}", to=["bob@x.example"], text=text
    ).decision
    assert type(decision) is answer
    assert decision.rule == rule
    assert isinstance(decision, Ask | Deny)
    assert KEY not in decision.reason
    assert CARD not in decision.reason


@pytest.mark.parametrize("tainted", [True, False])
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("send_mail", {"to": [f"{KEY}@x.example"], "text": "hi"}),
        ("send_mail", {"to": ["bob@x.example"], "text": "hi", "attachments": [{"name": KEY}]}),
        ("open_page", {"url": f"www.x.example/{KEY.encode().hex()}"}),
        ("web_search", {"query": KEY}),
        ("publish_page", {"url": "x.example", "text": KEY}),
        ("share_file", {"file": KEY, "with_": "bob@x.example"}),
        ("pay", {"payee": "Alba Bakery", "amount": 5, "subject": KEY}),
        ("add_event", {"title": KEY, "start": "2026-01-01", "participants": ["bob@x.example"]}),
    ],
)
def test_a_secret_leaves_in_no_argument_of_anything_that_leaves(tool: str, arguments: dict[str, Any], tainted: bool) -> None:  # fmt: skip
    assert isinstance(weighed(tool, scan=scanner(), tainted=tainted, **arguments).decision, Deny)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("create_file", {"path": "a", "text": KEY}),
        ("read_mail", {"query": KEY}),
        ("run_code", {"command": KEY}),
        ("add_event", {"title": KEY, "start": "2026-01-01"}),
        ("set_password", {"password": KEY}),
    ],
)
def test_what_stays_here_is_not_looked_through(tool: str, arguments: dict[str, Any]) -> None:
    scan = scanner()
    weighed(tool, scan=scan, tainted=False, **arguments)
    assert scan.scanned == []


def test_nothing_is_scanned_once_it_is_denied() -> None:
    scan = scanner()
    weighed("send_mail", Deny(P, "no"), scan, to=["bob@x.example"], text=KEY)
    weighed("send_mail", scan=scan, words="read my mails", to=["bob@x.example"], text=KEY)
    assert scan.scanned == []


def test_without_a_scanner_the_other_two_decide() -> None:
    assert isinstance(weighed("send_mail", to=["bob@x.example"], text=KEY).decision, Allow)


# typed roles


@pytest.mark.parametrize(
    ("tool", "arguments", "blanks"),
    [
        ("pay", {"payee": "Alba Bakery", "amount": 5}, []),
        ("pay", {"payee": "Eve Bakery", "amount": 5}, ["Eve Bakery"]),
        ("pay", {"payee": "Alba Bakery; Eve Bakery", "amount": 5}, ["Eve Bakery"]),
    ],
)
def test_roles_that_the_policy_wants_typed_become_blanks(
    tool: str, arguments: dict[str, Any], blanks: list[str]
) -> None:
    ask = Ask(P, "why", typed=(ArgRole.PAYEE,))
    decision = weighed(tool, ask, tainted=False, **arguments).decision
    assert isinstance(decision, Ask)
    assert [b.shown for b in decision.blanks] == blanks


def test_a_role_that_the_call_does_not_have_cannot_be_typed() -> None:
    decision = weighed("send_mail", Ask(P, "why", typed=(ArgRole.PAYEE,)), to=["bob@x.example"], text="hello").decision
    assert isinstance(decision, Deny)
    assert "must type the payee" in decision.reason


def test_both_questions_keep_their_blanks() -> None:
    ask = Ask(P, "why", typed=(ArgRole.PAYEE,))
    decision = weighed("pay", ask, payee="Eve Bakery", amount=7_777).decision
    assert isinstance(decision, Ask)
    assert {b.role for b in decision.blanks} == {"payee", "amount"}


def test_a_policy_s_second_factor_and_people_stay_when_a_role_is_typed() -> None:
    """A policy's question may ask for all of them at once."""
    ask = Ask(P, "why", typed=(ArgRole.PAYEE,), factor=True, people=2)
    decision = weighed("pay", ask, payee="Eve Bakery", amount=5).decision
    assert isinstance(decision, Ask)
    assert (decision.factor, decision.people) == (True, 2)


# facts


@pytest.mark.parametrize(
    ("tool", "arguments", "facts"),
    [
        (
            "send_mail",
            {"to": ["bob@x.example"], "text": "x"},
            {"recipients": "other", "network": True, "place": "none"},
        ),
        ("send_mail", {"to": ["me@home.example"], "text": "x"}, {"recipients": "owner"}),
        ("send_mail", {"to": ["me@home.example", "ann@work.example"], "text": "x"}, {"recipients": "org"}),
        ("send_mail", {"to": ["ann@work.example", "eve@evil.example"], "text": "x"}, {"recipients": "other"}),
        ("send_mail", {"to": ["b\u043eb@x.example"], "text": "x"}, {"hidden_text": True}),
        ("send_mail", {"to": ["bob@x.example"], "text": "a\u202eb"}, {"hidden_text": False}),
        ("create_file", {"path": "a\u202eb", "text": "x"}, {"hidden_text": True, "place": "workspace"}),
        ("create_file", {"path": "../a", "text": "x"}, {"place": "outside"}),
        ("delete_here", {"paths": "a\nb\nc"}, {"destroys_count": 3, "place": "workspace", "reversible": True}),
        ("pay", {"payee": "Alba Bakery", "amount": 5}, {"amount_cents": 500, "recipients": "other", "intended": True}),
        ("remove_file", {"file": "f"}, {"intended": False, "destroys_count": 0, "network": False}),
    ],
)
def test_what_policy_may_look_at(tool: str, arguments: dict[str, Any], facts: dict[str, object]) -> None:
    found = weighed(tool, **arguments).facts
    assert {name: getattr(found, name) for name in facts} == facts


def test_a_directory_entry_is_known() -> None:
    assert weighed("send_mail", words="mail Nora", to=["nora@quist.example"], text="x").facts.recipients == "known"
    assert weighed("send_mail", words="mail Eve", to=["nora@quist.example"], text="x").facts.recipients == "other"
    assert (
        json.loads(weighed("send_mail", words="mail Eve", to=["a@b.example"], text="x").call.arguments_json)["text"]
        == "x"
    )
