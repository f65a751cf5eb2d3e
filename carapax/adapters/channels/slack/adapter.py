"""Slack: Socket Mode or signed requests in, the Web API out.

Layer: adapters/channels. Owns the socket's life, signatures of requests, uploads and downloads.
Absent: OAuth installation (one workspace, tokens from its app page), slash commands, typing (Slack has none for bots).
Laws: an envelope is acknowledged after `hear` and not before; a request is believed only once, with a fresh signature.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from carapax.adapters.channels.calling import call, read_bounded, read_json, status_error
from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.emoji import short_name
from carapax.adapters.channels.fields import number, part, parts, word
from carapax.adapters.channels.replays import Replays
from carapax.adapters.channels.slack import wire
from carapax.adapters.channels.slack.latest import Latest
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
    Place,
    Received,
    Sent,
)  # fmt: skip
from carapax.core.terms.error import Malformed, Refused, StoreUnavailable, TooLarge
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, Hear, SendRefused
from carapax.ports.egress import Mac

API = "https://slack.com"
FILES = "https://files.slack.com"
TIMEOUT_MS = 30_000
PING_S = 60.0
STALE_MS = 300_000
MAX_MEMBERS = 10_000
MAX_PAGES = 10
MAX_QUICK_REFRESHES = 3
QUICK_MS = 5_000
FEATURES = frozenset({
    Feature.EDIT, Feature.REACT, Feature.THREADS, Feature.BUTTONS, Feature.FILES_IN, Feature.FILES_OUT, Feature.MEMBERS,
    Feature.GROUPS,
})  # fmt: skip


def open_channel(opening: Opening) -> Channel:
    """One bot user. Raises Malformed when there is neither an app token nor a signing secret."""
    if not (opening.secrets.get("app_token") or opening.secrets.get("signing_secret")):
        raise Malformed("Slack needs an app token (Socket Mode) or a signing secret (requests to this machine).")
    return SlackChannel(opening)


class SlackChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._name = opening.name
        self._egress = opening.egress
        self._clock = opening.clock
        self._bot_token = opening.secrets["bot_token"]
        self._app_token = opening.secrets.get("app_token", "")
        self._signing = opening.secrets.get("signing_secret", "")
        self._log = opening.log
        self._replays = Replays(opening.keep, opening.clock)
        self._latest = Latest(opening.keep)
        self._clients: dict[tuple[str, str], Any] = {}
        self._me: wire.Me | None = None
        self._caught_up = False
        self._caught: set[str] = set()  # events that were asked for

    def facts(self) -> ChannelFacts:
        return ChannelFacts(
            kind="slack",
            features=FEATURES if self._app_token else FEATURES | {Feature.HOOK},
            text_chars=3_000,
            markup=Markup.ADAPTER,
            edits_per_minute=30,
        )

    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        me = await self._who(anew=True)
        stands = f"@{me.name} in {me.team}"
        if not self._app_token:
            await self._catch_up(me, hear)
            up(f"{stands}, called by Slack")
            return
        self._caught_up = False
        quick = 0
        while quick <= MAX_QUICK_REFRESHES:
            began_ms = self._clock.monotonic_ms()
            await self._listen(me, hear, lambda: up(stands))
            quick = quick + 1 if self._clock.monotonic_ms() - began_ms < QUICK_MS else 0
        raise ChannelFailed("Slack asks for a new connection again and again.", retry_after_ms=30_000)

    async def _listen(self, me: wire.Me, hear: Hear, up: Callable[[], None]) -> None:
        """Hold one connection until Slack wants it renewed."""
        from websockets.exceptions import ConnectionClosed

        async with open_socket(self._egress, await self._socket_url(), ping_s=PING_S) as (socket, _):
            try:
                async for raw in socket:
                    frame = wire.parse_frame(raw)
                    match frame.type, frame.reason:
                        case "hello", _:
                            if not self._caught_up:
                                await self._catch_up(me, hear)
                            self._caught_up = True
                            up()
                        case "disconnect", "link_disabled":
                            raise CredentialRefused("Socket Mode is switched off for this Slack app.")
                        case "disconnect", _:
                            return
                        case _ if frame.envelope:
                            await self._take(frame.payload, me, hear)
                            await socket.send(json.dumps({"envelope_id": frame.envelope}))
            except Malformed as error:
                raise ChannelFailed(f"Slack sent a frame that is none: {error}") from None
            except ConnectionClosed as error:
                raise ChannelFailed(f"Slack's connection broke: {str(error)[:200]}") from None
        raise ChannelFailed("Slack closed the connection.")

    async def _take(self, payload: dict[str, Any], me: wire.Me, hear: Hear) -> None:
        try:
            heard = wire.parse_payload(payload, me, self._name)
        except Malformed:
            return  # it would come again and again if it were not acknowledged
        if heard is not None and heard.event not in self._caught:
            try:
                await hear(heard)
                if isinstance(heard, Received) and not (heard.edited or heard.pressed):
                    await self._latest.took(heard.place.chat, heard.message)
            except StoreUnavailable as error:
                raise ChannelFailed(f"A message could not be kept: {error.what}") from error

    async def _catch_up(self, me: wire.Me, hear: Hear) -> None:
        """Ask for what was said in the known channels since; answers within threads are not listed there."""
        self._caught.clear()
        try:
            for channel, stamp in (await self._latest.all()).items():
                await self._catch_up_channel(channel, stamp, me, hear)
        except StoreUnavailable as error:
            raise ChannelFailed(f"What was heard last could not be kept: {error.what}") from error

    async def _catch_up_channel(self, channel: str, stamp: str, me: wire.Me, hear: Hear) -> None:
        try:
            missed = await self._since(channel, stamp)
        except SendRefused as error:
            self._log(f"A channel could not be caught up: {error.what}")
            await self._latest.forget(channel)
            return
        for message in missed:
            await self._take(wire.missed_payload(message, channel), me, hear)
            # Slack may still send it; it was taken.
            self._caught.add(f"{channel}:{message.get('ts')}")

    async def _since(self, channel: str, stamp: str) -> list[dict[str, Any]]:
        """The messages of a channel after one, the oldest first."""
        found: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(MAX_PAGES):
            form = {"channel": channel, "oldest": stamp, "limit": "200", **({"cursor": cursor} if cursor else {})}
            answer = await self._ask("conversations.history", form, as_form=True)
            found += parts(answer, "messages")
            cursor = word(part(answer, "response_metadata"), "next_cursor")
            if not cursor:
                break
        return found[::-1]

    async def _socket_url(self) -> str:
        answer = await self._ask("apps.connections.open", token=self._app_token)
        url = word(answer, "url", 2_048)
        host = urlsplit(url).hostname or ""
        if not (url.startswith("wss://") and host.endswith(".slack.com")):
            raise ChannelFailed("Slack named an address for its socket that is not Slack's.")
        return url

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        if not self._signing or request.method != "POST" or request.path.strip("/"):
            return HookAnswer(404)
        stamp, signature = request.header("x-slack-request-timestamp"), request.header("x-slack-signature")
        if not await self._is_signed(stamp, signature, request.body):
            return HookAnswer(401)
        try:
            payload = wire.parse_request(request.header("content-type"), request.body)
            if word(payload, "type") == "url_verification":
                return HookAnswer(200, word(payload, "challenge").encode())
        except Malformed:
            return HookAnswer(400)
        me = await self._who()

        async def signed(heard: Heard) -> None:
            await hear(replace(heard, evidence=Evidence.SIGNED) if isinstance(heard, Received) else heard)

        try:
            fresh = await self._replays.take(signature, int(stamp) * 1000, lambda: self._take(payload, me, signed))
        except (ChannelFailed, StoreUnavailable):
            return HookAnswer(503)  # Slack asks again, with a new signature
        return HookAnswer(200 if fresh else 401)

    async def _is_signed(self, stamp: str, signature: str, body: bytes) -> bool:
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            return False
        if abs(self._clock.now_ms() - int(stamp) * 1000) > STALE_MS or not signature.startswith("v0="):
            return False
        try:
            given = bytes.fromhex(signature[3:])
            message = b"v0:" + stamp.encode() + b":" + body
            await self._egress.check_mac(secret=self._signing, mac=Mac.HMAC_SHA256, message=message, given=given)
        except (ValueError, Refused):
            return False
        return True

    async def send(self, outgoing: Outgoing) -> Sent:
        body = wire.render_message(outgoing)
        uploaded = [await self._upload(file.name, file.content) for file in outgoing.files]
        if uploaded:
            # Files and their text are published in one step; only buttons need a message of their own.
            told = "" if outgoing.buttons else body["text"]
            await self._publish(outgoing.place, uploaded, told)
            if not outgoing.buttons:
                return Sent()
        answer = await self._ask("chat.postMessage", body, sends=True)
        return Sent(word(answer, "ts"))

    async def _upload(self, name: str, content: bytes) -> dict[str, str]:
        form = {"filename": name, "length": str(len(content))}
        answer = await self._ask("files.getUploadURLExternal", form, as_form=True)
        path = _files_path(word(answer, "upload_url", 2_048))
        sent = await call(self._client(FILES, self._bot_token), "POST", path, content=content)
        if (error := status_error(sent, self._clock)) is not None:
            raise error
        return {"id": word(answer, "file_id"), "title": name}

    async def _publish(self, place: Place, files: list[dict[str, str]], text: str) -> None:
        body: dict[str, Any] = {"files": files, "channel_id": place.chat}
        if text:
            body["initial_comment"] = text
        if place.thread:
            body["thread_ts"] = place.thread
        await self._ask("files.completeUploadExternal", body, sends=True)

    async def edit(self, place: Place, message: str, text: str) -> None:
        await self._ask("chat.update", wire.render_edit(place.chat, message, text), sends=True)

    async def typing(self, place: Place) -> None:
        raise SendRefused("Slack shows no typing of bots.")

    async def react(self, place: Place, message: str, mark: str) -> None:
        wanted = short_name(mark) if mark else ""
        at = {"channel": place.chat, "timestamp": message}
        me = await self._who()
        found = await self._ask("reactions.get", at, as_form=True)
        for reaction in parts(part(found, "message"), "reactions"):
            users = reaction.get("users")
            if isinstance(users, list) and me.user in users and reaction.get("name") != wanted:
                await self._mark("reactions.remove", {**at, "name": word(reaction, "name")}, "no_reaction")
        if wanted:
            await self._mark("reactions.add", {**at, "name": wanted}, "already_reacted")

    async def _mark(self, method: str, body: dict[str, Any], done: str) -> None:
        try:
            await self._ask(method, body)
        except SendRefused as error:
            if done not in error.what:
                raise

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        found = part(await self._ask("files.info", {"file": attached.ref}, as_form=True), "file")
        if (number(found, "size") or 0) > most_bytes:
            raise TooLarge(f"The file is larger than {most_bytes:,} bytes; it was not read.")
        path = _files_path(word(found, "url_private_download", 2_048) or word(found, "url_private", 2_048))
        return await self._download(path, word(found, "mimetype"), most_bytes)

    async def _download(self, path: str, mime: str, most_bytes: int) -> bytes:
        import httpx2

        client = self._client(FILES, self._bot_token)
        try:
            async with client.stream("GET", path, headers=_bearer(client)) as answer:
                if (error := status_error(answer, self._clock)) is not None:
                    raise error
                if "html" in answer.headers.get("content-type", "") and "html" not in mime:
                    raise SendRefused("Slack showed its sign-in page instead of the file: the scope files:read lacks.")
                return await read_bounded(answer, most_bytes)
        except (httpx2.TransportError, httpx2.StreamError) as error:
            raise ChannelFailed(f"The file could not be read from Slack: {type(error).__name__}.") from None

    async def members(self, place: Place) -> frozenset[str] | None:
        me = await self._who()
        found: set[str] = set()
        cursor = ""
        while len(found) <= MAX_MEMBERS:
            form = {"channel": place.chat, "limit": "1000", **({"cursor": cursor} if cursor else {})}
            answer = await self._ask("conversations.members", form, as_form=True)
            page = answer.get("members")
            found |= {user for user in page if isinstance(user, str)} if isinstance(page, list) else set()
            before, cursor = cursor, word(part(answer, "response_metadata"), "next_cursor")
            if not cursor or cursor == before:
                return frozenset(found - {me.user})
        return None

    async def test(self) -> Sequence[str]:
        me = await self._who(anew=True)
        lines = [f"Workspace: {me.team}", f"Bot user: @{me.name} ({me.user})"]
        if self._app_token:
            await self._socket_url()
            lines.append("Socket Mode: on")
        return lines

    async def close(self) -> None:
        clients, self._clients = self._clients, {}
        await asyncio.gather(*(client.aclose() for client in clients.values()))

    async def _who(self, *, anew: bool = False) -> wire.Me:
        if self._me is None or anew:
            answer = await self._ask("auth.test")
            me = wire.Me(*(word(answer, key) for key in ("user_id", "bot_id", "user", "team")))
            if not me.user:
                raise ChannelFailed("Slack did not say who the bot is.")
            self._me = me
        return self._me

    async def _ask(
        self,
        method: str,
        body: dict[str, Any] | None = None,
        *,
        token: str = "",
        as_form: bool = False,
        sends: bool = False,
    ) -> dict[str, Any]:
        client = self._client(API, token or self._bot_token)
        options: dict[str, Any] = {"data" if as_form else "json": body or {}}
        answer = await call(client, "POST", f"/api/{method}", sends=sends, headers=_bearer(client), **options)
        if (error := status_error(answer, self._clock)) is not None:
            raise error
        try:
            given = read_json(answer)
        except ChannelFailed as failed:
            raise ChannelFailed(failed.what, unknown=sends) from None
        if not isinstance(given, dict):
            raise ChannelFailed("Slack answered with something that is no object.", unknown=sends)
        if (refusal := wire.said_error(given, method)) is not None:
            raise refusal
        return given

    def _client(self, base_url: str, secret: str) -> Any:
        key = (base_url, secret)
        if key not in self._clients:
            self._clients[key] = self._egress.client(base_url=base_url, secret=secret, timeout_ms=TIMEOUT_MS)
        return self._clients[key]


def _bearer(client: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {client.placeholder}"}


def _files_path(url: str) -> str:
    """The path of a file's address. Raises ChannelFailed when it is not on Slack's file host."""
    at = urlsplit(url)
    if at.scheme != "https" or at.netloc != urlsplit(FILES).netloc:
        raise ChannelFailed("Slack named an address for a file that is not on its file host.")
    return at.path + (f"?{at.query}" if at.query else "")
