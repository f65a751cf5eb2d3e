"""XMPP's stanzas and the terms: what a message says, who is in a room, what is sent.

Layer: adapters/channels/xmpp; pure. Owns every element that is read or written. Absent: the stream, the connection.
Laws: in private a sender is the bare address that the server vouches for; in a room it is the real address that the room
tells of an occupant, never the name there; what is written is escaped here and nowhere else.
Sources: RFC 6121; XEP-0045, 0066, 0085, 0203, 0308, 0359, 0363, 0424, 0428, 0444, 0461.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from carapax.adapters.channels.fields import plain
from carapax.core.terms.channel import Attached, Heard, Person, Place, Received, Removed
from carapax.core.terms.error import Malformed

CLIENT = "{jabber:client}"
MUC_USER = "{http://jabber.org/protocol/muc#user}"
SID, DELAY, OOB = "{urn:xmpp:sid:0}", "{urn:xmpp:delay}", "{jabber:x:oob}"
REPLY, FALLBACK = "{urn:xmpp:reply:0}", "{urn:xmpp:fallback:0}"
CORRECT, RETRACT = "{urn:xmpp:message-correct:0}", "{urn:xmpp:message-retract:1}"
CARBONS = "{urn:xmpp:carbons:2}"
ID_CHARS = 512
JID_CHARS = 1_023
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WHO = re.compile(r"[^\s@/]+@[^\s@/]+")


@dataclass(frozen=True, slots=True)
class Occupant:
    """Somebody in a room. `address`: their real bare address, "" where the room hides it."""

    nick: str
    address: str


@dataclass(frozen=True, slots=True)
class Presence:
    """What a room says of an occupant."""

    room: str
    occupant: Occupant
    here: bool
    own: bool
    renamed: str  # the name taken instead
    event: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What a message is read against. `rooms`: the occupants of the joined rooms, by room and name."""

    channel: str
    me: str
    nick: str
    rooms: Mapping[str, Mapping[str, Occupant]]


class Hidden(Malformed):
    """A room message whose author's real address is not known."""


def split(address: str) -> tuple[str, str]:
    """Bare address (lower case) and resource. Raises Malformed."""
    bare, _, resource = address.partition("/")
    if len(address) > JID_CHARS or not address.isprintable():
        raise Malformed("This is no address.")
    return bare.lower(), resource


def parse_message(stanza: Element, scene: Scene) -> Heard | None:
    """What a message stanza says; None for what is no business of the agent's. Raises Malformed, Hidden."""
    kind = stanza.get("type", "normal")
    bare, resource = split(stanza.get("from", ""))
    if kind not in ("chat", "normal", "groupchat") or bare == scene.me or stanza.find(f"{CARBONS}*") is not None:
        return None
    if kind == "groupchat":
        return _in_room(stanza, scene, bare, resource)
    # A private word inside a room is signed with a name there, which anybody may take.
    if bare in scene.rooms or stanza.find(f"{MUC_USER}x") is not None or not _WHO.fullmatch(bare):
        return None
    return _read(stanza, Place(scene.channel, bare), bare, "", scene.me, scene.nick)


def _in_room(stanza: Element, scene: Scene, room: str, nick: str) -> Heard | None:
    if room not in scene.rooms or not nick or nick == scene.nick:
        return None
    # A room's own stamp means its history, where names are those of then; our server stamps what it kept for us.
    if any(delay.get("from", "").partition("/")[0].lower() == room for delay in stanza.findall(f"{DELAY}delay")):
        return None
    occupant = scene.rooms[room].get(nick)
    if occupant is None or not occupant.address:
        raise Hidden(f"The room {room} does not say who writes as {nick[:40]!r}.")
    return _read(stanza, Place(scene.channel, room, private=False), occupant.address, nick, room, scene.nick)


def _read(stanza: Element, place: Place, sender: str, nick: str, server: str, own_nick: str) -> Heard | None:
    own = _ident(stanza.get("id", ""))
    sids = [found.get("id", "") for found in stanza.findall(f"{SID}stanza-id") if found.get("by", "").lower() == server]
    sid = _ident(sids[0]) if len(sids) == 1 else ""
    message = own if place.private else sid or own
    # With the sender in it, nobody can use up an id that another's message will have.
    event = _digest(sender, sid or own or _digest(*_texts(stanza)))
    retracted = stanza.find(f"{RETRACT}retract")
    if retracted is not None:
        return Removed(place, event, message=_ident(retracted.get("id", "")))
    body = stanza.find(f"{CLIENT}body")
    if body is None or not body.text:
        return None
    quoted, text = _parted(stanza, plain(body.text))
    url = stanza.findtext(f"{OOB}x/{OOB}url", "")
    files = (_attached(url),) if url.startswith(("https://", "http://")) else ()
    reply, replaced = stanza.find(f"{REPLY}reply"), stanza.find(f"{CORRECT}replace")
    return Received(
        place=place,
        sender=Person(sender, nick or sender.partition("@")[0]),
        event=event,
        text="" if files and text.strip() == url else text,
        sent_ms=_stamp(stanza),
        message=_ident(replaced.get("id", "")) if replaced is not None else message,
        addressed=place.private or _named(text, own_nick) or _answers(reply, place.chat, own_nick),
        reply_to=_ident(reply.get("id", "")) if reply is not None else "",
        quoted=quoted,
        edited=replaced is not None,
        files=files,
    )


def parse_presence(stanza: Element) -> Presence | None:
    """What a room says of an occupant; None for other presence. Raises Malformed."""
    room, nick = split(stanza.get("from", ""))
    about = stanza.find(f"{MUC_USER}x")
    kind = stanza.get("type", "")
    if about is None or not nick or kind not in ("", "unavailable"):
        return None
    item = about.find(f"{MUC_USER}item")
    address = split(item.get("jid", ""))[0] if item is not None else ""
    codes = {status.get("code", "") for status in about.findall(f"{MUC_USER}status")}
    renamed = (item.get("nick", "") if item is not None else "") if "303" in codes else ""
    event = _digest(room, nick, address, stanza.get("id", ""))
    own = "110" in codes
    return Presence(room, Occupant(nick, address), kind != "unavailable", own, renamed, event)


def error_words(stanza: Element) -> tuple[str, str]:
    """The type and condition of an error stanza, plain and short."""
    error = stanza.find(f"{CLIENT}error")
    if error is None:
        return "", ""
    condition = next((part.tag.rpartition("}")[2] for part in error if "stanzas" in part.tag), "")
    return plain(error.get("type", ""))[:20], plain(condition)[:60]


def parse_slot(stanza: Element) -> tuple[str, str, dict[str, str]]:
    """Where a file is put, where it is then, and the headers it needs. Raises Malformed."""
    space = "{urn:xmpp:http:upload:0}"
    put, got = stanza.find(f"{space}slot/{space}put"), stanza.find(f"{space}slot/{space}get")
    if put is None or got is None:
        raise Malformed("The server gives no place for the file.")
    return put.get("url", ""), got.get("url", ""), {
        header.get("name", "").lower(): (header.text or "").replace("\n", "").replace("\r", "")
        for header in put.findall(f"{space}header")
        if header.get("name", "").lower() in ("authorization", "cookie", "expires")
    }  # fmt: skip


def _parted(stanza: Element, text: str) -> tuple[str, str]:
    """The words of another that a reply repeats, and its own."""
    for found in stanza.findall(f"{FALLBACK}fallback"):
        body = found.find(f"{FALLBACK}body")
        if found.get("for") != "urn:xmpp:reply:0" or body is None:
            continue
        start, end = body.get("start", ""), body.get("end", "")
        if start.isascii() and start.isdigit() and end.isascii() and end.isdigit() and len(start + end) < 20:
            quoted = text[int(start) : int(end)]
            lines = [line.removeprefix(">").removeprefix(" ") for line in quoted.splitlines()]
            return "\n".join(lines).strip(), text[: int(start)] + text[max(int(start), int(end)) :]
    return "", text


def _named(text: str, nick: str) -> bool:
    start, name = text[: len(nick) + 2].casefold(), nick.casefold()
    return start.startswith((f"{name}:", f"{name},")) or (start + " ").startswith(
        (f"@{name} ", f"@{name}:", f"@{name},")
    )


def _answers(reply: Element | None, room: str, nick: str) -> bool:
    return reply is not None and reply.get("to", "").partition("/")[::2] == (room, nick)


def _attached(url: str) -> Attached:
    try:
        name = unquote(urlsplit(url[:2_000]).path.rpartition("/")[2])
    except ValueError:
        raise Malformed("The file has no address.") from None
    return Attached(ref=json.dumps({"url": url[:2_000]}), name=" ".join(plain(name).split())[:120])


def _stamp(stanza: Element) -> int:
    delay = stanza.find(f"{DELAY}delay")
    try:
        return int(datetime.fromisoformat(delay.get("stamp", "") if delay is not None else "").timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return 0


def _ident(word: str) -> str:
    if len(word) > ID_CHARS or not word.isprintable():
        raise Malformed("An id is none.")
    return word


def _texts(stanza: Element) -> list[str]:
    return [part for element in stanza.iter() for part in (element.tag, element.text or "")]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


# what goes out


def message_id(key: str) -> str:
    """The id of the message with this key."""
    return _digest("message", key)


def render_message(
    to: str, ident: str, *, room: bool, text: str = "", reply_to: str = "", replaces: str = "", url: str = ""
) -> str:
    """A message stanza."""
    inner = f"<body>{xml(text or url)}</body><active xmlns='http://jabber.org/protocol/chatstates'/>"
    inner += f"<origin-id xmlns='urn:xmpp:sid:0' id={attr(ident)}/>"
    if reply_to:
        inner += f"<reply xmlns='urn:xmpp:reply:0' to={attr(to)} id={attr(reply_to)}/>"
    if replaces:
        inner += f"<replace xmlns='urn:xmpp:message-correct:0' id={attr(replaces)}/>"
    if url:
        inner += f"<x xmlns='jabber:x:oob'><url>{xml(url)}</url></x>"
    return _stanza(to, ident, inner, room=room)


def render_state(to: str, ident: str, *, room: bool) -> str:
    """That an answer is being written."""
    inner = "<composing xmlns='http://jabber.org/protocol/chatstates'/><no-store xmlns='urn:xmpp:hints'/>"
    return _stanza(to, ident, inner, room=room)


def render_reaction(to: str, ident: str, message: str, mark: str, *, room: bool) -> str:
    """The marks on a message: this one, or none."""
    marks = f"<reaction>{xml(mark)}</reaction>" if mark else ""
    inner = f"<reactions xmlns='urn:xmpp:reactions:0' id={attr(message)}>{marks}</reactions>"
    return _stanza(to, ident, inner + "<store xmlns='urn:xmpp:hints'/>", room=room)


def render_join(room: str, nick: str) -> str:
    """Enter a room; nothing of what was said before is asked for."""
    inner = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>"
    return f"<presence to={attr(f'{room}/{nick}')}>{inner}</presence>"


def _stanza(to: str, ident: str, inner: str, *, room: bool) -> str:
    kind = "groupchat" if room else "chat"
    return f"<message to={attr(to)} type='{kind}' id={attr(ident)}>{inner}</message>"


def xml(text: str) -> str:
    """Text for between tags; what XML cannot carry is left out."""
    return escape(_ILLEGAL.sub("", text))


def attr(text: str) -> str:
    """Text as a quoted attribute."""
    return quoteattr(_ILLEGAL.sub("", text))
