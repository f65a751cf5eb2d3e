"""One authenticated stream: signing in, counting what was handled, questions and their answers.

Layer: adapters/channels/xmpp. Owns stream management: what came in is acknowledged once the caller is done with it, and the
count is kept before the server hears of it. Absent: TLS (the proxy speaks it), SCRAM (it needs the password here).
Sources: RFC 6120; XEP-0198; XEP-0199.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from carapax.adapters.channels.xmpp.stream import StreamParser
from carapax.adapters.channels.xmpp.wire import attr
from carapax.core.terms.error import Malformed
from carapax.ports.channel import ChannelFailed, CredentialRefused, Keep
from carapax.ports.egress import Egress

WAIT_S = 20.0
QUIET_S = 150.0  # after this long without a byte the server is asked whether it is there
SASL, SM = "{urn:ietf:params:xml:ns:xmpp-sasl}", "{urn:xmpp:sm:3}"
BIND, STREAM = "{urn:ietf:params:xml:ns:xmpp-bind}", "{http://etherx.jabber.org/streams}"
_OVER = ("not-authorized", "account-disabled", "credentials-expired", "invalid-authzid")


@dataclass(frozen=True, slots=True)
class Login:
    """Who signs in where. `resource` "" lets the server choose."""

    user: str
    domain: str
    host: str
    port: int
    handle: str
    resource: str

    @property
    def tls(self) -> bool:
        return self.host not in ("127.0.0.1", "localhost")


class Session:
    """A stream that is signed in. `resumed`: the server goes on with the stream before, and nothing was lost."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keep: Keep | None) -> None:
        self._reader, self._writer, self._keep = reader, writer, keep
        self._parser = StreamParser()
        self._came: deque[Element] = deque()
        self._asked: dict[str, asyncio.Future[Element]] = {}
        self._acks: list[tuple[int, asyncio.Future[Any]]] = []
        self._sent = 0
        self.stream_id = ""  # of stream management; "" where the server has none
        self.handled = 0
        self.resumed = False
        self.jid = ""
        self.before_save: Callable[[], Awaitable[None]] | None = None  # keeps what belongs to the count

    @classmethod
    async def open(cls, egress: Egress, login: Login, keep: Keep | None) -> Session:
        """Connect, sign in, and go on with the kept stream or bind a new one. Raises ChannelFailed, CredentialRefused."""
        line = await egress.open_line(host=login.host, port=login.port, tls=login.tls, secret=login.handle)
        reader, writer = await asyncio.open_unix_connection(sock=line.sock)
        session = cls(reader, writer, keep)
        try:
            async with asyncio.timeout(WAIT_S):
                await session._sign_in(login, line.placeholder)
                await session._begin(login)
        except TimeoutError:
            session.abort()
            raise ChannelFailed("The server does not answer.") from None
        except BaseException:
            session.abort()
            raise
        return session

    async def _sign_in(self, login: Login, placeholder: str) -> None:
        features = await self._restart(login.domain)
        offered = {found.text for found in features.findall(f"{SASL}mechanisms/{SASL}mechanism")}
        if "PLAIN" not in offered:
            raise ChannelFailed("The server does not let anybody sign in with PLAIN over this connection.")
        word = base64.b64encode(f"\0{login.user}\0{placeholder}".encode()).decode()
        self._write(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{word}</auth>")
        answer = await self._next()
        if answer.tag != f"{SASL}success":
            why = next((part.tag.rpartition("}")[2] for part in answer), "")[:60]
            error = CredentialRefused if why in _OVER else ChannelFailed
            raise error(f"The server did not let the agent in: {why or 'without a reason'}.")

    async def _begin(self, login: Login) -> None:
        features = await self._restart(login.domain)
        managed = features.find(f"{SM}sm") is not None and self._keep is not None
        if managed and await self._resume(f"{login.user}@{login.domain}"):
            return
        resource = f"<resource>{login.resource}</resource>" if login.resource else ""
        self._write(f"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{resource}</bind></iq>")
        answer = await self._next()
        self.jid = answer.findtext(f"{BIND}bind/{BIND}jid", "")
        if answer.get("type") != "result" or not self.jid:
            raise ChannelFailed("The server gave the agent no place.")
        if managed:
            self._write("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
            enabled = await self._next()
            if enabled.tag == f"{SM}enabled":
                self.stream_id = enabled.get("id", "")[:512] or secrets.token_hex(8)
                self._sent = 0
                await self._save(self.jid)

    async def _resume(self, address: str) -> bool:
        assert self._keep is not None
        kept = json.loads(await self._keep.read("stream") or b"{}")
        if kept.get("address") != address:
            return False
        self._write(f"<resume xmlns='urn:xmpp:sm:3' previd={attr(kept['id'])} h='{int(kept['h'])}'/>")
        answer = await self._next()
        if answer.tag != f"{SM}resumed":
            return False
        self.stream_id, self.handled, self.jid, self.resumed = kept["id"], int(kept["h"]), kept["jid"], True
        self._sent = _count(answer)
        return True

    async def _restart(self, domain: str) -> Element:
        self._parser = StreamParser()
        self._write(
            f"<?xml version='1.0'?><stream:stream to={attr(domain)} version='1.0' xml:lang='en' xmlns='jabber:client' "
            "xmlns:stream='http://etherx.jabber.org/streams'>"
        )
        features = await self._next()
        if features.tag != f"{STREAM}features":
            raise ChannelFailed(_ended(features))
        return features

    # in
    async def stanzas(self) -> AsyncIterator[Element]:
        """What comes in; the one before is handled when the next is asked for. Raises ChannelFailed, StoreUnavailable."""
        while True:
            stanza = await self._next(quiet=True)
            if stanza.tag == f"{SM}r":
                await self._save(self.jid)
                self._write(f"<a xmlns='urn:xmpp:sm:3' h='{self.handled}'/>")
            elif stanza.tag == f"{SM}a":
                self._acknowledged(_count(stanza))
            elif stanza.tag == f"{STREAM}error":
                raise ChannelFailed(_ended(stanza))
            elif stanza.tag.startswith("{jabber:client}"):
                answered = (
                    self._asked.pop(stanza.get("id", ""), None) if stanza.get("type") in ("result", "error") else None
                )
                if answered is None:
                    yield stanza
                elif not answered.done():
                    answered.set_result(stanza)
                self.handled = (self.handled + 1) % (1 << 32)

    async def _save(self, jid: str) -> None:
        if self._keep is not None and self.stream_id:
            if self.before_save is not None:
                await self.before_save()
            kept = {"address": jid.partition("/")[0], "id": self.stream_id, "h": self.handled, "jid": jid}
            await self._keep.write("stream", json.dumps(kept).encode())

    async def _next(self, *, quiet: bool = False) -> Element:
        asked = False
        while not self._came:
            if self._parser.closed:
                raise ChannelFailed("The server ended the stream.")
            try:
                async with asyncio.timeout(QUIET_S if quiet else None):
                    part = await self._reader.read(65_536)
            except TimeoutError:
                if asked:
                    raise ChannelFailed("The server does not answer any more.") from None
                asked = True
                self._write("<r xmlns='urn:xmpp:sm:3'/>" if self.stream_id else " ")
                continue
            except OSError as error:
                raise ChannelFailed(f"The connection broke: {type(error).__name__}.") from None
            if not part:
                raise ChannelFailed("The server closed the connection.")
            asked = False
            try:
                self._came += self._parser.feed(part)
            except Malformed as error:
                raise ChannelFailed(error.what) from None
        return self._came.popleft()

    # out
    def send(self, stanza: str) -> int:
        """Write a stanza; its number, for `confirm`."""
        self._write(stanza)
        self._sent = (self._sent + 1) % (1 << 32)
        return self._sent

    async def confirm(self, number: int, refused: asyncio.Future[None]) -> None:
        """Wait until the server has it, or refused it. Raises what `refused` was given; ChannelFailed (unknown)."""
        if not self.stream_id:
            taken: asyncio.Future[Any] = asyncio.ensure_future(self.ask("", "get", "<ping xmlns='urn:xmpp:ping'/>"))
        else:
            taken = asyncio.get_running_loop().create_future()
            self._acks.append((number, taken))
            self._write("<r xmlns='urn:xmpp:sm:3'/>")
        try:
            await asyncio.wait((taken, refused), timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
            if refused.done():
                refused.result()
            if not taken.done() or taken.exception() is not None:
                raise ChannelFailed("The server did not say that it has the message.", unknown=True)
        finally:
            taken.cancel()

    async def ask(self, to: str, kind: str, inner: str) -> Element:
        """A question to the server or one of its services, and the answer, which may be an error."""
        ident = secrets.token_hex(8)
        answer: asyncio.Future[Element] = asyncio.get_running_loop().create_future()
        self._asked[ident] = answer
        try:
            self.send(f"<iq type='{kind}' id='{ident}'{f' to={attr(to)}' if to else ''}>{inner}</iq>")
            async with asyncio.timeout(WAIT_S):
                return await answer
        except TimeoutError:
            raise ChannelFailed("The server does not answer.") from None
        finally:
            self._asked.pop(ident, None)

    def _acknowledged(self, count: int) -> None:
        for number, taken in list(self._acks):
            if (count - number) % (1 << 32) < 1 << 31:
                self._acks.remove((number, taken))
                if not taken.done():
                    taken.set_result(None)

    def _write(self, text: str) -> None:
        if self._writer.is_closing():
            raise ChannelFailed("The connection is closed.")
        self._writer.write(text.encode())

    def abort(self) -> None:
        """Drop the connection; the server keeps what was not acknowledged. Whoever waits is told."""
        self._writer.transport.abort()
        futures: list[asyncio.Future[Any]] = [*self._asked.values(), *(taken for _, taken in self._acks)]
        for waiting in futures:
            if not waiting.done():
                waiting.set_exception(ChannelFailed("The connection broke.", unknown=True))
                waiting.exception()  # whoever waits has it; nobody may

    async def end(self) -> None:
        """Say goodbye, then drop it."""
        self._write("</stream:stream>")
        self._writer.close()


def _count(element: Element) -> int:
    given = element.get("h", "")
    if not (given.isascii() and given.isdigit() and len(given) <= 10):
        raise ChannelFailed("The server's count is none.")
    return int(given)


def _ended(element: Element) -> str:
    why = next((part.tag.rpartition("}")[2] for part in element), "")[:60]
    return f"The server ended the stream: {why or 'without a reason'}."
