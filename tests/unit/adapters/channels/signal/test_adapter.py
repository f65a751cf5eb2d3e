"""Signal against the local daemon where the suite does not look: outcomes of sends, edits of edits, and what is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from carapax.adapters.channels.catalogue import Opening, check_answers, get_manifest, open_channel
from carapax.core.terms.channel import Attached, Heard, HookRequest, Outgoing, Place, Received, Removed
from carapax.core.terms.error import CarapaxError, Malformed
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, SendRefused
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.looped import looped
from tests.fakes.platforms import signal as fake
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock, until

ALICE = Place("signal", fake.PEOPLE["alice"])


class Here:
    def __init__(self) -> None:
        self.signal = fake.FakeSignal()
        self.notes = Notes()
        self.heard: list[Heard] = []
        self.lines: list[str] = []

    def open(self, **more: str) -> Channel:
        values = {"server": f"http://127.0.0.1:{self.signal.server.port}", "account": fake.ACCOUNT} | more
        opening = Opening(
            "signal", values, {}, DirectEgress(DictVault()), self.notes, ShiftedClock(), self.lines.append
        )
        return open_channel("signal", opening)

    async def hear(self, heard: Heard) -> None:
        self.heard.append(heard)

    @asynccontextmanager
    async def running(self, **more: str) -> AsyncIterator[Channel]:
        channel = self.open(**more)
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

    async def until_heard(self, count: int) -> None:
        await until(lambda: len(self.heard) >= count)


@asynccontextmanager
async def served() -> AsyncIterator[Here]:
    here = Here()
    await here.signal.server.start()
    try:
        yield here
    finally:
        await here.signal.cut()
        await here.signal.server.stop()


def said(text: str, stamp: int, **more: Any) -> dict[str, Any]:
    return {"timestamp": stamp, "message": text, **more}


@looped
async def test_what_came_while_away_comes_once_and_in_order() -> None:
    async with served() as here:
        async with here.running():
            here.signal.push("alice", dataMessage=said("one", 1_001))
            await here.until_heard(1)
        assert here.notes.kept["event"] == b"1"
        here.signal.push("alice", dataMessage=said("two", 1_002))
        here.signal.push("bob", typingMessage={"action": "STARTED", "timestamp": 1_003})
        here.signal.push("bob", dataMessage=said("three", 1_004))
        async with here.running():
            await here.until_heard(3)
        assert [heard.text for heard in here.heard if isinstance(heard, Received)] == ["one", "two", "three"]


@looped
async def test_a_first_start_does_not_read_what_is_old() -> None:
    async with served() as here:
        here.signal.push("alice", dataMessage=said("old", 1_001))
        async with here.running():
            here.signal.push("alice", dataMessage=said("new", 1_002))
            await here.until_heard(1)
        assert [heard.text for heard in here.heard if isinstance(heard, Received)] == ["new"]


@looped
async def test_an_edit_of_an_edit_replaces_the_first() -> None:
    async with served() as here, here.running():
        here.signal.push("alice", dataMessage=said("one", 1_001))
        here.signal.push("alice", editMessage={"targetSentTimestamp": 1_001, "dataMessage": said("two", 1_002)})
        here.signal.push("alice", editMessage={"targetSentTimestamp": 1_002, "dataMessage": said("three", 1_003)})
        await here.until_heard(3)
        assert {heard.message for heard in here.heard if isinstance(heard, Received)} == {
            f"1001:{fake.PEOPLE['alice']}"
        }
        assert len({heard.event for heard in here.heard}) == 3


@looped
async def test_what_is_no_event_is_passed_over_and_said() -> None:
    async with served() as here, here.running():
        here.signal.push_raw({"envelope": {"sourceUuid": 7}})
        here.signal.push("alice", dataMessage=said("after", 1_001))
        await here.until_heard(1)
        assert any("passed over" in line for line in here.lines)


@looped
async def test_an_update_that_changes_no_member_is_nobodys() -> None:
    async with served() as here, here.running():
        info = {"groupId": fake.GROUP, "type": "UPDATE"}
        here.signal.push("alice", dataMessage=said("", 1_001, groupInfo=info))
        here.signal.group.remove(fake.PEOPLE["bob"])
        here.signal.push("alice", dataMessage=said("", 1_002, groupInfo=info))
        await here.until_heard(1)
        (gone,) = here.heard
        assert isinstance(gone, Removed) and gone.person == fake.PEOPLE["bob"]


@pytest.mark.parametrize(
    ("types", "wanted"),
    [
        (["UNREGISTERED_FAILURE"], SendRefused),
        (["IDENTITY_FAILURE"], SendRefused),
        (["NETWORK_FAILURE"], ChannelFailed),
        (["RATE_LIMIT_FAILURE", "UNREGISTERED_FAILURE"], ChannelFailed),
        (["SUCCESS", "UNREGISTERED_FAILURE"], None),
    ],
)
def test_a_send_that_reached_nobody_failed(types: list[str], wanted: type[CarapaxError] | None) -> None:
    @looped
    async def inside() -> None:
        async with served() as here:
            channel = here.open()
            here.signal.results = [{"recipientAddress": {"uuid": ALICE.chat}, "type": type} for type in types]
            if wanted is None:
                assert (await channel.send(Outgoing(ALICE, "x", "k"))).message
            else:
                with pytest.raises(wanted):
                    await channel.send(Outgoing(ALICE, "x", "k"))
            await channel.close()

    inside()


@pytest.mark.parametrize(
    ("code", "message", "wanted", "unknown"),
    [
        (-1, "Unregistered user", SendRefused, False),
        (-3, "Connection reset", ChannelFailed, True),
        (-5, "Rate limit exceeded", ChannelFailed, False),
        (-4, "Untrusted identity", SendRefused, False),
        (-3, "[403] Authorization failed!", CredentialRefused, False),
        (-32601, "Method not implemented", SendRefused, False),
    ],
)
def test_errors_of_the_daemon(code: int, message: str, wanted: type[CarapaxError], unknown: bool) -> None:
    @looped
    async def inside() -> None:
        async with served() as here:
            channel = here.open(account=fake.OWN)
            here.signal.refuse = fake.RpcError(code, message)
            with pytest.raises(wanted) as caught:
                await channel.send(Outgoing(ALICE, "x", "k"))
            assert getattr(caught.value, "unknown", False) is unknown
            await channel.close()

    inside()


@looped
async def test_an_account_without_a_number_is_its_id() -> None:
    async with served() as here, here.running(account=fake.OWN) as channel:
        assert fake.OWN in (await channel.test())[0]
        assert "getUserStatus" not in [method for method, _ in here.signal.calls]


@looped
async def test_places_and_messages_that_are_none_are_refused() -> None:
    async with served() as here:
        channel = here.open()
        nowhere = Place("signal", "+33123456789")
        for wrong in (
            channel.send(Outgoing(nowhere, "x", "k")),
            channel.send(Outgoing(ALICE, "x", "k", reply_to="5")),
            channel.edit(ALICE, "5", "x"),
            channel.typing(nowhere),
            channel.react(ALICE, "x", "👍"),
            channel.fetch(Attached("x"), 5),
            channel.fetch(Attached(f"gone|{ALICE.chat}"), 5),
        ):
            with pytest.raises(SendRefused):
                await wrong
        assert (await channel.hook(HookRequest("POST", "", "", (), b""), here.hear)).status == 404
        assert await channel.members(ALICE) is None
        await channel.close()


@looped
async def test_nobody_listens() -> None:
    here = Here()
    here.signal.server.port = 1
    channel = here.open()
    with pytest.raises(CarapaxError):
        await channel.run(here.hear, here.lines.append)
    await channel.close()


@pytest.mark.parametrize(
    ("server", "account", "fine"),
    [
        ("http://127.0.0.1:8080", "+33123456789", True),
        ("https://signal.example.org", fake.OWN, True),
        ("ftp://127.0.0.1", "+33123456789", False),
        ("http://127.0.0.1:8080/x", "+33123456789", False),
        ("http://127.0.0.1:8080", "33123456789", False),
        ("http://127.0.0.1:8080", "Alice", False),
    ],
)
def test_the_answers_of_the_set_up(server: str, account: str, fine: bool) -> None:
    values = {"server": server, "account": account}
    if fine:
        check_answers(get_manifest("signal"), values, {})
    else:
        with pytest.raises(Malformed):
            check_answers(get_manifest("signal"), values, {})
