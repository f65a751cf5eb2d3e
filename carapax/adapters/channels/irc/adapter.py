"""An account on an IRC network as a channel: one connection both ways.

Layer: adapters/channels/irc. Owns the connection, who is in which channel, and the pace. Absent: DCC, services' commands.
Laws: a private answer to an account goes out only while that account holds the nick; lines are paced, so that no server
ends the connection for a flood. IRC acknowledges nothing: what is said while the agent is away is lost.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.irc import wire
from carapax.adapters.channels.irc.connection import WAIT_S, Connection, Login, shown
from carapax.adapters.channels.irc.wire import Line, fold
from carapax.core.terms.channel import (
    Attached,
    ChannelFacts,
    Evidence,
    Feature,
    HookAnswer,
    HookRequest,
    Markup,
    Outgoing,
    Place,
    Removed,
    Sent,
)
from carapax.core.terms.error import Malformed
from carapax.ports.channel import ChannelFailed, CredentialRefused, Hear, SendRefused

BURST, PACE_S = 8, 0.7
ABSENT_MS = 60_000  # how long to wait before somebody who is not there is tried again
MEMBERS = 10_000
NICKS = 2_000
_JOIN_FAILED = ("403", "405", "437", "471", "473", "474", "475", "476", "477")
_SEND_FAILED = {"403": False, "404": False, "442": False, "401": True, "402": True, "486": False, "531": False}


def open_channel(opening: Opening) -> IrcChannel:
    """A channel of one account; nothing is connected yet."""
    return IrcChannel(opening)


class IrcChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._name, self._keep, self._log = opening.name, opening.keep, opening.log
        self._egress, self._clock, values = opening.egress, opening.clock, opening.values
        nick = values.get("nick") or "carapax"
        self._by_nick = values.get("identity") == "nick"
        self._login = Login(
            values["server"], int(values.get("port") or 6697), nick, values.get("account") or nick,
            opening.secrets.get("password", ""), values.get("login") or "sasl", self._by_nick,
        )  # fmt: skip
        self._channels = tuple(fold(name) for name in values.get("channels", "").split())
        self._nick = nick
        self._connection: Connection | None = None
        self._refused: CredentialRefused | None = None
        self._members: dict[str, dict[str, str]] = {}  # channel → folded nick → id ("" where nobody vouches)
        self._joining: set[str] = set()
        self._nicks: dict[str, str] = {}  # account → the nick it was last heard under
        self._pongs: dict[str, asyncio.Future[None]] = {}
        self._faults: list[Line] = []
        self._whois: dict[str, str] = {}
        self._sending = asyncio.Lock()
        self._budget, self._refilled_ms = float(BURST), 0
        self._count = 0

    def facts(self) -> ChannelFacts:
        features = {Feature.GROUPS} | ({Feature.MEMBERS} if self._by_nick else set())
        return ChannelFacts(
            kind="irc", features=frozenset(features), text_chars=wire.TEXT_BYTES, text_bytes=wire.TEXT_BYTES,
            file_bytes=0, markup=Markup.PLAIN,
        )  # fmt: skip

    # in
    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        """Be connected until cancelled."""
        self._nicks = json.loads(await self._keep.read("nicks") or b"{}")
        connection = await self._open(self._login)
        told = False

        def stands() -> None:
            nonlocal told
            if not told:
                told = True
                absent = "".join(f"; not in {name}" for name in sorted(self._joining))
                up(f"{self._nick} on {self._login.host}{absent}")

        late = asyncio.get_running_loop().call_later(WAIT_S, stands)
        try:
            self._connection, self._nick = connection, connection.nick
            self._members, self._joining = {}, set(self._channels)
            for name in self._channels:
                connection.write(f"JOIN {name}")
            while True:
                if not self._joining:
                    stands()
                await self._take(await connection.next(), hear)
        finally:
            late.cancel()
            self._connection = None
            connection.abort()
            waiting, self._pongs = list(self._pongs.values()), {}
            for pong in waiting:
                if not pong.done():
                    pong.set_exception(ChannelFailed("The connection broke.", unknown=True))
                    pong.exception()  # whoever waits has it; nobody may

    async def _open(self, login: Login) -> Connection:
        try:
            connection = await Connection.open(self._egress, login, self._log)
        except CredentialRefused as error:
            self._refused = error
            raise
        self._refused = None
        return connection

    async def _take(self, line: Line, hear: Hear) -> None:
        match line.command:
            case "PRIVMSG":
                self._count += 1
                scene = self._scene()
                if (heard := wire.parse_message(line, scene)) is not None:
                    if heard.place.private and heard.evidence is not Evidence.NONE:
                        await self._learn_nick(heard.sender.id, line.nick)
                    await hear(heard)
            case "PONG":
                if (pong := self._pongs.pop(line.param(-1), None)) and not pong.done():
                    pong.set_result(None)
            case "JOIN" | "PART" | "KICK" | "QUIT" | "NICK" | "353" | "366":
                await self._take_move(line, hear)
            case "330":
                self._whois[fold(line.param(1))] = fold(line.param(2))
            case "ERROR":
                raise ChannelFailed(f"The server ended it: {shown(line)}")
            case command if command in _JOIN_FAILED and fold(line.param(1)) in self._joining:
                self._joining.discard(fold(line.param(1)))
                self._log(f"{line.param(1)} cannot be joined: {shown(line)}")
            case command if command in _SEND_FAILED:
                self._faults.append(line)

    def _scene(self) -> wire.Scene:
        return wire.Scene(self._name, self._nick, self._by_nick, self._clock.now_ms(), self._count)

    async def _take_move(self, line: Line, hear: Hear) -> None:
        own, name = fold(line.nick) == fold(self._nick), fold(line.param(0))
        sender, evidence = wire.find_sender(line, self._scene())
        who = sender.id if evidence is not Evidence.NONE else ""
        match line.command:
            case "JOIN" if not own and len(self._members.setdefault(name, {})) < MEMBERS:
                self._members[name][fold(line.nick)] = who
            case "353":
                self._take_names(fold(line.param(2)), line.param(3).split())
            case "366":
                self._joining.discard(fold(line.param(1)))
            case "NICK":
                self._take_nick(line, own=own)
            case "KICK":
                await self._take_kick(name, fold(line.param(1)), hear)
            case "PART" if not own:
                await self._left(name, fold(line.nick), who, hear)
            case "QUIT" if not own:
                for place in [place for place, found in self._members.items() if fold(line.nick) in found]:
                    await self._left(place, fold(line.nick), who, hear)

    def _take_names(self, name: str, words: list[str]) -> None:
        found = self._members.setdefault(name, {})
        for word in words[: MEMBERS - len(found)]:
            nick = fold(word.lstrip("~&@%+!").partition("!")[0])
            found.setdefault(nick, f"nick:{nick}" if self._by_nick else "")

    def _take_nick(self, line: Line, *, own: bool) -> None:
        before, after = fold(line.nick), fold(line.param(0))
        if own:
            self._nick = line.param(0)
        for found in self._members.values():
            if before in found:
                kept = found.pop(before)
                found[after] = f"nick:{after}" if self._by_nick else kept

    async def _take_kick(self, name: str, gone: str, hear: Hear) -> None:
        if gone == fold(self._nick):
            self._members.pop(name, None)
            self._log(f"The agent was put out of {name}.")
        else:
            await self._left(name, gone, "", hear)

    async def _left(self, name: str, nick: str, who: str, hear: Hear) -> None:
        person = self._members.get(name, {}).pop(nick, "") or who
        if person:
            self._count += 1
            event = f"left-{self._clock.now_ms()}-{self._count}-{secrets.token_hex(4)}"
            await hear(Removed(Place(self._name, name, private=False), event, person=person))

    async def _learn_nick(self, account: str, nick: str) -> None:
        if self._nicks.get(account) != nick and account.startswith("account:"):
            self._nicks.pop(account, None)
            self._nicks[account] = nick
            self._nicks = dict(list(self._nicks.items())[-NICKS:])
            await self._keep.write("nicks", json.dumps(self._nicks).encode())

    # out
    async def send(self, outgoing: Outgoing) -> Sent:
        """Say it line by line; it returns when the server answered after the last."""
        if outgoing.files or outgoing.buttons:
            raise SendRefused("IRC carries words alone.")
        if self._connection is None:
            raise self._refused or ChannelFailed("The channel is not connected.")
        async with self._sending:
            target = await self._target(outgoing.place.chat)
            try:
                lines = list(wire.render_text(target, outgoing.text))
            except Malformed as error:
                raise SendRefused(error.what) from None
            self._faults.clear()
            for line in lines:
                await self._pace()
                self._write(line)
            await self._settled(unknown=True)
            for fault in self._faults:
                if _SEND_FAILED[fault.command]:
                    raise ChannelFailed(f"It was not delivered: {shown(fault)}", retry_after_ms=ABSENT_MS)
                raise SendRefused(f"The server did not pass it on: {shown(fault)}")
        return Sent()

    async def _target(self, chat: str) -> str:
        """The nick or channel to write to; an account must hold its nick right now."""
        if chat.startswith("nick:"):
            return chat.removeprefix("nick:")
        if not chat.startswith("account:"):
            return chat
        nick, account = self._nicks.get(chat, ""), chat.removeprefix("account:")
        if nick:
            self._whois.pop(fold(nick), None)
            await self._pace()
            self._write(f"WHOIS {nick}")
            await self._settled()
        if not nick or self._whois.get(fold(nick)) != account:
            raise ChannelFailed("They are not there under their account.", retry_after_ms=ABSENT_MS)
        return nick

    async def _settled(self, *, unknown: bool = False) -> None:
        """Wait until the server has done everything that was written before."""
        word = secrets.token_hex(8)
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pongs[word] = pong
        self._write(f"PING :{word}")
        try:
            async with asyncio.timeout(WAIT_S):
                await pong
        except TimeoutError:
            raise ChannelFailed("The server does not answer.", unknown=unknown) from None
        finally:
            self._pongs.pop(word, None)

    async def _pace(self) -> None:
        now = self._clock.monotonic_ms()
        self._budget = min(float(BURST), self._budget + (now - self._refilled_ms) / (PACE_S * 1000))
        self._refilled_ms = now
        self._budget -= 1
        if self._budget < 0:
            await asyncio.sleep(-self._budget * PACE_S)

    def _write(self, line: str) -> None:
        if self._connection is None:
            raise ChannelFailed("The connection is closed.")
        self._connection.write(line)

    # what IRC has not
    async def edit(self, place: Place, message: str, text: str) -> None:
        raise SendRefused("What was said on IRC cannot be changed.")

    async def typing(self, place: Place) -> None:
        raise SendRefused("IRC shows no typing.")

    async def react(self, place: Place, message: str, mark: str) -> None:
        raise SendRefused("IRC has no reactions.")

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        raise SendRefused("IRC carries no files.")

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        return HookAnswer(404)

    # the rest
    async def members(self, place: Place) -> frozenset[str] | None:
        if not self._by_nick:
            return None
        if place.private:
            return frozenset({place.chat})
        found = self._members.get(fold(place.chat))
        return (
            None if found is None else frozenset(who for nick, who in found.items() if who and nick != fold(self._nick))
        )

    async def test(self) -> Sequence[str]:
        """Sign in once more under another nick, and leave."""
        nick = f"{self._login.nick[:20]}-{secrets.token_hex(2)}"
        connection = await self._open(replace(self._login, nick=nick))
        connection.end()
        how = "nicks are trusted on this server" if self._by_nick else "people are known by their accounts"
        return (f"{self._login.host} lets the agent in", how)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()
