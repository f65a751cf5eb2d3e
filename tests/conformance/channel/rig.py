"""What the channel suite needs of one platform: the real channel on one side, a server or a faithful fake on the other.

A rig starts its platform on loopback, opens real channels that talk to it through `DirectEgress`, and plays the people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from carapax.core.terms.channel import Place
from carapax.ports.channel import Channel, Hear


@dataclass(frozen=True, slots=True)
class Seen:
    """A message of the agent as the platform has it, after every edit."""

    chat: str
    message: str
    text: str
    thread: str = ""
    reply_to: str = ""
    buttons: tuple[str, ...] = ()  # labels
    files: tuple[tuple[str, bytes], ...] = ()
    pings: tuple[str, ...] = ()  # whom the platform notified because of its text: nobody, ever


@dataclass(frozen=True, slots=True)
class Says:
    """What a person does. `chat` "" is the private conversation of this sender."""

    text: str = ""
    sender: str = "alice"  # the rig's own name for one of its people
    chat: str = ""
    thread: str = ""
    mention: bool = False
    quoted: str = ""
    forwarded: bool = False
    edits: str = ""  # the message that this replaces
    deletes: str = ""  # the message that is taken back; then nothing else counts
    presses: str = ""  # the data of a button, on message `edits`
    files: tuple[tuple[str, str, bytes], ...] = ()  # name, type, content
    voice: bool = False


@dataclass(slots=True)
class Traits:
    """What a rig can play. Every False here, "" of `group` and feature that the channel lacks has its reason in `gaps`,

    under the trait's or the feature's name (`hook` and `idempotent` need none): that keeps the tests away from it.
    """

    kind: str
    group: str = ""  # the chat id of a room with alice, bob and the agent; "" for none
    hook: bool = False
    duplicates: bool = True  # the platform can be made to deliver twice
    cuts: bool = True  # connections can be cut
    statuses: bool = True  # HTTP failures can be played
    refuses: bool = True  # the credential can be made invalid
    edits_in: bool = False
    deletes: bool = False
    voice: bool = False
    shows_typing: bool = False
    redelivers: bool = True  # what was not acknowledged comes again
    gaps: dict[str, str] = field(default_factory=dict)  # what it cannot play, and why
    advance: Callable[[int], None] | None = (
        None  # move the channels' clock on, in milliseconds: for requests that are old
    )


class Rig(Protocol):
    traits: Traits

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Everything that was started is ended."""
        ...

    def open(self) -> Channel:
        """A channel on this account with the same notes (`Keep`), as after a restart."""
        ...

    def sender_id(self, sender: str) -> str:
        """The platform's immutable id of one of the people: what `Received.sender.id` must be."""
        ...

    def place_of(self, sender: str) -> Place:
        """The private conversation with this person."""
        ...

    async def say(self, says: Says) -> str:
        """Somebody writes; the platform's id of the message. For hooks the request is posted to the hooked channel."""
        ...

    def hooked(self, channel: Channel, hear: Hear) -> None:
        """Where a platform that calls posts to from now on."""
        ...

    async def rename(self, sender: str, name: str) -> None:
        """Somebody takes another display name."""
        ...

    async def repeat(self) -> None:
        """Deliver the newest update again, as platforms do."""
        ...

    async def seen(self) -> list[Seen]:
        """The agent's messages, oldest first."""
        ...

    async def typing_count(self) -> int: ...

    async def reactions(self, message: str) -> list[str]: ...

    async def leave(self, sender: str) -> None:
        """They are no longer in the group."""
        ...

    async def cut(self) -> None:
        """Drop every open connection now."""
        ...

    async def answer_next(self, status: int, *, retry_after_s: int = 0, times: int = 1) -> None:
        """Fail the next requests that send."""
        ...

    async def refuse_credential(self) -> None: ...
