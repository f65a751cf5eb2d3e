"""The Cloud API's JSON: webhooks in, messages out, and what its error numbers mean.

Layer: adapters/channels; pure. Owns which parts of a webhook are a person's message to this number.
Absent: the signature (adapter), templates. Source: developers.facebook.com/docs/whatsapp/cloud-api (v23.0).
Laws: nothing but Malformed is raised; a sender is WhatsApp's own id; a webhook for another number says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from carapax.adapters.channels.fields import name, number, parse_object, part, parts, prose, word
from carapax.adapters.channels.whatsapp.markup import render_text
from carapax.core.terms.channel import Attached, Button, Evidence, OutFile, Outgoing, Person, Place, Received
from carapax.core.terms.error import Malformed

TEXT_CHARS = 4_000
CAPTION_CHARS = 1_000
BUTTON_BODY_CHARS = 1_024
MEDIA_HOST = "lookaside.fbsbx.com"
_MEDIA = ("image", "audio", "video", "document", "sticker")
_ID = re.compile(r"[A-Za-z0-9._=+/-]{1,256}")
_NUMBER = re.compile(r"[0-9]{4,20}")
_USER = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,128}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Failed:
    """A message that was accepted and could not be delivered."""

    message: str
    reason: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What one webhook says."""

    heard: tuple[Received, ...] = ()
    failed: tuple[Failed, ...] = ()


@dataclass(frozen=True, slots=True)
class Media:
    """Where a file is. `sha256` is "" when it was not told."""

    path: str
    size_bytes: int | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """The Cloud API's own error."""

    code: int
    said: str


def parse_challenge(query: str) -> tuple[str, str]:
    """The verify token and the challenge of a subscription. Raises Malformed."""
    try:
        given = parse_qsl(query[:2_048], strict_parsing=True, max_num_fields=10)
    except ValueError:
        raise Malformed("This is no subscription.") from None
    found = dict(given)
    challenge = found.get("hub.challenge", "")
    if len(found) != len(given) or found.get("hub.mode") != "subscribe" or not _CHALLENGE.fullmatch(challenge):
        raise Malformed("This is no subscription.")
    return found.get("hub.verify_token", ""), challenge


def parse_notice(raw: bytes, channel: str, phone: str) -> Notice:
    """A webhook's messages for this number. Raises Malformed; a message that cannot be read is left out."""
    given = parse_object(raw)
    if given.get("object") != "whatsapp_business_account":
        raise Malformed("This is no webhook of WhatsApp.")
    heard: list[Received] = []
    failed: list[Failed] = []
    for value in _values(given):
        if word(part(value, "metadata"), "phone_number_id") != phone:
            continue
        names = {_sender_id(contact, "wa_id", "user_id"): name(part(contact, "profile"), "name")
                 for contact in parts(value, "contacts")}  # fmt: skip
        for message in parts(value, "messages"):
            try:
                heard += _message(message, channel, names)
            except Malformed:
                continue
        failed += [Failed(word(s, "id"), _reason(s)) for s in parts(value, "statuses") if s.get("status") == "failed"]
    return Notice(tuple(heard), tuple(failed))


def _values(given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for entry in parts(given, "entry"):
        for change in parts(entry, "changes"):
            if change.get("field") == "messages":
                yield part(change, "value")


def _sender_id(given: dict[str, Any], by_number: str, by_user: str) -> str:
    """The number; for somebody who hides it, Meta's id for them with this business."""
    found = word(given, by_number, 64)
    if _NUMBER.fullmatch(found):
        return found
    found = word(given, by_user, 140)
    return found if _USER.fullmatch(found) else ""


def _message(given: dict[str, Any], channel: str, names: dict[str, str]) -> Iterator[Received]:
    message = word(given, "id", 256)
    sender = _sender_id(given, "from", "from_user_id")
    # A message in a group has the group's id; the people in it are not known here.
    if not _ID.fullmatch(message) or not sender or "group_id" in given:
        raise Malformed("A message has no id or no sender.")
    kind = word(given, "type", 32)
    context = part(given, "context")
    text, pressed = _words(given, kind)
    files = tuple(_files(given, kind))
    if not (text or pressed or files):
        return
    stamp = word(given, "timestamp", 20)
    yield Received(
        place=Place(channel, sender),
        sender=Person(sender, names.get(sender, "")),
        event=f"m:{message}",
        text=text,
        sent_ms=int(stamp) * 1000 if stamp.isascii() and stamp.isdigit() and len(stamp) <= 12 else 0,
        message=message,
        evidence=Evidence.SIGNED,
        reply_to=word(context, "id", 256) if not pressed else "",
        forwarded=context.get("forwarded") is True or context.get("frequently_forwarded") is True,
        pressed=pressed,
        files=files,
    )


def _words(given: dict[str, Any], kind: str) -> tuple[str, str]:
    """What was written, and the data of the button that was pressed."""
    match kind:
        case "text":
            return prose(part(given, "text"), "body"), ""
        case "interactive":
            inside = part(given, "interactive")
            reply = part(inside, "button_reply") or part(inside, "list_reply")
            return "", _data(reply, "id")
        case "button":
            return "", _data(part(given, "button"), "payload")
        case "location":
            place = part(given, "location")
            at = [place.get(key) for key in ("latitude", "longitude")]
            if not all(isinstance(value, int | float) and abs(value) <= 180 for value in at):
                raise Malformed("A location is none.")
            words = " ".join(filter(None, (name(place, "name"), name(place, "address", 300))))
            return f"Location: {at[0]}, {at[1]} {words}".strip(), ""
        case _ if kind in _MEDIA:
            return prose(part(given, kind), "caption"), ""
    return "", ""


def _data(given: dict[str, Any], key: str) -> str:
    data = word(given, key, 64)
    return data if len(data.encode("utf-8", "replace")) <= 64 else ""


def _files(given: dict[str, Any], kind: str) -> Iterator[Attached]:
    if kind not in _MEDIA:
        return
    file = part(given, kind)
    ref = word(file, "id", 128)
    if not _ID.fullmatch(ref) or not ref.isalnum():
        raise Malformed("A file has no id.")
    yield Attached(
        ref=ref,
        name=name(file, "filename"),
        type=word(file, "mime_type", 128).partition(";")[0],
        voice=kind == "audio" and file.get("voice") is True,
    )


def _reason(given: dict[str, Any]) -> str:
    for error in parts(given, "errors"):
        code = number(error, "code") or 0
        return WORDS.get(code) or f"{name(error, 'title', 200)} ({code})"
    return "no reason was given"


def parse_media(raw: bytes) -> Media:
    """Where Meta keeps a file: on its one media host, and nowhere else. Raises Malformed."""
    given = parse_object(raw)
    address = word(given, "url", 2_048)
    try:
        parts_ = urlsplit(address)
        port = parts_.port
    except ValueError:
        raise Malformed("A file has no address.") from None
    if parts_.scheme != "https" or parts_.netloc.lower() != MEDIA_HOST or port or not parts_.path.startswith("/"):
        raise Malformed("A file's address is not on Meta's media host.")
    digest = word(given, "sha256", 64)
    return Media(
        path=parts_.path + (f"?{parts_.query}" if parts_.query else ""),
        size_bytes=number(given, "file_size"),
        sha256=digest if _SHA256.fullmatch(digest) else "",
    )


def parse_trouble(raw: bytes) -> Trouble:
    """An error's number and words. Raises Malformed."""
    error = part(parse_object(raw), "error")
    details = name(part(error, "error_data"), "details", 200)
    return Trouble(number(error, "code") or 0, details or name(error, "message", 200))


def parse_sent(raw: bytes) -> str:
    """The id of the message that was taken. Raises Malformed."""
    for message in parts(parse_object(raw), "messages"):
        return word(message, "id", 256)
    raise Malformed("The answer names no message.")


def parse_upload(raw: bytes) -> str:
    """The id of a file that was taken. Raises Malformed."""
    if not (found := word(parse_object(raw), "id", 128)):
        raise Malformed("The answer names no file.")
    return found


def parse_account(raw: bytes) -> tuple[str, str, str]:
    """The number, the name that people see, and how Meta rates it. Raises Malformed."""
    given = parse_object(raw)
    return name(given, "display_phone_number"), name(given, "verified_name"), name(given, "quality_rating")


def render_target(chat: str) -> dict[str, Any]:
    """To whom a message goes. Raises Malformed for a place of another platform."""
    whom = {"messaging_product": "whatsapp", "recipient_type": "individual"}
    if _NUMBER.fullmatch(chat):
        return whom | {"to": chat}
    if _USER.fullmatch(chat):
        return whom | {"recipient": chat}
    raise Malformed("This is no account on WhatsApp.")


def render_message(outgoing: Outgoing) -> dict[str, Any]:
    """A text, with its buttons. Raises Malformed for more than ten buttons or data that is too long."""
    message = render_target(outgoing.place.chat)
    if outgoing.reply_to:
        message["context"] = {"message_id": outgoing.reply_to}
    text = render_text(outgoing.text)
    if not outgoing.buttons:
        return message | {"type": "text", "text": {"preview_url": False, "body": text}}
    if len(outgoing.buttons) > 10 or not all(0 < len(b.data.encode()) <= 64 and b.label for b in outgoing.buttons):
        raise Malformed("A message has at most ten buttons, and their data 1 to 64 bytes.")
    few = len(outgoing.buttons) <= 3 and len(text) <= BUTTON_BODY_CHARS
    return message | {
        "type": "interactive",
        "interactive": {"body": {"text": text}} | (_few(outgoing.buttons) if few else _many(outgoing.buttons)),
    }


def _few(buttons: tuple[Button, ...]) -> dict[str, Any]:
    rows = [{"type": "reply", "reply": {"id": b.data, "title": _short(b.label, 20)}} for b in buttons]
    return {"type": "button", "action": {"buttons": rows}}


def _many(buttons: tuple[Button, ...]) -> dict[str, Any]:
    rows = [{"id": b.data, "title": _short(b.label, 24), "description": _short(b.label, 72)} for b in buttons]
    return {"type": "list", "action": {"button": "Choose", "sections": [{"title": "Choose", "rows": rows}]}}


def _short(label: str, most: int) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"


def render_file(chat: str, file: OutFile, media: str, caption: str, reply_to: str = "") -> dict[str, Any]:
    """A file that was uploaded. Raises Malformed."""
    document: dict[str, Any] = {"id": media, "filename": file.name}
    if caption:
        document["caption"] = render_text(caption)
    message = render_target(chat) | {"type": "document", "document": document}
    return message | ({"context": {"message_id": reply_to}} if reply_to else {})


def render_reaction(chat: str, message: str, mark: str) -> dict[str, Any]:
    """A mark on a message; "" takes it away. Raises Malformed."""
    return render_target(chat) | {"type": "reaction", "reaction": {"message_id": message, "emoji": mark}}


def render_typing(message: str) -> dict[str, Any]:
    """That a message was read and an answer is being written."""
    return {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": message,
        "typing_indicator": {"type": "text"},
    }


# What people are told for the numbers that matter; other numbers keep Meta's own words.
WORDS = {
    131026: "This number cannot take the message: it has no WhatsApp, or an old one.",
    131047: "More than 24 hours have passed since this person last wrote; WhatsApp takes only paid templates then.",
    131049: "WhatsApp held the message back, because this person gets many from businesses.",
    131053: "WhatsApp does not take this kind of file.",
}
CREDENTIAL_CODES = frozenset({190, 10, 102, 463, 467, *range(200, 300)})
WAIT_CODES = {4: 60, 80_007: 60, 130_429: 30, 131_048: 600, 131_056: 6, 133_016: 3_600}
OUTAGE_CODES = frozenset({1, 2, 131_000, 131_016, 131_057, 133_004})
