"""The webhook's JSON and its signed text.

Layer: adapters/channels; pure. Owns the fields both ways and what a signature covers. Absent: keys, times, and the
memory of ids (adapter). Source: the Standard Webhooks specification, 1.0.0.
Laws: nothing but Malformed is raised; an unknown field is refused, so that a wrong one is noticed; a chat that is named
is a group unless the sender says otherwise.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from carapax.adapters.channels.fields import name, number, parse_object, prose, word
from carapax.core.terms.channel import Evidence, Heard, Outgoing, Person, Place, Received, Removed
from carapax.core.terms.error import Malformed

MAX_SIGNATURES = 8
OWN = (
    "carapax_"  # before the ids of what is posted from here: never taken as a request, though the same secret signs it
)
FIELDS = frozenset(
    {"type", "id", "sender", "sender_name", "bot", "chat", "private", "thread", "text", "addressed", "sent_ms", "reply_to",
     "quoted", "forwarded", "edited", "pressed", "person"}
)  # fmt: skip
_ID = re.compile(r"[\x21-\x7e]{1,256}")
_SECONDS = re.compile(r"[0-9]{9,11}")


def parse_time(header: str) -> int:
    """The seconds of a timestamp header. Raises Malformed."""
    if not _SECONDS.fullmatch(header):
        raise Malformed("This is no time in seconds.")
    return int(header)


def parse_id(header: str) -> str:
    """The id of a request. Raises Malformed, also for an id of ours: what we posted cannot be sent back to us."""
    if not _ID.fullmatch(header) or header.startswith(OWN):
        raise Malformed("This is no id of a request.")
    return header


def parse_signatures(header: str) -> list[bytes]:
    """The v1 signatures of a header, at most eight; other versions are left out. Raises Malformed."""
    found = []
    for given in header.split(" ")[: 2 * MAX_SIGNATURES]:
        version, _, text = given.partition(",")
        if version != "v1":
            continue
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
        if len(raw) == 32:
            found.append(raw)
    if not found:
        raise Malformed("There is no v1 signature.")
    return found[:MAX_SIGNATURES]


def render_signed(id: str, seconds: int, body: bytes) -> bytes:
    """What is signed."""
    return f"{id}.{seconds}.".encode() + body


def render_signature(mac: bytes) -> str:
    """The header of one signature."""
    return "v1," + base64.b64encode(mac).decode()


def parse_message(raw: bytes, channel: str, request: str) -> Heard:
    """What a request says. Raises Malformed: which field."""
    given = parse_object(raw)
    if unknown := sorted(given.keys() - FIELDS):
        raise Malformed(f"There is no field {unknown[0][:40]!r}.")
    match given.get("type", "message"):
        case "message":
            return _received(given, channel, request)
        case "removed":
            return _removed(given, channel, request)
    raise Malformed("The type is message or removed.")


def _received(given: dict[str, Any], channel: str, request: str) -> Received:
    sender = _required(given, "sender")
    chat = word(given, "chat") or sender
    private = _flag(given, "private", "chat" not in given)
    pressed = word(given, "pressed", 64)
    text = prose(given, "text")
    if not (text or pressed) or (private and chat != sender):
        raise Malformed("A message has a text, and a private chat is its sender's own.")
    return Received(
        place=Place(channel, chat, word(given, "thread"), private=private),
        sender=Person(sender, name(given, "sender_name"), bot=_flag(given, "bot", False)),
        event=f"m:{request}",
        text="" if pressed else text,
        sent_ms=number(given, "sent_ms") or 0,
        message=_required(given, "id"),
        evidence=Evidence.SIGNED,
        addressed=private or bool(pressed) or _flag(given, "addressed", False),
        reply_to=word(given, "reply_to"),
        quoted=prose(given, "quoted"),
        forwarded=_flag(given, "forwarded", False),
        edited=_flag(given, "edited", False),
        pressed=pressed,
    )


def _removed(given: dict[str, Any], channel: str, request: str) -> Removed:
    person, message = word(given, "person"), word(given, "id")
    sender = word(given, "sender")
    chat = word(given, "chat") or sender
    if bool(person) is bool(message) or not chat:
        raise Malformed("What is removed is a message (id) or a person, in a chat.")
    place = Place(channel, chat, word(given, "thread"), private="chat" not in given)
    return Removed(place, event=f"m:{request}", message=message, person=person)


def _required(given: dict[str, Any], key: str) -> str:
    if not (found := word(given, key)):
        raise Malformed(f"The field {key!r} is missing.")
    return found


def _flag(given: dict[str, Any], key: str, default: bool) -> bool:
    value = given.get(key, default)
    if not isinstance(value, bool):
        raise Malformed(f"The field {key!r} is true or false.")
    return value


def render_message(outgoing: Outgoing, id: str) -> dict[str, Any]:
    """A message to post. Raises Malformed for a button's data over 64 bytes."""
    if not all(0 < len(button.data.encode()) <= 64 for button in outgoing.buttons):
        raise Malformed("The data of a button has 1 to 64 bytes.")
    return {
        "type": "message",
        "id": id,
        **render_place(outgoing.place),
        "text": outgoing.text,
        "reply_to": outgoing.reply_to,
        "buttons": [{"label": button.label, "data": button.data} for button in outgoing.buttons],
        "files": [
            {"name": file.name, "type": file.type, "content": base64.b64encode(file.content).decode()}
            for file in outgoing.files
        ],
    }


def render_place(place: Place) -> dict[str, Any]:
    return {"chat": place.chat, "thread": place.thread, "private": place.private}


def parse_sent(raw: bytes) -> str:
    """The receiver's own id of a message; "" when it gives none. Raises Malformed."""
    return word(parse_object(raw), "message") if raw.strip() else ""
