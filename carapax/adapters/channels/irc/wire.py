"""IRC's lines and the terms.

Layer: adapters/channels/irc; pure. Owns how a line is read and written, and who its author is. Absent: the connection.
Laws: a sender is the services' account that the server puts on the line; a nick is nobody, unless the operator said that
nicks are kept on this server; nothing that is written holds a line end or a control character.
Sources: RFC 1459, RFC 2812; IRCv3: message-tags, account-tag, server-time, message-ids, bot-mode.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from carapax.adapters.channels.fields import plain
from carapax.core.terms.channel import Evidence, Person, Place, Received
from carapax.core.terms.error import Malformed

LINE_BYTES = 16_384  # 8,191 of tags and 512 of the rest, with room
TEXT_BYTES = 400  # of one line that the server passes on with a prefix before it
CHANNELS = ("#", "&", "+", "!")
_COLOURS = re.compile(r"\x03(\d{1,2}(,\d{1,2})?)?|\x04([0-9A-Fa-f]{6})?")
_UNSAID = re.compile(r"[\x00-\x1f\x7f]")
_TAGS = {":": ";", "s": " ", "r": "\r", "n": "\n", "\\": "\\"}
_FOLDED = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ[]\\~", "abcdefghijklmnopqrstuvwxyz{}|^")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the server, taken apart. `nick` is "" where the server itself speaks."""

    command: str
    params: tuple[str, ...]
    nick: str
    tags: dict[str, str]

    def param(self, at: int) -> str:
        return self.params[at] if -len(self.params) <= at < len(self.params) else ""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a line is read against. `by_nick`: the operator vouches for the nicks of this server."""

    channel: str
    nick: str
    by_nick: bool
    now_ms: int
    count: int


def parse_line(raw: bytes) -> Line:
    """A line without its end. Raises Malformed."""
    text = raw[:LINE_BYTES].decode("utf-8", "replace").strip("\r\n")
    tags: dict[str, str] = {}
    if text.startswith("@"):
        given, _, text = text[1:].partition(" ")
        for entry in given.split(";")[:200]:
            key, _, value = entry.partition("=")
            tags[key] = re.sub(r"\\(.?)", lambda found: _TAGS.get(found[1], found[1]), value)
    text = text.lstrip(" ")
    prefix = ""
    if text.startswith(":"):
        prefix, _, text = text[1:].partition(" ")
        text = text.lstrip(" ")
    words, colon, last = text.partition(" :")
    params = words.split()
    if not params or not params[0].isalnum() or len(params) > 50:
        raise Malformed("The server's line is none.")
    nick = prefix.partition("!")[0] if "!" in prefix else ""
    return Line(params[0].upper(), (*params[1:], *([last] if colon else [])), nick, tags)


def fold(name: str) -> str:
    """A nick or channel in the one form that servers compare."""
    return name.translate(_FOLDED)


def find_sender(line: Line, scene: Scene) -> tuple[Person, Evidence]:
    """Who wrote a line, and whether anybody vouches for that."""
    account = line.tags.get("account", "")
    bot = "bot" in line.tags or "draft/bot" in line.tags
    if scene.by_nick:
        return Person(f"nick:{fold(line.nick)}", line.nick, bot), Evidence.PLATFORM
    if account and account != "*":
        return Person(f"account:{fold(account)}", line.nick, bot), Evidence.PLATFORM
    return Person(f"nick:{fold(line.nick)}", line.nick, bot), Evidence.NONE


def parse_message(line: Line, scene: Scene) -> Received | None:
    """What a PRIVMSG says; None for a machine's words and the agent's own. Raises Malformed."""
    target, text = line.param(0), line.param(1)
    if line.command != "PRIVMSG" or not line.nick or fold(line.nick) == fold(scene.nick) or len(line.params) < 2:
        return None
    if text.startswith("\x01"):
        words = text.strip("\x01")
        if not words.startswith("ACTION "):
            return None  # other machines' questions
        text = "* " + words.removeprefix("ACTION ")
    sender, evidence = find_sender(line, scene)
    private = fold(target) == fold(scene.nick)
    if not private and not target.startswith(CHANNELS):
        return None
    said = plain(_COLOURS.sub("", text)).replace("\n", " ")
    ident = line.tags.get("msgid", "")[:200]
    # Without an id of the server's nothing is ever delivered twice, so every line is an event of its own.
    unique = ident or f"{scene.now_ms} {scene.count} {said}"
    return Received(
        place=Place(scene.channel, sender.id if private else fold(target), private=private),
        sender=sender,
        event=hashlib.sha256(f"{sender.id}\0{target}\0{unique}".encode("utf-8", "replace")).hexdigest()[:32],
        text=said,
        sent_ms=_stamp(line.tags.get("time", "")),
        message=plain(ident),
        evidence=evidence,
        addressed=private or _named(said, scene.nick),
    )


def _named(text: str, nick: str) -> bool:
    start, name = fold(text[: len(nick) + 1]), fold(nick)
    return start in (f"{name}:", f"{name},") or (fold(text) + " ").startswith((f"@{name} ", f"@{name}:", f"@{name},"))


def _stamp(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return 0


def render_text(target: str, text: str) -> Iterator[str]:
    """The lines that say this; an empty line is left out, as IRC has none. Raises Malformed: a line is too long."""
    if not target or " " in target or _UNSAID.search(target) or target.startswith(":"):
        raise Malformed("This is no place on IRC.")
    for words in text.replace("\r\n", "\n").split("\n"):
        said = _UNSAID.sub("", words.replace("\t", "    "))
        if len(said.encode("utf-8", "replace")) > TEXT_BYTES:
            raise Malformed("A line is too long for IRC.")
        if said.strip():
            yield f"PRIVMSG {target} :{said}"


def render_plain(account: str, word: str) -> str:
    """The answer that signs in with SASL PLAIN."""
    return base64.b64encode(f"{account}\0{account}\0{word}".encode()).decode()
