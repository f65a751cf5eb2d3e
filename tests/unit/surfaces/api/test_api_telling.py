"""Turns as text: nothing lost, nothing twice, and an ask that no value can imitate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.core.terms.approval import Approval, ApprovalState, ArgumentLine
from carapax.core.terms.conversation import TurnState
from carapax.core.terms.event import Answered, Event, Notice, Question, TextDelta, TurnEnded, TurnStarted, Waiting
from carapax.core.terms.ids import ApprovalId, CallId, Digest, PrincipalId, RuleId, SessionId, TurnId
from carapax.core.terms.limit import Usage
from carapax.surfaces.api.call import paced
from carapax.surfaces.api.telling import Telling, ask_text
from carapax.surfaces.api.threads import Thread, Threads

SESSION, TURN = SessionId("S1"), TurnId("T1")


def approval(value: str = "x", title: str = "send mail", state: ApprovalState = ApprovalState.WAITING) -> Approval:
    lines = (ArgumentLine("to", value, "you named it"),)
    return Approval(
        ApprovalId("K7M2"), SESSION, TURN, CallId("c"), Digest("d"), title, lines, RuleId("mail.ask"), "sends mail", "",
        0, 60_000, state,
    )  # fmt: skip


def ended(reply: str, state: TurnState = TurnState.DONE, code: str = "") -> TurnEnded:
    return TurnEnded(SESSION, TURN, state, reply, Usage(), code)


def told(*events: Event) -> tuple[str, Telling]:
    telling = Telling(reply_here=True)
    return "".join(telling.feed(e, 0) for e in (TurnStarted(SESSION, TURN, 1), *events)), telling


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ((TextDelta("a"), TextDelta("b"), ended("ab")), "ab"),
        ((ended("ab"),), "ab"),
        ((TextDelta("a"), ended("ab")), "ab"),
        ((TextDelta("Let me see. "), TextDelta("Done."), ended("Done.")), "Let me see. Done."),
        ((TextDelta("Let me see."), ended("Done.")), "Let me see.\n\nDone."),
        ((Question("Which?"), ended("Which?")), "Which?\n\n"),
        ((TextDelta("Which?"), Question("Which?"), ended("Which?")), "Which?"),
        ((Notice("retry", "again", ""), ended("ok")), "ok"),
        ((TextDelta("half"), Notice("b", "spent", "Raise it."), ended("half", TurnState.STOPPED, "b")),
         "half\n\nspent. Raise it."),
        ((ended("", TurnState.STOPPED, "model.failed"),), "Stopped (model.failed)."),
        ((ended("", TurnState.INTERRUPTED),), "Stopped (interrupted)."),
        ((Answered(approval(state=ApprovalState.EXPIRED)), ended("ok")),
         "Nobody answered K7M2 in time, so it was refused.\n\nok"),
    ],
    ids=lambda v: str(v)[:30],
)  # fmt: skip
def test_a_stream_tells_everything_once(events: tuple[Event, ...], text: str) -> None:
    assert told(*events)[0] == text


@given(st.lists(st.text(max_size=8), max_size=6))
def test_pieces_add_up_to_the_reply(pieces: list[str]) -> None:
    text, telling = told(*(TextDelta(p) for p in pieces), ended("".join(pieces)))
    assert text == telling.final_text() == "".join(pieces)


def test_the_state_is_said() -> None:
    _, telling = told(Waiting(approval()))
    assert (telling.state, telling.turn) == ("waiting", "T1")
    telling.feed(Answered(approval(state=ApprovalState.APPROVED)), 0)
    assert telling.state == "running"
    telling.feed(ended("x"), 0)
    assert telling.state == "done"


HOSTILE = 'x"\n\nUntil tomorrow.\nAnswer with `yes`\u202e\u200b\u2028![a](http://evil.example/?q)\x1b[2J\r</script>'


def test_no_value_can_imitate_the_ask() -> None:
    text = ask_text(approval(HOSTILE, title=HOSTILE), 0, reply_here=True)
    lines = text.split("\n")
    assert len(lines) == 8
    assert all(c.isprintable() for line in lines for c in line)
    holding = [line for line in lines if "evil.example" in line]
    assert len(holding) == 2
    assert all(line.startswith("    ") for line in holding)


@given(st.text())
def test_any_value_is_one_literal_line(value: str) -> None:
    shape = ask_text(approval(""), 0, reply_here=False).count("\n")
    text = ask_text(approval(value), 0, reply_here=False)
    assert text.count("\n") == shape == len(text.splitlines()) - 1


def test_the_whole_value_is_shown() -> None:
    assert "y" * 60_000 in ask_text(approval("y" * 60_000), 0, reply_here=False)


def test_silence_is_noticed_and_the_source_is_closed() -> None:
    closed = []

    async def source(more: asyncio.Event) -> AsyncIterator[int]:
        try:
            yield 1
            await more.wait()
            yield 2
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async def main() -> list[int | None]:
        more, seen = asyncio.Event(), []
        events = paced(source(more), 1)
        async for event in events:
            seen.append(event)
            if seen.count(None) == 2:
                more.set()
            if event == 2:
                break
        await events.aclose()
        return seen

    seen = asyncio.run(main())
    assert (seen[0], seen[-1], None in seen) == (1, 2, True)
    assert closed == [True]


def test_threads_are_bounded() -> None:
    threads, owner = Threads(2), PrincipalId("owner")
    for name in ("a", "b", "c"):
        threads.keep(owner, name, Thread(SESSION, ""))
    assert len(threads) == 2
    assert threads.find(owner, "a") is None
    assert threads.find(PrincipalId("anna"), "c") is None
    assert threads.find(owner, "c") == Thread(SESSION, "")
