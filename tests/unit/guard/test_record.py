"""What the ledger says, what a gateway remembers of sessions, and how losses are counted."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from carapax.core.flow.known import SESSIONS_KNOWN, Known
from carapax.core.terms.action import Change, ChangeKind, Effect, Outcome, Receipt
from carapax.core.terms.decision import Allow, Ask, Decision, Deny
from carapax.core.terms.ids import CallId, Digest, RuleId, SessionId
from carapax.core.terms.label import OWNER_ONLY, PUBLIC, Integrity, Label, Source
from carapax.guard.card import summary
from carapax.guard.record import (
    CHANGES_SHOWN,
    CLEAR_CHARS,
    answer_word,
    call_body,
    label_body,
    receipt_body,
    text_digest,
)
from carapax.guard.run import count_held, count_lost
from tests.unit.core.rules.office import TAINT, TOOLS, Desk
from tests.unit.guard.bureau import KEEPING, Bureau, retype

R = RuleId("r")
FINE = Allow(R)
WORDS = "mail bob@x.example"


def body(tool: str, decision: Decision = FINE, **arguments: Any) -> dict[str, Any]:
    call = Desk(WORDS).call(tool, **arguments)
    return call_body(call, TAINT, decision, Digest("p"), summary(call))


# calls


def test_what_decides_stands_in_clear_and_contents_as_a_digest() -> None:
    found = body("send_mail", to=["bob@x.example"], text="Tulip-99")
    assert found["arguments"] == {"to": ("bob@x.example",), "text": text_digest("Tulip-99")}
    assert found["origins"] == {"to": "owner_words", "text": "model"}
    assert "Tulip-99" not in json.dumps(found)


@pytest.mark.parametrize(
    ("tool", "arguments", "recorded"),
    [
        ("set_password", {"password": "Tulip-99"}, {"password": text_digest("Tulip-99")}),
        ("run_remote", {"command": "ls"}, {"command": "ls"}),
        ("run_remote", {"command": "x" * CLEAR_CHARS}, {"command": "x" * CLEAR_CHARS}),
        ("run_remote", {"command": "x" * (CLEAR_CHARS + 1)}, {"command": text_digest("x" * (CLEAR_CHARS + 1))}),
        ("pay", {"payee": "X", "amount": 12.5}, {"payee": "X", "amount": "12.5"}),
        ("pay", {"payee": "X", "amount": 12}, {"payee": "X", "amount": 12}),
    ],
)
def test_arguments_in_the_ledger(tool: str, arguments: dict[str, Any], recorded: dict[str, Any]) -> None:
    assert body(tool, **arguments)["arguments"] == recorded


@pytest.mark.parametrize(("decision", "word"), [(Allow(R), "allow"), (Ask(R, "why"), "ask"), (Deny(R, "no"), "deny")])
def test_the_answer_in_one_word(decision: Decision, word: str) -> None:
    assert answer_word(decision) == word
    assert body("read_mail", decision)["decision"] == {"answer": word, "rule": "r"}


def test_a_body_names_the_call_the_policy_and_the_context() -> None:
    found = body("read_mail")
    call = Desk(WORDS).call("read_mail")
    assert (found["session"], found["turn"], found["call"], found["tool"]) == ("s", "t", "c", "read_mail")
    assert (found["digest"], found["policy"], found["summary"]) == (call.digest, "p", "read")
    assert found["context"]["integrity"] == "external"


# labels


def test_a_label_in_the_ledger_is_bounded() -> None:
    many = Label(Integrity.PEER, PUBLIC, frozenset(Source("tool", f"{n:03}") for n in range(30)))
    found = label_body(many)
    assert (found["integrity"], found["readers"], found["sources_count"]) == ("peer", "everyone", 30)
    assert [source["ref"] for source in found["sources"]] == [f"{n:03}" for n in range(8)]
    assert label_body(Label(Integrity.USER, OWNER_ONLY))["readers"] == ["owner"]


@pytest.mark.parametrize("text", ["", "é", "x" * 9_999, "\udc80"])
def test_a_text_as_size_and_digest(text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    assert text_digest(text) == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_a_receipt_says_how_it_ended_and_not_what_it_told() -> None:
    call = Desk(WORDS).call("read_mail")
    changes = tuple(Change(f"f{n}", ChangeKind.CREATED, None, Digest("d"), 1) for n in range(CHANGES_SHOWN + 5))
    receipt = Receipt(CallId("c"), Outcome.FAILED, "private text", True, 2, 7, changes)
    found = receipt_body(call, receipt, TAINT, 41)
    assert (found["outcome"], found["exit_code"], found["duration_ms"], found["entry"]) == ("failed", 2, 7, 41)
    assert (len(found["changed"]), found["changed_count"], found["truncated"]) == (
        CHANGES_SHOWN,
        CHANGES_SHOWN + 5,
        True,
    )
    assert "private text" not in json.dumps(found)


def test_typed_secrets_and_contents_never_reach_the_ledger() -> None:
    bureau = Bureau("mail the client")
    bureau.answers = [retype]
    bureau.do("send_mail", to=["omar@client.example"], text="Rose-11 is the word")
    assert "Rose-11" not in json.dumps([entry for _, entry in bureau.bodies], default=str)
    assert [kind for kind, _ in bureau.bodies] == ["asked", "answered", "call", "receipt"]


def test_what_was_paid_of_the_policy_is_its_digest() -> None:
    bureau = Bureau(WORDS)
    bureau.do("read_mail")
    assert bureau.bodies[0][1]["policy"] == bureau.policy().digest


# sessions


def test_sessions_are_kept_apart_and_the_oldest_is_forgotten() -> None:
    known = Known()
    first = known.of(SessionId("first"))
    first.learn(TOOLS[next(n for n in TOOLS if n == "list_channels")], {}, ["hall"])
    assert known.of(SessionId("first")) is first
    assert known.of(SessionId("second")).records == []
    for n in range(SESSIONS_KNOWN - 2):
        known.of(SessionId(f"s{n}"))
    assert known.of(SessionId("first")) is first  # used again: now the newest
    known.of(SessionId("one more"))
    assert known.of(SessionId("first")) is first
    assert known.of(SessionId("second")).records == []


def test_a_session_s_knowledge_survives_its_turns_not_the_gateway() -> None:
    bureau = Bureau("delete the largest file")
    bureau.office.content = {"list_drive": [{"id": "f-12ab", "name": "big", "size": 9, "text": ""}]}
    bureau.do("list_drive")
    bureau.turn = bureau.begin()
    assert bureau.do("remove_file", file="f-12ab").outcome == "done"
    bureau.restart()
    assert bureau.do("remove_file", file="f-12ab").outcome == "refused"
    assert len(bureau.cards) == 1


# losses


def change(path: str, kind: ChangeKind, before: str = "", after: str = "") -> Change:
    return Change(path, kind, Digest(before) if before else None, Digest(after) if after else None, 1)


C, M, D = ChangeKind.CREATED, ChangeKind.MODIFIED, ChangeKind.DELETED


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ([], 0),
        ([change("a", D, "x")], 1),
        ([change("a", D, "x"), change("b", D, "y")], 2),
        ([change("a", D, "x"), change("b", C, after="x")], 0),
        ([change("a", D, "x"), change("b", C, after="y")], 1),
        ([change("d/", D, "x")], 0),
        ([change("a", M, "x", "y")], 0),
        ([change("a", D)], 1),
        ([change("a", D), change("b", C)], 1),
        ([change("a", D, "x"), change("b", D, "x"), change("c", C, after="x")], 0),
    ],
)
def test_how_many_files_are_gone(changes: list[Change], lost: int) -> None:
    assert count_lost(changes) == lost


@pytest.mark.parametrize(
    ("held", "count"),
    [
        ([], 0),
        ([change("a", C, after="x")], 1),
        ([change("a", C, after="x"), change("b", D, "x")], 0),
        ([change("a", C, after="x"), change("b", C, after="y"), change("c", D, "x")], 1),
        ([change("d/", C)], 0),
    ],
)
def test_how_many_were_put_back(held: list[Change], count: int) -> None:
    assert count_held(held) == count


def test_a_loss_that_the_owner_never_asked_for_is_not_even_asked_about() -> None:
    bureau = Bureau("run the program", effects=frozenset({Effect.CODE}), rules=KEEPING)
    bureau.workspace.next_changes = [change("a", D, "x")]
    step = bureau.do("run_code", command="ls")
    assert (step.outcome, bureau.cards) == ("refused", [])
    assert bureau.workspace.reverted == [(change("a", D, "x"),)]


def test_a_loss_that_was_asked_for_is_done() -> None:
    bureau = Bureau(
        "run the program and delete a",
        rules=KEEPING,
    )
    bureau.workspace.next_changes = [change("a", D, "x")]
    assert bureau.do("run_code", command="rm a").outcome == "done"
    assert bureau.workspace.reverted == []
