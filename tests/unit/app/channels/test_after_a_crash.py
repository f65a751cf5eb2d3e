"""What the next process does with a reply that was not posted: it goes where it may go, and nowhere else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from carapax.app.channels.pack import MOST_BYTES, Letter, event_key, fit_received, lane_of, pack_received
from carapax.app.turns import POISON, TRIES
from carapax.core.terms.channel import Attached, Person, Place, Received
from carapax.core.terms.conversation import TurnState
from tests.fakes.provider import says, wishes
from tests.unit.app.channels.chat import Chat, chatting
from tests.unit.app.channels.test_messengers import READ, play

PLACE = Place("telegram", "c", private=False)


def hang_posting(chat: Chat) -> asyncio.Event:
    """Let the process hang where a reply is posted; the event is set when it came there."""
    reached, post = asyncio.Event(), chat.messengers.outbox.post

    async def hanging(letter: Letter, key: str) -> None:
        if key.startswith(("reply:", "private:")):
            reached.set()
            await asyncio.Event().wait()
        await post(letter, key)

    chat.messengers.outbox.post = hanging  # type: ignore[method-assign]
    return reached


def test_a_private_reply_that_was_not_posted_before_the_end_does_not_reach_the_group_after_it() -> None:
    async def story() -> None:
        async with chatting(wishes(READ), says("the code is 4711")) as chat:
            chat.allow_reading_in_groups()
            reached = hang_posting(chat)
            await chat.channel.say("@agent read a", chat="g1")
            await asyncio.wait_for(reached.wait(), 10)
            await chat.restart()
            await chat.channel.until(lambda: bool(chat.channel.texts("g1")))
            await chat.idle()
            assert not any("4711" in text for text in chat.channel.texts("g1"))
            assert any("4711" in text for text in chat.channel.texts("u1"))

    play(story)


def test_a_file_of_a_private_reply_goes_with_it_and_not_to_the_group() -> None:
    async def story() -> None:
        async with chatting(wishes(READ), says("here it is")) as chat:
            chat.allow_reading_in_groups()
            blob = chat.messengers.outbox.keep_file(b"private bytes", "a.txt", "text/plain")

            async def attached(turn: Any) -> tuple[Any, ...]:
                return (blob,)

            chat.messengers.rooms.attached = attached  # type: ignore[method-assign]
            await chat.channel.say("@agent read a", chat="g1")
            await chat.channel.until(lambda: bool(chat.channel.texts("g1")) and bool(chat.channel.texts("u1")))
            await chat.idle()
            sent = {shown.place.chat: shown.sent.files for shown in chat.channel.shown}
            assert sent["g1"] == ()
            assert [file.content for file in sent["u1"]] == [b"private bytes"]

    play(story)


def test_a_reply_of_before_the_end_is_posted_once() -> None:
    async def story() -> None:
        async with chatting(says("the answer")) as chat:
            reached = hang_posting(chat)
            await chat.channel.say("hello agent")
            await asyncio.wait_for(reached.wait(), 10)
            await chat.restart()
            await chat.channel.until(lambda: bool(chat.channel.texts()))
            await chat.restart()
            await chat.idle()
            assert chat.channel.texts() == ["the answer"]
            assert len(chat.stage.provider.prompts) == 1

    play(story)


def test_a_message_that_ends_the_process_each_time_is_told_where_it_came_from_and_can_be_tried_again() -> None:
    async def story() -> None:
        async with chatting(says("at last")) as chat:
            run = chat.turns._run

            async def third(lane: Any, turn: Any, principal: Any, work: Any) -> Any:
                return await run(lane, turn, principal, replace(work, attempts=TRIES))

            chat.turns._run = third  # type: ignore[method-assign]
            await chat.channel.say("hello agent")
            await chat.channel.until(lambda: chat.channel.texts() == [POISON])
            chat.turns._run = run  # type: ignore[method-assign]
            await chat.idle()
            (dead,) = await chat.engine.dead()
            await chat.engine.retry(dead.kind, dead.key)
            await chat.channel.until(lambda: chat.channel.texts() == [POISON, "at last"])
            (session,) = await chat.sessions()
            states = [turn.state for turn in await chat.stage.store.list_turns(session.id)]
            assert states == [TurnState.DONE, TurnState.INTERRUPTED]

    play(story)


def test_a_message_that_is_too_long_to_keep_is_cut_and_the_sender_reads_so() -> None:
    async def story() -> None:
        async with chatting(says("read it")) as chat:
            await chat.channel.say("word and word " * 40_000)
            await chat.channel.until(lambda: "read it" in chat.channel.texts())
            assert any("too long" in text for text in chat.channel.texts())

    play(story)


def test_every_message_fits_whatever_it_is_made_of() -> None:
    for text in ("a" * 300_000, "\n" * 300_000, "é" * 200_000, '"' * 300_000, "\U0001f600" * 100_000):
        received = Received(PLACE, Person("u", "n" * 1_000), "e", text, quoted=text[::-1])
        fitting = fit_received(received)
        assert len(pack_received(fitting).encode()) <= MOST_BYTES
        assert text.startswith(fitting.text)
    many = Received(PLACE, Person("u"), "e", "x", files=tuple(Attached("r" * 4_000, "n" * 4_000) for _ in range(100)))
    assert len(pack_received(fit_received(many)).encode()) <= MOST_BYTES


def test_long_ids_still_name_one_event_and_one_lane() -> None:
    long, other = "x" * 2_000 + "1", "x" * 2_000 + "2"
    events = [event_key(Received(PLACE, Person("u"), event, "t")) for event in (long, other, "short")]
    lanes = [lane_of(Place("telegram", chat)) for chat in (long, other, "short")]
    assert len(set(events)) == len(set(lanes)) == 3
    assert max(map(len, [*events, *lanes])) < 256
    assert (events[2], lanes[2]) == ("telegram:short", "telegram/short")
