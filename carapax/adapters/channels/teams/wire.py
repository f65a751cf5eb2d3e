"""Teams' activities to terms, and messages to the connector's bodies.

Layer: adapters/channels; pure. Owns field checks, places out of conversation ids, and how text is made harmless.
Absent: tokens (token.py) and requests (adapter.py).
Laws: a person is the id that Teams made for them and this bot; markup that a text carries is escaped outside code, so it
mentions nobody and loads no picture; a service address is one of Microsoft's or none.
Source: learn.microsoft.com (Bot Framework Activity schema, Teams conversation events, Universal Actions).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from carapax.adapters.channels.code_spans import change_around_code
from carapax.adapters.channels.fields import name, parse_object, part, parts, plain, prose, word
from carapax.core.terms.channel import Attached, Evidence, Heard, Outgoing, Person, Place, Received, Removed
from carapax.core.terms.error import Malformed
from carapax.ports.channel import SendRefused

SERVICE_HOSTS = (
    "smba.trafficmanager.net", "smba.infra.gcc.teams.microsoft.com", "smba.infra.gov.teams.microsoft.us",
    "smba.infra.dod.teams.microsoft.us",
)  # fmt: skip
FILE_HOSTS = (".sharepoint.com", ".sharepoint.us", ".sharepoint-mil.us")
CHANNEL = "msteams"
TEXT_CHARS, TEXT_BYTES, MAX_BYTES = 8_000, 16_000, 80_000
URL_CHARS = 4_096
VERB = "carapax"
DOWNLOAD = "application/vnd.microsoft.teams.file.download.info"
CARD = "application/vnd.microsoft.card.adaptive"
_THREAD = re.compile(r"(.+);messageid=([0-9]{1,32})")
_AT = re.compile(r"<at>([^<]{0,200})</at>")
_PICTURE = re.compile(r"!(?=\[)")


@dataclass(frozen=True, slots=True)
class Activity:
    """An activity as it came, with what decides whether it is believed."""

    fields: dict[str, Any]
    type: str
    platform: str
    service_url: str
    tenant: str
    chat: str
    team: str

    @property
    def invoked(self) -> str:
        return word(self.fields, "name") if self.type == "invoke" else ""


def parse_activity(body: bytes) -> Activity:
    """An activity. Raises Malformed."""
    given = parse_object(body)
    conversation, inner = part(given, "conversation"), part(given, "channelData")
    return Activity(
        fields=given,
        type=word(given, "type"),
        platform=word(given, "channelId"),
        service_url=word(given, "serviceUrl", URL_CHARS),
        tenant=word(conversation, "tenantId") or word(part(inner, "tenant"), "id"),
        chat=split_conversation(_needed(conversation, "id"))[0],
        team=word(part(inner, "team"), "id"),
    )


def split_conversation(id: str) -> tuple[str, str]:
    """Chat and thread: a channel's conversations are one id with the first message's number behind it."""
    found = _THREAD.fullmatch(id)
    return (found.group(1), found.group(2)) if found else (id, "")


def check_service(url: str) -> tuple[str, str]:
    """Origin and path (ending in a slash) of a service address. Raises Malformed when it is not one of Microsoft's."""
    try:
        at = urlsplit(url)
        port = at.port
    except ValueError:
        raise Malformed("This is no address.") from None
    plain_path = re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", at.path) is not None and ".." not in at.path
    odd = at.username or at.password or at.query or at.fragment or port not in (None, 443)
    if at.scheme != "https" or odd or at.hostname not in SERVICE_HOSTS or not plain_path:
        raise Malformed("The service address is not one of Microsoft's.")
    return f"https://{at.hostname}", at.path.rstrip("/") + "/"


def parse_heard(activity: Activity, channel: str, app_id: str) -> tuple[Heard, ...]:
    """What an activity says to the agent. Raises Malformed."""
    given, data = activity.fields, part(activity.fields, "channelData")
    match activity.type, word(data, "eventType"):
        case "message", _:
            found: Heard | None = _message(given, channel, app_id, edited=False)
        case "messageUpdate", "editMessage" | "undeleteMessage":
            found = _message(given, channel, app_id, edited=True)
        case "messageDelete", _:
            id = _needed(given, "id")
            found = Removed(_place(given, channel), f"{id}:deleted", message=id)
        case "conversationUpdate", _:
            return _leavers(given, channel, app_id)
        case "invoke", _ if activity.invoked == "adaptiveCard/action":
            action = part(part(given, "value"), "action")
            found = _press(given, channel, part(action, "data")) if word(action, "verb") == VERB else None
        case _:
            return ()
    return () if found is None else (found,)


def _place(given: dict[str, Any], channel: str) -> Place:
    conversation = part(given, "conversation")
    chat, thread = split_conversation(_needed(conversation, "id"))
    private = word(conversation, "conversationType") == "personal" and conversation.get("isGroup") is not True
    return Place(channel, chat, thread, private=private and not thread)


def _sender(given: dict[str, Any], app_id: str) -> Person | None:
    sender = part(given, "from")
    id = _needed(sender, "id")
    if id == f"28:{app_id}":
        return None
    return Person(id, name(sender, "name"), bot=id.startswith("28:") or word(sender, "role") == "bot")


def _message(given: dict[str, Any], channel: str, app_id: str, *, edited: bool) -> Received | None:
    sender, value = _sender(given, app_id), given.get("value")
    if sender is None:
        return None
    if isinstance(value, dict) and VERB in value and not edited:
        return _press(given, channel, value)
    place, id, sent_ms = _place(given, channel), _needed(given, "id"), parse_time(word(given, "timestamp"))
    mentions = [entity for entity in parts(given, "entities") if entity.get("type") == "mention"]
    mine = [prose(entity, "text") for entity in mentions if word(part(entity, "mentioned"), "id") == f"28:{app_id}"]
    text = prose(given, "text")
    for mention in filter(None, mine):
        text = text.replace(mention, "")
    attachments = parts(given, "attachments")
    quotes = [_quote(entry) for entry in attachments if word(entry, "contentType") == "messageReference"]
    passed_on = [
        _passed_on(entry) for entry in attachments if word(entry, "contentType") == "forwardedMessageReference"
    ]
    own = _AT.sub(r"@\1", text).strip()
    forwarded = bool(passed_on) and not own
    return Received(
        place=place,
        sender=sender,
        event=f"{id}:{word(given, 'timestamp')}" if edited else id,
        text="\n".join(passed_on) if forwarded else own,
        sent_ms=sent_ms,
        message=id,
        evidence=Evidence.SIGNED,
        addressed=place.private or bool(mine),
        reply_to=quotes[0][0] if quotes else "",
        quoted="\n".join(words for _, words in quotes)
        if forwarded
        else "\n".join([*(w for _, w in quotes), *passed_on]),
        forwarded=forwarded,
        edited=edited,
        files=tuple(filter(None, map(_file, attachments))),
    )


def _quote(entry: dict[str, Any]) -> tuple[str, str]:
    content = entry.get("content")
    found = parse_object(content) if isinstance(content, str) else part(entry, "content")
    return word(found, "messageId"), prose(found, "messagePreview")


def _passed_on(entry: dict[str, Any]) -> str:
    content = entry.get("content")
    found = parse_object(content) if isinstance(content, str) else part(entry, "content")
    return plain(re.sub(r"<[^<>]{0,2000}>", "", prose(found, "originalMessageContent"))).strip()


def _file(entry: dict[str, Any]) -> Attached | None:
    kind = word(entry, "contentType")
    if kind == DOWNLOAD:
        return Attached(word(part(entry, "content"), "downloadUrl", URL_CHARS), name(entry, "name"))
    if kind.startswith("image/"):
        return Attached(word(entry, "contentUrl", URL_CHARS), name(entry, "name"), "" if kind == "image/*" else kind)
    return None


def _press(given: dict[str, Any], channel: str, data: dict[str, Any]) -> Received | None:
    sender = _sender(given, app_id="")
    if sender is None:
        return None
    return Received(
        place=_place(given, channel),
        sender=sender,
        event=_needed(given, "id"),
        text="",
        sent_ms=parse_time(word(given, "timestamp")),
        message=word(given, "replyToId"),
        evidence=Evidence.SIGNED,
        pressed=_needed(data, VERB),
    )


def _leavers(given: dict[str, Any], channel: str, app_id: str) -> tuple[Heard, ...]:
    place, id = _place(given, channel), word(given, "id") or word(given, "timestamp")
    people = [_needed(member, "id") for member in parts(given, "membersRemoved")]
    return tuple(Removed(place, f"{id}:{person}", person=person) for person in people if person != f"28:{app_id}")


def render_message(outgoing: Outgoing, app_id: str) -> dict[str, Any]:
    """The body of a new message. Raises SendRefused when it is too long."""
    body = _text(outgoing.text) | {"from": {"id": f"28:{app_id}"}}
    if outgoing.buttons:
        presses = [
            {
                "type": "Action.Execute",
                "title": button.label[:80],
                "verb": VERB,
                "data": {VERB: button.data},
                "fallback": {"type": "Action.Submit", "title": button.label[:80], "data": {VERB: button.data}},
            }
            for button in outgoing.buttons[:6]
        ]
        card = {"type": "AdaptiveCard", "version": "1.4", "body": [], "actions": presses}
        body["attachments"] = [{"contentType": CARD, "content": card}]
    return body


def render_edit(text: str) -> dict[str, Any]:
    """The body of a changed message; its buttons go."""
    return _text(text)


def _text(text: str) -> dict[str, Any]:
    plain = make_harmless(text)
    if len(plain.encode("utf-8", "replace")) > MAX_BYTES:
        raise SendRefused(f"The message is longer than Teams takes ({MAX_BYTES:,} bytes).")
    return {"type": "message", "text": plain, "textFormat": "markdown"}


def make_harmless(text: str) -> str:
    """Markdown whose tags and pictures are shown as they are written; code is shown so anyway."""
    return change_around_code(text, _escaped)


def _escaped(text: str) -> str:
    return _PICTURE.sub("!\u200b", text.replace("&", "&amp;").replace("<", "&lt;"))


def conversation_of(place: Place) -> str:
    return f"{place.chat};messageid={place.thread}" if place.thread else place.chat


def said_error(content: bytes) -> str:
    """The connector's own words for a refusal, cut and plain."""
    try:
        given = part(parse_object(content), "error")
        return f"{name(given, 'message', 200)} ({name(given, 'code', 100)})" if given else ""
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


def _needed(given: dict[str, Any], key: str) -> str:
    found = word(given, key)
    if not found:
        raise Malformed(f"The field {key!r} is missing.")
    return found
