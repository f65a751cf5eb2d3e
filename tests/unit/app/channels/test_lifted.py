"""When a stop is lifted: channels that wait try at once, and what was not taken meanwhile was said so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from carapax.app.channels.board import Added
from carapax.core.terms.ids import SessionId
from carapax.core.terms.incident import Incident, IncidentState
from carapax.core.terms.signal import SignalKind
from carapax.core.terms.work import WorkState
from carapax.ports.channel import ChannelFailed
from tests.fakes.channel import FakeChannel
from tests.fakes.provider import says
from tests.unit.app.channels.chat import Chat, chatting


def play(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


def stop(chat: Chat) -> Path:
    """Everything is stopped, as `carapax stop --all` leaves it."""
    file = chat.root / "stopped"
    chat.stage.hold._stopped = str(file)
    file.touch()
    return file


def test_a_channel_that_waits_is_tried_at_once_when_it_is_hurried() -> None:
    async def story() -> None:
        async with chatting(says("here")) as chat:
            away = chat.made["two"] = FakeChannel("two", run_error=ChannelFailed("away", retry_after_ms=250_000))
            await chat.messengers.board.add(Added("two", "telegram", {}, {"token": "h"}))
            line = chat.messengers.board.get("two")
            await away.until(lambda: line.state == "waiting")
            assert "Next try in 250 s." in line.detail
            away.run_error = None
            chat.messengers.board.hurry()
            await away.until(lambda: line.state == "up")
            assert away.runs == 2
            chat.messengers.board.hurry()  # what is up is left alone
            await chat.channel.say("hello agent")
            await chat.channel.until(lambda: chat.channel.texts() == ["here"])
            assert (away.runs, chat.channel.runs) == (2, 1)

    play(story)


def test_a_hurried_channel_that_still_fails_waits_the_least_again() -> None:
    async def story() -> None:
        async with chatting() as chat:
            away = chat.made["two"] = FakeChannel("two", run_error=ChannelFailed("away", retry_after_ms=250_000))
            await chat.messengers.board.add(Added("two", "telegram", {}, {"token": "h"}))
            line = chat.messengers.board.get("two")
            await away.until(lambda: line.state == "waiting")
            away.run_error = ChannelFailed("still away")
            chat.messengers.board.hurry()
            await away.until(lambda: "Next try in 1 s." in line.detail)
            assert away.runs == 2

    play(story)


def test_a_message_while_all_is_stopped_is_not_taken_and_says_so_once_the_stop_is_lifted() -> None:
    async def story() -> None:
        async with chatting(says("again")) as chat:
            file = stop(chat)
            await chat.channel.say("are you there")
            await chat.channel.until(lambda: bool(chat.engine.counts().get("delivery.waiting")))
            assert chat.channel.texts() == []
            file.unlink()
            chat.clock.ahead_ms += 10_000
            await chat.channel.until(lambda: bool(chat.channel.texts()))
            assert "Your message was not taken." in chat.channel.texts()[0]
            await chat.channel.say("and now")
            await chat.channel.until(lambda: "again" in chat.channel.texts())
            assert len(chat.stage.provider.prompts) == 1

    play(story)


def test_what_the_owner_reads_of_an_incident_names_a_command_that_there_is() -> None:
    async def story() -> None:
        async with chatting() as chat:
            incident = Incident(
                3, "breaker.messages", SessionId("s"), None, SignalKind.MESSAGE, "", 5, 4, "Too much.", "", 0,
                IncidentState.FROZEN,
            )  # fmt: skip
            await chat.messengers.tell_incident(incident)
            await chat.channel.until(lambda: bool(chat.channel.texts()))
            assert "carapax incident show 3" in chat.channel.texts()[0]

    play(story)


def test_nothing_is_sent_while_a_channel_is_only_connecting() -> None:
    async def story() -> None:
        async with chatting(says("the answer")) as chat:
            line = chat.messengers.board.get("telegram")
            line.state = "connecting"
            await chat.channel.say("hello agent")
            await chat.channel.until(lambda: bool(chat.engine.counts().get("delivery.waiting")))
            (kept,) = await chat.stage.store.list_work((WorkState.WAITING,))
            assert (kept.error, chat.channel.texts()) == ("The channel is connecting.", [])
            line.state = "up"
            await chat.channel.until(lambda: chat.channel.texts() == ["the answer"])

    play(story)


def test_a_letter_whose_sending_was_cut_is_not_sent_again_after_a_wait_either() -> None:
    async def story() -> None:
        async with chatting(says("the answer")) as chat:
            chat.channel.failures = [ChannelFailed("away", retry_after_ms=60_000)]
            await chat.channel.say("hello agent")
            await chat.channel.until(lambda: not chat.channel.failures)
            await chat.stop()
            (kept,) = [w for w in await chat.stage.store.list_work((WorkState.WAITING,)) if w.kind == "delivery"]
            await chat.stage.store.set_work(replace(kept, state=WorkState.RUNNING, attempts=1, error="", due_ms=0))
            file = stop(chat)
            chat.begin()
            await chat.start()
            await chat.channel.until(lambda: chat.engine.counts().get("delivery.dead") == 1)
            file.unlink()
            chat.clock.ahead_ms += 60_000
            await chat.channel.say("/whoami")
            await chat.channel.until(lambda: bool(chat.channel.texts()))
            assert "the answer" not in chat.channel.texts()

    play(story)
