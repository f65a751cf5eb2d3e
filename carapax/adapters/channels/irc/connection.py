"""One connection to an IRC server: signing in, lines, and the watch over a quiet one.

Layer: adapters/channels/irc. Absent: what lines mean to the agent (`adapter`), TLS (the proxy speaks it).
Sources: RFC 2812; IRCv3: capability negotiation 302, sasl 3.1.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from carapax.adapters.channels.fields import plain
from carapax.adapters.channels.irc import wire
from carapax.adapters.channels.irc.wire import Line
from carapax.core.terms.error import Malformed
from carapax.ports.channel import ChannelFailed, CredentialRefused
from carapax.ports.egress import Egress

WAIT_S = 20.0
QUIET_S = 180.0  # after this long without a line the server is asked whether it is there
WANTED = ("account-tag", "message-tags", "server-time")
NICK_TRIES = 6


@dataclass(frozen=True, slots=True)
class Login:
    """Who signs in where. `kind`: the secret is the account's ("sasl") or the server's."""

    host: str
    port: int
    nick: str
    account: str
    handle: str
    kind: str
    by_nick: bool

    @property
    def tls(self) -> bool:
        return self.host not in ("127.0.0.1", "localhost")


class Connection:
    """A connection that is signed in. `nick` is what the server calls us."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, login: Login) -> None:
        self._reader, self._writer, self._login = reader, writer, login
        self.nick = login.nick

    @classmethod
    async def open(cls, egress: Egress, login: Login, log: Callable[[str], None]) -> Connection:
        """Raises ChannelFailed, CredentialRefused, and what `open_line` raises."""
        line = await egress.open_line(host=login.host, port=login.port, tls=login.tls, secret=login.handle)
        reader, writer = await asyncio.open_unix_connection(sock=line.sock, limit=wire.LINE_BYTES)
        connection = cls(reader, writer, login)
        try:
            async with asyncio.timeout(WAIT_S):
                await connection._register(line.placeholder, log)
        except TimeoutError:
            connection.abort()
            raise ChannelFailed("The server does not answer.") from None
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _register(self, placeholder: str, log: Callable[[str], None]) -> None:
        login, tries, offered = self._login, 0, set[str]()
        self.write("CAP LS 302")
        if placeholder and login.kind == "server":
            self.write(f"PASS {placeholder}")
        self.write(f"NICK {login.nick}")
        self.write(f"USER {login.nick[:10]} 0 * :{login.nick}")
        while (line := await self.next()).command != "001":
            if line.command in ("433", "436", "437"):
                tries += 1
                await asyncio.sleep(0.3)  # a connection of ours that just broke may hold it still
                self.nick = login.nick if tries < NICK_TRIES else f"{login.nick[:25]}_{secrets.token_hex(2)}"
                self.write(f"NICK {self.nick}")
            elif line.command == "CAP" and line.param(1) == "LS":
                offered |= {word.partition("=")[0] for word in line.param(-1).split()}
                if line.param(2) != "*":
                    self._ask_caps(offered, log)
            elif line.command == "421" and line.param(1).upper() == "CAP":
                self._ask_caps(set(), log)
            else:
                self._sign_in(line, placeholder)
        self.nick = line.param(0) or self.nick

    def _ask_caps(self, offered: set[str], log: Callable[[str], None]) -> None:
        wants_sasl = bool(self._login.handle) and self._login.kind == "sasl"
        if wants_sasl and "sasl" not in offered:
            raise ChannelFailed("The server offers no SASL; set `login` to `server` if it has a password of its own.")
        if not self._login.by_nick and "account-tag" not in offered:
            log("This server does not say which account writes, so nobody on it can be known. See the README.")
        wanted = [name for name in (*WANTED, *(["sasl"] if wants_sasl else [])) if name in offered]
        self.write(f"CAP REQ :{' '.join(wanted)}" if wanted else "CAP END")

    def _sign_in(self, line: Line, placeholder: str) -> None:
        match line.command:
            case "CAP" if line.param(1) in ("ACK", "NAK"):
                sasl = line.param(1) == "ACK" and "sasl" in line.param(-1).split()
                if self._login.handle and self._login.kind == "sasl" and not sasl:
                    raise ChannelFailed("The server offered SASL and then refused it.")
                self.write("AUTHENTICATE PLAIN" if sasl else "CAP END")
            case "AUTHENTICATE":
                self.write(f"AUTHENTICATE {wire.render_plain(self._login.account, placeholder)}")
            case "903":
                self.write("CAP END")
            case "902" | "904" | "905" | "464" | "465":
                raise CredentialRefused(f"The server did not let the agent in: {shown(line)}")
            case "432":
                raise ChannelFailed("The server does not allow this nick.")
            case "ERROR":
                wrong = "password" in line.param(-1).lower()
                raise (CredentialRefused if wrong else ChannelFailed)(f"The server ended it: {shown(line)}")

    async def next(self) -> Line:
        """The next line; pings are answered here. Raises ChannelFailed."""
        asked = False
        while True:
            try:
                async with asyncio.timeout(QUIET_S):
                    raw = await self._reader.readline()
            except TimeoutError:
                if asked:
                    raise ChannelFailed("The server does not answer any more.") from None
                asked = True
                self.write("PING :there")
                continue
            except (OSError, ValueError) as error:  # ValueError: a line over the bound
                raise ChannelFailed(f"The connection broke: {type(error).__name__}.") from None
            if not raw:
                raise ChannelFailed("The server closed the connection.")
            asked = False
            try:
                line = wire.parse_line(raw)
            except Malformed:
                continue
            if line.command != "PING":
                return line
            self.write(f"PONG :{line.param(0)}")

    def write(self, line: str) -> None:
        """Write a line. Raises ChannelFailed."""
        if self._writer.is_closing():
            raise ChannelFailed("The connection is closed.")
        self._writer.write(line.encode("utf-8", "replace") + b"\r\n")

    def abort(self) -> None:
        self._writer.transport.abort()

    def end(self) -> None:
        """Say goodbye, then drop it."""
        self.write("QUIT")
        self._writer.close()


def shown(line: Line) -> str:
    """A server's own words, plain and short."""
    return " ".join(plain(line.param(-1)).split())[:160]
