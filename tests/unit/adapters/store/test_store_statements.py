"""Statements: each is served by an index, costs the same however much is stored, and compiles for PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.dialects import postgresql

from carapax.adapters.store import (
    generate,
    people,
    postgres_link,
    postgres_text,
    reads,
    rules,
    sqlite_text,
    statements,
    works,
    writes,
)
from carapax.adapters.store.link import FileLink, connect
from carapax.adapters.store.prepared import Prepared
from carapax.adapters.store.sql_store import SqlStore
from carapax.adapters.store.versions import ensure
from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.channel import Place
from carapax.core.terms.conversation import PartKind, Turn, TurnState
from carapax.core.terms.ids import ApprovalId, CallId, Digest, RuleId, SessionId, TokenId, TurnId
from carapax.core.terms.label import OWNER, OWNER_ONLY, Integrity, Label
from carapax.core.terms.limit import Usage
from carapax.core.terms.work import Work, WorkState
from carapax.ports.store import Account, KnownPlace, NewPart, OpenCall, Token
from tests.unit.adapters.store.test_store_versions import Still

ALL = generate.elements()
BY_DESIGN = {  # reads of a whole table: tokens and pairings are few, and the others stop at their limit
    "all_pairings",
    "all_tokens",
    "count_tokens",
    "approvals_newest",
    "search_sessions",
    "works_with_done",
}
PART = NewPart(PartKind.USER, "some words", Label(Integrity.USER, OWNER_ONLY))
LONG = SessionId("long")


@pytest.mark.parametrize("name", sorted(ALL))
def test_each_statement_compiles_for_postgresql(name: str) -> None:
    assert isinstance(ALL[name], Select | Insert | Update | Delete)
    assert str(ALL[name].compile(dialect=postgresql.dialect()))


@pytest.mark.parametrize("target", generate.TARGETS, ids=lambda target: target.database)
def test_the_text_is_what_the_statements_say(target: generate.Target) -> None:
    assert target.file.read_text(encoding="utf-8") == generate.render(target)


def test_each_statement_has_a_form_of_its_own_on_a_server() -> None:
    ours = {name: found for name, found in vars(sqlite_text).items() if isinstance(found, Prepared)}
    assert len(ours) >= 80
    assert postgres_link._OWN.keys() == set(ours.values())
    for name, found in ours.items():
        sql, own = postgres_link._OWN[found]
        assert own is getattr(postgres_text, name)
        assert sql.decode() == own.sql
        # What the caller gives is the same for both; only what the statement brings itself may differ.
        assert set(own.names) - set(own.fixed) == set(found.names) - set(found.fixed), name
        assert own.sql.count("%s") == len(own.names), name
        assert "?" not in own.sql, name


def test_what_is_read_to_be_written_is_locked_on_a_server() -> None:
    locking = {
        n for n, found in vars(postgres_text).items() if isinstance(found, Prepared) and "FOR UPDATE" in found.sql
    }
    wanted = {"session_places", "turn_standing", "call_standing", "approval_by_id", "kept_label", "some_kept_labels"}
    assert locking == wanted
    assert not any("FOR UPDATE" in f.sql for f in vars(sqlite_text).values() if isinstance(f, Prepared))


def test_there_are_statements_to_look_at() -> None:
    assert len(ALL) >= 75
    assert len(statements.delete_children) == 4


@pytest.fixture
def link(tmp_path: Path) -> Any:
    ensure(str(tmp_path / "a.db"))
    made = connect(str(tmp_path / "a.db"))
    yield made
    made.close()


def test_the_connection_waits_for_the_disk_and_keeps_its_references(link: FileLink) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "trusted_schema": 0}
    assert {name: link.raw.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted


def test_each_read_and_write_uses_an_index(link: FileLink) -> None:
    for name, element in [*ALL.items(), *((f"delete {n}", d) for n, d in enumerate(statements.delete_children))]:
        if isinstance(element, Insert) or name in BY_DESIGN:
            continue
        compiled = generate.prepare(element)
        values = [0] * len(compiled.names)
        plan = [row[3] for row in link.raw.execute("EXPLAIN QUERY PLAN " + compiled.sql, values)]
        assert plan, name
        for step in plan:
            assert "TEMP B-TREE" not in step or name == "unfinished_turns", (name, step)  # it sorts those few only
            assert not step.startswith("SCAN") or "USING INDEX ix_" in step, (name, step)


def test_a_value_that_is_not_given_is_an_error_and_not_a_null(link: FileLink) -> None:
    with pytest.raises(KeyError):
        link.write(sqlite_text.insert_counter, name="x")
    with pytest.raises(KeyError):
        link.rows(sqlite_text.parts_before, session="x", limit=1)


def _turn(id: str, session: SessionId) -> Turn:
    return Turn(TurnId(id), session, 0, TurnState.ACCEPTED, OWNER, "cli", "words", "", 1, None, Usage())


def _approval(id: str, session: SessionId) -> Approval:
    first = (ApprovalId(id), session, TurnId("t"), CallId("c"), Digest("d"), "title", ())
    return Approval(*first, RuleId("r"), "why", "", 10, 2**40)


def _grow(link: FileLink, start: int, sessions: int, parts: int) -> None:
    link.raw.execute("BEGIN")
    for number in range(start, start + sessions):
        session, turn = SessionId(f"s{number:06}"), f"t{number:06}"
        writes.open_session(link, session, OWNER, f"c{number:06}", 1)
        writes.accept_turn(link, _turn(turn, session), [PART], 1)
        call = OpenCall(CallId(f"c{number:06}"), session, TurnId(turn), "write", "w", 1)
        writes.open_call(link, call)
        writes.close_call(link, call.call, "done", 2, [Change("f", ChangeKind.CREATED, None, None, 1)])
        writes.put_approval(link, _approval(f"p{number:06}", session))
        writes.answer_approval(link, ApprovalId(f"p{number:06}"), ApprovalState.DENIED, OWNER, 1)
        writes.set_turn(link, TurnId(turn), TurnState.DONE, (), "ok", Usage(1), 2, "2026-01-02", 1)
        writes.join_content_labels(link, {Digest(f"{number:06}"): Label(Integrity.EXTERNAL, OWNER_ONLY)})
        writes.add_tally(link, "m", 1, session, 4)
        writes.add_tally(link, "n", 1, session, 6)
        people.put_account(link, Account("mail", session, OWNER, "x", 1, "code"))
        people.put_place(link, KnownPlace(OWNER, Place("mail", session), number))
        people.write_note(link, "mail", session, b"x")
        works.put_work(link, Work("turn", session, "", "{}", 1))
        works.set_work(link, Work("turn", session, "", "", 1, WorkState.DONE, ended_ms=9))
    for number in range(start, start + parts // 10):
        writes.accept_turn(link, _turn(f"l{number:06}", LONG), [PART] * 10, 1)
        writes.set_turn(link, TurnId(f"l{number:06}"), TurnState.DONE, (), "ok", Usage(1), 2, "2026-01-02", 1)
    link.raw.execute("COMMIT")


def _steps(link: FileLink, work: Callable[[FileLink], object]) -> int:
    """How many instructions of SQLite's machine the work takes; unlike time, always the same."""
    seen = [0]

    def count() -> int:
        seen[0] += 1
        return 0

    link.raw.execute("BEGIN")
    link.raw.set_progress_handler(count, 1)
    try:
        work(link)
    finally:
        link.raw.set_progress_handler(None, 0)
        link.raw.execute("ROLLBACK")
    return seen[0]


def _work() -> dict[str, Callable[[FileLink], object]]:
    new, turn = SessionId("new"), _turn("new", LONG)
    token = Token(TokenId("k2"), "h2", "x", frozenset(), 1, 2, False, None)
    call = OpenCall(CallId("new"), LONG, TurnId("open"), "write", "w", 1)
    return {
        "open_session": lambda db: writes.open_session(db, new, OWNER, "new", 1),
        "name_session": lambda db: writes.name_session(db, LONG, "x"),
        "accept_turn": lambda db: writes.accept_turn(db, turn, [PART], 1),
        "set_turn": lambda db: writes.set_turn(
            db, TurnId("open"), TurnState.DONE, [PART], "x", Usage(9), 1, "2026-01-02", 1
        ),
        "open_call": lambda db: writes.open_call(db, call),
        "close_call": lambda db: writes.close_call(db, CallId("open"), "done", 2, []),
        "mark_undone": lambda db: writes.mark_undone(db, TurnId("open")),
        "put_approval": lambda db: writes.put_approval(db, _approval("new", LONG)),
        "answer_approval": lambda db: writes.answer_approval(db, ApprovalId("open"), ApprovalState.APPROVED, OWNER, 1),
        "agree_approval": lambda db: writes.agree_approval(db, ApprovalId("two"), OWNER),
        "join_content_labels": lambda db: writes.join_content_labels(db, {Digest("000003"): PART.label}),
        "content_labels": lambda db: reads.content_labels(db, [Digest(f"{n:06}") for n in range(50)]),
        "add_tally": lambda db: writes.add_tally(db, "m", 1, LONG, 9),
        "tally": lambda db: reads.tally(db, "m", 5),
        "put_token": lambda db: writes.put_token(db, token),
        "touch_token": lambda db: writes.touch_token(db, TokenId("k"), 1),
        "find_session": lambda db: reads.find_session(db, LONG),
        "list_sessions": lambda db: reads.list_sessions(db, OWNER, 10),
        "find_turn": lambda db: reads.find_turn(db, TurnId("open")),
        "list_turns": lambda db: reads.list_turns(db, LONG, 10),
        "unfinished_turns": reads.unfinished_turns,
        "parts": lambda db: reads.parts(db, LONG, 20, None),
        "older parts": lambda db: reads.parts(db, LONG, 20, 30),
        "open_calls": reads.open_calls,
        "changes": lambda db: reads.changes(db, None, None, 2),
        "changes of a session": lambda db: reads.changes(db, SessionId("s000000"), None, 2),
        "changes of a turn": lambda db: reads.changes(db, None, TurnId("t000000"), 2),
        "approvals waiting": lambda db: reads.list_approvals(db, ApprovalState.WAITING, 10),
        "approvals": lambda db: reads.list_approvals(db, None, 10),
        "find_token": lambda db: reads.find_token(db, "h"),
        "day_usage": lambda db: reads.day_usage(db, "2026-01-02"),
        "counts": reads.counts,
        "calls_of": lambda db: reads.calls_of(db, TurnId("t000000")),
        "find_approval": lambda db: reads.find_approval(db, CallId("open")),
        "put_account": lambda db: people.put_account(db, Account("mail", "s000000", OWNER, "x", 1, "link")),
        "find_account": lambda db: people.find_account(db, "mail", "s000000"),
        "put_place": lambda db: people.put_place(db, KnownPlace(OWNER, Place("mail", "s000000"), 1)),
        "places_of": lambda db: people.places_of(db, OWNER, 10),
        "read_note": lambda db: people.read_note(db, "mail", "s000000"),
        "write_note": lambda db: people.write_note(db, "mail", "s000000", b"y"),
        "put_work": lambda db: works.put_work(db, Work("turn", "new", "", "{}", 1)),
        "set_work": lambda db: works.set_work(db, Work("turn", "open", "", "", 1, WorkState.DONE, ended_ms=1)),
        "find_work": lambda db: works.find_work(db, "turn", "s000000"),
        "unfinished work": lambda db: works.list_work(db, (WorkState.WAITING, WorkState.RUNNING), 1_000),
        "dead work": lambda db: works.list_work(db, (WorkState.DEAD,), 1_000),
        "forget_work": lambda db: works.forget_work(db, 5, 10),
        "delete_session": lambda db: writes.delete_session(db, SessionId("s000000")),
    }


def test_no_call_costs_more_with_a_long_history(link: FileLink) -> None:
    writes.open_session(link, LONG, OWNER, "long", 1)
    writes.accept_turn(link, _turn("open", LONG), [], 1)
    writes.open_call(link, OpenCall(CallId("open"), LONG, TurnId("open"), "write", "w", 1))
    writes.put_approval(link, _approval("open", LONG))
    writes.put_approval(link, replace(_approval("two", LONG), people=2))
    writes.put_token(link, Token(TokenId("k"), "h", "x", frozenset(), 1, 2, False, None))
    works.put_work(link, Work("turn", "open", "", "{}", 1))
    works.put_work(link, Work("turn", "dead", "", "{}", 1, WorkState.DEAD))
    _grow(link, 0, 50, 200)
    before = {name: _steps(link, work) for name, work in _work().items()}
    _grow(link, 50, 1_000, 2_000)
    after = {name: _steps(link, work) for name, work in _work().items()}
    assert all(steps > 10 for steps in before.values())
    assert {n: (before[n], after[n]) for n in before if after[n] > before[n] * 1.2} == {}


def test_a_search_looks_no_further_than_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "SEARCHED_PARTS", 3)

    async def scene() -> None:
        store = SqlStore.open(str(tmp_path / "b.db"), Still())
        await store.open_session(LONG, OWNER, "", 1)
        await store.accept_turn(_turn("a", LONG), [NewPart(PartKind.USER, f"word{n}", PART.label) for n in range(5)])
        found: Callable[[str], Awaitable[Any]] = lambda query: store.list_sessions(OWNER, query=query)  # noqa: E731
        assert [bool(await found(f"WORD{n}")) for n in range(5)] == [False, False, True, True, True]
        await store.close()

    asyncio.run(scene())
