"""Twilio's webhooks and its Messages API.

Layer: adapters/channels; pure. Owns the form's fields, the text that a webhook's signature covers, and error numbers.
Absent: the key of the signature (adapter). Source: twilio.com/docs/usage/webhooks/webhooks-security, docs/messaging/api.
Laws: nothing but Malformed is raised; a name that stands twice is refused, so that what is signed is what is read.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, urlsplit

from carapax.adapters.channels.fields import name, number, parse_object, parts, plain, word
from carapax.core.terms.channel import Attached, Evidence, Outgoing, Person, Place, Received
from carapax.core.terms.error import Malformed

TEXT_CHARS = 1_600
MEDIA_HOSTS = ("mms.twiliocdn.com", "media.twiliocdn.com")
STOPPED = 21_610
LIST_COUNT = 200
HEARD_COUNT = 400  # more than one list holds
_LISTED = (("sid", "MessageSid"), ("account_sid", "AccountSid"), ("from", "From"), ("to", "To"))
_NUMBER = re.compile(r"\+[1-9][0-9]{4,14}")
_CODE = re.compile(r"[0-9]{3,8}")
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9 &._-]{0,14}")
_MESSAGE = re.compile(r"(?:SM|MM)[0-9a-f]{32}")
_MEDIA = re.compile(
    r"https://api\.twilio\.com/2010-04-01/Accounts/(AC[0-9a-f]{32})/Messages/((?:SM|MM)[0-9a-f]{32})/Media/(ME[0-9a-f]{32})"
)
_REF = re.compile(r"((?:SM|MM)[0-9a-f]{32})/(ME[0-9a-f]{32})")
_FAILED = ("failed", "undelivered")


@dataclass(frozen=True, slots=True)
class Notice:
    """What one webhook says: a message, or that one of ours was not delivered."""

    heard: Received | None = None
    failed: str = ""


def parse_form(raw: bytes) -> dict[str, str]:
    """A form whose names stand once each. Raises Malformed."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=200, errors="strict")
    except ValueError:
        raise Malformed("This is no form.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise Malformed("A name stands twice in this form.")
    return form


def render_signed(url: str, form: Mapping[str, str]) -> bytes:
    """What Twilio signs: the address it called, then every name and value in the order of the names."""
    return (url + "".join(key + form[key] for key in sorted(form))).encode("utf-8", "surrogatepass")


def url_spellings(url: str) -> tuple[str, ...]:
    """The address with and without its port: Twilio signs either, as the account's age has it."""
    try:
        split = urlsplit(url)
        host, port = split.hostname or "", split.port
    except ValueError:
        return ()
    if not host or "@" in split.netloc or ":" in host:
        return (url,)
    bare = split._replace(netloc=host, fragment="").geturl()
    standard = 443 if split.scheme == "https" else 80
    full = split._replace(netloc=f"{host}:{port or standard}", fragment="").geturl()
    return (full, bare) if port else (bare, full)


def parse_signature(header: str) -> bytes:
    """The 20 bytes of a signature. Raises Malformed."""
    try:
        found = base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != 20:
        raise Malformed("This is no signature of Twilio.")
    return found


def parse_notice(form: Mapping[str, str], channel: str, account: str, number_: str) -> Notice:
    """A webhook for this account and number; for others it says nothing. Raises Malformed."""
    given = dict(form)
    mine = {word(given, "To", 64), word(given, "MessagingServiceSid", 64), word(given, "From", 64)}
    if word(given, "AccountSid", 64) != account or number_ not in mine:
        return Notice()
    if (status := word(given, "MessageStatus", 32)) and status != "received":
        return Notice(failed=_reason(given)) if status in _FAILED else Notice()
    message = word(given, "MessageSid", 64)
    sender = word(given, "From", 64)
    if not _MESSAGE.fullmatch(message) or not (_NUMBER.fullmatch(sender) or _NAMED.fullmatch(sender)):
        raise Malformed("A message has no id or no number.")
    text = plain(given.get("Body", ""))
    files = tuple(_files(given, account))
    if sender == number_ or not (text or files):
        return Notice()
    return Notice(
        Received(
            place=Place(channel, sender),
            # Short codes and names in place of a number are machines.
            sender=Person(sender, bot=not _NUMBER.fullmatch(sender)),
            event=f"m:{message}",
            text=text,
            message=message,
            evidence=Evidence.SIGNED,
            files=files,
        )
    )


@dataclass(frozen=True, slots=True)
class Listed:
    """A message that Twilio keeps: as the form that its webhook would have been, without its files."""

    form: dict[str, str]
    sent_ms: int
    files: int


def parse_list(raw: bytes) -> list[Listed]:
    """Messages that people sent, oldest first; what cannot be read is left out. Raises Malformed."""
    found = []
    for given in parts(parse_object(raw), "messages"):
        if given.get("direction") != "inbound":
            continue
        try:
            sent_ms = int(parsedate_to_datetime(word(given, "date_sent", 64)).timestamp() * 1000)
            files = int(word(given, "num_media", 2) or "0")
            form = {name: word(given, key, 64) for key, name in _LISTED}
        except (Malformed, ValueError, OverflowError):
            continue
        body = given.get("body")
        form["Body"] = body if isinstance(body, str) else ""
        found.append(Listed(form, sent_ms, max(0, files)))
    # Twilio lists the newest first, and its times are whole seconds.
    return sorted(reversed(found), key=lambda listed: listed.sent_ms)


@dataclass(frozen=True, slots=True)
class Heard:
    """Until when messages were heard, and the ids of the newest."""

    until_ms: int
    ids: tuple[str, ...] = ()

    def and_now(self, id: str, now_ms: int) -> Heard:
        return Heard(now_ms, (*self.ids, id)[-HEARD_COUNT:] if id else self.ids)


def parse_heard(raw: bytes) -> Heard:
    """Raises Malformed."""
    given = parse_object(raw)
    ids = given.get("ids")
    if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
        raise Malformed("The note holds no ids.")
    return Heard(number(given, "until_ms") or 0, tuple(ids))


def render_heard(heard: Heard) -> bytes:
    return json.dumps({"until_ms": heard.until_ms, "ids": heard.ids}).encode()


def parse_media_list(raw: bytes, account: str, message: str) -> dict[str, str]:
    """The fields that a webhook would have held of a message's files. Raises Malformed."""
    form = {}
    for index, given in enumerate(parts(parse_object(raw), "media_list")[:10]):
        base = f"https://api.twilio.com/2010-04-01/Accounts/{account}/Messages/{message}/Media"
        form[f"MediaUrl{index}"] = f"{base}/{word(given, 'sid', 64)}"
        form[f"MediaContentType{index}"] = word(given, "content_type", 128)
    return form | {"NumMedia": str(len(form) // 2)}


def render_query(number_: str, since_ms: int) -> dict[str, str]:
    """The query for messages to a number since a day (Twilio compares days, in UTC)."""
    day = datetime.fromtimestamp(since_ms / 1000, UTC).date().isoformat()
    return {"To": number_, "DateSent>": day, "PageSize": str(LIST_COUNT)}


def _files(given: dict[str, str], account: str) -> Iterator[Attached]:
    count = given.get("NumMedia", "0")
    if not count.isascii() or not count.isdigit() or int(count[:3]) > 10:
        raise Malformed("A message has no such number of files.")
    for index in range(int(count)):
        found = _MEDIA.fullmatch(word(given, f"MediaUrl{index}", 512))
        if not found or found[1] != account:
            raise Malformed("A file's address is not at Twilio.")
        type = word(given, f"MediaContentType{index}", 128)
        yield Attached(ref=f"{found[2]}/{found[3]}", type=type)


def _reason(given: dict[str, str]) -> str:
    code = word(given, "ErrorCode", 10)
    return WORDS.get(int(code) if code.isascii() and code.isdigit() else 0) or f"error {code or 'unknown'}"


def render_message_path(account: str, message: str) -> str:
    """Where Twilio's API keeps a message. Raises Malformed."""
    if not _MESSAGE.fullmatch(message):
        raise Malformed("This is no message at Twilio.")
    return f"/2010-04-01/Accounts/{account}/Messages/{message}"


def render_media_path(account: str, ref: str) -> str:
    """Where Twilio's API keeps a file. Raises Malformed."""
    if not (found := _REF.fullmatch(ref)):
        raise Malformed("This is no file at Twilio.")
    return f"/2010-04-01/Accounts/{account}/Messages/{found[1]}/Media/{found[2]}"


def parse_location(location: str) -> tuple[str, str]:
    """The origin and path of a file on one of Twilio's media hosts. Raises Malformed."""
    try:
        address = urlsplit(location)
    except ValueError:
        raise Malformed("A file's address is none.") from None
    if address.scheme != "https" or address.netloc not in MEDIA_HOSTS or not address.path.startswith("/"):
        raise Malformed("A file's address is not on Twilio's media hosts.")
    return f"https://{address.netloc}", address.path + (f"?{address.query}" if address.query else "")


def render_message(outgoing: Outgoing, number_: str) -> dict[str, str]:
    """The form of a message. Raises Malformed for a place of another platform, or what an SMS cannot hold."""
    if not (_NUMBER.fullmatch(outgoing.place.chat) or _CODE.fullmatch(outgoing.place.chat)):
        raise Malformed("This is no phone number.")
    if outgoing.files or not outgoing.text:
        raise Malformed("An SMS holds a text and nothing else.")
    sender = "MessagingServiceSid" if number_.startswith("MG") else "From"
    return {"To": outgoing.place.chat, sender: number_, "Body": outgoing.text}


def parse_sent(raw: bytes) -> str:
    """The id of a message that was taken. Raises Malformed."""
    return word(parse_object(raw), "sid", 64)


def parse_account(raw: bytes) -> tuple[str, str, str]:
    """The account's name, standing and kind. Raises Malformed."""
    given = parse_object(raw)
    return name(given, "friendly_name"), name(given, "status", 32), name(given, "type", 32)


def parse_trouble(raw: bytes) -> tuple[int, str]:
    """An error's number and words. Raises Malformed."""
    given = parse_object(raw)
    return number(given, "code") or 0, name(given, "message", 200)


# What people are told for the numbers that matter; other numbers keep Twilio's own words.
WORDS = {
    21_211: "This is no number that can take an SMS.",
    21_408: "Your Twilio account may not send to this country (console: Messaging, Settings, Geo permissions).",
    21_608: "A trial account sends only to numbers that it has verified.",
    STOPPED: "This person wrote STOP: Twilio sends them nothing until they write START.",
    21_612: "Twilio cannot send to this number from yours.",
    21_614: "This number is a landline: it takes no SMS.",
    21_617: "The text is longer than 1,600 characters.",
    30_003: "The phone is off or out of reach.",
    30_004: "The person or the network blocks these messages.",
    30_005: "The number is unknown.",
    30_006: "This number is a landline, or its network takes no SMS.",
    30_007: "The network took the message for spam.",
    30_034: "The number is not registered for messages to the United States (A2P 10DLC).",
}
