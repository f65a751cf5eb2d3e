"""What a BlueBubbles server says and is told.

Layer: adapters/channels/imessage; pure. Owns the forms of its webhooks and answers (BlueBubbles server, API v1).
Absent: who an address belongs to. Laws: nothing but Malformed is raised; a sender is an address (a number or an e-mail
address in lower case), and one that came as SMS is vouched for by nobody, because numbers in SMS can be forged.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from carapax.adapters.channels.fields import name, number, parse_object, part, parts, prose, word
from carapax.core.terms.channel import Attached, Evidence, Heard, Person, Place, Received, Removed
from carapax.core.terms.error import Malformed

GUID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:+-]{0,119}")
CHAT = re.compile(r"[A-Za-z]{1,16};[+-];[A-Za-z0-9@._+-]{1,128}")
ADDRESS = re.compile(r"\+?[0-9]{3,20}|[a-z0-9._%+-]{1,64}@[a-z0-9.-]{1,180}")
TAPBACKS = {
    "👍": "like", "✅": "like", "👎": "dislike", "❌": "dislike", "❤️": "love", "😂": "laugh", "👀": "emphasize", "‼️": "emphasize",
    "❓": "question", "🤔": "question",
}  # fmt: skip
_PLACEHOLDER = "\ufffc"  # stands in a text where a file was
_GROUP_CHANGES = frozenset({"participant-added", "participant-removed", "participant-left"})


@dataclass(frozen=True, slots=True)
class GroupChanged:
    """Who is in a chat is to be asked."""

    chat: str
    event: str


def parse_hook(raw: bytes, *, channel: str, own: frozenset[str]) -> Heard | GroupChanged | None:
    """What a webhook means; None for what is nobody's message. Raises Malformed."""
    given = parse_object(raw)
    kind, message = word(given, "type", 60), part(given, "data")
    match kind:
        case "new-message":
            return parse_message(message, channel=channel, own=own)
        case "updated-message":
            return _update(message, channel, own)
        case _ if kind in _GROUP_CHANGES:
            return GroupChanged(_chat(message), _guid(message))
        case _:
            return None


def parse_message(message: dict[str, Any], *, channel: str, own: frozenset[str]) -> Received | None:
    """A message as it stands; None for our own, tapbacks and what the system says. Raises Malformed."""
    if message.get("isFromMe") is not False or message.get("associatedMessageGuid") or number(message, "itemType"):
        return None
    handle = part(message, "handle")
    address = word(handle, "address").lower()
    if not ADDRESS.fullmatch(address):
        return None
    chat, guid = _chat(message), _guid(message)
    edited = number(message, "dateEdited")
    files = tuple(_file(entry, message) for entry in parts(message, "attachments")[:32] if word(entry, "guid"))
    text = prose(message, "text").replace(_PLACEHOLDER, "").strip()
    if not text and not files:
        return None
    private = ";-;" in chat
    origin = word(message, "threadOriginatorGuid")
    real = chat.startswith("iMessage;") and word(handle, "service") in ("", "iMessage")
    return Received(
        place=Place(channel, chat, private=private),
        sender=Person(address, name(handle, "displayName")),
        event=f"{guid}@{edited}" if edited else guid,
        text=text,
        sent_ms=number(message, "dateCreated") or 0,
        message=guid,
        evidence=Evidence.PLATFORM if real else Evidence.NONE,
        addressed=private or bool(_mentioned(message) & own),
        reply_to=origin if GUID.fullmatch(origin) else "",
        forwarded=message.get("isForward") is True,
        edited=bool(edited),
        files=files,
    )


def parse_list(given: object) -> list[dict[str, Any]]:
    """The list in an answer. Raises Malformed."""
    return parts(given, "data") if isinstance(given, dict) else []


def parse_members(given: object) -> frozenset[str]:
    """Who is in a chat, by address. Raises Malformed."""
    found = [word(entry, "address").lower() for entry in parts(_data(given), "participants")]
    return frozenset(address for address in found if ADDRESS.fullmatch(address))


def parse_own(given: object) -> frozenset[str]:
    """The addresses of the account that the Mac is signed in with. Raises Malformed."""
    facts = _data(given)
    found = (word(facts, key).lower() for key in ("detected_imessage", "detected_icloud"))
    return frozenset(address for address in found if ADDRESS.fullmatch(address))


def parse_sent(given: object) -> str:
    """The guid of a message that was sent. Raises Malformed."""
    return _guid(_data(given))


def parse_error(content: bytes) -> str:
    """The server's own word for a failure, short and plain; "" when it says none."""
    try:
        given = parse_object(content)
        return word(part(given, "error"), "message", 300)[:160] or word(given, "message", 300)[:160]
    except Malformed:
        return ""


def temp_guid(key: str) -> str:
    """The name under which a message is queued; the same for the same key."""
    return f"temp-{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:24]}"


def path_of(*steps: str) -> str:
    """A path of the API, every step escaped."""
    return "/api/v1/" + "/".join(quote(step, safe="") for step in steps)


def tapback_of(mark: str, standing: Mapping[str, str], message: str) -> str:
    """The tapback nearest to an emoji; "-" and the standing one to take it away. Raises Malformed: there is none."""
    if not mark:
        return f"-{standing.get(message, 'like')}"
    if mark not in TAPBACKS:
        raise Malformed("iMessage has no tapback like this.")
    return TAPBACKS[mark]


def _update(message: dict[str, Any], channel: str, own: frozenset[str]) -> Heard | None:
    if number(message, "dateRetracted") and message.get("isFromMe") is False:
        guid, chat = _guid(message), _chat(message)
        return Removed(Place(channel, chat, private=";-;" in chat), f"{guid}@retracted", message=guid)
    # Updates tell of deliveries and receipts too: only an edit is news.
    return parse_message(message, channel=channel, own=own) if number(message, "dateEdited") else None


def _mentioned(message: dict[str, Any]) -> frozenset[str]:
    """Whom the text mentions by address: Messages marks it in the attributed text."""
    runs = [run for body in parts(message, "attributedBody") for run in parts(body, "runs")]
    marks = (part(run, "attributes").get("__kIMMentionConfirmedMention") for run in runs)
    return frozenset(mark.lower() for mark in marks if isinstance(mark, str))


def _file(entry: dict[str, Any], message: dict[str, Any]) -> Attached:
    type = word(entry, "mimeType", 120)
    return Attached(
        word(entry, "guid"),
        name=name(entry, "transferName"),
        type=type,
        size_bytes=number(entry, "totalBytes"),
        voice=message.get("isAudioMessage") is True and type.startswith("audio/"),
    )


def _chat(message: dict[str, Any]) -> str:
    for chat in parts(message, "chats"):
        guid = word(chat, "guid")
        if CHAT.fullmatch(guid):
            return guid
    raise Malformed("This message is in no chat.")


def _guid(message: dict[str, Any]) -> str:
    guid = word(message, "guid")
    if not GUID.fullmatch(guid):
        raise Malformed("This message has no guid.")
    return guid


def _data(given: object) -> dict[str, Any]:
    return part(given, "data") if isinstance(given, dict) else {}
