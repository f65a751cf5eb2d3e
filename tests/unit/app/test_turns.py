"""Turns: accepted only when stored, one at a time in a session, ended in exactly one way, within every budget."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from carapax.app.turns import MAX_WAITING
from carapax.core.terms.action import Outcome, Receipt
from carapax.core.terms.approval import Answer
from carapax.core.terms.conversation import PartKind, TurnState
from carapax.core.terms.error import Conflict, LedgerUnavailable, ProviderFailed, StoreUnavailable, Unavailable
from carapax.core.terms.event import Notice, StepDone, TurnEnded, TurnStarted, Waiting
from carapax.core.terms.ids import SessionId
from carapax.core.terms.label import Integrity
from carapax.core.terms.limit import Budget
from carapax.core.terms.tables import Clearance
from carapax.ports.provider import TextChunk
from tests.fakes.provider import says, wishes
from tests.unit.app.stage import ME, Stage, ended
from tests.unit.guard.rig import TOOLS, FakeTool

READ = ("read_file", '{"path": "a"}')
DELETE = ("delete_file", '{"path": "a\\nb\\nc\\nd\\ne\\nf"}')


def play(stage: Stage, count: int = 1) -> list[TurnEnded]:
    async def run() -> list[TurnEnded]:
        return [ended(await stage.turn(f"message {n}")) for n in range(count)]

    return asyncio.run(run())


def test_a_turn_is_stored_with_labels_and_recorded() -> None:
    stage = Stage(wishes(READ), says("it is empty"))
    (end,) = play(stage)
    assert (end.state, end.usage.tool_calls) == (TurnState.DONE, 1)
    assert end.reply == "it is empty\n\n— rests on: what read_file returned"
    parts = asyncio.run(stage.store.parts(end.session, limit=10))
    assert [part.kind for part in parts] == [PartKind.USER, PartKind.CALL, PartKind.RESULT, PartKind.REPLY]
    assert [part.label.integrity for part in parts] == [
        Integrity.USER,
        Integrity.USER,
        Integrity.EXTERNAL,
        Integrity.EXTERNAL,
    ]
    assert stage.rig.log == ["message", "call", "ran", "receipt", "reply"]


def test_a_message_that_cannot_be_stored_is_not_accepted() -> None:
    stage = Stage(says("never"))
    stage.store.down = True
    with pytest.raises(StoreUnavailable):
        play(stage)
    assert stage.provider.prompts == []


def test_a_message_that_cannot_be_recorded_is_not_run() -> None:
    stage = Stage(says("never"))
    stage.ledger.fail = LedgerUnavailable("disk full")
    with pytest.raises(LedgerUnavailable):
        play(stage)
    assert stage.provider.prompts == []


def test_turns_of_one_session_run_one_after_the_other_in_order() -> None:
    stage = Stage(says("one"), says("two"), says("three"))

    async def run() -> list[str]:
        streams = [await stage.submit(f"m{n}") for n in range(3)]
        ends = [[event async for event in stream][-1] for stream in streams]
        return [end.reply for end in ends]  # type: ignore[union-attr]

    assert asyncio.run(run()) == ["one", "two", "three"]
    asked = [prompt.messages[-1].text for prompt in stage.provider.prompts]
    assert asked == ["m0", "m1", "m2"]


def test_too_many_waiting_messages_are_refused_politely() -> None:
    hold = asyncio.Event()
    stage = Stage([hold, *says("done")], *[says("ok") for _ in range(MAX_WAITING + 1)])

    async def run() -> None:
        streams = [await stage.submit("first")]
        await asyncio.sleep(0)
        for n in range(MAX_WAITING + 1):
            if len(streams) <= MAX_WAITING:
                streams.append(await stage.submit(f"m{n}"))
        with pytest.raises(Conflict, match="already wait"):
            for _ in range(2):
                streams.append(await stage.submit("one too many"))
        hold.set()
        for stream in streams:
            async for _ in stream:
                pass

    asyncio.run(run())


def test_while_a_person_is_asked_another_message_is_told_so() -> None:
    stage = Stage(wishes(DELETE), says("deleted"))

    async def run() -> TurnEnded:
        stream = await stage.submit("delete")
        async for event in stream:
            if isinstance(event, Waiting):
                with pytest.raises(Conflict, match="waits for an answer"):
                    await stage.submit("hurry")
                turn = await stage.store.find_turn(event.approval.turn)
                assert turn is not None
                assert turn.state is TurnState.WAITING
                await stage.desk.answer(ME, event.approval.id, Answer(True))
        assert isinstance(event, TurnEnded)
        return event

    assert asyncio.run(run()).reply == "deleted\n\n— rests on: what delete_file returned"


def test_a_cancelled_turn_says_so_and_keeps_what_was_done() -> None:
    hold = asyncio.Event()
    stage = Stage(wishes(READ), [TextChunk("half"), hold, *says("never")])

    async def run() -> list[object]:
        seen: list[object] = []
        async for event in await stage.submit():
            seen.append(event)
            if isinstance(event, StepDone):
                turn = (await stage.store.unfinished_turns())[-1]
                await stage.turns.cancel(turn)
        return seen

    events = asyncio.run(run())
    end = events[-1]
    assert isinstance(end, TurnEnded)
    assert (end.state, end.reply) == (TurnState.STOPPED, "You stopped it.")
    assert any(isinstance(event, Notice) for event in events)


def test_a_queued_turn_can_be_cancelled_before_it_begins() -> None:
    hold = asyncio.Event()
    stage = Stage([hold, *says("one")], says("never"))

    async def run() -> tuple[TurnEnded, TurnEnded]:
        first = await stage.submit("a")
        assert isinstance(await anext(first), TurnStarted)
        second = await stage.submit("b")
        queued = next(t for t in await stage.store.unfinished_turns() if t.text == "b")
        await stage.turns.cancel(queued)
        hold.set()
        return ended([e async for e in first]), ended([e async for e in second])

    one, two = asyncio.run(run())
    assert one.state is TurnState.DONE
    assert two.state is TurnState.STOPPED
    assert len(stage.provider.prompts) == 1


def test_closing_interrupts_what_runs_and_takes_nothing_new() -> None:
    hold = asyncio.Event()
    stage = Stage([hold, *says("never")])

    async def run() -> TurnEnded:
        stream = await stage.submit()
        assert isinstance(await anext(stream), TurnStarted)
        await stage.turns.close()
        with pytest.raises(Unavailable, match="stopping"):
            await stage.submit("late")
        return ended([e async for e in stream])

    assert asyncio.run(run()).state is TurnState.INTERRUPTED


def test_a_failing_model_stops_the_turn_with_its_sentence_and_the_next_one_works() -> None:
    stage = Stage(ProviderFailed("The model is away.", next_step="Try later."), says("back"))
    first, second = play(stage, 2)
    assert (first.state, first.code) == (TurnState.STOPPED, "model.failed")
    assert first.reply == "The model is away. Your message is kept. Try later."
    assert second.reply == "back"


def test_a_defect_is_shown_without_a_traceback_and_the_next_turn_works() -> None:
    def broken(prompt: object) -> object:
        raise ZeroDivisionError("secret detail")

    stage = Stage(broken, says("fine"))
    first, second = play(stage, 2)
    assert first.state is TurnState.INTERRUPTED
    assert "secret detail" not in first.reply
    assert second.reply == "fine"


# budgets


@pytest.mark.parametrize(
    ("budget", "word"),
    [
        ({"turn": Budget(tokens=10)}, "turn's budget of tokens"),
        ({"turn": Budget(tool_calls=1)}, "turn's budget of tool calls"),
        ({"session": Budget(tool_calls=1)}, "session's budget of tool calls"),
        ({"day": Budget(tokens=10)}, "day's budget of tokens"),
    ],
)
def test_a_budget_stops_the_turn_with_a_sentence(budget: dict[str, Budget], word: str) -> None:
    stage = Stage(wishes(READ), wishes(READ), says("never"))
    stage.limit(**budget)
    (end,) = play(stage)
    assert (end.state, end.code) == (TurnState.STOPPED, "budget.spent")
    assert word in end.reply
    assert "Your message is kept" in end.reply
    assert "carapax budget" in end.reply
    assert len(stage.rig.tool.ran) <= 1


def test_a_spent_day_stops_before_the_model_is_asked() -> None:
    stage = Stage(says("one"), says("never"))
    stage.limit(day=Budget(tokens=15))
    first, second = play(stage, 2)
    assert first.state is TurnState.DONE
    assert second.code == "budget.spent"
    assert len(stage.provider.prompts) == 1


def test_money_is_counted() -> None:
    stage = Stage(says("one", usd_micro=700_000), says("two", usd_micro=700_000), says("never"))
    stage.limit(session=Budget(usd_micro=1_000_000))
    ends = play(stage, 3)
    assert [end.state for end in ends] == [TurnState.DONE, TurnState.DONE, TurnState.STOPPED]
    assert "1.40 USD of 1.00 USD" in ends[2].reply


def test_the_budget_of_time_stops_a_turn_but_waiting_for_a_person_is_free() -> None:
    stage = Stage(wishes(DELETE), [asyncio.Event(), *says("never")])
    stage.limit(turn=Budget(wall_ms=300))

    async def run() -> TurnEnded:
        async for event in await stage.submit():
            if isinstance(event, Waiting):
                await asyncio.sleep(0.6)  # longer than the budget, and not counted
                await stage.desk.answer(ME, event.approval.id, Answer(True))
        assert isinstance(event, TurnEnded)
        return event

    end = asyncio.run(run())
    assert len(stage.rig.tool.ran) == 1
    assert end.code == "budget.spent"
    assert "budget of time" in end.reply


def test_usage_is_added_to_the_session_and_the_day() -> None:
    stage = Stage(wishes(READ), says("a"), says("b"))
    ends = play(stage, 2)

    async def look() -> tuple[int, int, int]:
        session = await stage.store.find_session(SessionId(ends[0].session))
        assert session is not None
        day = await stage.store.day_usage(stage.meter.day())
        return session.usage.tokens, day.tokens, day.tool_calls

    assert asyncio.run(look()) == (45, 45, 1)


def test_a_result_that_asks_the_owner_ends_the_turn() -> None:
    stage = Stage(says("x"))
    stage.rig.tool.behave = lambda a: Receipt(a.call.call, Outcome.DONE, "Which one?")
    assert play(stage)[0].reply == "x"


def test_a_model_is_not_shown_what_it_is_not_cleared_for(monkeypatch: pytest.MonkeyPatch) -> None:
    private = tuple(replace(manifest, domain="payroll") for manifest in TOOLS)
    monkeypatch.setattr(FakeTool, "manifests", lambda self: private)
    for models, state, asked in (("local:*", TurnState.STOPPED, 1), ("*", TurnState.DONE, 2)):
        stage = Stage(wishes(READ), says("it is empty"))
        rows = (Clearance(models, frozenset({"domain:payroll"})),)
        policy = replace(stage.rig.policy(), tables=replace(stage.rig.policy().tables, clearances=rows))
        stage.policy = lambda policy=policy: policy  # type: ignore[misc]
        (end,) = play(stage)
        assert end.state is state
        assert len(stage.provider.prompts) == asked  # the result never went to the model that is not cleared
        assert ("not cleared" in end.reply) is (state is TurnState.STOPPED)
