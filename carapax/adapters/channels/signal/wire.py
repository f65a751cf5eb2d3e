"""What signal-cli says and is told.

Layer: adapters/channels/signal; pure. Owns the forms of events and requests (signal-cli-jsonrpc(5)).
Absent: Signal's cryptography, which is signal-cli's: its word that an account sent something is the evidence.
Laws: nothing but Malformed is raised; a sender is the account's uuid (ACI), never a number or a name; a message is its
author and its time, which is how Signal itself names it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from carapax.adapters.channels.fields import name, number, parse_object, part, parts, plain, prose, word
from carapax.core.terms.channel import Attached, Evidence, Heard, OutFile, Person, Place, Received, Removed
from carapax.core.terms.error import Malformed

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
GROUP = re.compile(r"[A-Za-z0-9+/]{20,88}={0,2}")
_MESSAGE = re.compile(r"([0-9]{1,16}):([0-9a-f-]{36})")
_STYLED = re.compile(
    r"^```[^\n]*\n(?P<block>.*?)\n?^```[ \t]*$|`(?P<code>[^`\n]+)`|\*\*(?P<bold>[^*\n]+)\*\*"
    r"|(?<![\w*])\*(?P<leaning>[^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])|(?<!\w)_(?P<slanted>[^\s_](?:[^_\n]*[^\s_])?)_(?!\w)",
    re.DOTALL | re.MULTILINE,
)
_STYLES = {"block": "MONOSPACE", "code": "MONOSPACE", "bold": "BOLD", "leaning": "ITALIC", "slanted": "ITALIC"}
EVENT_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class GroupChanged:
    """Something about a group is another: who is in it has to be asked."""

    group: str


@dataclass(frozen=True, slots=True)
class Told:
    """One event of the stream."""

    id: str
    data: bytes


class Stream:
    """Server-sent events out of pieces of bytes. Raises Malformed over 2 MiB without an end."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[Told]:
        """The events that are whole."""
        self._rest += piece.replace(b"\r\n", b"\n")
        while b"\n\n" in self._rest:
            block, self._rest = self._rest.split(b"\n\n", 1)
            told = _told(block)
            if told.data:
                yield told
        if len(self._rest) > EVENT_BYTES:
            raise Malformed("An event of signal-cli is too large.")


def parse_event(raw: bytes, *, channel: str, own: str) -> Heard | GroupChanged | None:
    """What an event means here; None for what is nobody's message (receipts, typing, our own). Raises Malformed."""
    given = parse_object(raw)
    given = part(given, "params") or given
    envelope = part(part(given, "result") or given, "envelope")
    sender = word(envelope, "sourceUuid")
    if not UUID.fullmatch(sender) or sender == own:
        return None
    edit = part(envelope, "editMessage")
    message = part(edit, "dataMessage") if edit else part(envelope, "dataMessage")
    stamp = number(message, "timestamp") or 0
    if not message or not stamp:
        return None
    group = part(message, "groupInfo")
    group_id = word(group, "groupId")
    if group_id and not GROUP.fullmatch(group_id):
        raise Malformed("The id of this group is not one.")
    if group_id and word(group, "type") not in ("", "DELIVER"):
        return GroupChanged(group_id)
    place = Place(channel, group_id or sender, private=not group_id)
    deleted = number(part(message, "remoteDelete"), "timestamp")
    if deleted:
        return Removed(place, f"{sender}/{stamp}", message=message_id(deleted, sender))
    if message.get("reaction") is not None or message.get("isExpirationUpdate") is True:
        return None
    person = Person(sender, name(envelope, "sourceName"))
    target = number(edit, "targetSentTimestamp") if edit else None
    return _received(message, place, person, own, stamp, target)


def message_id(stamp: int, author: str) -> str:
    """How a message is named here."""
    return f"{stamp}:{author}"


def parse_message_id(message: str) -> tuple[int, str]:
    """Time and author. Raises Malformed."""
    found = _MESSAGE.fullmatch(message)
    if found is None:
        raise Malformed("This is not the id of a message on Signal.")
    return int(found[1]), found[2]


def split_ref(ref: str) -> tuple[str, str]:
    """A file's id, and the conversation it came in. Raises Malformed."""
    id, _, chat = ref.partition("|")
    if not id or not (UUID.fullmatch(chat) or GROUP.fullmatch(chat)):
        raise Malformed("This is no file on Signal.")
    return id, chat


def to_whom(chat: str) -> dict[str, Any]:
    """The parameters that name a conversation. Raises Malformed."""
    if UUID.fullmatch(chat):
        return {"recipient": [chat]}
    if GROUP.fullmatch(chat):
        return {"groupId": chat}
    raise Malformed("This is no conversation on Signal.")


def render_text(markdown: str) -> dict[str, Any]:
    """A model's Markdown as text and styles; positions are in UTF-16 units. No mention is ever made of text."""
    said: list[str] = []
    styles: list[str] = []
    at = units = 0
    text = plain(markdown)
    for found in _STYLED.finditer(text):
        before = text[at : found.start()]
        kind = found.lastgroup or "code"
        inside = found[kind]
        units += _units(before)
        if inside:
            styles.append(f"{units}:{_units(inside)}:{_STYLES[kind]}")
        units += _units(inside)
        said += [before, inside]
        at = found.end()
    said.append(text[at:])
    return {"message": "".join(said), **({"textStyle": styles} if styles else {})}


def render_file(file: OutFile) -> str:
    """A file as the data URI that signal-cli takes."""
    type = file.type if re.fullmatch(r"[\w.+-]{1,60}/[\w.+-]{1,60}", file.type) else "application/octet-stream"
    name = re.sub(r"[^\w. -]", "_", file.name)[:100] or "file"
    return f"data:{type};filename={name};base64,{base64.b64encode(file.content).decode()}"


def parse_members(result: object, group: str) -> frozenset[str] | None:
    """Who is in a group, by uuid; None when the answer does not say. Raises Malformed."""
    for entry in parts({"groups": result}, "groups"):
        if entry.get("id") != group:
            continue
        if entry.get("isMember") is False:
            return frozenset()
        found = [word(member, "uuid") for member in parts(entry, "members")]
        return frozenset(found) if found and all(map(UUID.fullmatch, found)) else None
    return None


def parse_groups(result: object) -> dict[str, frozenset[str]]:
    """Everybody in every group. Raises Malformed."""
    ids = [word(entry, "id") for entry in parts({"groups": result}, "groups")]
    found = {id: parse_members(result, id) for id in ids if GROUP.fullmatch(id)}
    return {id: members for id, members in found.items() if members is not None}


def parse_own(result: object) -> str:
    """The uuid of an account, of the answer to getUserStatus. Raises Malformed."""
    for entry in parts({"status": result}, "status"):
        if UUID.fullmatch(word(entry, "uuid")):
            return word(entry, "uuid")
    raise Malformed("signal-cli does not know this account.")


def parse_file(result: object) -> bytes:
    """The bytes in an answer to getAttachment. Raises Malformed."""
    data = result.get("data") if isinstance(result, dict) else result
    try:
        return base64.b64decode(data if isinstance(data, str) else b"!", validate=True)
    except ValueError:
        raise Malformed("signal-cli sent no file.") from None


def _received(
    message: dict[str, Any], place: Place, person: Person, own: str, stamp: int, target: int | None
) -> Received | None:
    mentions = parts(message, "mentions")
    quote = part(message, "quote")
    text = _with_mentions(prose(message, "message"), mentions, own)
    files = tuple(_file(entry, place) for entry in parts(message, "attachments")[:32] if word(entry, "id"))
    if not text and not files:
        return None
    author = word(quote, "authorUuid")
    quoted_stamp = number(quote, "id") or 0
    called = any(word(entry, "uuid") == own for entry in mentions)
    return Received(
        place=place,
        sender=person,
        event=f"{person.id}/{stamp}",
        text=text,
        sent_ms=stamp,
        message=message_id(target or stamp, person.id),
        evidence=Evidence.PLATFORM,
        addressed=place.private or called or author == own,
        reply_to=message_id(quoted_stamp, author) if quoted_stamp and UUID.fullmatch(author) else "",
        quoted=prose(quote, "text") if author != own else "",
        edited=target is not None,
        files=files,
    )


def _with_mentions(text: str, mentions: Sequence[dict[str, Any]], own: str) -> str:
    """Signal writes U+FFFC where somebody is mentioned."""
    for entry in sorted(mentions, key=lambda entry: number(entry, "start") or 0):
        shown = "" if word(entry, "uuid") == own else f"@{name(entry, 'name') or 'somebody'}"
        text = text.replace("\ufffc", shown, 1)
    return text.strip()


def _file(entry: dict[str, Any], place: Place) -> Attached:
    type, shown = word(entry, "contentType", 120), name(entry, "filename")
    # Signal's recorder gives no name to what it records.
    voice = entry.get("voiceNote") is True or (type in ("audio/aac", "audio/mp4") and not shown)
    return Attached(
        f"{word(entry, 'id')}|{place.chat}", name=shown, type=type, size_bytes=number(entry, "size"), voice=voice
    )


def _told(block: bytes) -> Told:
    id, data = "", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"id" and len(value) < 100:
            id = value.decode("ascii", "ignore")
        elif field == b"data":
            data.append(value)
    return Told(id if id.isprintable() else "", b"\n".join(data))


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2
