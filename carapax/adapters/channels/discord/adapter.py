"""Discord: the gateway in, REST out.

Layer: adapters/channels. Owns what channels are (asked once each), presses' acknowledgement, uploads and downloads.
Absent: slash commands, voice, sharding (one connection serves 2,500 servers). Law: nothing is acknowledged before `hear`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from carapax.adapters.channels.calling import call, read_bounded, read_json, status_error
from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.discord import wire
from carapax.adapters.channels.discord.gateway import Link
from carapax.adapters.channels.fields import number, part, parts, word
from carapax.core.terms.channel import (
    Attached,
    ChannelFacts,
    Feature,
    HookAnswer,
    HookRequest,
    Markup,
    Outgoing,
    Place,
    Removed,
    Sent,
)
from carapax.core.terms.error import Malformed, TooLarge
from carapax.ports.channel import Channel, ChannelFailed, Hear, SendRefused

API = "https://discord.com"
V10 = "/api/v10"
TIMEOUT_MS = 30_000
MAX_SPOTS = 2_000
MAX_MEMBERS = 10_000
MAX_CHANNELS = 500
PAGE = 1_000
PAGE_MESSAGES, MAX_PAGES = 100, 10
MAX_QUICK, QUICK_MS = 3, 5_000
FEATURES = frozenset(Feature) - {Feature.HOOK, Feature.IDEMPOTENT}


def open_channel(opening: Opening) -> Channel:
    """One bot."""
    return DiscordChannel(opening)


class DiscordChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._name = opening.name
        self._egress = opening.egress
        self._clock = opening.clock
        self._log = opening.log
        self._token = opening.secrets["token"]
        self._opening = opening
        self._spots: dict[str, wire.Spot] = {}
        self._clients: dict[str, Any] = {}
        self._me = self._my_name = ""

    def facts(self) -> ChannelFacts:
        return ChannelFacts(
            kind="discord",
            features=FEATURES,
            text_chars=wire.TEXT_CHARS,
            file_bytes=10 << 20,
            markup=Markup.MARKDOWN,
            edits_per_minute=30,
        )

    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        await self._who(anew=True)

        async def take(frame: wire.Frame, session: wire.Session) -> bool:
            return await self._take(frame, session, hear)

        link = Link(self._opening, take, self._missed)
        await link.load()
        url = await self._gateway()
        quick = 0
        while quick <= MAX_QUICK:
            began_ms = self._clock.monotonic_ms()
            await link.hold(url, lambda: up(f"@{self._my_name}"))
            quick = quick + 1 if self._clock.monotonic_ms() - began_ms < QUICK_MS else 0
        raise ChannelFailed("Discord asks for a new connection again and again.", retry_after_ms=30_000)

    async def _gateway(self) -> str:
        answer = await self._ask("GET", "/gateway/bot")
        limit = part(answer, "session_start_limit")
        if number(limit, "remaining") == 0:
            wait_ms = number(limit, "reset_after") or 60_000
            raise ChannelFailed("Discord allows no more connections for now.", retry_after_ms=min(wait_ms, 3_600_000))
        return word(answer, "url", 2_048)

    async def _take(self, frame: wire.Frame, session: wire.Session, hear: Hear) -> bool:
        try:
            if frame.type == "GUILD_MEMBER_REMOVE":
                return await self._left(frame, f"{session.id}:{frame.seq}", hear)
            if frame.type in ("CHANNEL_UPDATE", "CHANNEL_DELETE", "THREAD_UPDATE", "THREAD_DELETE"):
                self._spots.pop(word(frame.fields, "id"), None)
            channel = wire.channel_of(frame)
            place = (await self._spot(channel)).place(self._name) if channel else None
            found = wire.parse_event(frame, place, self._me) if place else ()
        except (Malformed, SendRefused) as error:
            self._log(f"An event was not understood: {error}")
            return False
        for heard in found:
            await hear(heard)
        if found and frame.type == "INTERACTION_CREATE":
            await self._acknowledge(frame)
        return bool(found)

    async def _missed(self, channel: str, after: str) -> list[wire.Frame]:
        spot = await self._spot(channel)
        found: list[wire.Frame] = []
        for _ in range(MAX_PAGES):
            listed = await self._ask_all(f"/channels/{spot.id}/messages?limit={PAGE_MESSAGES}&after={after}")
            found += wire.missed_frames(listed, spot)
            if len(listed) < PAGE_MESSAGES:
                break
            after = _path_id(word(listed[0], "id"))
        return found

    async def _left(self, frame: wire.Frame, stamp: str, hear: Hear) -> bool:
        guild, person = wire.parse_leaver(frame)
        if person == self._me:
            return False
        listed = await self._ask_all(f"/guilds/{guild}/channels")
        spots = [wire.parse_spot({**entry, "guild_id": guild}) for entry in listed[:MAX_CHANNELS]]
        for spot in spots:
            if spot.type in wire.TEXT_CHANNELS:
                await hear(Removed(spot.place(self._name), f"left:{guild}:{person}:{stamp}:{spot.id}", person=person))
        return True

    async def _acknowledge(self, frame: wire.Frame) -> None:
        """Tell Discord that a press was taken; the press is kept already, so a failure is only logged."""
        try:
            path = wire.callback_path(frame).removeprefix(V10)
            await self._ask("POST", path, json={"type": 6})
        except (ChannelFailed, SendRefused, Malformed) as error:
            self._log(f"A press could not be acknowledged: {error}")

    async def _spot(self, id: str) -> wire.Spot:
        if id not in self._spots:
            found = wire.parse_spot(await self._ask("GET", f"/channels/{_path_id(id)}"))
            while len(self._spots) >= MAX_SPOTS:
                del self._spots[next(iter(self._spots))]
            self._spots[id] = found
        return self._spots[id]

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        return HookAnswer(404)

    async def send(self, outgoing: Outgoing) -> Sent:
        body = wire.render_message(outgoing)
        path = f"/channels/{_at(outgoing.place)}/messages"
        if not outgoing.files:
            return Sent(word(await self._ask("POST", path, sends=True, json=body), "id"))
        body["attachments"] = [{"id": number, "filename": file.name} for number, file in enumerate(outgoing.files)]
        files = [(f"files[{n}]", (file.name, file.content, file.type)) for n, file in enumerate(outgoing.files)]
        form = {"payload_json": json.dumps(body)}
        return Sent(word(await self._ask("POST", path, sends=True, data=form, files=files), "id"))

    async def edit(self, place: Place, message: str, text: str) -> None:
        path = f"/channels/{_at(place)}/messages/{_path_id(message)}"
        await self._ask("PATCH", path, sends=True, json=wire.render_edit(text))

    async def typing(self, place: Place) -> None:
        await self._ask("POST", f"/channels/{_at(place)}/typing")

    async def react(self, place: Place, message: str, mark: str) -> None:
        path = f"/channels/{_at(place)}/messages/{_path_id(message)}"
        found = await self._ask("GET", path)
        for reaction in parts(found, "reactions"):
            emoji = word(part(reaction, "emoji"), "name")
            if reaction.get("me") is True and emoji and emoji != mark:
                await self._ask("DELETE", f"{path}/reactions/{quote(emoji, safe='')}/@me")
        if mark:
            await self._ask("PUT", f"{path}/reactions/{quote(mark, safe='')}/@me")

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        channel, _, rest = attached.ref.partition("/")
        message, _, file = rest.partition("/")
        found = await self._ask("GET", f"/channels/{_path_id(channel)}/messages/{_path_id(message)}")
        try:
            path, size = wire.file_address(found, file)
        except Malformed as error:
            raise ChannelFailed(str(error)) from None
        if size > most_bytes:
            raise TooLarge(f"The file is larger than {most_bytes:,} bytes; it was not read.")
        return await self._download(path, most_bytes)

    async def _download(self, path: str, most_bytes: int) -> bytes:
        import httpx2

        try:
            async with self._client(f"https://{wire.CDN}", "").stream("GET", path) as answer:
                if (error := status_error(answer, self._clock)) is not None:
                    raise error
                return await read_bounded(answer, most_bytes)
        except (httpx2.TransportError, httpx2.StreamError) as error:
            raise ChannelFailed(f"The file could not be read from Discord: {type(error).__name__}.") from None

    async def members(self, place: Place) -> frozenset[str] | None:
        """Everybody in the server: who of them may see the channel is not told, so it names too many rather than too few."""
        me = await self._who()
        spot = await self._spot(_path_id(place.chat))
        if not spot.guild:
            return frozenset(spot.people)
        found: set[str] = set()
        after = "0"
        while len(found) <= MAX_MEMBERS:
            listed = await self._ask_all(f"/guilds/{spot.guild}/members?limit={PAGE}&after={after}")
            page = [word(part(entry, "user"), "id") for entry in listed]
            found |= set(page)
            if len(page) < PAGE and len(found) <= MAX_MEMBERS:
                return frozenset(found - {me, ""})
            after = _path_id(max(page, key=lambda id: int(id) if id.isdigit() else 0))
        return None

    async def test(self) -> Sequence[str]:
        me = await self._who(anew=True)
        await self._gateway()
        return [f"Bot: @{self._my_name} ({me})", "Gateway: allowed"]

    async def close(self) -> None:
        clients, self._clients = self._clients, {}
        await asyncio.gather(*(client.aclose() for client in clients.values()))

    async def _who(self, *, anew: bool = False) -> str:
        if not self._me or anew:
            answer = await self._ask("GET", "/users/@me")
            self._me, self._my_name = _path_id(word(answer, "id")), word(answer, "username")
        return self._me

    async def _ask(self, method: str, path: str, *, sends: bool = False, **options: Any) -> dict[str, Any]:
        """The object of the answer, {} for an empty one."""
        given = await self._answer(method, path, sends=sends, **options)
        if not isinstance(given, dict):
            raise ChannelFailed("Discord answered with something that is no object.", unknown=sends)
        return given

    async def _ask_all(self, path: str) -> list[dict[str, Any]]:
        return parts({"all": await self._answer("GET", path, sends=False)}, "all")

    async def _answer(self, method: str, path: str, *, sends: bool, **options: Any) -> Any:
        client = self._client(API, self._token)
        headers = {"authorization": f"Bot {client.placeholder}", "user-agent": "DiscordBot (carapax, 1)"}
        answer = await call(client, method, V10 + path, sends=sends, headers=headers, **options)
        if (error := status_error(answer, self._clock, wire.said_error(answer.content))) is not None:
            raise error
        if answer.status_code == 204:
            return {}
        try:
            return read_json(answer)
        except ChannelFailed as failed:
            raise ChannelFailed(failed.what, unknown=sends) from None

    def _client(self, base_url: str, secret: str) -> Any:
        if base_url not in self._clients:
            self._clients[base_url] = self._egress.client(base_url=base_url, secret=secret, timeout_ms=TIMEOUT_MS)
        return self._clients[base_url]


def _at(place: Place) -> str:
    return _path_id(place.thread or place.chat)


def _path_id(id: str) -> str:
    """An id that may stand in a path. Raises SendRefused."""
    if not (id.isascii() and id.isdigit() and len(id) <= 24):
        raise SendRefused("This is no id of Discord's.")
    return id
