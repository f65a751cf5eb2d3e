"""Signal: hears over the daemon's event stream, speaks over its JSON-RPC.

Layer: adapters/channels/signal. Absent: linking and registering (signal-cli's own commands) and read receipts.
Laws: the last event's id is kept only after what it held was heard; only members that left are told as such, by asking for
the group, because an update does not say what changed.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import httpx2

from carapax.adapters.channels.calling import call, read_json, status_error
from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.signal.wire import (
    UUID,
    GroupChanged,
    Stream,
    Told,
    message_id,
    parse_event,
    parse_file,
    parse_groups,
    parse_members,
    parse_message_id,
    parse_own,
    render_file,
    render_text,
    split_ref,
    to_whom,
)
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
    Received,
    Removed,
    Sent,
)
from carapax.core.terms.error import CarapaxError, Malformed, TooLarge
from carapax.ports.channel import Channel, ChannelFailed, CredentialRefused, Hear, SendRefused

FACTS = ChannelFacts(
    kind="signal",
    features=frozenset(
        {Feature.EDIT, Feature.TYPING, Feature.REACT, Feature.REPLY, Feature.FILES_IN, Feature.FILES_OUT}
        | {Feature.MEMBERS, Feature.GROUPS}
    ),
    text_chars=2_000,
    file_bytes=20 << 20,
    markup=Markup.ADAPTER,
    edits_per_minute=10,
)
CALL_MS = 60_000
STREAM_MS = 120_000  # the daemon sends a comment every 15 s
MAX_REMEMBERED = 1_000
_PASSING = {-3, -5, -6}  # signal-cli's IO_ERROR, RATELIMIT_ERROR and the like


def open_channel(opening: Opening) -> Channel:
    """A Signal account; nothing is connected yet."""
    return SignalChannel(opening)


class SignalChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        server = opening.values["server"].rstrip("/")
        self._account = opening.values["account"]
        self._client = opening.egress.client(base_url=server, secret="", timeout_ms=CALL_MS)
        self._listener = opening.egress.client(base_url=server, secret="", timeout_ms=STREAM_MS)
        self._own = self._account if UUID.fullmatch(self._account) else ""
        self._members: dict[str, frozenset[str]] = {}
        self._roots: OrderedDict[str, str] = OrderedDict()  # an edit's own id → the message it began with
        self._marks: OrderedDict[str, str] = OrderedDict()  # the reaction that stands on a message
        self._numbers = itertools.count(1)

    def facts(self) -> ChannelFacts:
        return FACTS

    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        """Read the stream from the last event that was heard, until it breaks."""
        own = await self._own_id()
        self._members = parse_groups(await self._ask("listGroups"))
        last = (await self._opening.keep.read("event") or b"").decode("ascii", "ignore")
        headers = {"accept": "text/event-stream", **({"last-event-id": last} if last else {})}
        stream = Stream()
        try:
            async with self._listener.stream(
                "GET", "/api/v1/events", params={"account": self._account}, headers=headers
            ) as answer:
                if answer.status_code >= 400:
                    raise ChannelFailed(f"signal-cli answered {answer.status_code} to its event stream.")
                up(self._account)
                async for piece in answer.aiter_bytes():
                    for told in stream.feed(piece):
                        await self._take(told, own, hear)
        except httpx2.ConnectError as error:
            raise ChannelFailed(f"signal-cli cannot be reached: {str(error)[:200]}") from None
        except (httpx2.TransportError, httpx2.StreamError, Malformed) as error:
            raise ChannelFailed(f"The event stream of signal-cli broke: {str(error)[:200]}") from None
        raise ChannelFailed("signal-cli ended its event stream.")

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        return HookAnswer(404)

    async def send(self, outgoing: Outgoing) -> Sent:
        """One message, with its files."""
        own = await self._own_id()
        given = self._whom(outgoing.place.chat) | render_text(outgoing.text)
        if outgoing.files:
            given["attachments"] = [render_file(file) for file in outgoing.files]
        if outgoing.reply_to:
            stamp, author = self._message(outgoing.reply_to)
            given |= {"quoteTimestamp": stamp, "quoteAuthor": author, "quoteMessage": "…"}
        return Sent(message_id(await self._deliver(given), own))

    async def edit(self, place: Place, message: str, text: str) -> None:
        """Replace the text of a message of ours; Signal takes ten edits of one within a day."""
        stamp, _ = self._message(message)
        await self._deliver(self._whom(place.chat) | render_text(text) | {"editTimestamp": stamp})

    async def typing(self, place: Place) -> None:
        """Shown for 15 seconds."""
        await self._ask("sendTyping", **self._whom(place.chat))

    async def react(self, place: Place, message: str, mark: str) -> None:
        """Set our reaction; there is one on a message."""
        stamp, author = self._message(message)
        given = self._whom(place.chat) | {"targetAuthor": author, "targetTimestamp": stamp}
        emoji = mark or self._marks.get(message, "👍")
        await self._ask("sendReaction", **given, emoji=emoji, remove=not mark)
        _remember(self._marks, message, mark)

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        """A file that the daemon keeps."""
        try:
            id, chat = split_ref(attached.ref)
            result = await self._ask(
                "getAttachment", id=id, **_single(to_whom(chat)), most_bytes=most_bytes * 4 // 3 + 1_024
            )
            content = parse_file(result)
        except TooLarge:
            raise
        except Malformed as error:
            raise SendRefused(error.what) from None
        if len(content) > most_bytes:
            raise TooLarge(f"The file has {len(content):,} bytes; at most {most_bytes:,} were allowed.")
        return content

    async def members(self, place: Place) -> frozenset[str] | None:
        """Everybody in a group but the agent."""
        if place.private:
            return None
        found = parse_members(await self._ask("listGroups", groupId=place.chat), place.chat)
        return None if found is None else found - {await self._own_id()}

    async def test(self) -> Sequence[str]:
        """Ask the daemon who this account is, and its groups."""
        own = await self._own_id(again=True)
        groups = parse_groups(await self._ask("listGroups"))
        return [f"account {self._account} ({own})", f"{len(groups)} groups"]

    async def close(self) -> None:
        await self._client.aclose()
        await self._listener.aclose()

    async def _take(self, told: Told, own: str, hear: Hear) -> None:
        try:
            heard = parse_event(told.data, channel=self._opening.name, own=own)
        except Malformed as error:
            self._opening.log(f"an event was passed over: {error.what}")
            return
        if isinstance(heard, GroupChanged):
            for gone in await self._who_left(heard.group, told.id):
                await hear(gone)
        elif heard is not None:
            await hear(self._rooted(heard))
        else:
            return
        if told.id:
            await self._opening.keep.write("event", told.id.encode())

    def _rooted(self, heard: Heard) -> Heard:
        """An edit of an edit replaces the message that both began with."""
        if not isinstance(heard, Received) or not heard.edited:
            return heard
        root = self._roots.get(heard.message, heard.message)
        _remember(self._roots, message_id(heard.sent_ms, heard.sender.id), root)
        return replace(heard, message=root)

    async def _who_left(self, group: str, event: str) -> list[Removed]:
        before = self._members.get(group, frozenset())
        after = parse_members(await self._ask("listGroups", groupId=group), group)
        if after is None:
            return []
        self._members[group] = after
        place = Place(self._opening.name, group, private=False)
        return [Removed(place, f"{group}/{event}/{person}", person=person) for person in sorted(before - after)]

    async def _own_id(self, *, again: bool = False) -> str:
        if not self._own or again:
            try:
                if UUID.fullmatch(self._account):
                    await self._ask("listGroups")
                else:
                    self._own = parse_own(await self._ask("getUserStatus", recipient=[self._account]))
            except Malformed as error:
                raise ChannelFailed(error.what) from None
        return self._own

    async def _deliver(self, given: dict[str, Any]) -> int:
        result = await self._ask("send", sends=True, **given)
        stamp = result.get("timestamp") if isinstance(result, dict) else None
        if not isinstance(stamp, int):
            raise ChannelFailed("signal-cli did not say when it sent this.", unknown=True)
        outcomes = result.get("results") or []
        types = {entry.get("type") for entry in outcomes if isinstance(entry, dict)}
        if types and "SUCCESS" not in types:
            if types & {"NETWORK_FAILURE", "RATE_LIMIT_FAILURE"}:
                raise ChannelFailed("Signal did not take this message.")
            raise SendRefused(f"Signal refused this message: {', '.join(sorted(map(str, types)))[:100]}.")
        return stamp

    async def _ask(self, method: str, *, sends: bool = False, most_bytes: int = 4 << 20, **given: Any) -> Any:
        body = {
            "jsonrpc": "2.0",
            "id": next(self._numbers),
            "method": method,
            "params": {"account": self._account, **given},
        }
        answer = await call(self._client, "POST", "/api/v1/rpc", sends=sends, most_bytes=most_bytes, json=body)
        if error := status_error(answer, self._opening.clock):
            raise error
        said = read_json(answer)
        if not isinstance(said, dict):
            raise ChannelFailed("signal-cli answered with something that is no answer.", unknown=sends)
        if isinstance(said.get("error"), dict):
            raise _failure(said["error"], sends)
        return said.get("result")

    def _whom(self, chat: str) -> dict[str, Any]:
        try:
            return to_whom(chat)
        except Malformed as error:
            raise SendRefused(error.what) from None

    def _message(self, message: str) -> tuple[int, str]:
        try:
            return parse_message_id(message)
        except Malformed as error:
            raise SendRefused(error.what) from None


def _failure(error: dict[str, Any], sends: bool) -> CarapaxError:
    said = "".join(letter for letter in str(error.get("message", ""))[:200] if letter.isprintable())
    if "authorization failed" in said.lower() or ("not registered" in said.lower() and not sends):
        return CredentialRefused("Signal does not know this account any more; link or register it again in signal-cli.")
    if error.get("code") in _PASSING:
        return ChannelFailed(f"signal-cli failed: {said}", unknown=sends and error.get("code") == -3)
    return SendRefused(f"signal-cli refused: {said}")


def _single(whom: dict[str, Any]) -> dict[str, Any]:
    return {key: value[0] if isinstance(value, list) else value for key, value in whom.items()}


def _remember(kept: OrderedDict[str, str], key: str, value: str) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MAX_REMEMBERED:
        kept.popitem(last=False)
