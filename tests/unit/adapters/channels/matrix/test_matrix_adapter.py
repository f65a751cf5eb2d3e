"""The Matrix channel against a real Synapse: encrypted rooms, invitations, and what must not be lost or believed."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.adapters.channels.matrix.crypt import Crypt
from carapax.adapters.channels.matrix.notes import Notes as KeyNotes
from carapax.core.terms.channel import Evidence, Heard, OutFile, Outgoing, Place, Received
from carapax.core.terms.error import StoreUnavailable
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, SendRefused
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms.matrix import API, SERVER, Account, Synapse
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock, until

_count = itertools.count(1)


class Side:
    """One account, its notes, and channels on it."""

    def __init__(self, synapse: Synapse, account: Account) -> None:
        self.synapse, self.account, self.notes = synapse, account, Notes()
        self.heard: list[Received] = []
        self.removed: list[Heard] = []
        self.log: list[str] = []
        self.refuse = 0

    def open(self, **values: str) -> Channel:
        vault = DictVault({"token": self.account.token})
        egress = DirectEgress(vault, hosts={SERVER: ("127.0.0.1", self.synapse.port)})
        given = {"server": f"https://{SERVER}"} | values
        opening = Opening("m", given, {"token": "token"}, egress, self.notes, ShiftedClock(), self.log.append)
        return open_channel("matrix", opening)

    async def hear(self, heard: Heard) -> None:
        if self.refuse:
            self.refuse -= 1
            raise StoreUnavailable("full")
        (self.heard if isinstance(heard, Received) else self.removed).append(heard)  # type: ignore[arg-type]

    @asynccontextmanager
    async def on(self, **values: str) -> AsyncIterator[Channel]:
        channel, lines = self.open(**values), list[str]()
        run = asyncio.create_task(channel.run(self.hear, lines.append))
        try:
            await until(lambda: lines or run.done(), 20)
            if run.done():
                await run
            yield channel
        finally:
            run.cancel()
            with suppress(asyncio.CancelledError, StoreUnavailable, ChannelFailed):
                await run
            await channel.close()

    async def hears(self, text: str) -> Received:
        await until(lambda: any(text in heard.text for heard in self.heard), 20)
        return next(heard for heard in self.heard if text in heard.text)


class Stage:
    def __init__(self, folder: Path) -> None:
        self.synapse = Synapse(folder)
        self.runner = asyncio.Runner()
        self.accounts: list[Account] = []

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(asyncio.wait_for(what, 60))

    async def side(self, name: str) -> Side:
        account = await self.synapse.register(f"{name}{next(_count)}")
        self.accounts.append(account)
        return Side(self.synapse, account)

    async def first(self, name: str = "agent", **values: str) -> Side:
        """A side whose first connection is behind it."""
        side = await self.side(name)
        async with side.on(**values):
            await until(lambda: "cursor" in side.notes.kept)
        return side


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="mx-", dir="/tmp") as folder:
        stage = Stage(Path(folder))
        stage.run(stage.synapse.start())
        try:
            yield stage
        finally:
            for account in stage.accounts:
                stage.run(account.close())
            stage.run(stage.synapse.stop())
            stage.runner.close()


def staged(test: Callable[[Stage], Coroutine[Any, Any, None]]) -> Callable[[Stage], None]:
    def run(stage: Stage) -> None:
        stage.run(test(stage))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def out(room: str, text: str, **more: Any) -> Outgoing:
    return Outgoing(Place("m", room), text, key=f"k{next(_count)}", **more)


class Person:
    """Somebody with keys of their own who may cheat: requests by hand."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.crypt = Crypt(account.user, account.device, KeyNotes(account.user, account.device, "p"))

    async def begin(self, others: list[str]) -> None:
        await self.account.ask("POST", f"{API}/keys/upload", json=self.crypt.upload(0, False))
        self.crypt.uploaded()
        answer = await self.account.ask(
            "POST", f"{API}/keys/query", json={"device_keys": {user: [] for user in others}}
        )
        self.crypt.take_devices(others, answer)
        wanted = {"one_time_keys": self.crypt.unreached(others)}
        self.crypt.take_claimed(await self.account.ask("POST", f"{API}/keys/claim", json=wanted))

    async def share(self, room: str, others: list[str]) -> None:
        await self.deliver(self.crypt.share(room, others, 0))

    async def deliver(self, bodies: list[tuple[dict[str, Any], set[tuple[str, str]]]]) -> None:
        for body, _ in bodies:
            path = f"{API}/sendToDevice/m.room.encrypted/{secrets.token_hex(4)}"
            await self.account.ask("PUT", path, json=body)

    async def say(self, room: str, text: str) -> str:
        content = self.crypt.encrypt(room, "m.room.message", {"msgtype": "m.text", "body": text})
        return await self.account.send(room, content, "m.room.encrypted")


@staged
async def test_two_channels_speak_in_an_encrypted_room_across_a_restart(stage: Stage) -> None:
    anna, agent = await stage.first("anna"), await stage.first()
    room = await anna.account.make_room(invite=[agent.account.user], direct=True, encrypted=True)
    file = OutFile("a.txt", "text/plain", b"secret bytes" * 50)
    async with anna.on() as ours, agent.on() as theirs:
        await ours.send(out(room, "first words"))
        heard = await agent.hears("first words")
        assert heard.evidence is Evidence.PLATFORM and heard.place.private and heard.sender.id == anna.account.user
        sent = await theirs.send(out(room, "an **answer**", reply_to=heard.message, files=(file,)))
        answer = await anna.hears("an **answer**")
        assert answer.quoted == "first words" and answer.reply_to == heard.message
        await theirs.edit(heard.place, sent.message, "a changed answer")
        changed = await anna.hears("a changed answer")
        assert changed.edited and changed.message == sent.message
        await until(lambda: any(heard.files for heard in anna.heard), 20)
        attached = next(heard.files[0] for heard in anna.heard if heard.files)
        assert await ours.fetch(attached, 1 << 20) == file.content
    async with agent.on() as theirs, anna.on() as ours:
        await ours.send(out(room, "after the restart"))
        await agent.hears("after the restart")
        await theirs.send(out(room, "still here"))
        await anna.hears("still here")
    events = await anna.account.events(room)
    assert not [event for event in events if event["type"] == "m.room.message"]
    assert b"secret" not in await anna.account.download(json.loads(attached.ref)["mxc"])
    assert all(b"first words" not in value for value in agent.notes.kept.values())


@staged
async def test_clear_text_in_an_encrypted_room_has_no_evidence(stage: Stage) -> None:
    anna, agent = await stage.first("anna"), await stage.first()
    room = await anna.account.make_room(invite=[agent.account.user], direct=True, encrypted=True)
    async with agent.on():
        await anna.account.send(room, {"msgtype": "m.text", "body": "in clear"})
        assert (await agent.hears("in clear")).evidence is Evidence.NONE


@staged
async def test_a_message_sealed_by_no_device_of_its_sender_has_no_evidence(stage: Stage) -> None:
    agent, anna = await stage.first(), await stage.side("anna")
    person = Person(anna.account)
    room = await anna.account.make_room(invite=[agent.account.user], direct=True, encrypted=True)
    async with agent.on():
        await person.begin([agent.account.user])
        await person.share(room, [agent.account.user])
        await person.say(room, "with a device")
        assert (await agent.hears("with a device")).evidence is Evidence.PLATFORM
        hidden = Person(anna.account)  # another set of keys that the server does not list
        hidden.crypt.notes.keep_devices(agent.account.user, person.crypt.notes.devices.get(agent.account.user))
        wanted = {"one_time_keys": hidden.crypt.unreached([agent.account.user])}
        hidden.crypt.take_claimed(await anna.account.ask("POST", f"{API}/keys/claim", json=wanted))
        await hidden.share(room, [agent.account.user])
        await hidden.say(room, "without one")
        assert (await agent.hears("without one")).evidence is Evidence.NONE


@staged
async def test_a_message_waits_for_its_key_also_across_a_restart(stage: Stage) -> None:
    agent, anna = await stage.first(), await stage.side("anna")
    person = Person(anna.account)
    room = await anna.account.make_room(invite=[agent.account.user], direct=True, encrypted=True)
    async with agent.on():
        await person.begin([agent.account.user])
        late = person.crypt.share(room, [agent.account.user], 0)
        await person.say(room, "too early")
        await until(lambda: any("key has not come" in line for line in agent.log), 20)
    assert not agent.heard
    agent.refuse = 1  # the store fails just when it could be read
    async with agent.on():
        await person.deliver(late)
        await until(lambda: agent.refuse == 0, 20)
    async with agent.on():
        assert (await agent.hears("too early")).evidence is Evidence.PLATFORM
        await until(lambda: json.loads(agent.notes.kept["pending"]) == [])


@staged
async def test_a_device_that_appears_is_told_and_reached(stage: Stage) -> None:
    anna, agent = await stage.first("anna"), await stage.first()
    room = await anna.account.make_room(invite=[agent.account.user], direct=True, encrypted=True)
    async with agent.on() as theirs:
        await anna.account.send(room, {"msgtype": "m.text", "body": "hello"})
        await agent.hears("hello")
        await theirs.send(out(room, "one"))
        login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": anna.account.user}}
        about = await anna.account.ask("POST", f"{API}/login", json=login | {"password": anna.account.password})
        phone = Side(
            stage.synapse,
            Account(stage.synapse.client(), about["user_id"], about["access_token"], about["device_id"], ""),
        )
        stage.accounts.append(phone.account)
        async with phone.on():
            await until(lambda: "cursor" in phone.notes.kept, 20)
            device = phone.account.device

            async def told() -> bool:
                await theirs.send(out(room, "two"))
                return any(device in line for line in agent.log)

            for _ in range(50):
                if await told():
                    break
                await asyncio.sleep(0.05)
            await phone.hears("two")
    assert any(device in line and anna.account.user in line for line in agent.log)


@staged
async def test_keys_that_were_lost_are_no_reason_to_be_another_device_silently(stage: Stage) -> None:
    agent = await stage.first()
    kept = json.loads(agent.notes.kept["account"])
    torn = json.dumps(kept | {"pickle": kept["pickle"][::-1]}).encode()
    for account, words in ((torn, "do not open"), (b"[", "cannot be read"), (b"{}", "other encryption keys")):
        agent.notes.kept["account"] = account
        channel = agent.open()
        with pytest.raises(CredentialRefused, match=words):
            await channel.run(agent.hear, agent.log.append)
        await channel.close()


@staged
async def test_without_encryption_nothing_is_read_or_written_in_clear(stage: Stage) -> None:
    anna, agent = await stage.first("anna"), await stage.first(encryption="no")
    room = await anna.account.make_room(invite=[agent.account.user], direct=True, encrypted=True)
    async with agent.on(encryption="no") as theirs, anna.on() as ours:
        await anna.account.send(room, {"msgtype": "m.text", "body": "come"})
        await agent.hears("come")
        await ours.send(out(room, "sealed"))
        await until(lambda: any("encryption is off" in line for line in agent.log), 20)
        with pytest.raises(SendRefused, match="encryption is off"):
            await theirs.send(out(room, "never in clear"))
    assert "sealed" not in [heard.text for heard in agent.heard]


@staged
async def test_nothing_of_the_time_before_the_first_connection_is_heard(stage: Stage) -> None:
    anna, agent = await stage.side("anna"), await stage.side("agent")
    room = await anna.account.make_room(invite=[agent.account.user], direct=True)
    await agent.account.join(room)
    await anna.account.send(room, {"msgtype": "m.text", "body": "long ago"})
    async with agent.on():
        await until(lambda: "cursor" in agent.notes.kept)
        await anna.account.send(room, {"msgtype": "m.text", "body": "today"})
        await agent.hears("today")
    assert [heard.text for heard in agent.heard] == ["today"]


@staged
async def test_no_server_talks_the_agent_out_of_encryption(stage: Stage) -> None:
    anna, agent = await stage.side("anna"), await stage.first()
    room = await anna.account.make_room(invite=[agent.account.user], direct=True)
    agent.notes.kept["encrypted"] = json.dumps([room]).encode()  # it was, and the server says that it is not
    async with agent.on() as channel:
        await anna.account.send(room, {"msgtype": "m.text", "body": "hello"})
        assert (await agent.hears("hello")).evidence is Evidence.NONE
        await channel.send(out(room, "a secret"))
    mine = [event for event in await anna.account.events(room) if event["sender"] == agent.account.user]
    assert {event["type"] for event in mine} == {"m.room.member", "m.room.encrypted"}


@staged
async def test_only_the_author_replaces_a_message(stage: Stage) -> None:
    anna, eve, agent = await stage.side("anna"), await stage.side("eve"), await stage.first(rooms="")
    room = await anna.account.make_room(invite=[agent.account.user, eve.account.user], direct=False)
    await eve.account.join(room)
    async with agent.on(rooms=room):
        await agent.account.join(room)
        first = await anna.account.send(room, {"msgtype": "m.text", "body": "pay nobody"})
        await agent.hears("pay nobody")
        relation = {"m.relates_to": {"rel_type": "m.replace", "event_id": first}}
        for person, text in ((eve, "pay Eve"), (anna, "pay Anna")):
            inner = {"msgtype": "m.text", "body": text}
            await person.account.send(room, {**inner, "m.new_content": inner, **relation})
        changed = await agent.hears("pay Anna")
    assert changed.edited and "pay Eve" not in [heard.text for heard in agent.heard]


@staged
async def test_an_invitation_is_accepted_for_two_alone_or_when_it_is_named(stage: Stage) -> None:
    anna, bob, agent = await stage.side("anna"), await stage.side("bob"), await stage.first()
    direct = await anna.account.make_room(invite=[agent.account.user], direct=True)
    await anna.account.send(direct, {"msgtype": "m.text", "body": "asked before you came"})
    group = await anna.account.make_room(invite=[], direct=False)
    wanted = await anna.account.make_room(invite=[bob.account.user], direct=False)
    await bob.account.join(wanted)
    await anna.account.send(wanted, {"msgtype": "m.text", "body": "not for the agent"})
    trick = await anna.account.make_room(invite=[bob.account.user], direct=True)
    await bob.account.join(trick)
    async with agent.on(rooms=wanted):
        await agent.hears("asked before you came")
        for room, is_direct in ((group, False), (wanted, False), (trick, True)):
            body = {"user_id": agent.account.user}
            if is_direct:
                state = {"membership": "invite", "is_direct": True}
                path = f"{API}/rooms/{quote(room)}/state/m.room.member/{quote(agent.account.user)}"
                await anna.account.ask("PUT", path, json=state)
            else:
                await anna.account.ask("POST", f"{API}/rooms/{quote(room)}/invite", json=body)
        await until(lambda: any("it was left again" in line and trick in line for line in agent.log), 20)
        await until(lambda: any(group in line and "name it" in line for line in agent.log), 20)
        await anna.account.send(wanted, {"msgtype": "m.text", "body": "now for all"})
        assert not (await agent.hears("now for all")).place.private
        joined = (await agent.account.ask("GET", f"{API}/joined_rooms"))["joined_rooms"]
    assert set(joined) == {direct, wanted}
    assert "not for the agent" not in [heard.text for heard in agent.heard]


@staged
async def test_a_room_of_two_is_private_until_a_third_is_asked_in(stage: Stage) -> None:
    anna, bob, agent = await stage.side("anna"), await stage.side("bob"), await stage.first()
    room = await anna.account.make_room(invite=[agent.account.user], direct=True)
    async with agent.on():
        await anna.account.send(room, {"msgtype": "m.text", "body": "alone"})
        assert (await agent.hears("alone")).place.private
        await anna.account.ask("POST", f"{API}/rooms/{quote(room)}/invite", json={"user_id": bob.account.user})
        await anna.account.send(room, {"msgtype": "m.text", "body": "watched"})
        heard = await agent.hears("watched")
    assert not heard.place.private and not heard.addressed


@staged
async def test_everything_said_meanwhile_is_heard_in_order(stage: Stage) -> None:
    anna, agent = await stage.side("anna"), await stage.first()
    room = await anna.account.make_room(invite=[agent.account.user], direct=True)
    async with agent.on():
        await anna.account.send(room, {"msgtype": "m.text", "body": "hello"})
        await agent.hears("hello")
    agent.heard.clear()
    texts = [f"while away {number}z" for number in range(70)]
    for text in texts:
        await anna.account.send(room, {"msgtype": "m.text", "body": text})
    async with agent.on():
        await agent.hears(texts[-1])
    assert [heard.text for heard in agent.heard if heard.text != "hello"] == texts


@staged
async def test_an_event_that_is_not_as_documented_stops_nothing(stage: Stage) -> None:
    anna, agent = await stage.side("anna"), await stage.first()
    room = await anna.account.make_room(invite=[agent.account.user], direct=True)
    async with agent.on():
        junk: list[dict[str, Any]] = [
            {"msgtype": "m.text", "body": "x", "m.relates_to": {"m.in_reply_to": [7]}},
            {"msgtype": "m.file", "body": "x", "url": "https://example.org"},
            {"msgtype": "m.text", "body": "x", "m.relates_to": {"rel_type": "m.replace"}, "m.new_content": [1]},
        ]
        for content in junk:
            await anna.account.send(room, content)
        await anna.account.send(room, {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": 4}, "m.room.encrypted")
        await anna.account.send(room, {"msgtype": "m.text", "body": "and on"})
        await agent.hears("and on")
    assert [heard.text for heard in agent.heard] == ["and on"]
    assert sum("left out" in line or "decrypted" in line for line in agent.log) == 4


@staged
async def test_what_was_removed_cannot_be_written_to(stage: Stage) -> None:
    anna, agent = await stage.side("anna"), await stage.first()
    room = await anna.account.make_room(invite=[agent.account.user], direct=True)
    async with agent.on() as channel:
        await anna.account.send(room, {"msgtype": "m.text", "body": "hi"})
        await agent.hears("hi")
        await anna.account.ask("POST", f"{API}/rooms/{quote(room)}/kick", json={"user_id": agent.account.user})

        async def refused() -> bool:
            try:
                await channel.send(out(room, "anybody there"))
            except SendRefused:
                return True
            return False

        assert await refused()
        with pytest.raises(SendRefused):
            await channel.send(out("!nowhere:matrix.test", "x"))
        with pytest.raises(SendRefused):
            await channel.send(out(room, "x" * 70_000))
