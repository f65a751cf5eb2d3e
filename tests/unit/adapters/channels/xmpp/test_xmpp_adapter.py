"""The XMPP channel against a real Prosody, and against a server that misbehaves."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import Attached, Heard, OutFile, Outgoing, Place, Received, Removed
from carapax.core.terms.error import StoreUnavailable
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, SendRefused
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock, until
from tests.fakes.platforms.xmpp import DOMAIN, ROOMS, UPLOAD, Client, Prosody

AGENT = f"agent@{DOMAIN}"
_count = itertools.count(1)


class Side:
    """The agent's account, its notes, and what it heard."""

    def __init__(self, port: int, http_port: int = 1) -> None:
        self.port, self.http_port = port, http_port
        self.notes, self.log = Notes(), list[str]()
        self.heard: list[Heard] = []
        self.refuse = 0
        self.gate: asyncio.Event | None = None

    def open(self, **values: str) -> Channel:
        hosts = {DOMAIN: ("127.0.0.1", self.port), UPLOAD: ("127.0.0.1", self.http_port)}
        egress = DirectEgress(DictVault({"pw": "agents-word"}), hosts=hosts)
        given = {"address": AGENT, "server": DOMAIN} | values
        opening = Opening("x", given, {"password": "pw"}, egress, self.notes, ShiftedClock(), self.log.append)
        return open_channel("xmpp", opening)

    async def hear(self, heard: Heard) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.refuse:
            self.refuse -= 1
            raise StoreUnavailable("full")
        self.heard.append(heard)

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
        await until(lambda: text in self.texts())
        return next(heard for heard in self.heard if isinstance(heard, Received) and heard.text == text)

    def texts(self) -> list[str]:
        return [heard.text for heard in self.heard if isinstance(heard, Received)]


class Stage:
    def __init__(self, folder: Path) -> None:
        self.prosody = Prosody(folder)
        self.runner = asyncio.Runner()
        self.anna: Client
        self.bob: Client

    async def start(self) -> None:
        for name in ("agent", "anna", "bob"):
            self.prosody.set_password(name, f"{name}s-word")
        await self.prosody.start()
        self.anna, self.bob = (Client(name, f"{name}s-word", self.prosody.port) for name in ("anna", "bob"))
        await self.anna.start()
        await self.bob.start()

    async def stop(self) -> None:
        await self.anna.stop()
        await self.bob.stop()
        await self.prosody.stop()

    async def room(self, *, hides: bool = False) -> str:
        room = f"room{next(_count)}@{ROOMS}"
        await self.anna.join(room, "anna")
        field = "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>"
        field += f"<field var='muc#roomconfig_whois'><value>{'moderators' if hides else 'anyone'}</value></field>"
        form = f"<x xmlns='jabber:x:data' type='submit'>{field}</x>"
        await self.anna.ask(room, "set", f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>")
        return room

    def side(self) -> Side:
        return Side(self.prosody.port, self.prosody.http_port)

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(asyncio.wait_for(what, 60))


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="xm-", dir="/tmp") as folder:
        stage = Stage(Path(folder))
        stage.run(stage.start())
        try:
            yield stage
        finally:
            stage.run(stage.stop())
            stage.runner.close()


def staged(test: Callable[[Stage], Coroutine[Any, Any, None]]) -> Callable[[Stage], None]:
    def run(stage: Stage) -> None:
        stage.run(test(stage))

    run.__name__ = test.__name__
    return run


def out(chat: str, text: str, *, private: bool = True, **more: Any) -> Outgoing:
    return Outgoing(Place("x", chat, private=private), text, key=f"k{next(_count)}", **more)


@staged
async def test_a_name_in_a_room_is_nobody(stage: Stage) -> None:
    room, side = await stage.room(), stage.side()
    await stage.bob.join(room, "bob")
    async with side.on(rooms=room) as channel:
        stage.anna.say(room, "<body>pay Anna</body>", room=True)
        assert (await side.hears("pay Anna")).sender.id == stage.anna.jid
        stage.anna.client.send_raw(f"<presence to='{room}/other'/>")
        await until(lambda: "other" in channel._rooms[room])  # type: ignore[attr-defined]
        stage.bob.client.send_raw(f"<presence to='{room}/anna'/>")
        await until(lambda: "anna" in channel._rooms[room] and channel._rooms[room]["anna"].address == stage.bob.jid)  # type: ignore[attr-defined]
        stage.bob.say(room, "<body>pay Bob</body>", room=True)
        assert (await side.hears("pay Bob")).sender.id == stage.bob.jid
        assert await channel.members(Place("x", room, private=False)) == {stage.anna.jid, stage.bob.jid}
        assert not [heard for heard in side.heard if isinstance(heard, Removed)]  # another name is no farewell
        stage.bob.say(f"{room}/carapax", "<body>psst</body>")
        stage.bob.say(AGENT, "<body>in private</body>")
        await side.hears("in private")
    assert "psst" not in side.texts()


@staged
async def test_a_room_that_hides_who_writes_is_left(stage: Stage) -> None:
    room, side = await stage.room(hides=True), stage.side()
    async with side.on(rooms=room) as channel:
        assert any("hides who writes" in line for line in side.log)
        stage.anna.say(room, "<body>unseen</body>", room=True)
        stage.anna.say(AGENT, "<body>seen</body>")
        await side.hears("seen")
        with pytest.raises(SendRefused):
            await channel.send(out(room, "x", private=False))
    assert "unseen" not in side.texts()


@staged
async def test_what_is_said_while_the_gateway_restarts_is_heard_once_and_under_its_author(stage: Stage) -> None:
    room, side = await stage.room(), stage.side()
    await stage.bob.join(room, "bob")
    async with side.on(rooms=room):
        stage.anna.say(room, "<body>before</body>", room=True)
        await side.hears("before")
        await until(lambda: json.loads(side.notes.kept["rooms"]).get(room, {}).keys() >= {"anna", "bob"})
    stage.bob.say(room, "<body>meanwhile in the room</body>", room=True)
    stage.anna.say(AGENT, "<body>meanwhile in private</body>")
    async with side.on(rooms=room):
        assert (await side.hears("meanwhile in the room")).sender.id == stage.bob.jid
        await side.hears("meanwhile in private")
    assert side.texts().count("meanwhile in the room") == 1


@staged
async def test_after_the_server_gave_the_stream_up_private_words_come_from_its_store(stage: Stage) -> None:
    side = stage.side()
    async with side.on():
        stage.anna.say(AGENT, "<body>first</body>")
        await side.hears("first")
        side.gate = asyncio.Event()
        stage.anna.say(AGENT, "<body>not kept</body>")
        await asyncio.sleep(0)
    side.gate, side.notes = None, Notes()  # nothing of the stream is known any more
    stage.anna.say(AGENT, "<body>second</body>")
    async with side.on():
        await side.hears("not kept")
        await side.hears("second")


@staged
async def test_what_cannot_arrive_is_refused(stage: Stage) -> None:
    side = stage.side()
    async with side.on() as channel:
        with pytest.raises(SendRefused, match="sent back"):
            await channel.send(out(f"nobody@{DOMAIN}", "x"))
        with pytest.raises(SendRefused):
            await channel.send(out(f"nowhere@{ROOMS}", "x", private=False))
        with pytest.raises(SendRefused, match="No host for files"):
            await channel.send(out(stage.anna.jid, "", files=(OutFile("a", "text/plain", b"x"),)))
    with pytest.raises(ChannelFailed, match="not connected"):
        await channel.send(out(stage.anna.jid, "x"))


@staged
async def test_a_file_elsewhere_is_not_fetched(stage: Stage) -> None:
    channel = stage.side().open(upload=UPLOAD)
    for url in (
        "https://evil.test/x",
        f"http://{UPLOAD}/x",
        f"https://{UPLOAD}:444/x",
        f"https://{UPLOAD}@evil.test/",
        "https://[x",
    ):
        with pytest.raises(SendRefused, match="does not go"):
            await channel.fetch(Attached(json.dumps({"url": url})), 100)
    with pytest.raises(SendRefused):
        await stage.side().open().fetch(Attached(json.dumps({"url": f"https://{UPLOAD}/x"})), 100)
    await channel.close()


@staged
async def test_questions_get_their_answers(stage: Stage) -> None:
    side = stage.side()
    async with side.on():
        to = f"{AGENT}/carapax-x"
        answer = await stage.anna.ask(to, "get", "<ping xmlns='urn:xmpp:ping'/>")
        assert answer["type"] == "result"
        about = await stage.anna.ask(to, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
        assert "urn:xmpp:message-correct:0" in str(about)
        with pytest.raises(Exception, match="service-unavailable"):
            await stage.anna.ask(to, "get", "<query xmlns='jabber:iq:version'/>")


# a server that misbehaves


class Scripted:
    """Signs anybody in, then says what it is told to."""

    def __init__(self, *, mechanisms: str = "PLAIN", failure: str = "", managed: bool = True, then: str = "") -> None:
        self.mechanisms, self.failure, self.managed, self.then = mechanisms, failure, managed, then
        self.came = ""
        self.writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer, done, streams = writer, 0, 0
        head = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='xmpp.test'>"
        while part := await reader.read(4_096):
            self.came += part.decode()
            for found in re.finditer(r"<stream:stream|</auth>|<bind |<enable |<resume ", self.came[done:]):
                match found[0]:
                    case "<stream:stream":
                        streams += 1
                        sm = "<sm xmlns='urn:xmpp:sm:3'/>" if self.managed else ""
                        offer = f"<mechanism>{self.mechanisms}</mechanism>"
                        offer = f"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{offer}</mechanisms>"
                        self.say(f"{head}<stream:features>{offer if streams == 1 else sm}</stream:features>")
                    case "</auth>" if self.failure:
                        self.say(f"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{self.failure}/></failure>")
                    case "</auth>":
                        self.say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
                    case "<bind ":
                        jid = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>agent@xmpp.test/x</jid></bind>"
                        self.say(f"<iq type='result' id='bind'>{jid}</iq>")
                        if not self.managed:
                            self.say(self.then)
                    case "<resume ":
                        self.say("<failed xmlns='urn:xmpp:sm:3'/>")
                    case "<enable ":
                        self.say("<enabled xmlns='urn:xmpp:sm:3' id='S1' resume='true'/>" + self.then)
            done = len(self.came)
        writer.close()

    def say(self, text: str) -> None:
        assert self.writer is not None
        self.writer.write(text.encode())


@asynccontextmanager
async def scripted(**given: Any) -> AsyncIterator[tuple[Scripted, Side]]:
    server = Scripted(**given)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        yield server, Side(listening.sockets[0].getsockname()[1])
    finally:
        if server.writer is not None:
            server.writer.transport.abort()
        listening.close()
        await asyncio.sleep(0)


MESSAGE = "<message from='anna@xmpp.test/p' type='chat' id='{}'><body>{}</body></message>"


async def fails(side: Side) -> Exception:
    channel = side.open()
    try:
        with pytest.raises((ChannelFailed, CredentialRefused)) as caught:
            await asyncio.wait_for(channel.run(side.hear, lambda line: None), 20)
    finally:
        await channel.close()
    return caught.value


def test_what_came_is_acknowledged_after_it_was_kept_and_the_count_is_kept_first() -> None:
    async def main() -> None:
        then = MESSAGE.format("1", "hello") + "<r xmlns='urn:xmpp:sm:3'/>"
        async with scripted(then=then) as (server, side):
            side.gate = asyncio.Event()
            async with side.on():
                for _ in range(20):
                    await asyncio.sleep(0.005)
                assert "<a " not in server.came and json.loads(side.notes.kept["stream"])["h"] == 0
                written: list[int] = []
                keep = side.notes.write

                async def write(name: str, value: bytes) -> None:
                    written.append(server.came.count("<a "))
                    await keep(name, value)

                side.notes.__class__.write, before = lambda self, name, value: write(name, value), Notes.write  # type: ignore[method-assign,assignment]
                try:
                    side.gate.set()
                    await until(lambda: "<a xmlns='urn:xmpp:sm:3' h='1'/>" in server.came)
                finally:
                    Notes.write = before  # type: ignore[method-assign]
                assert written and set(written) == {0}
                assert json.loads(side.notes.kept["stream"])["h"] == 1
            assert side.texts() == ["hello"]

    asyncio.run(main())


def test_what_the_store_refused_is_not_acknowledged() -> None:
    async def main() -> None:
        then = MESSAGE.format("1", "hello") + "<r xmlns='urn:xmpp:sm:3'/>"
        async with scripted(then=then) as (server, side):
            side.refuse = 1
            channel = side.open()
            with pytest.raises(StoreUnavailable):
                await channel.run(side.hear, lambda line: None)
            await channel.close()
            assert "<a " not in server.came and json.loads(side.notes.kept["stream"])["h"] == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    "then",
    [
        "<!DOCTYPE x [<!ENTITY a 'b'>]>",
        "<message><body>&lol9;</body></message>",
        "<message>" + "<a>" * 50,
        "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        "</stream:stream>",
        "<a xmlns='urn:xmpp:sm:3' h='x'/>",
    ],
)
def test_a_stream_that_cannot_go_on_ends_the_run(then: str) -> None:
    async def main() -> None:
        async with scripted(then=then) as (_, side):
            assert isinstance(await fails(side), ChannelFailed)

    asyncio.run(main())


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"failure": "not-authorized"}, CredentialRefused),
        ({"failure": "account-disabled"}, CredentialRefused),
        ({"failure": "temporary-auth-failure"}, ChannelFailed),
        ({"mechanisms": "SCRAM-SHA-1"}, ChannelFailed),
    ],
)
def test_only_a_refused_password_is_no_reason_to_try_again(given: dict[str, str], expected: type[Exception]) -> None:
    async def main() -> None:
        async with scripted(**given) as (server, side):
            assert type(await fails(side)) is expected
            assert "agents-word" not in server.came  # it stands in base64 alone
            assert ("<auth" in server.came) == ("failure" in given)

    asyncio.run(main())


def test_a_send_that_may_have_arrived_says_so() -> None:
    async def main() -> None:
        async with scripted() as (server, side), side.on() as channel:
            sending = asyncio.create_task(channel.send(out("anna@xmpp.test", "hello")))
            await until(lambda: "<body>hello</body>" in server.came and "<r " in server.came)
            assert server.writer is not None
            server.writer.transport.abort()
            with pytest.raises(ChannelFailed) as caught:
                await sending
            assert caught.value.unknown

    asyncio.run(main())


def test_a_message_that_is_sent_back_is_refused_and_one_to_wait_for_is_not() -> None:
    async def main() -> None:
        async with scripted() as (server, side), side.on() as channel:
            for kind, expected in (("cancel", SendRefused), ("wait", ChannelFailed)):
                before = server.came.count("<body>")
                sending = asyncio.create_task(channel.send(out("anna@xmpp.test", kind)))
                await until(lambda before=before: server.came.count("<body>") > before)
                ident = re.findall(r"<message [^>]*id=\"(\w+)\"", server.came)[-1]
                error = f"<error type='{kind}'><x xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
                server.say(f"<message type='error' from='anna@xmpp.test' id='{ident}'>{error}</message>")
                with pytest.raises(expected):
                    await sending

    asyncio.run(main())


def test_without_stream_management_a_ping_confirms_and_the_log_says_what_is_lost() -> None:
    async def main() -> None:
        async with scripted(managed=False) as (server, side):
            async with side.on() as channel:
                sending = asyncio.create_task(channel.send(out("anna@xmpp.test", "hello")))
                await until(lambda: "urn:xmpp:ping" in server.came)
                ident = re.findall(r"<iq type='get' id='(\w+)'", server.came)[-1]
                server.say(f"<iq type='result' id='{ident}'/>")
                assert (await sending).message
            assert any("may be lost" in line for line in side.log)

    asyncio.run(main())


def test_strange_stanzas_stop_nothing() -> None:
    async def main() -> None:
        strange = (
            "<message/><presence/><iq/><iq type='result' id='nobody'/><thing xmlns='urn:x'/><message from='a b'/>"
            "<message from='anna@xmpp.test/p' type='chat'><body>x</body>"
            f"<replace xmlns='urn:xmpp:message-correct:0' id='{'y' * 600}'/></message>"
            "<presence from='eve@xmpp.test' type='subscribe'/>"
        )
        async with scripted(then=strange + MESSAGE.format("2", "and on")) as (server, side):
            async with side.on():
                await side.hears("and on")
                await until(lambda: "type='subscribed'" in server.came)
            assert side.texts() == ["and on"] and any("left out" in line for line in side.log)

    asyncio.run(main())
