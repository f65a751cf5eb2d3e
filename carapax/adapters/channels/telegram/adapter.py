"""A Telegram bot: one token, by long polling or by Telegram's calls.

Layer: adapters/channels. Owns the Bot API's requests, what its refusals mean, the number of the last update, and which
group became which supergroup. Absent: parsing (wire), markup, reconnecting (the gateway).
Laws: an update counts as taken only after `hear` returned; a chat keeps the id under which it was first known; a call of
Telegram is believed only with the value that the token's own HMAC gave. Source: core.telegram.org/bots/api.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from carapax.adapters.channels.calling import call, status_error
from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.fields import parse_object
from carapax.adapters.channels.telegram import markup, wire
from carapax.core.terms.channel import (
    Attached,
    ChannelFacts,
    Feature,
    Heard,
    HookAnswer,
    HookRequest,
    Markup,
    Outgoing,
    Place,
    Sent,
)
from carapax.core.terms.error import CarapaxError, Malformed, Refused, StoreUnavailable, TooLarge
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, Hear, SendRefused
from carapax.ports.egress import Mac, Spot

API = "https://api.telegram.org"
POLL_S = 50
POLL_TIMEOUT_MS = 75_000
ASK_TIMEOUT_MS = 60_000
# Telegram forgets updates after a day, and after a quiet week it counts anew from anywhere.
CURSOR_MS = 24 * 3_600_000
MOVED_COUNT = 1_000
PROOF = "x-telegram-bot-api-secret-token"
FEATURES = frozenset(
    {
        Feature.EDIT, Feature.TYPING, Feature.REACT, Feature.THREADS, Feature.REPLY, Feature.BUTTONS, Feature.FILES_IN,
        Feature.FILES_OUT, Feature.GROUPS, Feature.HOOK,
    }
)  # fmt: skip
FACTS = ChannelFacts(
    kind="telegram",
    features=FEATURES,
    text_chars=wire.TEXT_CHARS,
    file_bytes=20 << 20,
    markup=Markup.ADAPTER,
    edits_per_minute=20,
)


def open_channel(opening: Opening) -> Channel:
    """A bot; nothing is connected yet."""
    return TelegramChannel(opening)


class TelegramChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._api = opening.values.get("api") or API
        self._public_url = opening.values.get("public_url", "")
        self._clients: dict[int, Any] = {}
        self._me: wire.Me | None = None
        self._moved: dict[str, str] | None = None
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"TelegramChannel({self._opening.name!r})"

    def facts(self) -> ChannelFacts:
        return FACTS

    async def run(self, hear: Hear, up: Any) -> None:
        """Poll until cancelled; with a public address, only tell Telegram to call. Raises as the port says."""
        me = await self._who()
        if self._public_url:
            await self._ask("setWebhook", await self._webhook())
            up(f"@{me.username}: Telegram calls this machine")
            return
        # A webhook that is left from before would make every poll a conflict.
        await self._ask("deleteWebhook", {"drop_pending_updates": False})
        up(f"@{me.username}: asking Telegram for messages")
        offset = await self._cursor()
        while True:
            offset = await self._poll(offset, me, hear)

    async def _poll(self, offset: int | None, me: wire.Me, hear: Hear) -> int | None:
        """One long poll and what came of it; the offset of the next one."""
        request = {"timeout": POLL_S, "allowed_updates": wire.UPDATES} | ({} if offset is None else {"offset": offset})
        try:
            updates = wire.parse_updates(await self._ask("getUpdates", request, POLL_TIMEOUT_MS), self._name, me)
        except (Malformed, SendRefused) as error:
            raise ChannelFailed(f"Telegram's updates cannot be read: {error.what}") from error
        for update in updates:
            await self._take(update, hear)
        if not updates:
            return None  # the last offset is confirmed, and a count that begins anew must not fall below it
        offset = updates[-1].number + 1
        await self._opening.keep.write("offset", f"{offset} {self._opening.clock.now_ms()}".encode())
        return offset

    async def _cursor(self) -> int | None:
        kept = (await self._opening.keep.read("offset") or b"").split()
        if len(kept) != 2 or not all(part.isdigit() for part in kept):
            return None
        age_ms = self._opening.clock.now_ms() - int(kept[1])
        return int(kept[0]) if age_ms < CURSOR_MS else None

    async def _take(self, update: wire.Update, hear: Hear) -> None:
        if update.moved:
            await self._move(*update.moved)
        for heard in update.heard:
            await hear(await self._settled(heard))
        if update.query:
            try:
                await self._ask("answerCallbackQuery", {"callback_query_id": update.query})
            except (ChannelFailed, SendRefused) as error:
                self._opening.log(f"A button's press was taken, but not confirmed to Telegram: {error.what}")

    # chats that move

    async def _moves(self) -> dict[str, str]:
        if self._moved is None:
            kept = await self._opening.keep.read("moved")
            self._moved = {str(old): str(new) for old, new in parse_object(kept).items()} if kept else {}
        return self._moved

    async def _move(self, old: str, new: str) -> None:
        """A group became a supergroup, with another id: here it stays what it was."""
        moved = {**await self._moves(), old: new}
        moved = dict(list(moved.items())[-MOVED_COUNT:])
        await self._opening.keep.write("moved", json.dumps(moved).encode())
        self._moved = moved

    async def _settled(self, heard: Heard) -> Heard:
        known = {new: old for old, new in (await self._moves()).items()}
        old = known.get(heard.place.chat)
        return heard if old is None else replace(heard, place=replace(heard.place, chat=old))

    async def _target(self, place: Place) -> dict[str, Any]:
        return wire.render_target(place, (await self._moves()).get(place.chat, place.chat))

    # Telegram calls

    async def _webhook(self) -> dict[str, Any]:
        proof = await self._opening.egress.make_mac(
            secret=self._opening.secrets["token"], mac=Mac.HMAC_SHA256, message=self._proven
        )
        return {
            "url": self._public_url,
            "secret_token": proof.hex(),
            "allowed_updates": wire.UPDATES,
            "max_connections": 1,  # one at a time keeps the order
        }

    @property
    def _proven(self) -> bytes:
        return f"telegram webhook of {self._name}".encode()

    @property
    def _name(self) -> str:
        return self._opening.name

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        """Take one update. Without the proof it is a 401 and nothing is handed on."""
        if not await self._is_proven(request.header(PROOF)):
            return HookAnswer(401)
        if request.method != "POST" or request.path.strip("/"):
            return HookAnswer(404)
        me = await self._who()
        try:
            update = wire.parse_update(parse_object(request.body), self._name, me)
        except Malformed as error:
            # Taken all the same: Telegram would send it again and hold back everything behind it.
            self._opening.log(f"An update could not be read and was left out: {error.what}")
            return HookAnswer(200)
        async with self._turn:
            try:
                await self._take(update, hear)
            except StoreUnavailable:
                return HookAnswer(503)
        return HookAnswer(200)

    async def _is_proven(self, given: str) -> bool:
        try:
            proof = bytes.fromhex(given)
            await self._opening.egress.check_mac(
                secret=self._opening.secrets["token"], mac=Mac.HMAC_SHA256, message=self._proven, given=proof
            )
        except (ValueError, Refused):
            return False
        return True

    # what goes out

    async def send(self, outgoing: Outgoing) -> Sent:
        """Send a text, then its files; a short text is the caption of a single file. Raises as the port says."""
        extras = wire.render_extras(outgoing)
        if len(outgoing.files) == 1 and len(outgoing.text) <= wire.CAPTION_CHARS:
            return await self._upload(outgoing, 0, extras, caption=outgoing.text)
        sent = await self._say(outgoing.place, "sendMessage", outgoing.text, extras) if outgoing.text else Sent()
        for index in range(len(outgoing.files)):
            try:
                sent = await self._upload(outgoing, index, {}, caption="")
            except ChannelFailed as error:
                # The first part has arrived: to send the whole again would repeat it.
                raise ChannelFailed(error.what, retry_after_ms=error.retry_after_ms, unknown=True) from error
        return sent

    async def _say(self, place: Place, method: str, text: str, extras: Mapping[str, Any]) -> Sent:
        body = {"link_preview_options": {"is_disabled": True}, **extras}
        marked = {"text": markup.render_html(text), "parse_mode": "HTML"}
        try:
            return await self._deliver(place, method, {**body, **marked})
        except SendRefused as error:
            if "can't parse entities" not in error.what:
                raise
        return await self._deliver(place, method, {**body, "text": markup.render_plain(text)})

    async def _deliver(self, place: Place, method: str, body: Mapping[str, Any], **files: Any) -> Sent:
        request = {**await self._target(place), **body}
        try:
            result = await self._ask(method, request, sends=True, **files)
        except _Moved as moved:
            await self._move(place.chat, moved.to)
            result = await self._ask(method, {**request, **await self._target(place)}, sends=True, **files)
        try:
            return Sent(wire.parse_sent(result))
        except Malformed:
            return Sent()  # taken, but an edit gives no id

    async def _upload(self, outgoing: Outgoing, index: int, extras: Mapping[str, Any], *, caption: str) -> Sent:
        file = outgoing.files[index]
        if len(file.content) > FACTS.file_bytes:
            raise SendRefused(f"{file.name} is larger than {FACTS.file_bytes >> 20} MB.")
        # As a document its bytes stay as they are; a photo would be made smaller.
        body = {**extras, "disable_content_type_detection": True}
        if caption:
            body |= {"caption": markup.render_html(caption), "parse_mode": "HTML"}
        part = {"document": (file.name, file.content, file.type)}
        return await self._deliver(outgoing.place, "sendDocument", body, files=part)

    async def edit(self, place: Place, message: str, text: str) -> None:
        try:
            await self._say(place, "editMessageText", text, {"message_id": wire.message_number(message)})
        except SendRefused as error:
            if "message is not modified" not in error.what:
                raise

    async def typing(self, place: Place) -> None:
        await self._ask("sendChatAction", {**await self._target(place), "action": "typing"})

    async def react(self, place: Place, message: str, mark: str) -> None:
        request = {**await self._target(place), "message_id": wire.message_number(message)}
        request.pop("message_thread_id", None)
        await self._ask("setMessageReaction", {**request, "reaction": wire.render_reaction(mark)})

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        if (attached.size_bytes or 0) > most_bytes:
            raise TooLarge(f"The file has {attached.size_bytes:,} bytes; at most {most_bytes:,} are taken.")
        try:
            path = wire.parse_file_path(await self._ask("getFile", {"file_id": attached.ref}))
        except SendRefused as error:
            if "too big" in error.what:
                raise TooLarge("Telegram gives bots no file over 20 MB.") from None
            raise
        except Malformed as error:
            raise ChannelFailed(f"Telegram did not say where the file is: {error.what}") from None
        client = self._client(ASK_TIMEOUT_MS)
        answer = await call(client, "GET", f"/file/bot{client.placeholder}/{path}", most_bytes=most_bytes)
        if (failed := status_error(answer, self._opening.clock)) is not None:
            raise failed
        return answer.content

    async def members(self, place: Place) -> None:
        """Telegram does not tell bots who is in a group."""
        return

    async def test(self) -> Sequence[str]:
        self._me = None
        me = await self._who()
        return (
            f"The bot is @{me.username} ({me.name}), number {me.id}.",
            "It reads everything in its groups." if me.reads_all else "In groups it reads only what calls it.",
            "It can be added to groups." if me.joins_groups else "It cannot be added to groups.",
        )

    async def close(self) -> None:
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    # requests

    async def _who(self) -> wire.Me:
        if self._me is None:
            try:
                self._me = wire.parse_me(await self._ask("getMe", {}))
            except (Malformed, SendRefused) as error:
                raise ChannelFailed(f"Telegram did not say who the bot is: {error.what}") from error
        return self._me

    def _client(self, timeout_ms: int) -> Any:
        if timeout_ms not in self._clients:
            self._clients[timeout_ms] = self._opening.egress.client(
                base_url=self._api, secret=self._opening.secrets["token"], timeout_ms=timeout_ms, spot=Spot.PATH
            )
        return self._clients[timeout_ms]

    async def _ask(
        self,
        method: str,
        body: Mapping[str, Any],
        timeout_ms: int = ASK_TIMEOUT_MS,
        *,
        sends: bool = False,
        files: Any = None,
    ) -> Any:
        client = self._client(timeout_ms)
        url = f"/bot{client.placeholder}/{method}"
        # Beside a file, what is not text is JSON inside a form field.
        form = {key: value if isinstance(value, str) else json.dumps(value) for key, value in body.items()}
        options: dict[str, Any] = {"data": form, "files": files} if files else {"json": body}
        answer = await call(client, "POST", url, sends=sends, **options)
        try:
            answered = wire.parse_answer(answer.content)
        except Malformed as error:
            raise status_error(answer, self._opening.clock) or ChannelFailed(error.what, unknown=sends) from None
        if answered.ok:
            return answered.result
        raise _failure(answered, sends=sends)


class _Moved(SendRefused):
    """The chat has another id from now on."""

    def __init__(self, what: str, to: str) -> None:
        super().__init__(what)
        self.to = to


def _failure(answered: wire.Answered, *, sends: bool) -> CarapaxError:
    code, said = answered.code, answered.said
    if answered.moved_to:
        return _Moved(f"Telegram moved this group: {said}", answered.moved_to)
    if code == 401 or (code == 404 and said.lower() == "not found"):
        return CredentialRefused("Telegram does not accept the bot's token.")
    if code == 409:
        return ChannelFailed(
            "Another program asks Telegram for this bot's messages, so they go to either. Stop it, or make a bot of its own."
        )
    if code == 429:
        wait_ms = answered.retry_after_s * 1000
        return ChannelFailed("Telegram asks to slow down.", retry_after_ms=wait_ms)
    if code >= 500 or not code:
        return ChannelFailed(f"Telegram failed ({code}): {said}", unknown=sends)
    return SendRefused(f"Telegram refused ({code}): {said}")
