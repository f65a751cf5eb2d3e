"""Discord's gateway events to terms, and messages to its REST bodies.

Layer: adapters/channels; pure. Owns field checks and the identity of a message version.
Absent: the connection (gateway.py), requests (adapter.py), and which channel a thread belongs to: an event names one id,
the adapter asks what it is and hands in the place.
Laws: a message sent never notifies anybody and shows no previews; what the bot itself wrote is nothing.
Source: docs.discord.com/developers (Gateway, Message, Interactions), API version 10.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from carapax.adapters.channels.fields import name, number, parse_object, part, parts, prose, word
from carapax.core.terms.channel import Attached, Heard, Outgoing, Person, Place, Received, Removed
from carapax.core.terms.error import Malformed
from carapax.ports.channel import ChannelFailed, SendRefused

TEXT_CHARS = 2_000
LABEL_CHARS = 80
ROW_BUTTONS, MAX_BUTTONS = 5, 25
GUILDS, GUILD_MEMBERS, GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT = 1, 1 << 1, 1 << 9, 1 << 12, 1 << 15
INTENTS = GUILDS | GUILD_MEMBERS | GUILD_MESSAGES | DIRECT_MESSAGES | MESSAGE_CONTENT
SUPPRESS_EMBEDS, VOICE_MESSAGE = 1 << 2, 1 << 13
DM, THREADS, TEXT_CHANNELS = 1, (10, 11, 12), (0, 2, 5, 13)
SAID_BY_PEOPLE = (0, 19)  # a message and a reply; the other types are notices of the platform
CDN = "cdn.discordapp.com"
PLACED = ("MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE", "MESSAGE_DELETE_BULK", "INTERACTION_CREATE")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the gateway. `seq` and `type` stand in events only."""

    op: int
    seq: int | None
    type: str
    body: Any

    @property
    def fields(self) -> dict[str, Any]:
        return self.body if isinstance(self.body, dict) else {}


@dataclass(frozen=True, slots=True)
class Session:
    """What resumes a connection: everything after `seq` comes again. `id` "" is none yet."""

    id: str = ""
    seq: int = 0
    url: str = ""


@dataclass(frozen=True, slots=True)
class Spot:
    """What an id of a channel stands for."""

    id: str
    type: int
    guild: str = ""
    parent: str = ""
    people: tuple[str, ...] = ()

    def place(self, channel: str) -> Place:
        if self.type in THREADS and self.parent:
            return Place(channel, self.parent, self.id, private=False)
        return Place(channel, self.id, private=self.type == DM and not self.guild)


def parse_frame(raw: bytes | str) -> Frame:
    """A frame of the gateway. Raises Malformed."""
    given = parse_object(raw)
    op = number(given, "op")
    if op is None:
        raise Malformed("The frame has no opcode.")
    return Frame(op, number(given, "s"), word(given, "t"), given.get("d"))


def parse_session(raw: bytes | None) -> tuple[Session, dict[str, str]]:
    """A kept session and the newest message of each channel; none when it does not read."""
    try:
        given = parse_object(raw or b"{}")
        latest = part(given, "latest")
        session = Session(word(given, "id"), number(given, "seq") or 0, word(given, "url"))
        return session, {channel: _id(latest, channel) for channel in latest if channel.isdigit()}
    except Malformed:
        return Session(), {}


def render_session(session: Session, latest: dict[str, str]) -> bytes:
    return json.dumps({"id": session.id, "seq": session.seq, "url": session.url, "latest": latest}).encode()


def missed_frames(listed: list[dict[str, Any]], spot: Spot) -> list[Frame]:
    """Messages that a channel lists, the newest first, as the events that were missed, the oldest first."""
    return [Frame(0, None, "MESSAGE_CREATE", {**entry, "channel_id": spot.id}) for entry in reversed(listed)]


def parse_spot(given: dict[str, Any]) -> Spot:
    """A channel object. Raises Malformed."""
    people = tuple(sorted(_id(person, "id") for person in parts(given, "recipients")))
    return Spot(_id(given, "id"), number(given, "type") or 0, word(given, "guild_id"), word(given, "parent_id"), people)


def channel_of(frame: Frame) -> str:
    """The id of the channel that an event is about, "" for events that are about none. Raises Malformed."""
    return _id(frame.fields, "channel_id") if frame.type in PLACED and "channel_id" in frame.fields else ""


def parse_event(frame: Frame, place: Place, me: str) -> tuple[Heard, ...]:
    """What an event in a place says to the agent. Raises Malformed."""
    given = frame.fields
    found: Heard | None = None
    match frame.type:
        case "MESSAGE_CREATE":
            found = _message(given, place, me, edited=False)
        case "MESSAGE_UPDATE" if given.get("edited_timestamp"):
            found = _message(given, place, me, edited=True)
        case "MESSAGE_DELETE":
            found = _removed(_id(given, "id"), place)
        case "MESSAGE_DELETE_BULK":
            ids = given.get("ids")
            found_ids = [id for id in ids if isinstance(id, str) and id.isdigit()] if isinstance(ids, list) else []
            return tuple(_removed(id, place) for id in found_ids[:1_000])
        case "INTERACTION_CREATE":
            found = _press(given, place)
    return () if found is None else (found,)


def _removed(id: str, place: Place) -> Removed:
    return Removed(place, f"{id}:deleted", message=id)


def parse_leaver(frame: Frame) -> tuple[str, str]:
    """Guild and person of a GUILD_MEMBER_REMOVE. Raises Malformed."""
    return _id(frame.fields, "guild_id"), _id(part(frame.fields, "user"), "id")


def _message(given: dict[str, Any], place: Place, me: str, *, edited: bool) -> Received | None:
    author = part(given, "author")
    id = _id(given, "id")
    if not author or word(author, "id") == me or number(given, "type") not in (None, *SAID_BY_PEOPLE):
        return None
    text, replied = prose(given, "content"), part(given, "referenced_message")
    shots = [part(shot, "message") for shot in parts(given, "message_snapshots")]
    forwarded = bool(shots)
    if forwarded:
        text = "\n".join(filter(None, [text, *(prose(shot, "content") for shot in shots)]))
    to_me = word(part(replied, "author"), "id") == me
    called = any(word(person, "id") == me for person in parts(given, "mentions"))
    stamp = word(given, "edited_timestamp")
    voice = bool((number(given, "flags") or 0) & VOICE_MESSAGE)
    ref = f"{place.thread or place.chat}/{id}"
    files = [*parts(given, "attachments"), *(file for shot in shots for file in parts(shot, "attachments"))]
    return Received(
        place=place,
        sender=Person(
            _id(author, "id"), name(author, "global_name") or name(author, "username"), _is_bot(given, author)
        ),
        event=f"{id}:{stamp}" if edited else id,
        text=text.replace(f"<@{me}>", "").replace(f"<@!{me}>", "").strip(),
        sent_ms=parse_time(word(given, "timestamp")),
        message=id,
        addressed=place.private or called or to_me,
        reply_to="" if forwarded else word(part(given, "message_reference"), "message_id"),
        quoted="" if to_me else prose(replied, "content"),
        forwarded=forwarded,
        edited=edited,
        files=tuple(_file(file, ref, voice=voice) for file in files),
    )


def _is_bot(given: dict[str, Any], author: dict[str, Any]) -> bool:
    return author.get("bot") is True or bool(word(given, "webhook_id"))


def _file(given: dict[str, Any], ref: str, *, voice: bool) -> Attached:
    return Attached(
        ref=f"{ref}/{_id(given, 'id')}",
        name=name(given, "filename"),
        type=word(given, "content_type"),
        size_bytes=number(given, "size"),
        voice=voice,
    )


def _press(given: dict[str, Any], place: Place) -> Received | None:
    pressed = part(given, "data")
    if number(given, "type") != 3 or number(pressed, "component_type") != 2:
        return None
    user = part(part(given, "member"), "user") or part(given, "user")
    return Received(
        place=place,
        sender=Person(_id(user, "id"), name(user, "global_name") or name(user, "username"), user.get("bot") is True),
        event=_id(given, "id"),
        text="",
        message=_id(part(given, "message"), "id"),
        pressed=word(pressed, "custom_id", 100),
    )


def callback_path(frame: Frame) -> str:
    """Where a press is acknowledged. Raises Malformed."""
    token = word(frame.fields, "token")
    if not token or any(not (char.isalnum() or char in "-_.:") for char in token):
        raise Malformed("The interaction's token is none.")
    return f"/api/v10/interactions/{_id(frame.fields, 'id')}/{token}/callback"


def file_address(message: dict[str, Any], id: str) -> tuple[str, int]:
    """Path and size of an attachment of a message. Raises Malformed for an address that is not the platform's, SendRefused."""
    shots = [part(shot, "message") for shot in parts(message, "message_snapshots")]
    for file in [*parts(message, "attachments"), *(file for shot in shots for file in parts(shot, "attachments"))]:
        if word(file, "id") == id:
            at = urlsplit(word(file, "url", 2_048))
            if at.scheme != "https" or at.netloc != CDN:
                raise Malformed("Discord named an address for a file that is not on its file host.")
            return at.path + (f"?{at.query}" if at.query else ""), number(file, "size") or 0
    raise SendRefused("The file is gone from its message.")


def render_message(outgoing: Outgoing) -> dict[str, Any]:
    """The body of a new message. Raises SendRefused when it is too long."""
    body = _text(outgoing.text)
    # Discord takes a nonce of 25 characters for the same message, but for some minutes only.
    body |= {"nonce": hashlib.sha256(outgoing.key.encode()).hexdigest()[:25], "enforce_nonce": True}
    if outgoing.reply_to:
        body["message_reference"] = {"type": 0, "message_id": outgoing.reply_to, "fail_if_not_exists": False}
    if outgoing.buttons:
        presses = [
            {"type": 2, "style": 2, "label": button.label[:LABEL_CHARS], "custom_id": button.data}
            for button in outgoing.buttons[:MAX_BUTTONS]
        ]
        rows = [presses[at : at + ROW_BUTTONS] for at in range(0, len(presses), ROW_BUTTONS)]
        body["components"] = [{"type": 1, "components": row} for row in rows]
    return body


def render_edit(text: str) -> dict[str, Any]:
    """The body of a changed message; its buttons go."""
    return _text(text) | {"components": []}


def _text(text: str) -> dict[str, Any]:
    if len(text) > TEXT_CHARS:
        raise SendRefused(f"The message is longer than Discord takes ({TEXT_CHARS:,} characters).")
    return {"content": text, "allowed_mentions": {"parse": [], "replied_user": False}, "flags": SUPPRESS_EMBEDS}


def render_identify(token: str) -> str:
    properties = {"os": "linux", "browser": "carapax", "device": "carapax"}
    return json.dumps({
        "op": 2, "d": {"token": token, "intents": INTENTS, "properties": properties, "large_threshold": 50},
    })  # fmt: skip


def render_resume(token: str, session: Session) -> str:
    return json.dumps({"op": 6, "d": {"token": token, "session_id": session.id, "seq": session.seq}})


def render_heartbeat(seq: int) -> str:
    return json.dumps({"op": 1, "d": seq or None})


def said_error(content: bytes) -> str:
    """The platform's own words for a refusal, cut and plain."""
    try:
        given = parse_object(content)
        return f"{name(given, 'message', 200)} ({number(given, 'code') or 0})"
    except Malformed:
        return ""


def parse_time(stamp: str) -> int:
    """An ISO 8601 moment in milliseconds, 0 without one. Raises Malformed."""
    if not stamp:
        return 0
    try:
        return max(0, int(datetime.fromisoformat(stamp).timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        raise Malformed("This is not a moment.") from None


def check_host(url: str) -> str:
    """The address of a gateway, when it is Discord's. Raises ChannelFailed."""
    at = urlsplit(url)
    host = at.hostname or ""
    if at.scheme != "wss" or at.username or not (host == "discord.gg" or host.endswith(".discord.gg")):
        raise ChannelFailed("Discord named an address for its gateway that is not Discord's.")
    return f"wss://{host}/?v=10&encoding=json"


def _id(given: dict[str, Any], key: str) -> str:
    found = word(given, key, 24)
    if not (found.isascii() and found.isdigit()):
        raise Malformed(f"The field {key!r} is no id.")
    return found
