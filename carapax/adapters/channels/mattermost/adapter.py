"""Mattermost: the WebSocket and button presses in, REST out.

Layer: adapters/channels. Owns the socket's life, catching up, proofs of buttons, uploads and downloads.
Absent: slash commands, dialogs. Law: a press is believed when its proof is ours, it is fresh, and the server says that the
pressed post is the agent's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from carapax.adapters.channels.calling import call, read_bounded, read_json, status_error
from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.emoji import short_name
from carapax.adapters.channels.fields import number, parts, word
from carapax.adapters.channels.mattermost import wire
from carapax.adapters.channels.mattermost.cursor import Cursor
from carapax.adapters.channels.replays import Replays
from carapax.adapters.channels.sockets import open_socket
from carapax.core.terms.channel import (
    Attached,
    ChannelFacts,
    Evidence,
    Feature,
    Heard,
    HookAnswer,
    HookRequest,
    Markup,
    Outgoing,
    Person,
    Place,
    Received,
    Removed,
    Sent,
)
from carapax.core.terms.error import Malformed, Refused, StoreUnavailable, TooLarge
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, Hear, SendRefused
from carapax.ports.egress import Mac

TIMEOUT_MS = 30_000
PING_S = 60.0
HELLO_S = 20.0
STALE_MS = 300_000
PAGE = 200
MAX_MEMBERS = 10_000
MAX_KNOWN = 2_000
POSTED = ("posted", "post_edited", "post_deleted")
FEATURES = frozenset({
    Feature.EDIT, Feature.TYPING, Feature.REACT, Feature.THREADS, Feature.FILES_IN, Feature.FILES_OUT, Feature.MEMBERS,
    Feature.GROUPS,
})  # fmt: skip


def open_channel(opening: Opening) -> Channel:
    """One bot account. Raises Malformed when only one half of what buttons need is there."""
    if bool(opening.values.get("public_url")) != bool(opening.secrets.get("hook_secret")):
        raise Malformed("Buttons need both the public address and the secret for their presses.")
    return MattermostChannel(opening)


class MattermostChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        at = urlsplit(opening.values["server"].rstrip("/"))
        self._origin = f"{at.scheme}://{at.netloc}"
        self._api = f"{at.path}/api/v4"
        self._socket_url = f"{'wss' if at.scheme == 'https' else 'ws'}://{at.netloc}{self._api}/websocket"
        self._name = opening.name
        self._egress = opening.egress
        self._clock = opening.clock
        self._log = opening.log
        self._token = opening.secrets["token"]
        self._hook_secret = opening.secrets.get("hook_secret", "")
        self._public_url = opening.values.get("public_url", "")
        self._replays = Replays(opening.keep, opening.clock)
        self._cursor = Cursor(opening.keep)
        self._client: Any = None
        self._me: wire.Me | None = None
        self._types: dict[str, str] = {}  # of channels
        self._begun: dict[str, bool] = {}  # whether the agent began a thread

    def facts(self) -> ChannelFacts:
        return ChannelFacts(
            kind="mattermost",
            features=FEATURES | {Feature.BUTTONS, Feature.HOOK} if self._hook_secret else FEATURES,
            text_chars=wire.TEXT_CHARS,
            file_bytes=50 << 20,
            markup=Markup.MARKDOWN,
            edits_per_minute=30,
        )

    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        me = await self._who(anew=True)
        try:
            await self._cursor.load()
            await self._hold(me, hear, up)
        except StoreUnavailable as error:
            raise ChannelFailed(f"A message could not be kept: {error.what}") from error

    async def _hold(self, me: wire.Me, hear: Hear, up: Callable[[str], None]) -> None:
        from websockets.exceptions import ConnectionClosed

        headers = {"authorization": "Bearer {secret}"}
        async with open_socket(self._egress, self._socket_url, secret=self._token, headers=headers, ping_s=PING_S) as (
            socket,
            _,
        ):
            try:
                async with asyncio.timeout(HELLO_S):
                    hello = wire.parse_event(await socket.recv())
                if hello.type != "hello":
                    raise ChannelFailed("Mattermost did not say hello.")
                # The socket stands already: what is posted from here on waits in it.
                await self._catch_up(me, hear)
                up(f"@{me.username}")
                async for raw in socket:
                    await self._take(wire.parse_event(raw), me, hear)
            except TimeoutError:
                raise ChannelFailed("Mattermost did not say hello.") from None
            except ConnectionClosed as error:
                raise ChannelFailed(f"Mattermost's connection broke: {str(error)[:200]}") from None
            except Malformed as error:
                raise ChannelFailed(f"Mattermost sent a frame that is none: {error}") from None
        raise ChannelFailed("Mattermost closed the connection.")

    async def _catch_up(self, me: wire.Me, hear: Hear) -> None:
        channels = await self._ask_all("GET", f"/users/{me.id}/channels?last_delete_at=0")
        newest_ms = max((number(channel, "last_post_at") or 0 for channel in channels), default=0)
        if self._cursor.newest_ms is None:
            await self._cursor.begin(newest_ms)
            return
        began_ms, since_ms = self._cursor.newest_ms, self._cursor.since_ms
        missed: list[dict[str, Any]] = []
        for channel in channels:
            id, type, _ = wire.parse_channel(channel)
            self._remember(self._types, id, type)
            if (number(channel, "last_post_at") or 0) >= since_ms:
                listed = await self._ask("GET", f"/channels/{id}/posts?since={since_ms}")
                found = listed.get("posts")
                missed += [post for post in found.values() if isinstance(post, dict)] if isinstance(found, dict) else []
        for post in sorted(missed, key=lambda post: number(post, "create_at") or 0):
            edited = bool(number(post, "edit_at")) and (number(post, "create_at") or 0) <= began_ms
            deleted = bool(number(post, "delete_at"))
            await self._take_post(post, me, hear, edited=edited, deleted=deleted)

    async def _take(self, event: wire.Event, me: wire.Me, hear: Hear) -> None:
        if event.type in POSTED:
            edited, deleted = event.type == "post_edited", event.type == "post_deleted"
            await self._take_post(event.post, me, hear, edited=edited, deleted=deleted)
        elif event.type == "leave_team":
            await self._left_team(word(event.fields, "team_id"), word(event.fields, "user_id"), me, hear)

    async def _take_post(self, post: dict[str, Any], me: wire.Me, hear: Hear, *, edited: bool, deleted: bool) -> None:
        try:
            place = await self._place(post)
            if deleted:
                heard: Heard | None = wire.parse_removed(post, place)
            else:
                to_me = bool(place.thread) and not place.private and await self._began(place.thread, me)
                heard = wire.parse_post(post, place, me, edited=edited, to_me=to_me)
            at_ms = number(post, "update_at") or number(post, "create_at") or 0
        except (Malformed, SendRefused) as error:
            self._log(f"A post was not understood: {error}")
            return
        if heard is None or self._cursor.knows(heard.event):
            return
        await hear(heard)
        await self._cursor.took(heard.event, at_ms)

    async def _left_team(self, team: str, person: str, me: wire.Me, hear: Hear) -> None:
        """Who leaves a team leaves its channels without a word in them."""
        if person == me.id:
            return
        for channel in await self._ask_all("GET", f"/users/{me.id}/channels?last_delete_at=0"):
            id, type, its_team = wire.parse_channel(channel)
            if its_team == team and type != "D":
                event = f"left:{team}:{wire.checked_id(person)}:{id}:{self._clock.now_ms()}"
                await hear(Removed(Place(self._name, id, private=False), event, person=person))

    async def _place(self, post: dict[str, Any]) -> Place:
        id = wire.checked_id(word(post, "channel_id"))
        if id not in self._types:
            _, type, _ = wire.parse_channel(await self._ask("GET", f"/channels/{id}"))
            self._remember(self._types, id, type)
        return Place(self._name, id, wire.root_of(post), private=self._types[id] == "D")

    async def _began(self, root: str, me: wire.Me) -> bool:
        if root not in self._begun:
            self._remember(self._begun, root, word(await self._ask("GET", f"/posts/{root}"), "user_id") == me.id)
        return self._begun[root]

    def _remember(self, known: dict[str, Any], id: str, what: Any) -> None:
        known[id] = what
        while len(known) > MAX_KNOWN:
            del known[next(iter(known))]

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        if not self._hook_secret or request.method != "POST" or request.path.strip("/"):
            return HookAnswer(404)
        try:
            press = wire.parse_press(request.body)
            if abs(self._clock.now_ms() - press.at_ms) > STALE_MS:
                return HookAnswer(401)
            await self._egress.check_mac(
                secret=self._hook_secret, mac=Mac.HMAC_SHA256, message=press.signed, given=press.mac
            )
        except (Malformed, Refused):
            return HookAnswer(401)
        try:
            fresh = await self._replays.take(press.trigger, press.at_ms, lambda: self._pressed(press, hear))
        except SendRefused:
            return HookAnswer(401)
        except (ChannelFailed, CredentialRefused, StoreUnavailable):
            return HookAnswer(503)
        return HookAnswer(200, b"{}", "application/json") if fresh else HookAnswer(401)

    async def _pressed(self, press: wire.Press, hear: Hear) -> None:
        """Hand a press on. Raises SendRefused when the server knows no such post of the agent's."""
        me = await self._who()
        post = await self._ask("GET", f"/posts/{press.post}")
        if word(post, "user_id") != me.id or word(post, "channel_id") != press.channel:
            raise SendRefused("The pressed post is not the agent's.")
        await hear(
            Received(
                place=await self._place(post),
                sender=Person(press.user),
                event=f"{press.post}:{press.trigger}",
                text="",
                sent_ms=press.at_ms,
                message=press.post,
                evidence=Evidence.SIGNED,
                pressed=press.data,
            )
        )

    async def send(self, outgoing: Outgoing) -> Sent:
        me = await self._who()
        files = [await self._upload(outgoing.place, file.name, file.content) for file in outgoing.files]
        buttons = [
            (button.label, button.data, await self._proof(outgoing, button.data))
            for button in (outgoing.buttons if self._hook_secret else ())
        ]
        body = wire.render_message(outgoing, me, files, buttons, self._public_url)
        return Sent(word(await self._ask("POST", "/posts", sends=True, json=body), "id"))

    async def _proof(self, outgoing: Outgoing, data: str) -> str:
        message = wire.button_message(outgoing.place.chat, wire.key_of(outgoing), data)
        return (await self._egress.make_mac(secret=self._hook_secret, mac=Mac.HMAC_SHA256, message=message)).hex()

    async def _upload(self, place: Place, name: str, content: bytes) -> str:
        query = urlencode({"channel_id": place.chat, "filename": name})
        infos = parts(await self._ask("POST", f"/files?{query}", content=content), "file_infos")
        if len(infos) != 1:
            raise ChannelFailed("Mattermost did not say what became of a file.")
        return word(infos[0], "id")

    async def edit(self, place: Place, message: str, text: str) -> None:
        await self._ask("PUT", f"/posts/{_path_id(message)}/patch", sends=True, json=wire.render_edit(text))

    async def typing(self, place: Place) -> None:
        me = await self._who()
        body = {"channel_id": place.chat, "parent_id": place.thread}
        await self._ask("POST", f"/users/{me.id}/typing", json=body)

    async def react(self, place: Place, message: str, mark: str) -> None:
        wanted, me = short_name(mark) if mark else "", await self._who()
        path = f"/posts/{_path_id(message)}/reactions"
        for reaction in await self._ask_all("GET", path):
            emoji = word(reaction, "emoji_name", 64)
            if word(reaction, "user_id") == me.id and emoji != wanted and wire.is_emoji(emoji):
                await self._ask("DELETE", f"/users/{me.id}{path}/{emoji}")
        if wanted:
            await self._ask("POST", "/reactions", json={"user_id": me.id, "post_id": message, "emoji_name": wanted})

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        import httpx2

        path = f"/files/{_path_id(attached.ref)}"
        if (number(await self._ask("GET", f"{path}/info"), "size") or 0) > most_bytes:
            raise TooLarge(f"The file is larger than {most_bytes:,} bytes; it was not read.")
        try:
            async with self._http().stream("GET", self._api + path, headers=self._bearer()) as answer:
                if (error := status_error(answer, self._clock)) is not None:
                    raise error
                return await read_bounded(answer, most_bytes)
        except (httpx2.TransportError, httpx2.StreamError) as error:
            raise ChannelFailed(f"The file could not be read from Mattermost: {type(error).__name__}.") from None

    async def members(self, place: Place) -> frozenset[str] | None:
        me = await self._who()
        found: set[str] = set()
        for page in range(MAX_MEMBERS // PAGE):
            path = f"/channels/{_path_id(place.chat)}/members?page={page}&per_page={PAGE}"
            listed = await self._ask_all("GET", path)
            found |= {word(member, "user_id") for member in listed}
            if len(listed) < PAGE:
                return frozenset(found - {me.id, ""})
        return None

    async def test(self) -> Sequence[str]:
        me = await self._who(anew=True)
        buttons = "on" if self._hook_secret else "off (no public address)"
        return [f"Server: {self._origin}", f"Account: @{me.username} ({me.id})", f"Buttons: {buttons}"]

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _who(self, *, anew: bool = False) -> wire.Me:
        if self._me is None or anew:
            answer = await self._ask("GET", "/users/me")
            try:
                self._me = wire.Me(wire.checked_id(word(answer, "id")), word(answer, "username", 64))
            except Malformed:
                raise ChannelFailed("Mattermost did not say who the account is.") from None
        return self._me

    async def _ask(self, method: str, path: str, *, sends: bool = False, **options: Any) -> dict[str, Any]:
        given = await self._answer(method, path, sends=sends, **options)
        if not isinstance(given, dict):
            raise ChannelFailed("Mattermost answered with something that is no object.", unknown=sends)
        return given

    async def _ask_all(self, method: str, path: str) -> list[dict[str, Any]]:
        return parts({"all": await self._answer(method, path, sends=False)}, "all")

    async def _answer(self, method: str, path: str, *, sends: bool, **options: Any) -> Any:
        answer = await call(self._http(), method, self._api + path, sends=sends, headers=self._bearer(), **options)
        if (error := status_error(answer, self._clock, wire.said_error(answer.content))) is not None:
            raise error
        try:
            return read_json(answer)
        except ChannelFailed as failed:
            raise ChannelFailed(failed.what, unknown=sends) from None

    def _http(self) -> Any:
        if self._client is None:
            self._client = self._egress.client(base_url=self._origin, secret=self._token, timeout_ms=TIMEOUT_MS)
        return self._client

    def _bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._http().placeholder}"}


def _path_id(id: str) -> str:
    """An id that may stand in a path. Raises SendRefused."""
    try:
        return wire.checked_id(id)
    except Malformed as error:
        raise SendRefused(str(error)) from None
