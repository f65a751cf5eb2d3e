"""Discord's gateway: one connection's life by opcodes, and the session that outlives it.

Layer: adapters/channels. Owns HELLO, heartbeats, IDENTIFY and RESUME, and what closing codes mean.
Absent: what events say (wire.py). Law: the sequence moves on only after an event was taken, so a resumed session repeats
the rest, also after a restart.
Source: docs.discord.com/developers/events/gateway.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.discord import wire
from carapax.adapters.channels.fields import number, word
from carapax.adapters.channels.sockets import open_socket
from carapax.core.terms.error import Malformed, StoreUnavailable
from carapax.ports.channel import ChannelFailed, CredentialRefused, SendRefused

NOTE = "session"
HELLO_S = 20.0
NEW_SESSION_MS = 3_000  # Discord wants one to five seconds before a new session
MAX_LATEST = 200  # channels that are caught up
MIN_BEAT_MS, MAX_BEAT_MS = 250, 300_000
REFUSED = {
    4004: "Discord does not accept the bot's token.",
    4013: "Discord does not know the intents that were asked for.",
    4014: "Discord refuses the intents: switch on Message Content Intent and Server Members Intent (Developer Portal, Bot).",
}
ENDED = (4003, 4007, 4009)  # the session is no good any more

Take = Callable[[wire.Frame, wire.Session], Awaitable[bool]]
"""Takes an event; True when something was handed on, so that the session has to be kept."""

Missed = Callable[[str, str], Awaitable[list[wire.Frame]]]
"""The messages of a channel after one, as events, the oldest first; SendRefused when it is gone."""


class Link:
    """The session over its connections."""

    def __init__(self, opening: Opening, take: Take, missed: Missed) -> None:
        self._take = take
        self._missed = missed
        self._latest: dict[str, str] = {}  # channel → its newest message that was taken
        self._egress = opening.egress
        self._token = opening.secrets["token"]
        self._keep = opening.keep
        self._session = wire.Session()

    async def load(self) -> None:
        """Take up the session of an earlier process. Raises ChannelFailed."""
        try:
            self._session, self._latest = wire.parse_session(await self._keep.read(NOTE))
        except StoreUnavailable as error:
            raise ChannelFailed(f"The session could not be read: {error.what}") from error

    async def hold(self, url: str, up: Callable[[], None]) -> None:
        """Hold one connection; returns when Discord wants it renewed. Raises ChannelFailed, CredentialRefused."""
        try:
            await self._hold(url, up)
        except Malformed as error:
            raise ChannelFailed(f"Discord sent a frame that is none: {error}") from None
        except StoreUnavailable as error:
            raise ChannelFailed(f"A message could not be kept: {error.what}") from error

    async def _hold(self, url: str, up: Callable[[], None]) -> None:
        from websockets.exceptions import ConnectionClosed

        address = wire.check_host(self._session.url or url)
        async with open_socket(self._egress, address, secret=self._token, ping_s=None) as (socket, token):
            try:
                await self._listen(socket, token, up)
            except ConnectionClosed as error:
                await self._closed(error.rcvd.code if error.rcvd is not None else 0)

    async def _closed(self, code: int) -> None:
        if code in REFUSED:
            raise CredentialRefused(REFUSED[code])
        if code in ENDED:
            await self._forget()
        raise ChannelFailed(f"Discord closed the connection ({code or 'without a word'}).") from None

    async def _listen(self, socket: Any, token: str, up: Callable[[], None]) -> None:
        beat_s = await self._hello(socket)
        resumes = bool(self._session.id)
        await socket.send(wire.render_resume(token, self._session) if resumes else wire.render_identify(token))
        loop = asyncio.get_running_loop()
        # The first beat comes at a random part of the interval, so that restarts do not beat together.
        due, answered = loop.time() + beat_s * secrets.randbelow(1000) / 1000, True
        while True:
            if loop.time() >= due:
                if not answered:
                    raise ChannelFailed("Discord does not answer heartbeats any more.")
                await socket.send(wire.render_heartbeat(self._session.seq))
                due, answered = loop.time() + beat_s, False
            try:
                async with asyncio.timeout_at(due):
                    frame = wire.parse_frame(await socket.recv())
            except TimeoutError:
                continue
            match frame.op:
                case 0:
                    await self._event(frame, up)
                case 1:
                    await socket.send(wire.render_heartbeat(self._session.seq))
                case 7:
                    return
                case 9:
                    if frame.body is True:
                        return
                    await self._forget()
                    raise ChannelFailed("Discord wants a new session.", retry_after_ms=NEW_SESSION_MS)
                case 11:
                    answered = True

    async def _hello(self, socket: Any) -> float:
        """The seconds between heartbeats."""
        try:
            async with asyncio.timeout(HELLO_S):
                hello = wire.parse_frame(await socket.recv())
        except TimeoutError:
            raise ChannelFailed("Discord did not say hello.") from None
        beat_ms = number(hello.fields, "heartbeat_interval")
        if hello.op != 10 or beat_ms is None or not MIN_BEAT_MS <= beat_ms <= MAX_BEAT_MS:
            raise ChannelFailed("Discord did not say hello as it should.")
        return beat_ms / 1000

    async def _event(self, frame: wire.Frame, up: Callable[[], None]) -> None:
        if frame.type == "READY":
            await self._ready(frame)
            up()
            return
        matters = await self._take(frame, self._session)
        if frame.seq is not None:
            self._session = replace(self._session, seq=frame.seq)
        if matters:
            await self._write(frame)
        if frame.type == "RESUMED":
            up()

    async def _ready(self, frame: wire.Frame) -> None:
        """A session begins. What was said since the last one is asked for first: if that fails, no session was begun."""
        url = word(frame.fields, "resume_gateway_url", 2_048)
        begun = wire.Session(word(frame.fields, "session_id"), frame.seq or 0, url)
        for channel, after in list(self._latest.items()):
            try:
                missed = await self._missed(channel, after)
            except SendRefused:
                del self._latest[channel]
                continue
            for event in missed:
                if await self._take(event, begun):
                    await self._write(event)
        self._session = begun
        await self._write(frame)

    async def _write(self, frame: wire.Frame) -> None:
        if frame.type == "MESSAGE_CREATE":
            channel = wire.channel_of(frame)
            newest = max(self._latest.pop(channel, "0"), word(frame.fields, "id"), key=int)
            self._latest[channel] = newest  # the dictionary's order is of use: the first is the longest silent
            while len(self._latest) > MAX_LATEST:
                del self._latest[next(iter(self._latest))]
        await self._keep.write(NOTE, wire.render_session(self._session, self._latest))

    async def _forget(self) -> None:
        self._session = wire.Session()
        await self._keep.write(NOTE, wire.render_session(self._session, self._latest))
