"""What becomes of a letter whose sending was under way when Carapax ended: by a kill, and by being stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from carapax.app.channels import outbox
from carapax.app.channels.pack import Letter, pack_letter
from carapax.core.terms.channel import Feature, Outgoing, Place, Sent
from carapax.core.terms.work import WorkState
from tests.fakes.provider import says
from tests.unit.app.channels.chat import Chat, chatting

FAR_MS = 2**52


def play(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


def hold_sends(chat: Chat) -> tuple[asyncio.Event, asyncio.Event]:
    """Sends that begin and wait: (one began, let it go on)."""
    began, goes_on, channel = asyncio.Event(), asyncio.Event(), chat.channel
    send = type(channel).send

    async def held(outgoing: Outgoing) -> Sent:
        began.set()
        await goes_on.wait()
        return await send(channel, outgoing)

    channel.send = held  # type: ignore[method-assign]
    return began, goes_on


@pytest.mark.parametrize("again", [False, True])
def test_after_a_kill_in_the_middle_of_a_send_only_a_platform_that_knows_our_key_gets_it_again(again: bool) -> None:
    async def story() -> None:
        async with chatting() as chat:
            chat.channel.features = frozenset({Feature.IDEMPOTENT} if again else ())
            chat.channel.shown.clear()
            place = Place("telegram", "u1")
            await chat.engine.start("delivery", "x/0", pack_letter(Letter(place, "hi")), lane="x", due_ms=FAR_MS)
            work = await chat.engine.find("delivery", "x/0")
            assert work is not None
            # As the store has it when the process died in the first try.
            await chat.stage.store.set_work(replace(work, state=WorkState.RUNNING, attempts=1, due_ms=0))
            await chat.restart()
            await chat.idle()
            assert chat.channel.texts() == (["hi"] if again else [])
            listed = [dead.error for dead in await chat.engine.dead()]
            assert len(listed) == (0 if again else 1)
            assert all("may have arrived" in error for error in listed)

    play(story)


def test_being_stopped_waits_for_what_is_on_its_way() -> None:
    async def story() -> None:
        async with chatting(says("the answer")) as chat:
            chat.channel.features -= {Feature.IDEMPOTENT}
            began, goes_on = hold_sends(chat)
            await chat.channel.say("hello agent")
            async with asyncio.timeout(10):
                await began.wait()
            stopping = asyncio.create_task(chat.restart())
            goes_on.set()
            await stopping
            await chat.idle()
            assert chat.channel.texts() == ["the answer"]
            assert await chat.engine.dead() == []

    play(story)


def test_what_is_still_on_its_way_after_that_is_listed_and_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "LAST_S", 0.01)

    async def story() -> None:
        async with chatting(says("the answer")) as chat:
            await chat.pair(await chat.add("telegram-two"), "o2")  # where the owner would be told, but for the stop
            chat.channel.features -= {Feature.IDEMPOTENT}
            began, goes_on = hold_sends(chat)
            await chat.channel.say("hello agent")
            async with asyncio.timeout(10):
                await began.wait()
            await chat.restart()
            goes_on.set()
            await chat.idle()
            (dead,) = await chat.engine.dead()
            assert "may have arrived" in dead.error
            assert chat.channel.texts() == []

    play(story)
