"""The IRC channel against a server with accounts: signing in, whom it answers, and what is told of a failure."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.adapters.channels.irc import adapter as adapter_module
from carapax.adapters.channels.irc import connection as connection_module
from carapax.core.terms.channel import Attached, Evidence, Heard, OutFile, Outgoing, Place, Received, Removed
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, SendRefused
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock, until

_count = itertools.count(1)
HOST = "irc.test"


class Server:
    """A small server with services: it knows the accounts of nicks and says them on every line."""

    def __init__(self, *, caps: str = "account-tag message-tags server-time sasl", word: str = "agents-word") -> None:
        self.caps, self.word = caps, word
        self.lines: list[str] = []
        self.accounts = {"anna": "anna"}
        self.nick, self.taken = "", 0
        self.silent = False
        self.errors: dict[str, str] = {}
        self.writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        with suppress(OSError):
            while raw := await reader.readline():
                self.take(raw.decode().rstrip("\r\n"))
        writer.close()

    def say(self, line: str) -> None:
        assert self.writer is not None
        self.writer.write(line.encode() + b"\r\n")

    def take(self, line: str) -> None:
        self.lines.append(line)
        command, _, rest = line.partition(" ")
        if command in ("CAP", "AUTHENTICATE", "NICK"):
            self.sign_in(command, rest)
        else:
            self.obey(command, rest)

    def sign_in(self, command: str, rest: str) -> None:
        match command:
            case "CAP" if rest.startswith("LS"):
                first, _, last = self.caps.partition(" ")
                self.say(f":{HOST} CAP * LS * :{first}")
                self.say(f":{HOST} CAP * LS :{last}")
            case "CAP" if rest.startswith("REQ"):
                self.say(f":{HOST} CAP * ACK :{rest.partition(':')[2]}")
            case "CAP":
                self.welcome()
            case "AUTHENTICATE" if rest == "PLAIN":
                self.say("AUTHENTICATE +")
            case "AUTHENTICATE":
                right = base64.b64decode(rest) == f"carapax\0carapax\0{self.word}".encode()
                self.say(f":{HOST} {'903' if right else '904'} * :SASL {'done' if right else 'failed'}")
            case "NICK" if self.taken:
                self.taken -= 1
                self.say(f":{HOST} 433 * {rest} :Nickname is already in use")
            case "NICK":
                self.nick = rest

    def obey(self, command: str, rest: str) -> None:
        match command:
            case "JOIN" if rest in self.errors:
                self.say(f":{HOST} {self.errors[rest]} {self.nick} {rest} :Cannot join channel")
            case "JOIN":
                self.say(f":{HOST} 353 {self.nick} = {rest} :@{self.nick} anna +eve")
                self.say(f":{HOST} 366 {self.nick} {rest} :End")
            case "WHOIS":
                if account := self.accounts.get(rest):
                    self.say(f":{HOST} 330 {self.nick} {rest} {account} :is logged in as")
                self.say(f":{HOST} 318 {self.nick} {rest} :End")
            case "PRIVMSG":
                target = rest.partition(" ")[0]
                if target in self.errors:
                    self.say(f":{HOST} {self.errors[target]} {self.nick} {target} :No such nick/channel")
            case "PING" if not self.silent:
                self.say(f":{HOST} PONG {HOST} {rest}")

    def welcome(self) -> None:
        self.say(f":{HOST} 001 {self.nick} :Welcome")

    def from_(self, nick: str, rest: str, account: str = "") -> None:
        self.say((f"@account={account} " if account else "") + f":{nick}!u@h {rest}")

    def said(self, start: str) -> list[str]:
        return [line for line in self.lines if line.startswith(start)]


class Side:
    def __init__(self, port: int) -> None:
        self.port, self.notes, self.clock = port, Notes(), ShiftedClock()
        self.heard: list[Heard] = []
        self.log: list[str] = []
        self.ups: list[str] = []
        self.run: asyncio.Task[None] | None = None

    def open(self, **values: str) -> Channel:
        egress = DirectEgress(DictVault({"pw": "agents-word"}), hosts={HOST: ("127.0.0.1", self.port)})
        given = {"server": HOST, "nick": "carapax", "channels": "#talk"} | values
        opening = Opening("i", given, {"password": "pw"}, egress, self.notes, self.clock, self.log.append)
        return open_channel("irc", opening)

    async def hear(self, heard: Heard) -> None:
        self.heard.append(heard)

    @asynccontextmanager
    async def on(self, **values: str) -> AsyncIterator[Channel]:
        channel, self.ups = self.open(**values), []
        self.run = run = asyncio.create_task(channel.run(self.hear, self.ups.append))
        try:
            await until(lambda: self.ups or run.done())
            if run.done():
                await run
            yield channel
        finally:
            run.cancel()
            with suppress(asyncio.CancelledError, ChannelFailed):
                await run
            await channel.close()

    async def hears(self, text: str) -> Received:
        await until(lambda: any(isinstance(heard, Received) and heard.text == text for heard in self.heard))
        return next(heard for heard in self.heard if isinstance(heard, Received) and heard.text == text)


@asynccontextmanager
async def serving(**given: str) -> AsyncIterator[tuple[Server, Side]]:
    server = Server(**given)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        yield server, Side(listening.sockets[0].getsockname()[1])
    finally:
        if server.writer is not None:
            server.writer.transport.abort()
        listening.close()
        await asyncio.sleep(0)


def play(what: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(what, 30))


def out(chat: str, text: str, **more: Any) -> Outgoing:
    return Outgoing(Place("i", chat, private=not chat.startswith("#")), text, key=f"k{next(_count)}", **more)


def test_it_signs_in_to_its_account_and_joins() -> None:
    async def main() -> None:
        async with serving() as (server, side), side.on():
            assert side.ups == [f"carapax on {HOST}"] and not side.log
            assert "CAP REQ :account-tag message-tags server-time sasl" in server.lines
            assert "JOIN #talk" in server.lines and not server.said("PASS")
            assert not any("agents-word" in line for line in server.lines)  # it stands in base64 alone

    play(main())


def test_a_wrong_password_is_no_reason_to_try_again() -> None:
    async def main() -> None:
        async with serving(word="another") as (_, side):
            channel = side.open()
            for what in (channel.run(side.hear, side.ups.append), channel.test()):
                with pytest.raises(CredentialRefused):
                    await what
            with pytest.raises(CredentialRefused):
                await channel.send(out("#talk", "x"))
            await channel.close()

    play(main())


def test_without_sasl_the_password_goes_nowhere() -> None:
    async def main() -> None:
        async with serving(caps="account-tag message-tags") as (server, side):
            channel = side.open()
            with pytest.raises(ChannelFailed, match="SASL"):
                await channel.run(side.hear, side.ups.append)
            await channel.close()
            assert not server.said("PASS") and not server.said("AUTHENTICATE")

    play(main())


def test_a_server_that_tells_no_accounts_is_named_in_the_log() -> None:
    async def main() -> None:
        async with serving(caps="server-time sasl") as (server, side), side.on():
            assert any("nobody on it can be known" in line for line in side.log)
            server.from_("anna", "PRIVMSG carapax :it is me")
            assert (await side.hears("it is me")).evidence is Evidence.NONE

    play(main())


def test_an_account_is_believed_and_a_nick_is_not() -> None:
    async def main() -> None:
        async with serving() as (server, side):
            async with side.on():
                server.from_("anna", "PRIVMSG carapax :real", account="anna")
                server.from_("anna", "PRIVMSG carapax :not signed in")
                server.from_("anna", "PRIVMSG carapax :another", account="eve")
                last = await side.hears("another")
                real, unknown = await side.hears("real"), await side.hears("not signed in")
            assert (real.sender.id, real.evidence) == ("account:anna", Evidence.PLATFORM)
            assert (unknown.sender.id, unknown.evidence) == ("nick:anna", Evidence.NONE)
            assert last.sender.id == "account:eve"

    play(main())


def test_a_private_answer_goes_to_the_account_alone() -> None:
    async def main() -> None:
        async with serving() as (server, side):
            async with side.on() as channel:
                with pytest.raises(ChannelFailed, match="not there"):
                    await channel.send(out("account:anna", "never heard of"))
                server.from_("anna", "PRIVMSG carapax :hello", account="anna")
                heard = await side.hears("hello")
                await channel.send(out(heard.place.chat, "for you"))
                assert server.said("PRIVMSG anna :for you")
                server.accounts["anna"] = "eve"  # somebody else holds the nick
                with pytest.raises(ChannelFailed) as caught:
                    await channel.send(out(heard.place.chat, "a secret"))
                assert caught.value.retry_after_ms > 0 and not caught.value.unknown
            async with side.on() as channel:  # after a restart
                server.accounts["anna"] = "anna"
                await channel.send(out("account:anna", "still you"))
            assert server.said("PRIVMSG anna :still you") and not any("secret" in line for line in server.lines)

    play(main())


def test_a_failure_says_whether_to_wait() -> None:
    async def main() -> None:
        async with serving() as (server, side):
            server.errors = {"gone": "401", "#closed": "404"}
            async with side.on(identity="nick") as channel:
                with pytest.raises(ChannelFailed):
                    await channel.send(out("nick:gone", "x"))
                with pytest.raises(SendRefused):
                    await channel.send(out("#closed", "x"))
                await channel.send(out("#talk", "one\n\ntwo"))
                assert [line for line in server.said("PRIVMSG #talk")] == ["PRIVMSG #talk :one", "PRIVMSG #talk :two"]
                for outgoing in (
                    out("#talk", "x" * 500),
                    out("#t alk", "x"),
                    out("#talk", "", files=(OutFile("a", "b", b""),)),
                ):
                    with pytest.raises(SendRefused):
                        await channel.send(outgoing)

    play(main())


def test_a_connection_that_breaks_while_sending_is_unknown() -> None:
    async def main() -> None:
        async with serving() as (server, side), side.on() as channel:
            server.silent = True
            sending = asyncio.create_task(channel.send(out("#talk", "hello")))
            await until(lambda: server.said("PRIVMSG") and server.said("PING"))
            assert server.writer is not None
            server.writer.transport.abort()
            with pytest.raises(ChannelFailed) as caught:
                await sending
            assert caught.value.unknown and side.run is not None
            await until(side.run.done)
            assert isinstance(side.run.exception(), ChannelFailed)
            with pytest.raises(ChannelFailed, match="not connected"):
                await channel.send(out("#talk", "x"))

    play(main())


def test_lines_are_paced(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        async with serving() as (server, side), side.on() as channel:
            monkeypatch.setattr(adapter_module.asyncio, "sleep", sleep)
            await channel.send(out("#talk", "\n".join("abcdefghijkl")))
            monkeypatch.undo()
            assert len(server.said("PRIVMSG")) == 12
        assert len(waits) == 12 - adapter_module.BURST and waits == sorted(waits) and waits[-1] > 2

    play(main())


def test_a_nick_that_is_held_is_waited_for_and_then_another_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(connection_module, "NICK_TRIES", 3)
        async with serving() as (server, side):
            server.taken = 2
            async with side.on():
                assert side.ups == [f"carapax on {HOST}"]
            server.taken = 3
            async with side.on():
                assert side.ups[0].startswith("carapax_")
                server.from_("anna", f"PRIVMSG #talk :{server.nick}: you", account="anna")
                assert (await side.hears(f"{server.nick}: you")).addressed

    play(main())


def test_a_channel_that_cannot_be_joined_is_told() -> None:
    async def main() -> None:
        async with serving() as (server, side):
            server.errors = {"#closed": "473"}
            async with side.on(channels="#talk #closed"):
                assert any("#closed cannot be joined" in line for line in side.log)

    play(main())


def test_who_leaves_is_told_in_every_way_of_leaving() -> None:
    async def main() -> None:
        async with serving() as (server, side):
            async with side.on(identity="nick", channels="#talk #two") as channel:
                place = Place("i", "#talk", private=False)
                assert await channel.members(place) == {"nick:anna", "nick:eve"}
                server.from_("eve", "NICK :Eva")
                server.from_("eva", "PART #talk")
                await until(lambda: len(side.heard) == 1)
                assert await channel.members(place) == {"nick:anna"}
                server.from_("op", "KICK #two eva :out")
                await until(lambda: len(side.heard) == 2)
                server.from_("anna", "QUIT :bye")
                await until(lambda: len(side.heard) == 4)
                server.from_("bob", "JOIN #talk")
                server.from_("op", "KICK #two carapax :out")
                await until(lambda: any("put out of #two" in line for line in side.log))
                assert await channel.members(place) == {"nick:bob"}
                assert await channel.members(Place("i", "#two", private=False)) is None
            gone = [(heard.person, heard.place.chat) for heard in side.heard if isinstance(heard, Removed)]
            assert gone == [("nick:eva", "#talk"), ("nick:eva", "#two"), ("nick:anna", "#talk"), ("nick:anna", "#two")]
            assert len({heard.event for heard in side.heard}) == 4

    play(main())


def test_a_ping_is_answered_and_a_silent_server_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving() as (server, side), side.on():
            server.say("PING :are you there")
            await until(lambda: "PONG :are you there" in server.lines)
            server.say("garbage \x00\x01")
            server.say("")
            monkeypatch.setattr(connection_module, "QUIET_S", 0.05)
            server.silent = True
            server.say("PING :once more")
            assert side.run is not None
            await until(side.run.done)
            assert "does not answer" in str(side.run.exception()) and "PING :there" in server.lines

    play(main())


def test_a_line_without_end_and_a_farewell_end_the_run() -> None:
    async def main() -> None:
        for line in ("x" * 20_000, "ERROR :Closing link"):
            async with serving() as (server, side), side.on():
                server.say(line)
                assert side.run is not None
                await until(side.run.done)
                assert isinstance(side.run.exception(), ChannelFailed)

    play(main())


def test_a_test_signs_in_beside_and_disturbs_nothing() -> None:
    async def main() -> None:
        async with serving() as (server, side):
            channel = side.open()
            lines = await channel.test()
            assert HOST in lines[0] and "accounts" in lines[1]
            await until(lambda: "QUIT" in server.lines)
            await channel.close()

    play(main())


def test_what_irc_has_not_is_refused() -> None:
    async def main() -> None:
        async with serving() as (_, side):
            channel, place = side.open(), Place("i", "#talk", private=False)
            for what in (
                channel.edit(place, "1", "x"), channel.typing(place), channel.react(place, "1", "x"),
                channel.fetch(Attached("x"), 10),
            ):  # fmt: skip
                with pytest.raises(SendRefused):
                    await what
            assert await channel.members(place) is None  # accounts of members are not told
            await channel.close()

    play(main())
