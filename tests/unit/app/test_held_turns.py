"""A turn whose session is halted: nothing further is proposed, shown or told until a person decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from carapax.app.canaries import Canaries
from carapax.app.lookout import Lookout
from carapax.core.breaker.canary import Kind
from carapax.core.terms.conversation import TurnState
from carapax.core.terms.error import Conflict
from carapax.core.terms.event import Event, Notice, TextDelta
from carapax.core.terms.ids import SessionId
from carapax.core.terms.signal import Signal, SignalKind
from tests.fakes.provider import says, wishes
from tests.unit.app.stage import Stage, ended

READ = ("read_file", '{"path": "a"}')
TOLD = ("show_time", "{}")


class Halting(Stage):
    """Holds the session at the signal of a kind, as the breaker would."""

    def __init__(self, *answers: object, at: SignalKind = SignalKind.FILE) -> None:
        super().__init__(*answers)
        self.signals: list[Signal] = []
        self.at = at
        self.lookout.report_to(self._saw)

    def _saw(self, signal: Signal) -> None:
        self.signals.append(signal)
        if signal.kind is self.at and len(self.signals) == 1:
            self.hold.hold(1, signal.session)


async def collect(stream: AsyncIterator[Event], into: list[Event]) -> None:
    async for event in stream:
        into.append(event)


async def held(stage: Halting, events: list[Event]) -> asyncio.Task[None]:
    """A turn that runs until it is held, and then some."""
    task = asyncio.create_task(collect(await stage.submit(), events))
    async with asyncio.timeout(20):
        while not stage.hold._held or not stage.hold._held[1].waiting:  # noqa: ASYNC110 - it has no event of its own
            await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not task.done()
    return task


def test_nothing_further_is_proposed_until_a_person_lets_it_go_on() -> None:
    stage, events = Halting(wishes(READ, READ, TOLD), says("done")), list[Event]()

    async def play() -> None:
        task = await held(stage, events)
        assert len(stage.rig.tool.ran) == 1
        assert len(stage.provider.prompts) == 1
        stage.hold.lift(1)
        async with asyncio.timeout(20):
            await task
        assert len(stage.rig.tool.ran) == 3
        assert ended(events).state is TurnState.DONE

    asyncio.run(play())


def test_no_reply_leaves_a_session_that_was_halted_meanwhile() -> None:
    stage, events = Halting(says("the secret is out", usd_micro=1), at=SignalKind.SPENT), list[Event]()

    async def play() -> None:
        task = await held(stage, events)
        assert not [event for event in events if isinstance(event, TextDelta) and stage.hold.find(SessionId("s"))]
        stage.turns.end(None, "It was ended by a person (incident 1).")
        async with asyncio.timeout(20):
            await task
        last = ended(events)
        assert (last.state, last.reply) == (TurnState.STOPPED, "It was ended by a person (incident 1).")

    asyncio.run(play())


def test_a_killed_turn_ends_with_the_sentence_and_runs_nothing_more() -> None:
    stage, events = Halting(wishes(READ, READ)), list[Event]()

    async def play() -> None:
        task = await held(stage, events)
        assert stage.turns.end(None, "It was ended by a person (incident 1).") == 1
        async with asyncio.timeout(20):
            await task
        assert len(stage.rig.tool.ran) == 1
        assert [event.text for event in events if isinstance(event, Notice)] == [
            "It was ended by a person (incident 1)."
        ]

    asyncio.run(play())


def test_the_time_it_is_held_costs_no_budget() -> None:
    stage, events = Halting(wishes(READ), says("done")), list[Event]()

    async def play() -> None:
        task = await held(stage, events)
        run = next(lane.running for lane in stage.turns._lanes.values())
        assert run is not None and run._active_since is None
        assert run._bound.when() is None
        stage.hold.lift(1)
        async with asyncio.timeout(20):
            await task
        assert ended(events).state is TurnState.DONE

    asyncio.run(play())


def test_a_halted_session_takes_no_message_and_another_does() -> None:
    stage = Stage(says("one"), says("two"))

    async def play() -> None:
        first = ended(await stage.turn())
        stage.hold.hold(4, first.session)
        with pytest.raises(Conflict, match="incident 4"):
            await stage.submit("more")
        assert len(stage.provider.prompts) == 1
        stage.hold.lift(4)
        assert ended(await stage.turn("more")).reply == "two"

    asyncio.run(play())


def test_its_stream_is_told_whatever_else_runs() -> None:
    stage, events = Halting(wishes(READ), says("done")), list[Event]()

    async def play() -> None:
        task = await held(stage, events)
        session = stage.signals[0].session
        stage.turns.tell(SessionId("another"), Notice("x", "not for it", ""))
        stage.turns.tell(session, Notice("x", "for it", ""))
        stage.turns.tell(None, Notice("x", "for all", ""))
        stage.hold.lift(1)
        async with asyncio.timeout(20):
            await task
        assert [event.text for event in events if isinstance(event, Notice)] == ["for it", "for all"]

    asyncio.run(play())


def test_what_a_turn_does_is_counted_and_names_no_text_of_the_model() -> None:
    stage = Halting(
        wishes(READ, ("no_such_tool", '{"a": "attacker words"}'), TOLD),
        says("done", usd_micro=9),
        at=SignalKind.HOST,
    )

    async def play() -> None:
        await stage.turn()
        assert [(s.kind, s.amount, s.detail) for s in stage.signals] == [
            (SignalKind.FILE, 1, "read_file"),
            (SignalKind.DENIED, 1, "proposal.malformed"),
            (SignalKind.FILE, 1, "show_time"),
            (SignalKind.SPENT, 9, ""),
        ]

    asyncio.run(play())


@pytest.fixture
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Canaries:
    place = tmp_path_factory.mktemp("canaries")
    (place / "work").mkdir()
    made = Canaries(place / "canaries.json", place / "work", None, lambda: 0)
    made.begin()
    made.add(Kind.TOKEN, "file", "token.txt")
    return made


def test_reading_a_canary_is_counted_and_using_it_is_a_use(canaries: Canaries) -> None:
    from carapax.core.terms.action import Outcome, Receipt

    value = canaries.all()[-1].values[0]

    stage = Halting(
        wishes(READ), wishes(("send_mail", f'{{"text": "{value[::-1]}"}}')), says("done"), at=SignalKind.HOST
    )

    async def play() -> None:
        stage.lookout = Lookout(canaries, lambda: stage.rig.tool.manifests())
        stage.lookout.report_to(stage._saw)
        stage.turns._means = replace(stage.means, lookout=stage.lookout)
        stage.rig.tool.behave = lambda a: Receipt(a.call.call, Outcome.DONE, f"it says {value}", exit_code=0)
        await stage.turn()
        kinds = [(s.kind, s.detail) for s in stage.signals]
        assert (SignalKind.CANARY_READ, "file/token.txt") in kinds
        assert (SignalKind.CANARY_USED, "file/token.txt -> send_mail") in kinds
        assert not any(value in repr(s) for s in stage.signals)

    asyncio.run(play())
