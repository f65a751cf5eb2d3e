"""Channels: what comes in from a messenger and what goes out to it, as plain data.

Layer: core/terms. Owns places, people, messages both ways, and what a platform can do.
Absent: how bytes look on any platform (`adapters/channels`), who a person is here and what they may do (`app`, policy).
Laws: `Person.id` and `Place.chat` are the platform's immutable ids and decide alone; a name is only ever shown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Place:
    """One conversation on one channel. `private`: nobody but one person and the agent is in it."""

    channel: str  # the channel's name here: "telegram", "telegram-work"
    chat: str  # the platform's immutable id of the chat, room or address
    thread: str = ""
    private: bool = True

    @property
    def key(self) -> str:
        """The conversation's stable key: one session per person and key."""
        return f"{self.channel}/{self.chat}" + (f"#{self.thread}" if self.thread else "")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on a platform. `name` is what they call themselves and decides nothing."""

    id: str
    name: str = ""
    bot: bool = False


class Evidence(StrEnum):
    """How the platform vouches that this sender sent it."""

    PLATFORM = "platform"  # its own authenticated connection says so
    SIGNED = "signed"  # a signature of the platform over the request, checked here
    ALIGNED = "aligned"  # mail: our own server found a DKIM or SPF pass that is aligned with the From domain
    NONE = "none"  # nothing vouches: never a paired person, whatever the address says


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that came with a message, not fetched yet. Name, type and size are the sender's word."""

    ref: str  # what `Channel.fetch` needs
    name: str = ""
    type: str = ""
    size_bytes: int | None = None
    voice: bool = False  # recorded speech


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it came in, authenticated as far as `evidence` says."""

    place: Place
    sender: Person
    event: str  # the platform's own id of this delivery: the same event twice is one message
    text: str
    sent_ms: int = 0  # the platform's word
    message: str = ""  # the platform's id of the message, for replies, reactions and edits
    evidence: Evidence = Evidence.PLATFORM
    addressed: bool = True  # private, or the agent was mentioned by id, or it replies to the agent
    reply_to: str = ""
    quoted: str = ""  # text that others wrote: quoted, replied to, or forwarded
    forwarded: bool = False  # then `text` too is others' words
    edited: bool = False  # replaces `message`
    pressed: str = ""  # the data of a button of ours
    files: tuple[Attached, ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """A message was deleted, or a person is no longer in a place (`person` set)."""

    place: Place
    event: str
    message: str = ""
    person: str = ""


Heard = Received | Removed


@dataclass(frozen=True, slots=True)
class Button:
    label: str
    data: str  # at most 64 bytes; comes back as `Received.pressed`


@dataclass(frozen=True, slots=True)
class OutFile:
    """A file to send, read whole: its bytes were checked before."""

    name: str
    type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to send: it fits the platform's limits already (`core/channel/chunk`)."""

    place: Place
    text: str
    key: str  # idempotency: the same key is the same message
    reply_to: str = ""
    buttons: tuple[Button, ...] = ()
    files: tuple[OutFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """What the platform says it made of it. `message` may be "" where it gives no id."""

    message: str = ""


class Feature(StrEnum):
    """What a platform has beyond plain messages."""

    EDIT = "edit"  # a sent message can be changed: replies may grow
    TYPING = "typing"
    REACT = "react"  # reactions can be set
    THREADS = "threads"
    REPLY = "reply"  # a message can point at another
    BUTTONS = "buttons"
    FILES_IN = "files_in"
    FILES_OUT = "files_out"
    MEMBERS = "members"  # who is in a place can be asked
    GROUPS = "groups"  # places with more than one person
    IDEMPOTENT = "idempotent"  # a send with the same key twice is one message
    HOOK = "hook"  # the platform calls us


class Markup(StrEnum):
    """What the platform makes of text."""

    PLAIN = "plain"
    MARKDOWN = "markdown"  # as written by a model, or near enough
    ADAPTER = "adapter"  # the adapter's wire renders Markdown into the platform's own


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What is known of a channel without asking. `text_chars` counts as the platform does (`text_bytes` if it counts bytes)."""

    kind: str  # the package: "telegram"
    features: frozenset[Feature]
    text_chars: int
    text_bytes: int = 0  # 0: characters decide
    file_bytes: int = 20 << 20
    markup: Markup = Markup.PLAIN
    edits_per_minute: int = 20  # of one message that grows


@dataclass(frozen=True, slots=True)
class HookRequest:
    """A request of a platform to our door, before anything of it is believed. `headers` have lower-case names."""

    method: str
    path: str  # what stands behind /hooks/NAME
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    url: str = ""  # the public address the platform called, where it is signed too
    peer: str = ""

    def header(self, name: str) -> str:
        """The value of a header that stands exactly once; "" otherwise."""
        found = [value for key, value in self.headers if key == name]
        return found[0] if len(found) == 1 else ""


@dataclass(frozen=True, slots=True)
class HookAnswer:
    status: int
    body: bytes = b""
    type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncIterator[bytes] | None = None  # instead of a body: goes on until it ends or the caller leaves
