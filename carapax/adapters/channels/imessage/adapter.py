"""iMessage: hears through the webhook, and asks every minute for what the webhook did not bring; speaks over REST.

Layer: adapters/channels/imessage. Absent: new conversations (the agent answers where it was written to).
Laws: a webhook is believed for the word at the end of its address, which only the egress proxy knows, and for nothing else;
BlueBubbles sends each webhook once, so what could not be kept is asked for again; the cursor moves only behind what was.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx2

from carapax.adapters.channels.calling import call, read_json, status_error
from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.imessage.wire import (
    CHAT,
    GUID,
    GroupChanged,
    parse_error,
    parse_hook,
    parse_list,
    parse_members,
    parse_message,
    parse_own,
    parse_sent,
    path_of,
    tapback_of,
    temp_guid,
)
from carapax.core.terms.channel import (
    Attached,
    ChannelFacts,
    Feature,
    Heard,
    HookAnswer,
    HookRequest,
    Outgoing,
    Place,
    Received,
    Removed,
    Sent,
)
from carapax.core.terms.error import Malformed, Refused, TooLarge
from carapax.ports.channel import Channel, ChannelFailed, Hear, SendRefused
from carapax.ports.egress import Mac, Spot

_PRIVATE = frozenset({Feature.EDIT, Feature.TYPING, Feature.REACT, Feature.REPLY})
_ALWAYS = frozenset({Feature.FILES_IN, Feature.FILES_OUT, Feature.MEMBERS, Feature.GROUPS, Feature.HOOK})
CALL_MS = 60_000
POLL_S = 60.0
BATCH = 100
MAX_REMEMBERED = 1_000
MAX_KEPT = 200  # of the events that were heard, over a restart: more than come in the overlap
MAX_HOOK_BYTES = 1 << 20
ERROR_BYTES = 1 << 16  # the server's word for a failure may be longer than a small file
OVERLAP_MS = 5_000  # dates of messages are the Mac's, and may come a little out of order


def open_channel(opening: Opening) -> Channel:
    """A Mac's iMessage account; nothing is connected yet."""
    return IMessageChannel(opening)


class IMessageChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._private = opening.values.get("private", "yes") != "no"
        self._client = opening.egress.client(
            base_url=opening.values["server"].rstrip("/"),
            secret=opening.secrets["password"],
            timeout_ms=CALL_MS,
            spot=Spot.QUERY,
        )
        self._own: frozenset[str] = frozenset()
        self._members: dict[str, frozenset[str]] = {}
        self._heard: OrderedDict[str, str] = (
            OrderedDict()
        )  # events that were heard, so that asking does not repeat them
        self._loaded = False
        self._sent: OrderedDict[str, str] = OrderedDict()  # messages of ours: a reply to one is meant for us
        self._tapbacks: OrderedDict[str, str] = OrderedDict()
        self._missed = asyncio.Event()
        self._lock = asyncio.Lock()

    def facts(self) -> ChannelFacts:
        features = _ALWAYS | _PRIVATE if self._private else _ALWAYS
        return ChannelFacts(
            kind="imessage", features=features, text_chars=4_000, file_bytes=20 << 20, edits_per_minute=5
        )

    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        """Ask what came since the last time, now, every minute, and when a webhook could not be kept."""
        await self._look_around()
        cursor = await self._cursor()
        up(", ".join(sorted(self._own)) or "connected")
        while True:
            self._missed.clear()
            cursor = await self._ask_since(cursor, hear)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._missed.wait()

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        """One webhook, whose address ends with the word that is in the vault."""
        if not await self._is_proven(request.path):
            return HookAnswer(401)
        if request.method != "POST":
            return HookAnswer(405)
        if len(request.body) > MAX_HOOK_BYTES:
            return HookAnswer(413)
        try:
            told = parse_hook(request.body, channel=self._opening.name, own=self._own)
        except Malformed:
            return HookAnswer(400)
        try:
            if isinstance(told, GroupChanged):
                for gone in await self._who_left(told):
                    await self._take(gone, hear)
            elif told is not None:
                await self._take(told, hear)
        except BaseException:  # broad: whatever kept it from being heard, it is asked for again
            self._missed.set()
            raise
        return HookAnswer(200)

    async def send(self, outgoing: Outgoing) -> Sent:
        """The text, then each file: they are messages of their own on iMessage."""
        chat = self._chat(outgoing.place)
        first = ""
        if outgoing.text:
            given = {
                "chatGuid": chat,
                "tempGuid": temp_guid(outgoing.key),
                "message": outgoing.text,
                "method": self._method(),
            }
            if outgoing.reply_to and self._private and GUID.fullmatch(outgoing.reply_to):
                given["selectedMessageGuid"] = outgoing.reply_to
            first = await self._deliver("POST", path_of("message", "text"), json=given)
        for at, file in enumerate(outgoing.files):
            form = {
                "chatGuid": chat,
                "tempGuid": temp_guid(f"{outgoing.key}/{at}"),
                "name": file.name,
                "method": self._method(),
            }
            try:
                guid = await self._deliver(
                    "POST",
                    path_of("message", "attachment"),
                    data=form,
                    files={"attachment": (file.name, file.content, file.type)},
                )
            except ChannelFailed as error:
                if first:  # a part of it is there: another try would repeat that
                    raise ChannelFailed(error.what, retry_after_ms=error.retry_after_ms, unknown=True) from None
                raise
            first = first or guid
        return Sent(first)

    async def edit(self, place: Place, message: str, text: str) -> None:
        """Replace a text; iMessage takes five edits of one within 15 minutes."""
        self._needs_private()
        given = {"editedMessage": text, "backwardsCompatibilityMessage": text, "partIndex": 0}
        await self._ask("POST", path_of("message", self._guid(message), "edit"), json=given)

    async def typing(self, place: Place) -> None:
        """Shown until a message is sent, or for a minute."""
        self._needs_private()
        await self._ask("POST", path_of("chat", self._chat(place), "typing"), json={})

    async def react(self, place: Place, message: str, mark: str) -> None:
        """Set the nearest tapback: there are six."""
        self._needs_private()
        try:
            tapback = tapback_of(mark, self._tapbacks, message)
        except Malformed as error:
            raise SendRefused(error.what) from None
        given = {"chatGuid": self._chat(place), "selectedMessageGuid": self._guid(message), "reaction": tapback}
        await self._ask("POST", path_of("message", "react"), json=given)
        _remember(self._tapbacks, message, tapback)

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        """A file that Messages has on the Mac."""
        path = path_of("attachment", self._guid(attached.ref), "download")
        answer = await self._call("GET", path, most_bytes=max(most_bytes, ERROR_BYTES))
        content = bytes(answer.content)
        if len(content) > most_bytes:
            raise TooLarge(f"The file has {len(content):,} bytes; at most {most_bytes:,} were allowed.")
        return content

    async def members(self, place: Place) -> frozenset[str] | None:
        """The addresses in a chat."""
        return parse_members(
            await self._ask("GET", path_of("chat", self._chat(place)), params={"with": "participants"})
        )

    async def test(self) -> Sequence[str]:
        """Ask the server whose account it speaks for."""
        facts = await self._ask("GET", path_of("server", "info"))
        own = parse_own(facts)
        data = facts.get("data") if isinstance(facts, dict) else {}
        connected = isinstance(data, dict) and data.get("private_api") is True and data.get("helper_connected") is True
        lines = [f"account {', '.join(sorted(own)) or 'unknown'}"]
        if self._private and not connected:
            lines.append("the Private API is not connected: edits, typing, reactions and replies will fail")
        return lines

    async def close(self) -> None:
        await self._client.aclose()

    async def _is_proven(self, path: str) -> bool:
        given = path.removeprefix("/").encode("utf-8", "replace")
        if not 16 <= len(given) <= 512:
            return False
        try:
            secret = self._opening.secrets["hook"]
            await self._opening.egress.check_mac(secret=secret, mac=Mac.EQUAL, message=b"", given=given)
        except Refused:
            return False
        return True

    async def _take(self, heard: Heard, hear: Hear) -> None:
        async with self._lock:
            if heard.event in await self._known():
                return
            if isinstance(heard, Received) and heard.reply_to in self._sent:
                heard = replace(heard, addressed=True)
            await hear(heard)
            _remember(self._heard, heard.event, "")
            recent = list(self._heard)[-MAX_KEPT:]
            await self._opening.keep.write("heard", "\n".join(recent).encode())

    async def _known(self) -> OrderedDict[str, str]:
        """What was heard lately, before the last start too."""
        if not self._loaded:
            raw = (await self._opening.keep.read("heard") or b"").decode("utf-8", "ignore")
            for event in raw.split("\n"):
                _remember(self._heard, event, "")
            self._loaded = True
        return self._heard

    async def _look_around(self) -> None:
        self._own = parse_own(await self._ask("GET", path_of("server", "info")))
        given = {"with": ["participants"], "limit": BATCH, "offset": 0}
        for chat in parse_list(await self._ask("POST", path_of("chat", "query"), json=given)):
            guid = chat.get("guid")
            if isinstance(guid, str) and CHAT.fullmatch(guid):
                self._members[guid] = parse_members({"data": chat})

    async def _cursor(self) -> int:
        raw = (await self._opening.keep.read("cursor") or b"").decode("ascii", "ignore")
        if raw.isdigit():
            return int(raw)
        now_ms = self._opening.clock.now_ms()
        await self._opening.keep.write("cursor", str(now_ms).encode())
        return now_ms

    async def _ask_since(self, cursor: int, hear: Hear) -> int:
        """Hand on what came since; what the webhook brought already is not handed on again by this process."""
        wanted = ["chat", "handle", "attachment", "message.attributedBody"]
        given = {"after": max(0, cursor - OVERLAP_MS), "limit": BATCH, "offset": 0, "sort": "ASC", "with": wanted}
        while True:
            found = parse_list(await self._ask("POST", path_of("message", "query"), json=given))
            newest = cursor
            for message in found:
                try:
                    heard = parse_message(message, channel=self._opening.name, own=self._own)
                except Malformed as error:
                    self._opening.log(f"a message was passed over: {error.what}")
                    continue
                created = message.get("dateCreated")
                newest = max(newest, created) if isinstance(created, int) and created < 1 << 53 else newest
                if heard is not None:
                    await self._take(heard, hear)
            if newest != cursor:
                cursor = newest
                await self._opening.keep.write("cursor", str(cursor).encode())
            if len(found) < BATCH:
                return cursor
            given["offset"] = int(str(given["offset"])) + BATCH

    async def _who_left(self, changed: GroupChanged) -> list[Removed]:
        place = Place(self._opening.name, changed.chat, private=False)
        before = self._members.get(changed.chat, frozenset())
        after = await self.members(place) or frozenset()
        self._members[changed.chat] = after
        return [Removed(place, f"{changed.event}/{person}", person=person) for person in sorted(before - after)]

    async def _deliver(self, method: str, path: str, **options: Any) -> str:
        try:
            guid = parse_sent(await self._ask(method, path, sends=True, **options))
        except Malformed:
            raise ChannelFailed("BlueBubbles did not say what it sent.", unknown=True) from None
        _remember(self._sent, guid, "")
        return guid

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        return read_json(await self._call(method, path, **options))

    async def _call(
        self, method: str, path: str, *, params: dict[str, str] | None = None, **options: Any
    ) -> httpx2.Response:
        query = {"password": self._client.placeholder, **(params or {})}
        answer = await call(self._client, method, path, params=query, **options)
        if error := status_error(answer, self._opening.clock, parse_error(answer.content)):
            raise error
        return answer

    def _method(self) -> str:
        return "private-api" if self._private else "apple-script"

    def _needs_private(self) -> None:
        if not self._private:
            raise SendRefused("This needs BlueBubbles' Private API.")

    def _chat(self, place: Place) -> str:
        if not CHAT.fullmatch(place.chat):
            raise SendRefused("This is no chat of iMessage.")
        return place.chat

    def _guid(self, message: str) -> str:
        if not GUID.fullmatch(message):
            raise SendRefused("This is no message of iMessage.")
        return message


def _remember(kept: OrderedDict[str, str], key: str, value: str) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MAX_REMEMBERED:
        kept.popitem(last=False)
