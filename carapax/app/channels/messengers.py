"""Messengers: all that belongs to channels, put together, and what surfaces may ask of it.

Layer: app. Thin: each part stands in a module of its own. Law: nothing is connected before recovery is over.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.adapters.workspace.beneath import open_file
from carapax.app.channels.board import Board, Line
from carapax.app.channels.cards import Cards
from carapax.app.channels.commands import Commands
from carapax.app.channels.files import Files, find_type
from carapax.app.channels.inbox import Inbox
from carapax.app.channels.outbox import Outbox
from carapax.app.channels.pack import Letter, unpack_back
from carapax.app.channels.posts import Posts
from carapax.app.channels.rooms import Rooms
from carapax.app.desk import Desk
from carapax.app.hold import Hold
from carapax.app.people import People
from carapax.app.turns import Turns
from carapax.core.channel.queue import QueueMode
from carapax.core.channel.shown import render_notice
from carapax.core.policy.channel_section import ChannelRule
from carapax.core.terms.approval import Approval
from carapax.core.terms.channel import Feature, Place
from carapax.core.terms.conversation import Turn
from carapax.core.terms.error import Conflict, NotFound, TooLarge
from carapax.core.terms.event import Contained, Event
from carapax.core.terms.ids import CallId, PrincipalId, SessionId, TurnId
from carapax.core.terms.incident import Incident
from carapax.core.terms.label import OWNER, Readers
from carapax.core.terms.principal import Principal, Role
from carapax.core.terms.signal import Signal
from carapax.ports.channel import Channel
from carapax.ports.clock import Clock
from carapax.ports.egress import Egress
from carapax.ports.engine import Engine
from carapax.ports.ledger import Ledger
from carapax.ports.scanner import Scanner
from carapax.ports.store import Store

MOST_FILE_BYTES = 20 << 20


class Places(Protocol):
    """Where the home keeps what belongs to channels."""

    @property
    def channels(self) -> Path: ...

    @property
    def outbox(self) -> Path: ...

    @property
    def run(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class Given:
    """What channels stand on."""

    home: Places
    workspace: Path
    store: Store
    ledger: Ledger
    engine: Engine
    clock: Clock
    egress: Egress
    hold: Hold
    desk: Desk
    people: People
    scanner: Scanner
    saw: Callable[[Signal], None]
    rule: Callable[[str], ChannelRule]
    roles: Callable[[], Mapping[str, Role]]
    approvers: Callable[[], frozenset[Role]]
    transcribe: Callable[[bytes], Awaitable[str]] | None = None
    make: Callable[[str, Opening], Channel] = open_channel


class Messengers:
    """Every channel of a gateway."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self._telling: asyncio.Task[None] | None = None
        self.board = Board(given.home.channels, given.store, given.egress, given.clock, given.home.run, given.make)
        self.rooms = Rooms(given.store, self.board, given.people, given.hold)
        self.outbox = Outbox(
            given.engine, self.board, given.ledger, given.clock, given.hold, given.home.outbox, given.saw
        )
        self.posts = Posts(given.store, self.board, self.outbox, given.clock)
        self.cards = Cards(
            given.desk, given.store, given.engine, self.outbox, self.posts, given.clock, given.roles, given.approvers,
            lambda place: self.inbox.language(place),
        )  # fmt: skip
        self.outbox.went = self.cards.went
        self.outbox.gave_up = self._gave_up
        self.board.refused = self._refused

    def connect(
        self,
        turns: Turns,
        *,
        undo: Callable[[Principal, SessionId], Awaitable[str]],
        status: Callable[[], Awaitable[str]],
    ) -> None:
        """Tie the inbox to the turns it starts."""
        given = self._given
        commands = Commands(given.store, turns, given.people, self.rooms, given.clock, self._waiting, undo, status)
        files = Files(given.workspace, given.clock, given.scanner, lambda: given.transcribe is not None)
        self.inbox = Inbox(
            engine=given.engine,
            people=given.people,
            turns=turns,
            outbox=self.outbox,
            posts=self.posts,
            cards=self.cards,
            commands=commands,
            rooms=self.rooms,
            files=files,
            clock=given.clock,
            rule=given.rule,
            transcribe=given.transcribe or _deaf,
        )
        self.board.listen = self.inbox.listen

    def _waiting(self, principal: Principal) -> list[Approval]:
        return list(self.cards.waiting_for(principal))

    async def audience(self, turn: Turn) -> Sequence[Readers]:
        """Who reads a turn's reply."""
        if self.board.find(turn.channel.removesuffix(":group")) is None:
            return [Readers(names=frozenset({turn.principal}))]
        return await self.rooms.audience(turn, await self._place(turn.id))

    async def mode(self, session: SessionId) -> QueueMode:
        """How messages of a session are taken while a turn runs."""
        return await self.rooms.mode(session)

    def load(self) -> None:
        """Open every channel; nothing is connected yet."""
        self.board.load()

    def start(self, incidents: AsyncIterator[Event]) -> None:
        """Connect them, and tell the owner there of incidents."""
        self.board.start()
        self._telling = asyncio.create_task(self._tell_incidents(incidents), name="incidents to channels")

    async def _tell_incidents(self, incidents: AsyncIterator[Event]) -> None:
        async for event in incidents:
            if isinstance(event, Contained):
                await self.tell_incident(event.incident)

    # what the owner is told

    async def _refused(self, line: Line, why: str) -> None:
        """A credential is not accepted any more: the owner reads it on another channel."""
        name = line.added.name
        await self._given.ledger.append("channel.refused", {"channel": name, "reason": why[:300]})
        text = render_notice(
            f"The channel {name} is off: {why}", f"Get a new credential, then `carapax channels add {line.added.kind}`."
        )
        await self.posts.tell(OWNER, text, f"refused:{name}:{self._given.clock.now_ms()}", but=[name])

    async def _gave_up(self, letter: Letter, why: str) -> None:
        """A letter was given up: said where its reader can still be reached, unless that is the very place."""
        name = letter.place.channel
        await self._given.ledger.append("channel.gave_up", {"channel": name, "reason": why[:300]})
        text = render_notice(f"A message on {name} was not delivered: {why}", "See `carapax messages dead`.")
        if not letter.text.startswith(text[:24]):
            await self.posts.tell(OWNER, text, f"gave_up:{name}:{self._given.clock.now_ms()}", but=[name])

    async def tell_incident(self, incident: Incident) -> None:
        """Tell the owner of an incident, wherever they can be reached."""
        text = render_notice(incident.sentence, f"Look: `carapax incident show {incident.number}`.")
        await self.posts.tell(OWNER, text, f"incident:{incident.number}")

    # what tools carry (adapters/tools/messages)

    async def send(self, person: str, text: str, call: CallId, session: SessionId) -> str:
        """Keep a message to a person for sending; the guard allowed it. Raises NotFound."""
        place = await self.posts.find(PrincipalId(person), weak=True)
        if place is None:
            raise NotFound(
                f"{person[:64]!r} cannot be reached on any channel.", next_step="They have to be paired first."
            )
        await self.outbox.post(Letter(place, text, session=session), f"sent:{call}")
        return f"Kept for sending to {person} on {place.channel}."

    async def attach(self, turn: TurnId, path: str) -> str:
        """Add a workspace file to a turn's reply. Raises NotFound, TooLarge, Conflict."""
        place = await self._place(turn)
        line = self.board.find(place.channel) if place is not None else None
        if line is None or Feature.FILES_OUT not in line.channel.facts().features:
            raise Conflict("This conversation cannot carry files.", next_step="Name the file's path instead.")
        most = min(line.channel.facts().file_bytes, MOST_FILE_BYTES)
        content = await asyncio.to_thread(_read_file, self._given.workspace, path, most)
        blob = self.outbox.keep_file(content, path.rpartition("/")[2], find_type(content))
        count = await self.rooms.attach(turn, blob)
        return f"{path} ({len(content):,} bytes) goes along with the reply; {count} files in all."

    async def _place(self, turn: TurnId) -> Place | None:
        work = await self._given.engine.find("turn", turn)
        back = unpack_back(work.body) if work is not None else None
        return back.place if back is not None else None

    async def hang_up(self) -> None:
        """Disconnect: nothing more comes in."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        await self.board.hang_up()

    async def close(self) -> None:
        """Let go of everything; what is not sent stays kept."""
        await self.board.close()
        await self.inbox.close()
        await self.cards.close()


def _read_file(root: Path, path: str, most_bytes: int) -> bytes:
    """A file of the workspace, through no link. Raises NotFound, TooLarge."""
    try:
        with os.fdopen(open_file(root, path), "rb") as file:
            content = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        raise NotFound(f"{path[:200]} is not a file of the workspace.") from error
    if len(content) > most_bytes:
        raise TooLarge(f"{path[:200]} is larger than the {most_bytes >> 20} MiB that this conversation carries.")
    return content


async def _deaf(recording: bytes) -> str:
    return ""
