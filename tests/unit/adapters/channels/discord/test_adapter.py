"""Discord's adapter beyond the suite: the gateway's opcodes and codes, sessions over restarts, and a foreign client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.channels.discord import gateway
from carapax.core.terms.channel import Attached, Heard, HookRequest, Outgoing, Place, Received, Removed
from carapax.core.terms.error import StoreUnavailable
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, SendRefused
from tests.conformance.channel.rig import Says
from tests.conformance.channel.rigs.discord import DiscordRig
from tests.fakes.platforms import discord as fake
from tests.fakes.platforms.serving import LOOPBACK_ONLY, until

PYTHON = Path(__file__).parents[5] / ".venv-peers/bin/python"
ALICE = Place("discord", fake.DMS["alice"])


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

    async def up(self, times: int = 1) -> None:
        await until(lambda: len(self.lines) >= times or self.task.done())
        assert len(self.lines) >= times, self.task

    def texts(self) -> list[str]:
        return [heard.text for heard in self.heard if isinstance(heard, Received)]

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])

    async def failure(self) -> BaseException | None:
        await asyncio.wait([self.task], timeout=10)
        return self.task.exception()


def play(test: Callable[[DiscordRig, Channel], Coroutine[Any, Any, None]]) -> None:
    async def inside() -> None:
        rig = DiscordRig()
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


def test_the_session_is_identified_with_its_intents_and_resumed_after_a_restart() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        ear = Ear(channel)
        await ear.up()
        await rig.say(Says("one"))
        await until(lambda: ear.texts() == ["one"])
        await ear.end()
        await until(lambda: rig.discord.live is None)
        await rig.say(Says("two"))
        again = Ear(rig.open())
        await again.up()
        await until(lambda: "two" in again.texts())
        assert rig.discord.resumed == 1 and len(rig.discord.identified) == 1
        assert rig.discord.identified[0]["intents"] == 1 | 1 << 1 | 1 << 9 | 1 << 12 | 1 << 15
        await again.end()

    play(test)


@pytest.mark.parametrize(("op", "body"), [(7, None), (9, True)])
def test_a_wish_to_reconnect_resumes_within_the_same_run(op: int, body: object) -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        ear = Ear(channel)
        await ear.up()
        await rig.discord.command(op, body)
        await ear.up(2)
        assert rig.discord.resumed == 1
        await rig.say(Says("after"))
        await until(lambda: ear.texts() == ["after"])
        await ear.end()

    play(test)


def test_wishes_without_end_fail() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        ear = Ear(channel)
        for times in range(1, 5):
            await ear.up(times)
            await rig.discord.command(7)
        failure = await ear.failure()
        assert isinstance(failure, ChannelFailed) and failure.retry_after_ms

    play(test)


def test_a_session_that_is_no_good_is_forgotten_and_what_was_missed_is_asked_for() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        ear = Ear(channel)
        await ear.up()
        await rig.say(Says("first"))
        await rig.say(Says("in the group", chat=fake.GROUP, mention=True))
        await until(lambda: len(ear.heard) == 2)
        await rig.discord.command(9, False)
        failure = await ear.failure()
        assert isinstance(failure, ChannelFailed) and 1_000 <= failure.retry_after_ms <= 5_000
        rig.discord.live = None
        missed = [f"missed {number}" for number in range(5)]
        for text in missed:
            await rig.say(Says(text))
        await rig.say(Says("called meanwhile", chat=fake.GROUP, mention=True))
        again = Ear(rig.open())
        await again.up()
        assert [text for text in again.texts() if text in missed] == missed
        (called,) = (heard for heard in again.heard if isinstance(heard, Received) and heard.text == "called meanwhile")
        assert called.addressed and not called.place.private
        assert len(rig.discord.identified) == 2 and rig.discord.resumed == 0
        await again.end()
        third = Ear(rig.open())
        await third.up()
        assert third.heard == []
        await third.end()

    play(test)


def test_a_channel_that_is_gone_is_not_caught_up() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        note = {"id": "", "seq": 0, "url": "", "latest": {"999": "1", fake.DMS["alice"]: "1"}}
        rig.notes.kept[gateway.NOTE] = json.dumps(note).encode()
        ear = Ear(channel)
        await ear.up()
        assert json.loads(rig.notes.kept[gateway.NOTE])["latest"] == {fake.DMS["alice"]: "1"}
        await ear.end()

    play(test)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (4004, CredentialRefused),
        (4013, CredentialRefused),
        (4014, CredentialRefused),
        (4009, ChannelFailed),
        (4000, ChannelFailed),
    ],
)
def test_a_closing_code_says_whether_to_wait(code: int, error: type[Exception]) -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        ear = Ear(channel)
        await ear.up()
        await rig.discord.close_with(code)
        assert isinstance(await ear.failure(), error)
        assert bool(json.loads(rig.notes.kept[gateway.NOTE])["id"]) == (code != 4009)

    play(test)


def test_missing_intents_are_explained() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        rig.discord.allowed_intents = 1 | 1 << 9
        failure = await Ear(channel).failure()
        assert isinstance(failure, CredentialRefused) and "Message Content Intent" in failure.what

    play(test)


def test_hearts_beat_and_silence_is_noticed() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        rig.discord.beat_ms = 250
        ear = Ear(channel)
        await ear.up()
        await until(lambda: rig.discord.beats >= 3)
        await rig.discord.command(1)
        rig.discord.answers_beats = False
        failure = await ear.failure()
        assert isinstance(failure, ChannelFailed) and "heartbeats" in failure.what

    play(test)


@pytest.mark.parametrize("beat_ms", [0, 10_000_000, "often", None])
def test_a_hello_without_a_sensible_beat_is_none(beat_ms: object) -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        rig.discord.beat_ms = beat_ms  # type: ignore[assignment]
        assert isinstance(await Ear(channel).failure(), ChannelFailed)

    play(test)


def test_no_more_connections_today_is_waited_for() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        rig.discord.remaining = 0
        failure = await Ear(channel).failure()
        assert isinstance(failure, ChannelFailed) and failure.retry_after_ms == 7_000

    play(test)


def test_what_the_store_refused_is_not_passed_by_the_sequence() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
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


def test_a_press_is_acknowledged_after_it_was_taken() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        ear = Ear(channel)
        await ear.up()
        message = await rig.say(Says("x"))
        await rig.say(Says(presses="yes:1", edits=message))
        await until(lambda: rig.discord.callbacks)
        assert [heard.pressed for heard in ear.heard if isinstance(heard, Received)] == ["", "yes:1"]
        ear.refuse = 1
        await rig.say(Says(presses="yes:1", edits=message))
        assert isinstance(await ear.failure(), ChannelFailed) and len(rig.discord.callbacks) == 1

    play(test)


def test_an_event_that_is_not_understood_is_logged_and_passed() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        ear = Ear(channel)
        await ear.up()
        await rig.discord.dispatch("MESSAGE_CREATE", {"channel_id": ALICE.chat, "id": "x", "author": {"id": "1"}})
        await rig.discord.dispatch("MESSAGE_CREATE", {"channel_id": "404", "id": "1", "author": {"id": "1"}})
        await rig.discord.dispatch("TYPING_START", {"channel_id": 7})
        await rig.say(Says("fine"))
        await until(lambda: ear.texts() == ["fine"])
        assert len(rig.log) == 2
        await ear.end()

    play(test)


def test_a_leaver_is_told_for_every_text_channel_and_the_agent_is_none() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        rig.discord.channels["400000000000000002"] = {"id": "400000000000000002", "type": 0, "guild_id": fake.GUILD}
        ear = Ear(channel)
        await ear.up()
        await rig.discord.dispatch("GUILD_MEMBER_REMOVE", {"guild_id": fake.GUILD, "user": {"id": fake.ME}})
        await rig.leave("bob")
        await until(lambda: len(ear.heard) == 2)
        gone = [heard for heard in ear.heard if isinstance(heard, Removed)]
        assert {heard.place.chat for heard in gone} == {fake.GROUP, "400000000000000002"}
        assert {heard.person for heard in gone} == {fake.PEOPLE["bob"]} and len({heard.event for heard in gone}) == 2
        await ear.end()

    play(test)


def test_the_same_key_within_minutes_is_one_message() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        rig.discord.nonce_s = 60
        first = await channel.send(Outgoing(ALICE, "once", "same"))
        assert await channel.send(Outgoing(ALICE, "once", "same")) == first
        assert len(await rig.seen()) == 1

    play(test)


def test_a_send_whose_connection_breaks_is_unknown() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        rig.discord.breaks = True
        with pytest.raises(ChannelFailed) as caught:
            await channel.send(Outgoing(ALICE, "lost?", "k"))
        assert caught.value.unknown

    play(test)


@pytest.mark.parametrize("id", ["../guilds/1", "1/2", "", "x" * 5, "1" * 30, "１"])
def test_an_id_cannot_lead_to_another_path(id: str) -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        place = Place("discord", id)
        for asked in (
            channel.send(Outgoing(place, "x", "k")), channel.edit(ALICE, id, "x"), channel.typing(place),
            channel.react(ALICE, id, "👀"), channel.fetch(Attached(f"{id.replace('/', '%2F')}/1/2"), 10), channel.members(place),
        ):  # fmt: skip
            with pytest.raises(SendRefused):
                await asked
        assert not [path for _, path in rig.discord.calls if path != "/users/@me"]

    play(test)


def test_members_of_two_and_of_pages() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        assert await channel.members(ALICE) == {fake.PEOPLE["alice"]}
        rig.discord.members += [str(110_000_000_000_000_000 + number) for number in range(2_500)]
        found = await channel.members(Place("discord", fake.GROUP, private=False))
        assert found is not None and len(found) == 2_502
        rig.discord.members += [str(120_000_000_000_000_000 + number) for number in range(8_000)]
        assert await channel.members(Place("discord", fake.GROUP, private=False)) is None

    play(test)


def test_a_file_elsewhere_is_refused() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        rig.discord.cdn = "https://evil.example"
        message = await rig.say(Says("f", files=(("a.txt", "text/plain", b"x"),)))
        file = rig.discord.messages[message]["attachments"][0]["id"]
        with pytest.raises(ChannelFailed, match="file host"):
            await channel.fetch(Attached(f"{ALICE.chat}/{message}/{file}"), 100)
        assert (await channel.hook(HookRequest("POST", "", "", (), b""), Ear.hear)).status == 404  # type: ignore[arg-type]

    play(test)


DISCORD_PY = """
import sys, discord, yarl
from discord.gateway import DiscordWebSocket
base, token = sys.argv[1:3]
discord.http.Route.BASE = base + "/api/v10"
DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(base.replace("http", "ws") + "/")
intents = discord.Intents.none()
intents.guilds = intents.messages = intents.message_content = True
class Bot(discord.Client):
    async def on_ready(self):
        assert self.user.id == 900000000000000001
        print("ready", flush=True)
    async def on_message(self, message):
        if message.author.id == self.user.id:
            return
        assert message.content == "to discord.py" and message.guild is None, message
        async with message.channel.typing():
            sent = await message.channel.send("from discord.py", reference=message, file=discord.File(__import__("io").BytesIO(b"bytes"), "a.txt"))
        await sent.edit(content="changed by discord.py")
        await message.add_reaction("\U0001f440")
        found = await message.channel.fetch_message(message.id)
        assert [reaction.emoji for reaction in found.reactions] == ["\U0001f440"]
        assert [m.id async for m in message.channel.history(after=discord.Object(1), limit=5)]
        await self.close()
Bot(intents=intents, guild_ready_timeout=0.1).run(token, log_handler=None)
"""


def test_a_foreign_client_speaks_with_the_local_discord() -> None:
    async def test(rig: DiscordRig, channel: Channel) -> None:
        base = f"http://127.0.0.1:{rig.discord.server.port}"
        rig.discord.gateway_url = rig.discord.resume_url = base.replace("http", "ws") + "/"
        child = await asyncio.create_subprocess_exec(
            PYTHON,
            "-c",
            LOOPBACK_ONLY + DISCORD_PY,
            base,
            fake.TOKEN,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        ready = await child.stdout.readline()
        if ready == b"ready\n":
            await rig.say(Says("to discord.py"))
        _, err = await child.communicate()
        assert ready == b"ready\n" and child.returncode == 0 and b"Traceback" not in err, err.decode()
        (seen,) = await rig.seen()
        assert seen.text == "changed by discord.py" and seen.files == (("a.txt", b"bytes"),) and seen.reply_to
        assert rig.discord.typed

    play(test)
