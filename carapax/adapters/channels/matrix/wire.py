"""Matrix's JSON and the terms: what a sync holds, what an event says, what is sent.

Layer: adapters/channels/matrix; pure. Owns every field that is read or written. Absent: HTTP, keys (`crypt`).
Laws: a sender is the full user id; an event whose fields are not as documented is Malformed and nothing else;
what is sent notifies nobody by its text (`m.mentions` is always there and empty). Source: client-server spec v1.11.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from carapax.adapters.channels.fields import name, number, parse_object, part, parts, plain, prose, word
from carapax.adapters.channels.matrix.markup import render_html
from carapax.core.terms.channel import Attached, Evidence, Heard, OutFile, Person, Place, Received, Removed
from carapax.core.terms.error import Malformed

EVENT_BYTES = 60_000  # a homeserver refuses more than 65,536
QUOTED_CHARS = 8_192
ROOM = re.compile(r"![^\s:]{1,200}(:[^\s]{1,230})?")
USER = re.compile(r"@[^\s:]{0,200}:[^\s]{1,230}")
MEDIA = re.compile(r"mxc://([A-Za-z0-9.:\[\]-]{1,230})/([A-Za-z0-9_-]{1,255})")
_FILES = {"m.file", "m.image", "m.audio", "m.video"}
_HEARD_TYPES = ["m.room.message", "m.room.encrypted", "m.room.redaction", "m.room.member", "m.room.encryption"]
_NOTHING: dict[str, Any] = {"not_types": ["*"]}


@dataclass(frozen=True, slots=True)
class Invite:
    room: str
    inviter: str
    direct: bool  # the inviter's word


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened in one room. `limited`: there is more between `prev` and the sync before."""

    room: str
    events: tuple[dict[str, Any], ...]
    limited: bool
    prev: str


@dataclass(frozen=True, slots=True)
class Batch:
    """One answer of /sync."""

    next: str
    to_device: tuple[dict[str, Any], ...]
    changed: tuple[str, ...]  # users whose devices are to be asked for anew
    key_count: int | None
    fallback: bool  # an unused fallback key lies on the server
    invites: tuple[Invite, ...]
    rooms: tuple[Timeline, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """What an event is read against."""

    channel: str
    room: str
    me: str
    private: bool
    names: Mapping[str, str]


def sync_filter(timeline: int) -> str:
    """The filter of a sync with at most this many events a room."""
    room = {
        "timeline": {"limit": timeline, "types": _HEARD_TYPES, "lazy_load_members": True},
        "state": _NOTHING,
        "ephemeral": _NOTHING,
        "account_data": _NOTHING,
    }
    return json.dumps({"room": room, "presence": _NOTHING, "account_data": _NOTHING}, separators=(",", ":"))


def parse_sync(raw: bytes, me: str) -> Batch:
    """An answer of /sync. Raises Malformed."""
    given = parse_object(raw)
    token = word(given, "next_batch", 4_096)
    if not token:
        raise Malformed("The sync has no token to go on from.")
    rooms = part(given, "rooms")
    lists = part(given, "device_lists")
    return Batch(
        next=token,
        to_device=tuple(parts(part(given, "to_device"), "events")),
        changed=tuple(user for user in _strings(lists, "changed") if USER.fullmatch(user)),
        key_count=number(part(given, "device_one_time_keys_count"), "signed_curve25519"),
        fallback="signed_curve25519" in _strings(given, "device_unused_fallback_key_types"),
        invites=tuple(_invites(part(rooms, "invite"), me)),
        rooms=tuple(_timelines(part(rooms, "join"))),
        left=tuple(room for room in part(rooms, "leave") if ROOM.fullmatch(room)),
    )


def parse_page(raw: bytes) -> tuple[list[dict[str, Any]], str]:
    """A page of /messages: its events, newest first, and where the next page begins ("" at the end). Raises Malformed."""
    given = parse_object(raw)
    return parts(given, "chunk"), word(given, "end", 4_096)


def parse_members(raw: bytes) -> tuple[dict[str, str], set[str]]:
    """Who has joined, with the names they chose, and who is invited. Raises Malformed."""
    joined: dict[str, str] = {}
    invited: set[str] = set()
    given = parse_object(raw).get("chunk")
    if not isinstance(given, list):
        raise Malformed("The list of members is none.")
    for event in given:
        # Anybody's server may have made it: one that is not as documented hides nobody else.
        with suppress(Malformed):
            if not isinstance(event, dict) or word(event, "type") != "m.room.member":
                continue
            user, content = word(event, "state_key"), part(event, "content")
            match word(content, "membership"):
                case "join" if USER.fullmatch(user):
                    joined[user] = name(content, "displayname")
                case "invite" if USER.fullmatch(user):
                    invited.add(user)
    return joined, invited


def find_join(events: Sequence[dict[str, Any]], me: str, membership: str = "join") -> int | None:
    """What stands after this user's newest change to this membership; None where there is none. Raises Malformed."""
    for at in range(len(events) - 1, -1, -1):
        event = events[at]
        if event.get("type") == "m.room.member" and event.get("state_key") == me:
            before = part(part(event, "unsigned"), "prev_content").get("membership")
            # A join after a join is only another name.
            if part(event, "content").get("membership") == membership != before:
                return at + 1
    return None


def parse_event(event: dict[str, Any], scene: Scene, evidence: Evidence = Evidence.PLATFORM) -> Heard | None:
    """What a decrypted event says; None for what is no business of the agent's. Raises Malformed."""
    kind, ident, sender = word(event, "type"), word(event, "event_id"), word(event, "sender")
    if not ident or not USER.fullmatch(sender):
        raise Malformed("The event has no id or no sender.")
    content = part(event, "content")
    place = Place(scene.channel, scene.room, private=scene.private)
    if kind == "m.room.redaction":
        gone = word(content, "redacts") or word(event, "redacts")
        return Removed(place, ident, message=gone) if gone else None
    if kind == "m.room.member":
        who = word(event, "state_key")
        return Removed(place, ident, person=who) if word(content, "membership") in ("leave", "ban") and who else None
    if kind != "m.room.message" or sender == scene.me:
        return None
    heard = _message(content, scene)
    if heard is None:
        return None
    return replace(
        heard,
        sender=Person(sender, scene.names.get(sender, "")),
        event=ident,
        message=heard.message or ident,
        sent_ms=number(event, "origin_server_ts") or 0,
        evidence=evidence,
    )


def _message(content: dict[str, Any], scene: Scene) -> Received | None:
    relation = part(content, "m.relates_to")
    rel_type, target = word(relation, "rel_type"), word(relation, "event_id")
    edited = rel_type == "m.replace"
    said = part(content, "m.new_content") if edited else content
    msgtype = word(said, "msgtype")
    body = prose(said, "body")
    reply = "" if relation.get("is_falling_back") is True else word(part(relation, "m.in_reply_to"), "event_id")
    files: tuple[Attached, ...] = ()
    if msgtype in _FILES:
        files = (_attached(said, msgtype),)
        body = body if "filename" in said and said["filename"] != said.get("body") else ""
    elif msgtype == "m.emote":
        body = f"* {body}"
    elif msgtype not in ("m.text", "m.location"):  # a notice is another machine's and is never answered
        return None
    return Received(
        place=Place(scene.channel, scene.room, target if rel_type == "m.thread" else "", scene.private),
        sender=Person(""),
        event="",
        text=_unquoted(body) if reply else body,
        message=target if edited else "",
        addressed=scene.private or _mentioned(content, scene.me),
        reply_to=reply,
        edited=edited,
        files=files,
    )


def parse_quoted(event: dict[str, Any]) -> tuple[str, str, str]:
    """Of an event that another points at: its sender, its thread, its words. Raises Malformed."""
    content = part(event, "content")
    relation = part(content, "m.relates_to")
    thread = word(relation, "event_id") if word(relation, "rel_type") == "m.thread" else ""
    return word(event, "sender"), thread, prose(content, "body")[:QUOTED_CHARS]


def _mentioned(content: dict[str, Any], me: str) -> bool:
    if "m.mentions" in content:
        return me in _strings(part(content, "m.mentions"), "user_ids")
    # Clients from before intentional mentions link the user id in the formatted body, or write it out.
    linked = prose(content, "formatted_body")
    return any(me in text for text in (prose(content, "body"), linked)) or quote(me, safe="@:") in linked


def _unquoted(body: str) -> str:
    """Without the copy of the other message that old clients write before a reply."""
    if not body.startswith(("> <@", "> * <@")):
        return body
    lines = body.split("\n")
    own = next((at for at, line in enumerate(lines) if not line.startswith("> ")), len(lines))
    return "\n".join(lines[own:]).lstrip("\n")


def _attached(content: dict[str, Any], msgtype: str) -> Attached:
    sealed = part(content, "file")
    ref = {"mxc": word(sealed, "url") if sealed else word(content, "url")}
    if not MEDIA.fullmatch(ref["mxc"]):
        raise Malformed("The file has no address.")
    if sealed:
        ref |= {
            "k": word(part(sealed, "key"), "k"),
            "iv": word(sealed, "iv"),
            "sha": word(part(sealed, "hashes"), "sha256"),
        }
    about = part(content, "info")
    return Attached(
        ref=json.dumps(ref, separators=(",", ":")),
        name=name(content, "filename") or name(content, "body"),
        type=name(about, "mimetype"),
        size_bytes=number(about, "size"),
        voice=msgtype == "m.audio" and "org.matrix.msc3245.voice" in content,
    )


def parse_ref(ref: str) -> tuple[str, str, dict[str, str]]:
    """Server and id of a file, and what opens it ({} when it is not encrypted). Raises Malformed."""
    given = parse_object(ref)
    found = MEDIA.fullmatch(word(given, "mxc"))
    if not found:
        raise Malformed("This is no file of Matrix.")
    keys: dict[str, str] = {key: word(given, key) for key in ("k", "iv", "sha") if key in given}
    return found[1], found[2], keys


def render_text(text: str, *, thread: str = "", reply_to: str = "") -> dict[str, Any]:
    """The content of a message; its HTML is left out where the event would grow too large."""
    content = _worded(text)
    return content | render_relation(thread, reply_to)


def render_edit(message: str, text: str) -> dict[str, Any]:
    """The content of an event that replaces a message's text."""
    short = text if len(text) <= 500 else text[:499] + "…"
    outer = {"msgtype": "m.text", "body": f"* {short}", "m.mentions": {}}
    return outer | {"m.new_content": _worded(text), "m.relates_to": {"rel_type": "m.replace", "event_id": message}}


def render_file(file: OutFile, *, url: str = "", sealed: dict[str, Any] | None = None) -> dict[str, Any]:
    """The content of a message that is a file, in clear (`url`) or encrypted."""
    family = file.type.partition("/")[0]
    msgtype = {"image": "m.image", "audio": "m.audio", "video": "m.video"}.get(family, "m.file")
    content: dict[str, Any] = {
        "msgtype": msgtype, "body": file.name, "filename": file.name, "m.mentions": {},
        "info": {"mimetype": file.type, "size": len(file.content)},
    }  # fmt: skip
    return content | ({"file": sealed} if sealed else {"url": url})


def render_relation(thread: str, reply_to: str) -> dict[str, Any]:
    """Where a message belongs: in a thread, to another message, or nowhere ({})."""
    if thread:
        pointed = {"m.in_reply_to": {"event_id": reply_to or thread}}
        return {"m.relates_to": {"rel_type": "m.thread", "event_id": thread, "is_falling_back": not reply_to} | pointed}
    return {"m.relates_to": {"m.in_reply_to": {"event_id": reply_to}}} if reply_to else {}


def _worded(text: str) -> dict[str, Any]:
    content: dict[str, Any] = {"msgtype": "m.text", "body": text, "m.mentions": {}}
    html = render_html(text)
    # Encryption makes four bytes of three, and JSON inside JSON doubles every backslash.
    if html and (len(json.dumps([text, html], ensure_ascii=False).encode()) + 2_000) * 4 // 3 < EVENT_BYTES:
        content |= {"format": "org.matrix.custom.html", "formatted_body": html}
    return content


def error_words(raw: bytes) -> tuple[str, int]:
    """What the server says of its refusal, plain and short, and how long it wants us to wait (ms)."""
    try:
        given = parse_object(raw)
        said = " ".join(part for part in (name(given, "errcode"), name(given, "error", 200)) if part)
        return said, min(number(given, "retry_after_ms") or 0, 3_600_000)
    except Malformed:
        return "", 0


def _invites(rooms: dict[str, Any], me: str) -> list[Invite]:
    found = []
    for room, held in rooms.items():
        if not ROOM.fullmatch(room) or not isinstance(held, dict):
            continue
        for event in parts(part(held, "invite_state"), "events"):
            with suppress(Malformed):  # the inviter's server made it
                if word(event, "type") == "m.room.member" and word(event, "state_key") == me:
                    direct = part(event, "content").get("is_direct") is True
                    found.append(Invite(room, word(event, "sender"), direct))
                    break
    return found


def _timelines(rooms: dict[str, Any]) -> list[Timeline]:
    found = []
    for room, held in rooms.items():
        if ROOM.fullmatch(room) and isinstance(held, dict):
            line = part(held, "timeline")
            prev = word(line, "prev_batch", 4_096)
            found.append(Timeline(room, tuple(parts(line, "events")), line.get("limited") is True, prev))
    return found


def _strings(given: dict[str, Any], key: str) -> list[str]:
    value = given.get(key)
    return [plain(entry) for entry in value if isinstance(entry, str)] if isinstance(value, list) else []
