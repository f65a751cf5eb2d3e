from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

from carapax.adapters.tools.talk import wire
from carapax.adapters.tools.talk.adapter import TalkTools
from carapax.core.terms.action import Change, ChangeKind, Outcome, Receipt
from carapax.core.terms.conversation import Turn, TurnState
from carapax.core.terms.ids import CallId, PrincipalId, SessionId, TurnId
from carapax.core.terms.limit import Usage
from carapax.ports.store import OpenCall
from tests.fakes.store import MemoryStore
from tests.unit.adapters.tools.conftest import sealed

MOMENT = datetime(2026, 11, 21, 7, 35, 9, tzinfo=UTC)
SESSION, TURN, OWNER = SessionId("session"), TurnId("turn"), PrincipalId("owner")


class StillClock:
    def now_ms(self) -> int:
        return int(MOMENT.timestamp() * 1000)

    def monotonic_ms(self) -> int:
        return 0


def turn(number: int = 1, text: str = "make it") -> Turn:
    return Turn(TURN, SESSION, number, TurnState.RUNNING, OWNER, "cli", text, "", 0, None, Usage())


def perform(name: str, *changes: Change, **arguments: str) -> Receipt:
    async def whole() -> Receipt:
        store = MemoryStore(StillClock())
        await store.open_session(SESSION, OWNER, "", 0)
        await store.accept_turn(turn(), [])
        await store.open_call(OpenCall(CallId("c"), SESSION, TURN, "write_file", "write", 1))
        await store.close_call(CallId("c"), "done", 2, changes)
        tools = TalkTools(store, StillClock(), timezone(timedelta(hours=1), "CET"))
        return await tools.perform(sealed(tools, name, dict(arguments)))

    return asyncio.run(whole())


def test_the_time_is_told_with_date_weekday_and_zone() -> None:
    receipt = perform("show_time")
    assert receipt.text == "It is Saturday 21 November 2026, 08:35:09 (CET, UTC+01:00). Date: 2026-11-21."
    assert (receipt.outcome, receipt.changes) == (Outcome.DONE, ())


def test_the_machines_own_zone_is_the_default() -> None:
    async def whole() -> str:
        clock = StillClock()
        tools = TalkTools(MemoryStore(clock), clock)
        return (await tools.perform(sealed(tools, "show_time", {}))).text

    local = MOMENT.astimezone()
    assert f"{local:%H:%M:%S}" in asyncio.run(whole())


def test_a_question_is_the_reply() -> None:
    assert perform("ask_user", question=" Which file? ").text == "Which file?"
    assert perform("ask_user", question="").text == "What would you like?"


def test_what_changed_is_told_and_nothing_is_said_to_be_nothing() -> None:
    assert perform("show_changes").text == "Nothing was changed yet."
    text = perform(
        "show_changes",
        Change("a.txt", ChangeKind.CREATED, None, None, 1),
        Change("b.txt", ChangeKind.MODIFIED, None, None, 1_200),
        Change("big", ChangeKind.DELETED, None, None, 9, kept=False),
        Change("docs/", ChangeKind.CREATED, None, None, 0),
    ).text
    assert text == (
        'Turn 1 ("make it"), 4 changes:\n'
        "- created a.txt (1 byte)\n"
        "- changed b.txt (1,200 bytes)\n"
        "- deleted big, cannot be undone: the old bytes were too large to keep\n"
        "- created folder docs"
    )


def test_many_changes_are_cut() -> None:
    changes = [Change(f"f{n}", ChangeKind.CREATED, None, None, 1) for n in range(50)]
    text = wire.render_changes([(turn(3, "two\nlines"), changes)])
    assert text.startswith('Turn 3 ("two\\nlines"), 50 changes:')
    assert text.endswith("- [… 10 more]")
    assert len(text.split("\n")) == 42


def test_calls_in_a_few_words() -> None:
    assert wire.summary("ask_user", {"question": "Which?"}) == "ask: Which?"
    assert wire.summary("show_time", {}) == "look at the clock"
    assert wire.summary("show_changes", {}) == "look at what changed"
    assert wire.destroys("show_time", {}) == 0
