"""Mattermost's adapter beyond the suite: catching up, presses and their proofs, and unknown outcomes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.mattermost.adapter import open_channel
from carapax.adapters.channels.mattermost.cursor import MOST, NOTE, OVERLAP_MS, Cursor
from carapax.core.terms.channel import (
    Attached,
    Button,
    Evidence,
    Feature,
    Heard,
    HookRequest,
    Outgoing,
    Place,
    Received,
    Removed,
)
from carapax.core.terms.error import Malformed, StoreUnavailable
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, SendRefused
from tests.conformance.channel.rig import Says
from tests.conformance.channel.rigs.mattermost import MattermostRig
from tests.fakes.platforms import mattermost as fake
from tests.fakes.platforms.serving import Notes, until

ALICE = Place("mattermost", fake.DMS["alice"])
GROUP = Place("mattermost", fake.GROUP, private=False)


class Ear:
    """A run of a channel, and what it heard."""

    def __init__(self, channel: Channel) -> None:
        self.heard: list[Heard] = []
        self.lines: list[str] = []
        self.refuse = 0
        self.task = asyncio.create_task(channel.run(self.hear, self.lines.append))

    async def hear(self, heard: Heard) -> None:
        if self.refuse:
            self.refuse -= 1
            raise StoreUnavailable("full")
        self.heard.append(heard)

    async def up(self) -> None:
        await until(lambda: self.lines or self.task.done())
        assert self.lines, self.task

    def texts(self) -> list[str]:
        return [heard.text for heard in self.heard if isinstance(heard, Received)]

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])

    async def failure(self) -> BaseException | None:
        await asyncio.wait([self.task], timeout=10)
        return self.task.exception()


def play(test: Callable[[MattermostRig, Channel], Coroutine[Any, Any, None]], *, buttons: bool = True) -> None:
    async def inside() -> None:
        rig = MattermostRig(buttons=buttons)
        await rig.start()
        channel = rig.open()
        try:
            async with asyncio.timeout(30):
                await test(rig, channel)
        finally:
            for opened in rig.opened:
                await opened.close()
            await rig.stop()

    asyncio.run(inside())


def test_the_first_start_asks_for_nothing_old() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        await rig.say(Says("long ago"))
        ear = Ear(channel)
        await ear.up()
        await rig.say(Says("now"))
        await until(lambda: ear.texts())
        assert ear.texts() == ["now"]
        await ear.end()

    play(test)


def test_everything_that_was_missed_is_asked_for_once() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        ear = Ear(channel)
        await ear.up()
        kept = await rig.say(Says("kept"))
        changed = await rig.say(Says("to be changed", "bob", chat=fake.GROUP))
        await until(lambda: len(ear.heard) == 2)
        await ear.end()
        await rig.say(Says("first missed"))
        await rig.say(Says("changed", edits=changed))
        await rig.say(Says("second missed", "bob", chat=fake.GROUP, mention=True))
        fresh = await rig.say(Says("before its change"))
        await rig.say(Says("changed before it was heard", edits=fresh))
        await rig.say(Says(deletes=kept))
        rig.mattermost.members[fake.GROUP].remove(fake.PEOPLE["bob"])
        rig.mattermost.add(fake.GROUP, fake.PEOPLE["bob"], "left", type="system_leave_channel")
        again = Ear(rig.open())
        await again.up()
        received = [heard for heard in again.heard if isinstance(heard, Received)]
        assert sorted(heard.text for heard in received) == [
            "changed", "changed before it was heard", "first missed", "second missed",
        ]  # fmt: skip
        assert {heard.text for heard in received if heard.edited} == {"changed"}
        assert {(heard.message, heard.person) for heard in again.heard if isinstance(heard, Removed)} == {
            (kept, ""), ("", fake.PEOPLE["bob"]),
        }  # fmt: skip
        await again.end()
        third = Ear(rig.open())
        await third.up()
        assert third.heard == []
        await third.end()

    play(test)


def test_what_the_store_refused_is_not_passed_by_the_cursor() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        ear = Ear(channel)
        await ear.up()
        ear.refuse = 1
        await rig.say(Says("first"))
        await rig.say(Says("second"))
        assert isinstance(await ear.failure(), ChannelFailed) and ear.heard == []
        again = Ear(rig.open())
        await until(lambda: again.texts() == ["first", "second"])
        await again.end()

    play(test)


def test_a_cursor_is_bounded_and_survives_a_note_that_is_none() -> None:
    async def inside() -> None:
        notes = Notes()
        cursor = Cursor(notes)
        for number in range(MOST + 50):
            await cursor.took(f"event {number}", 1_000_000 + number)
        assert len(json.loads(notes.kept[NOTE])["seen"]) == MOST
        await cursor.took("much later", 1_000_000 + 2 * OVERLAP_MS + MOST)
        assert cursor.knows("much later") and not cursor.knows("event 540")
        again = Cursor(notes)
        await again.load()
        assert again.newest_ms == cursor.newest_ms and again.knows("much later")
        await again.took("late", 1_000_000)
        assert again.newest_ms == cursor.newest_ms
        notes.kept[NOTE] = b"[]"
        await again.load()
        assert again.newest_ms is None and again.since_ms == 0

    asyncio.run(inside())


def test_a_thread_that_the_agent_began_is_addressed_to_it() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        ear = Ear(channel)
        await ear.up()
        mine = (await channel.send(Outgoing(GROUP, "shall I?", "k"))).message
        other = await rig.say(Says("a thread of people", "bob", chat=fake.GROUP))
        await rig.say(Says("yes", "bob", chat=fake.GROUP, thread=mine))
        await rig.say(Says("among us", "bob", chat=fake.GROUP, thread=other))
        await until(lambda: len(ear.heard) == 3)
        addressed = {heard.text: heard.addressed for heard in ear.heard if isinstance(heard, Received)}
        assert addressed == {"a thread of people": False, "yes": True, "among us": False}
        await ear.end()

    play(test)


def test_who_leaves_the_team_leaves_its_channels() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        ear = Ear(channel)
        await ear.up()
        await rig.mattermost.tell("leave_team", {"team_id": fake.TEAM, "user_id": fake.ME})
        await rig.mattermost.tell("leave_team", {"team_id": fake.TEAM, "user_id": fake.PEOPLE["bob"]})
        await until(lambda: ear.heard)
        (gone,) = ear.heard
        assert isinstance(gone, Removed) and gone.person == fake.PEOPLE["bob"] and gone.place == GROUP
        await ear.end()

    play(test)


def test_what_is_not_understood_is_logged_and_passed() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        ear = Ear(channel)
        await ear.up()
        await rig.mattermost.tell("posted", {"post": json.dumps({"id": "x", "channel_id": fake.GROUP})})
        await rig.mattermost.tell("posted", {"post": json.dumps({"id": "x", "channel_id": "z" * 26})})
        await rig.mattermost.tell("status_change", {"status": "away"})
        await rig.say(Says("fine"))
        await until(lambda: ear.texts() == ["fine"])
        assert len(rig.log) == 2
        await ear.end()

    play(test)


@pytest.mark.parametrize("hello", ["posted", ""])
def test_a_socket_without_a_hello_is_none(hello: str) -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        rig.mattermost.hello = hello
        assert isinstance(await Ear(channel).failure(), ChannelFailed)

    play(test)


def test_a_token_that_is_revoked_is_refused_at_the_next_run() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        ear = Ear(channel)
        await ear.up()
        await rig.refuse_credential()
        assert isinstance(await ear.failure(), ChannelFailed)
        assert isinstance(await Ear(rig.open()).failure(), CredentialRefused)

    play(test)


async def asked(rig: MattermostRig, channel: Channel) -> str:
    return (
        await channel.send(Outgoing(GROUP, "Allow?", "key", buttons=(Button("Yes", "yes"), Button("No", "no"))))
    ).message


def test_a_press_is_heard_once_with_its_person_and_place() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        heard: list[Heard] = []

        async def hear(what: Heard) -> None:
            heard.append(what)

        body = rig.mattermost.press(await asked(rig, channel), "yes", fake.PEOPLE["bob"])
        request = HookRequest("POST", "", "", (), body)
        assert [(await channel.hook(request, hear)).status for _ in range(2)] == [200, 401]
        assert (await rig.open().hook(request, hear)).status == 401
        (press,) = heard
        assert isinstance(press, Received) and press.sender.id == fake.PEOPLE["bob"] and press.place == GROUP
        assert press.pressed == "yes" and press.evidence is Evidence.SIGNED

    play(test)


def test_a_press_that_was_not_kept_may_come_again() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        heard: list[Heard] = []

        async def full(what: Heard) -> None:
            raise StoreUnavailable("full")

        async def hear(what: Heard) -> None:
            heard.append(what)

        request = HookRequest(
            "POST", "", "", (), rig.mattermost.press(await asked(rig, channel), "no", fake.PEOPLE["bob"])
        )
        assert (await channel.hook(request, full)).status == 503
        assert (await channel.hook(request, hear)).status == 200 and len(heard) == 1

    play(test)


def test_a_forged_press_is_refused() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        async def hear(what: Heard) -> None:
            raise AssertionError(what)

        post = await asked(rig, channel)
        elsewhere = (await channel.send(Outgoing(ALICE, "another question", "key2"))).message
        theirs = await rig.say(Says("of a person", "bob", chat=fake.GROUP))
        bob, now_ms = fake.PEOPLE["bob"], int(time.time() * 1000)
        context = rig.mattermost.actions[post][0]["integration"]["context"]
        forged = [
            ({**context, "data": "no"}, fake.GROUP, post, now_ms),
            ({**context, "mac": "00" * 32}, fake.GROUP, post, now_ms),
            ({**context, "mac": ""}, fake.GROUP, post, now_ms),
            ({**context, "key": "x"}, fake.GROUP, post, now_ms),
            ({}, fake.GROUP, post, now_ms),
            (context, fake.DMS["alice"], post, now_ms),
            (context, fake.DMS["alice"], elsewhere, now_ms),
            (context, fake.GROUP, theirs, now_ms),
            (context, fake.GROUP, "z" * 26, now_ms),
            (context, fake.GROUP, post, now_ms - 301_000),
            (context, fake.GROUP, post, now_ms + 301_000),
        ]
        for changed, channel_id, post_id, at_ms in forged:
            body = rig.mattermost.press_body(changed, channel_id, post_id, bob, at_ms)
            assert (await channel.hook(HookRequest("POST", "", "", (), body), hear)).status == 401, changed
        for method, path, status in (("GET", "", 404), ("POST", "/x", 404), ("POST", "", 401)):
            assert (await channel.hook(HookRequest(method, path, "", (), b"{}"), hear)).status == status

    play(test)


def test_without_a_public_address_there_are_no_buttons() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        assert not channel.facts().features & {Feature.BUTTONS, Feature.HOOK}
        await channel.send(Outgoing(ALICE, "Allow?", "k", buttons=(Button("Yes", "yes"),)))
        assert [seen.buttons for seen in await rig.seen()] == [()]
        assert (await channel.hook(HookRequest("POST", "", "", (), b""), Ear.hear)).status == 404  # type: ignore[arg-type]

    play(test, buttons=False)


@pytest.mark.parametrize(("values", "secrets"), [({"public_url": "https://x"}, {}), ({}, {"hook_secret": "h"})])
def test_buttons_need_both_halves(values: dict[str, str], secrets: dict[str, str]) -> None:
    opening = Opening(
        "m", {"server": "https://chat.example.org", **values}, {"token": "t", **secrets}, None, None, None
    )  # type: ignore[arg-type]
    with pytest.raises(Malformed, match="Buttons"):
        open_channel(opening)


def test_a_pending_id_is_one_post_for_half_a_minute() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        rig.mattermost.pending_s = 30
        first = await channel.send(Outgoing(ALICE, "once", "same"))
        assert await channel.send(Outgoing(ALICE, "once", "same")) == first and len(await rig.seen()) == 1

    play(test)


def test_a_send_whose_connection_breaks_is_unknown() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        await channel.test()
        rig.mattermost.breaks = True
        with pytest.raises(ChannelFailed) as caught:
            await channel.send(Outgoing(ALICE, "lost?", "k"))
        assert caught.value.unknown

    play(test)


@pytest.mark.parametrize("id", ["../users/me", "x", "", "A" * 26])
def test_an_id_cannot_lead_to_another_path(id: str) -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        for wanted in (
            channel.edit(ALICE, id, "x"), channel.react(ALICE, id, "👀"), channel.fetch(Attached(id), 10),
            channel.members(Place("mattermost", id)),
        ):  # fmt: skip
            with pytest.raises(SendRefused):
                await wanted
        assert {path for _, path in rig.mattermost.calls} <= {"/users/me"}

    play(test)


def test_members_come_in_pages() -> None:
    async def test(rig: MattermostRig, channel: Channel) -> None:
        rig.mattermost.members[fake.GROUP] += [f"m{number}".ljust(26, "q") for number in range(450)]
        found = await channel.members(GROUP)
        assert found is not None and len(found) == 452
        rig.mattermost.members[fake.GROUP] = [f"m{number}".ljust(26, "q") for number in range(10_050)]
        assert await channel.members(GROUP) is None

    play(test)
