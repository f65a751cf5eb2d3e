"""A channel that is called counts what it hears, as one that is connected does."""

from __future__ import annotations

import asyncio

from carapax.app.channel_doors import ChannelDoors, Channelled
from carapax.core.terms.channel import HookAnswer, HookRequest, Person, Place, Received
from carapax.ports.channel import Hear
from tests.unit.app.channels.chat import chatting


async def story() -> None:
    async with chatting() as chat:

        async def called(request: HookRequest, hear: Hear) -> HookAnswer:
            await hear(Received(Place("telegram", "u1"), Person("u1"), "called", "/whoami", message="m"))
            return HookAnswer(200)

        chat.channel.hook = called  # type: ignore[method-assign]
        line = chat.messengers.board.get("telegram")
        doors = ChannelDoors(Channelled(chat.messengers, chat.people, chat.engine, chat.stage.ledger))
        before, shown = line.heard, len(chat.channel.texts())
        assert (await doors.hook("telegram", HookRequest("POST", "", "", (), b""))).status == 200
        assert line.heard == before + 1
        await chat.channel.until(lambda: len(chat.channel.texts()) > shown)


def test_what_a_platform_calls_with_is_counted_and_taken() -> None:
    asyncio.run(story())
