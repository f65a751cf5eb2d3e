"""An XMPP account as a channel: one stream both ways.

Layer: adapters/channels/xmpp. Owns what is done with each stanza, the rooms, and files. Absent: encryption between clients
(OMEMO), the history of rooms. Laws: a stanza is acknowledged after it was heard; a room that hides who writes is left; a
file lies on the host that was named at the set-up, or it is not fetched. Sources: see `wire` and `session`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from carapax.adapters.channels import calling
from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.fields import parse_object, word
from carapax.adapters.channels.xmpp import wire
from carapax.adapters.channels.xmpp.session import Login, Session
from carapax.adapters.channels.xmpp.upload import put_file
from carapax.core.terms.channel import (
    Attached,
    ChannelFacts,
    Feature,
    HookAnswer,
    HookRequest,
    Markup,
    OutFile,
    Outgoing,
    Place,
    Removed,
    Sent,
)
from carapax.core.terms.error import Malformed
from carapax.ports.channel import ChannelFailed, CredentialRefused, Hear, SendRefused

JOIN_S = 15.0
NOTE_BYTES = 1_000_000
OCCUPANTS = 5_000  # of one room
FACTS = ChannelFacts(
    kind="xmpp",
    features=frozenset(
        {Feature.EDIT, Feature.TYPING, Feature.REACT, Feature.REPLY, Feature.MEMBERS, Feature.GROUPS}
        | {Feature.FILES_IN, Feature.FILES_OUT}
    ),
    text_chars=16_000,
    markup=Markup.MARKDOWN,
    edits_per_minute=12,
)


def open_channel(opening: Opening) -> XmppChannel:
    """A channel of one account; nothing is connected yet."""
    return XmppChannel(opening)


class XmppChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._name, self._keep, self._log = opening.name, opening.keep, opening.log
        self._egress, self._clock = opening.egress, opening.clock
        values = opening.values
        self._me = values["address"].lower()
        user, _, domain = self._me.partition("@")
        port = int(values.get("port") or 5223)
        resource = f"carapax-{opening.name}"
        self._login = Login(user, domain, values["server"], port, opening.secrets["password"], resource)
        self._nick = values.get("nick") or "carapax"
        self._room_names = tuple(room.lower() for room in values.get("rooms", "").split())
        self._upload = values.get("upload", "")
        self._files: Any = None
        self._service = ""
        self._session: Session | None = None
        self._refused: CredentialRefused | None = None
        self._rooms: dict[str, dict[str, wire.Occupant]] = {}
        self._joining: set[str] = set()
        self._sending: dict[str, asyncio.Future[None]] = {}
        self._hidden: set[str] = set()
        self._moved = True  # the rooms are not as they were kept
        self._edits = 0

    def facts(self) -> ChannelFacts:
        return FACTS

    # in
    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        """Be signed in until cancelled; the stream is dropped without a farewell, so that the server keeps what comes."""
        session = await self._sign_in(self._login, keep=True)
        told = False

        def stands() -> None:
            nonlocal told
            if not told:
                told = True
                up(
                    session.jid
                    if not self._joining
                    else f"{session.jid}; no answer from {', '.join(sorted(self._joining))}"
                )

        if not session.stream_id:
            self._log("This server has no stream management: what comes while the connection breaks may be lost.")
        late = asyncio.get_running_loop().call_later(JOIN_S, stands)
        self._session = session
        try:
            await self._enter(session)
            if not self._joining:
                stands()
            async for stanza in session.stanzas():
                await self._take(session, stanza, hear)
                if not self._joining:
                    stands()
        finally:
            late.cancel()
            self._session = None
            session.abort()

    async def _enter(self, session: Session) -> None:
        """Be there and in the rooms. A stream that goes on has everybody in them still, as kept with its count."""
        self._rooms = {}
        if session.resumed:
            kept = json.loads(await self._keep.read("rooms") or b"{}")
            self._rooms = {
                room: {nick: wire.Occupant(nick, address) for nick, address in occupants.items()}
                for room, occupants in kept.items()
                if room in self._room_names
            }
        else:
            session.send("<presence/>")
        session.before_save = self._keep_rooms
        self._joining = set(self._room_names) - self._rooms.keys()
        for room in sorted(self._joining):
            self._rooms[room] = {}
            session.send(wire.render_join(room, self._nick))

    async def _keep_rooms(self) -> None:
        if self._moved:
            self._moved = False
            standing = {room: found for room, found in self._rooms.items() if room not in self._joining}
            made = {room: {nick: one.address for nick, one in found.items()} for room, found in standing.items()}
            raw = json.dumps(made).encode()
            # Too much to keep: those rooms are entered anew then.
            await self._keep.write("rooms", raw if len(raw) < NOTE_BYTES else b"{}")

    async def _sign_in(self, login: Login, *, keep: bool) -> Session:
        try:
            session = await Session.open(self._egress, login, self._keep if keep else None)
        except CredentialRefused as error:
            self._refused = error
            raise
        self._refused = None
        return session

    async def _take(self, session: Session, stanza: Element, hear: Hear) -> None:
        kind = stanza.tag.rpartition("}")[2]
        try:
            if kind == "message" and stanza.get("type") == "error":
                self._bounced(stanza)
            elif kind == "message":
                scene = wire.Scene(self._name, self._me, self._nick, self._rooms)
                if (heard := wire.parse_message(stanza, scene)) is not None:
                    await hear(heard)
            elif kind == "presence":
                await self._take_presence(session, stanza, hear)
            elif kind == "iq" and stanza.get("type") in ("get", "set"):
                session.send(_answer(stanza))
        except wire.Hidden as hidden:
            if hidden.what not in self._hidden and len(self._hidden) < 100:
                self._hidden.add(hidden.what)
                self._log(f"{hidden.what} It was not heard.")
        except Malformed as fault:
            self._log(f"A stanza was left out. {fault}")

    async def _take_presence(self, session: Session, stanza: Element, hear: Hear) -> None:
        sender, kind = stanza.get("from", ""), stanza.get("type", "")
        room = wire.split(sender)[0]
        if kind == "subscribe":
            session.send(f"<presence to={wire.attr(room)} type='subscribed'/>")
        elif kind == "error" and room in self._joining:
            self._drop(room, f"The room {room} cannot be joined: {' '.join(wire.error_words(stanza))}.")
        elif (seen := wire.parse_presence(stanza)) and seen.room in self._rooms:
            occupants, self._moved = self._rooms[seen.room], True
            if seen.here:
                if len(occupants) < OCCUPANTS:
                    occupants[seen.occupant.nick] = seen.occupant
                if seen.own:
                    self._entered(session, seen.room)
                return
            was = occupants.pop(seen.occupant.nick, seen.occupant)
            who = was.address or seen.occupant.address
            if seen.own and not seen.renamed:
                self._drop(seen.room, f"The agent is no longer in {seen.room}.")
            elif who and not seen.renamed and all(other.address != who for other in occupants.values()):
                event = f"{session.stream_id}-{session.handled}-{seen.event}"
                await hear(Removed(Place(self._name, seen.room, private=False), event, person=who))

    def _entered(self, session: Session, room: str) -> None:
        others = [found for nick, found in self._rooms[room].items() if nick != self._nick]
        if any(not other.address for other in others):
            session.send(f"<presence to={wire.attr(f'{room}/{self._nick}')} type='unavailable'/>")
            self._drop(room, f"The room {room} hides who writes, so it was left. Let it show addresses to everybody.")
        self._joining.discard(room)

    def _drop(self, room: str, line: str) -> None:
        self._rooms.pop(room, None)
        self._joining.discard(room)
        self._moved = True
        self._log(line)

    def _bounced(self, stanza: Element) -> None:
        waiting = self._sending.get(stanza.get("id", ""))
        if waiting is None or waiting.done():
            return
        kind, condition = wire.error_words(stanza)
        words = f"The message was sent back: {condition or 'without a reason'}."
        waiting.set_exception(ChannelFailed(words) if kind == "wait" else SendRefused(words))

    # out
    def _live(self) -> Session:
        if self._session is not None:
            return self._session
        raise self._refused or ChannelFailed("The channel is not connected.")

    async def send(self, outgoing: Outgoing) -> Sent:
        """Send the text, then the files; it returns when the server has them."""
        place, made = outgoing.place, ""
        if outgoing.text:
            made = wire.message_id(outgoing.key)
            room = not place.private
            await self._deliver(
                made,
                wire.render_message(place.chat, made, room=room, text=outgoing.text, reply_to=outgoing.reply_to),
            )
        for at, file in enumerate(outgoing.files):
            ident = wire.message_id(f"{outgoing.key} file {at}")
            url = await self._put_file(file)
            await self._deliver(ident, wire.render_message(place.chat, ident, room=not place.private, url=url))
            made = made or ident
        return Sent(made)

    async def edit(self, place: Place, message: str, text: str) -> None:
        ident = self._fresh("edit")
        stanza = wire.render_message(place.chat, ident, room=not place.private, text=text, replaces=message)
        await self._deliver(ident, stanza)

    async def typing(self, place: Place) -> None:
        self._live().send(wire.render_state(place.chat, self._fresh("state"), room=not place.private))

    async def react(self, place: Place, message: str, mark: str) -> None:
        ident = self._fresh("react")
        await self._deliver(ident, wire.render_reaction(place.chat, ident, message, mark, room=not place.private))

    async def _deliver(self, ident: str, stanza: str) -> None:
        session = self._live()
        refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sending[ident] = refused
        try:
            await session.confirm(session.send(stanza), refused)
        finally:
            self._sending.pop(ident, None)
            refused.cancel()

    def _fresh(self, kind: str) -> str:
        self._edits += 1
        return wire.message_id(f"{kind} {self._clock.now_ms()} {self._edits}")

    # files
    async def _put_file(self, file: OutFile) -> str:
        session = self._live()
        about = f"filename={wire.attr(file.name)} size='{len(file.content)}' content-type={wire.attr(file.type)}"
        request = f"<request xmlns='urn:xmpp:http:upload:0' {about}/>"
        answer = await session.ask(await self._find_service(session), "get", request)
        if answer.get("type") == "error":
            raise SendRefused(f"The server takes no such file: {' '.join(wire.error_words(answer))}.")
        try:
            put, got, headers = wire.parse_slot(answer)
        except Malformed as fault:
            raise ChannelFailed(fault.what) from None
        self._check_host(put)
        await put_file(self._egress, put, {**headers, "content-type": file.type}, file.content)
        return got

    async def _find_service(self, session: Session) -> str:
        if not self._upload:
            raise SendRefused("No host for files is set up for this channel.")
        if not self._service:
            items = "{http://jabber.org/protocol/disco#items}"
            listed = await session.ask(
                self._login.domain, "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>"
            )
            found = [item.get("jid", "") for item in listed.findall(f"{items}query/{items}item")][:20]
            for jid in filter(None, found):
                about = await session.ask(jid, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
                if any(part.get("var") == "urn:xmpp:http:upload:0" for part in about.iter()):
                    self._service = jid
                    break
            else:
                raise SendRefused("The server has no place for files.")
        return self._service

    def _check_host(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            elsewhere = (
                parts.scheme != "https" or parts.hostname != self._upload.lower() or parts.port not in (None, 443)
            )
        except ValueError:
            elsewhere = True
        if elsewhere or not self._upload:
            raise SendRefused("The file lies on a host that this channel does not go to.")

    def _client(self) -> Any:
        if self._files is None:
            self._files = self._egress.client(base_url=f"https://{self._upload}", secret="", timeout_ms=60_000)
        return self._files

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        url = word(parse_object(attached.ref), "url", 2_000)
        self._check_host(url)
        answer = await calling.call(self._client(), "GET", url, most_bytes=most_bytes)
        if error := calling.status_error(answer, self._clock):
            raise error
        if answer.status_code >= 300:
            raise SendRefused("The file has moved to where this channel does not go.")
        return answer.content

    # the rest
    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        return HookAnswer(404)

    async def members(self, place: Place) -> frozenset[str] | None:
        if place.private:
            return frozenset({place.chat})
        occupants = self._rooms.get(place.chat)
        if occupants is None:
            return None
        return frozenset(found.address for nick, found in occupants.items() if nick != self._nick and found.address)

    async def test(self) -> Sequence[str]:
        session = await self._sign_in(replace(self._login, resource=""), keep=False)
        try:
            return (f"{self._me} at {self._login.host}", f"{len(self._room_names)} rooms are named")
        finally:
            await session.end()

    async def close(self) -> None:
        if self._session is not None:
            self._session.abort()
        if self._files is not None:
            await self._files.aclose()


def _answer(stanza: Element) -> str:
    """What a question to the agent gets: a ping its answer, a question for features a short list, the rest a refusal."""
    head = f"to={wire.attr(stanza.get('from', ''))} id={wire.attr(stanza.get('id', ''))}"
    asked = next((part.tag for part in stanza), "")
    if asked == "{urn:xmpp:ping}ping":
        return f"<iq type='result' {head}/>"
    if asked == "{http://jabber.org/protocol/disco#info}query" and stanza.get("type") == "get":
        names = ("urn:xmpp:ping", "urn:xmpp:message-correct:0", "urn:xmpp:reply:0", "urn:xmpp:reactions:0")
        features = "".join(f"<feature var='{name}'/>" for name in names)
        who = "<identity category='client' type='bot'/>"
        return f"<iq type='result' {head}><query xmlns='http://jabber.org/protocol/disco#info'>{who}{features}</query></iq>"
    refusal = "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
    return f"<iq type='error' {head}><error type='cancel'>{refusal}</error></iq>"
