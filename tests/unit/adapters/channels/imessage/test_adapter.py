"""iMessage against the local server where the suite does not look: the proof in the address, and what webhooks did not bring."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.adapters.channels.imessage import adapter
from carapax.core.terms.channel import (
    Attached,
    Feature,
    Heard,
    HookRequest,
    OutFile,
    Outgoing,
    Place,
    Received,
    Removed,
)
from carapax.core.terms.error import CarapaxError, StoreUnavailable
from carapax.ports.channel import Channel, ChannelFailed, SendRefused
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.looped import looped
from tests.fakes.platforms import imessage as fake
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock, until

ALICE = Place("imessage", fake.private_chat("alice"))


class Here:
    def __init__(self) -> None:
        self.server = fake.FakeBlueBubbles()
        self.notes = Notes()
        self.vault = DictVault({"pw": fake.PASSWORD, "word": fake.WORD})
        self.heard: list[Heard] = []
        self.lines: list[str] = []
        self.refuse = 0

    def open(self, **more: str) -> Channel:
        values = {"server": f"http://127.0.0.1:{self.server.server.port}"} | more
        secrets = {"password": "pw", "hook": "word"}
        egress = DirectEgress(self.vault)
        return open_channel(
            "imessage", Opening("imessage", values, secrets, egress, self.notes, ShiftedClock(), self.lines.append)
        )

    async def hear(self, heard: Heard) -> None:
        if self.refuse:
            self.refuse -= 1
            raise StoreUnavailable("The disk is full.")
        self.heard.append(heard)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Channel]:
        channel = self.open()
        ups: list[str] = []
        task = asyncio.create_task(channel.run(self.hear, ups.append))
        try:
            await until(lambda: ups or task.done())
            if task.done():
                await task
            yield channel
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, CarapaxError):
                await task
            await channel.close()

    def texts(self) -> list[str]:
        return [heard.text for heard in self.heard if isinstance(heard, Received)]


@asynccontextmanager
async def served() -> AsyncIterator[Here]:
    here = Here()
    await here.server.server.start()
    try:
        yield here
    finally:
        await here.server.server.stop()


def hook(
    data: dict[str, Any], type: str = "new-message", path: str = f"/{fake.WORD}", method: str = "POST"
) -> HookRequest:
    return HookRequest(
        method, path, "", (("content-type", "application/json"),), json.dumps({"type": type, "data": data}).encode()
    )


@looped
async def test_only_the_word_at_the_end_of_the_address_is_believed() -> None:
    async with served() as here:
        channel = here.open()
        data = here.server.message("alice", ALICE.chat, "let me in")
        wrong = fake.WORD[:-1] + "0"
        for path in ("", "/", f"/{wrong}", f"/{fake.WORD}/", f"/{fake.WORD}x", f"//{fake.WORD}", f"/x/{fake.WORD}",
                     f"/{fake.WORD.upper()}", "/\ud800" + "x" * 40, f"/{fake.WORD}" * 50, "/None", "/" + "w" * 40):  # fmt: skip
            assert (await channel.hook(hook(data, path=path), here.hear)).status == 401, path
        assert not here.heard
        assert (await channel.hook(hook(data, method="GET"), here.hear)).status == 405
        assert (await channel.hook(hook(data), here.hear)).status == 200 and here.texts() == ["let me in"]
        here.vault.drop_secret("word")
        assert (await channel.hook(hook(data), here.hear)).status == 401
        await channel.close()


@looped
async def test_what_is_no_webhook_is_answered_and_heard_by_nobody() -> None:
    async with served() as here:
        channel = here.open()
        for body, status in (
            (b"", 400),
            (b"\xff", 400),
            (b"[]", 400),
            (b'{"type": "new-message"}', 200),
            (b"x" * (2 << 20), 413),
        ):
            request = HookRequest("POST", f"/{fake.WORD}", "", (), body)
            assert (await channel.hook(request, here.hear)).status == status
        assert not here.heard
        await channel.close()


@looped
async def test_what_webhooks_did_not_bring_is_asked_for_once() -> None:
    async with served() as here:
        async with here.running():
            pass
        here.server.message("alice", ALICE.chat, "while away")
        here.server.message("alice", ALICE.chat, "own", isFromMe=True)
        here.server.message("bob", ALICE.chat, "in no chat", chats=[])
        async with here.running():
            await until(lambda: here.texts() == ["while away"])
        async with here.running() as channel:
            data = here.server.message("alice", ALICE.chat, "by webhook")
            assert (await channel.hook(hook(data), here.hear)).status == 200
        async with here.running():
            here.server.message("alice", ALICE.chat, "last")
        async with here.running():
            await until(lambda: "last" in here.texts())
        assert here.texts() == ["while away", "by webhook", "last"]
        assert any("passed over" in line for line in here.lines)


@looped
async def test_what_the_store_refused_is_asked_for_at_once() -> None:
    async with served() as here, here.running() as channel:
        here.refuse = 1
        data = here.server.message("alice", ALICE.chat, "kept after all")
        with pytest.raises(StoreUnavailable):
            await channel.hook(hook(data), here.hear)
        await until(lambda: here.texts() == ["kept after all"])


@looped
async def test_many_missed_messages_come_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "BATCH", 4)
    async with served() as here:
        async with here.running():
            pass
        wanted = [f"m{number:02}" for number in range(11)]
        for text in wanted:
            here.server.message("alice", ALICE.chat, text)
        async with here.running():
            await until(lambda: len(here.heard) == 11)
        assert here.texts() == wanted


@looped
async def test_a_reply_to_the_agent_is_meant_for_it() -> None:
    async with served() as here, here.running() as channel:
        group = Place("imessage", fake.GROUP, private=False)
        sent = await channel.send(Outgoing(group, "Shall I?", "k"))
        for origin in (sent.message, "SOMEBODY-ELSES"):
            data = here.server.message("bob", fake.GROUP, "yes", threadOriginatorGuid=origin)
            await channel.hook(hook(data), here.hear)
        assert [heard.addressed for heard in here.heard if isinstance(heard, Received)] == [True, False]


@looped
async def test_only_who_left_is_told() -> None:
    async with served() as here, here.running() as channel:
        joined = here.server.message("bob", fake.GROUP, "", itemType=1)
        assert (await channel.hook(hook(joined, "participant-added"), here.hear)).status == 200 and not here.heard
        here.server.group.remove(fake.PEOPLE["bob"])
        await channel.hook(
            hook(here.server.message("bob", fake.GROUP, "", itemType=1), "participant-removed"), here.hear
        )
        assert [heard.person for heard in here.heard if isinstance(heard, Removed)] == [fake.PEOPLE["bob"]]


@looped
async def test_a_part_that_was_sent_is_not_sent_again() -> None:
    async with served() as here:
        channel = here.open()
        here.server.faults = []
        file = OutFile("a.txt", "text/plain", b"x")
        here.server.drops_after_send = 1
        with pytest.raises(ChannelFailed) as caught:
            await channel.send(Outgoing(ALICE, "text", "k1"))
        assert caught.value.unknown
        here.server.faults = [fake.Fault(429, 3)]
        with pytest.raises(ChannelFailed) as caught:
            await channel.send(Outgoing(ALICE, "", "k2", files=(file,)))
        assert not caught.value.unknown and caught.value.retry_after_ms == 3_000
        here.server.password = fake.PASSWORD
        await channel.close()


@looped
async def test_a_failure_behind_the_text_leaves_the_outcome_unknown() -> None:
    async with served() as here:
        channel = here.open()
        files = (OutFile("a.txt", "text/plain", b"x"),)
        original = here.server._put

        def put(chat: str, text: str, reply: str | None, sent: list[tuple[str, bytes]]) -> Any:
            here.server.faults = [fake.Fault(429, 3)]  # the next request: the file
            return original(chat, text, reply, sent)

        here.server._put = put  # type: ignore[method-assign]
        with pytest.raises(ChannelFailed) as caught:
            await channel.send(Outgoing(ALICE, "text", "k", files=files))
        assert caught.value.unknown
        await channel.close()


@looped
async def test_without_the_private_api_less_is_possible() -> None:
    async with served() as here:
        channel = here.open(private="no")
        assert not channel.facts().features & {Feature.EDIT, Feature.TYPING, Feature.REACT, Feature.REPLY}
        for wrong in (channel.edit(ALICE, "A", "x"), channel.typing(ALICE), channel.react(ALICE, "A", "👍")):
            with pytest.raises(SendRefused):
                await wrong
        sent = await channel.send(Outgoing(ALICE, "plain", "k", reply_to="A-1"))
        assert here.server.messages[sent.message]["threadOriginatorGuid"] is None
        await channel.close()
        here.server.private_api = False
        other = here.open()
        assert any("not connected" in line for line in await other.test())
        await other.close()


@looped
async def test_places_messages_and_marks_that_are_none_are_refused() -> None:
    async with served() as here:
        channel = here.open()
        nowhere = Place("imessage", "+33600000001")
        for wrong in (
            channel.send(Outgoing(nowhere, "x", "k")),
            channel.edit(ALICE, "../x?", "x"),
            channel.typing(nowhere),
            channel.react(ALICE, "A-1", "🦀"),
            channel.react(ALICE, "a b", "👍"),
            channel.fetch(Attached("a b"), 5),
            channel.fetch(Attached("GONE"), 5),
            channel.members(nowhere),
        ):
            with pytest.raises(SendRefused):
                await wrong
        await channel.close()


@looped
async def test_no_secret_is_in_an_error() -> None:
    async with served() as here:
        here.server.password = "another"
        channel = here.open()
        with pytest.raises(CarapaxError) as caught:
            await channel.test()
        assert fake.PASSWORD not in str(caught.value) and fake.PASSWORD not in caught.value.what
        await channel.close()
