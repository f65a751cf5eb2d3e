"""Rooms: which session a conversation is, who is in it, and so who reads what is said there.

Layer: app. Owns the session's key, the queue mode of a session, the readers of a place, files that a turn attached.
Laws: one person's session is nobody else's, also in a group; a group reads what was said in it and nothing else, unless
everybody in it is known and may read it; who is in a group is asked when it matters, not remembered.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence

from carapax.app.channels.board import Board
from carapax.app.channels.pack import Blob
from carapax.app.hold import Hold
from carapax.app.people import People
from carapax.core.channel.queue import DEFAULT_MODE, QueueMode
from carapax.core.terms.channel import Feature, Place, Removed
from carapax.core.terms.conversation import Turn
from carapax.core.terms.error import CarapaxError
from carapax.core.terms.ids import PrincipalId, SessionId
from carapax.core.terms.label import Readers
from carapax.core.terms.principal import Principal
from carapax.ports.store import Store

CHAT_MODE = QueueMode.STEER
"""In a messenger people add to what they said; the running turn hears it."""

MOST_SESSIONS = 10_000
MOST_ASKED = 200
"""Members of a group that are looked up; a larger one has strangers in it."""

_NOTES = "rooms"


class Rooms:
    """Conversations as sessions."""

    def __init__(self, store: Store, board: Board, people: People, hold: Hold) -> None:
        self._store, self._board, self._people, self._hold = store, board, people, hold
        self._places: OrderedDict[SessionId, Place] = OrderedDict()
        self._modes: OrderedDict[SessionId, QueueMode] = OrderedDict()

    # sessions

    async def conversation(self, principal: Principal, place: Place) -> str:
        """The key of the session that this person has in this place now."""
        count = await self._store.read_note(_NOTES, f"new/{principal.id}/{place.key}")
        return place.key if count is None else f"{place.key}@{count.decode()}"

    async def begin_anew(self, principal: Principal, place: Place) -> None:
        """Let the next message begin a new session."""
        name = f"new/{principal.id}/{place.key}"
        count = await self._store.read_note(_NOTES, name)
        await self._store.write_note(_NOTES, name, str(int(count or b"1") + 1).encode())

    def seen(self, session: SessionId, place: Place) -> None:
        """Remember where a session is."""
        _keep(self._places, session, place)

    def held(self, session: SessionId) -> bool:
        """Whether an incident holds it: then nothing of it is shown."""
        return self._hold.stopped or self._hold.find(session) is not None

    # how messages are taken while a turn runs

    async def mode(self, session: SessionId) -> QueueMode:
        """A session's own mode; in a messenger STEER, elsewhere each message waits its turn."""
        found = self._modes.get(session)
        if found is not None:
            return found
        noted = await self._store.read_note(_NOTES, f"mode/{session}")
        usual = CHAT_MODE if session in self._places else DEFAULT_MODE
        mode = QueueMode(noted.decode()) if noted is not None else usual
        if noted is not None or session in self._places:
            _keep(self._modes, session, mode)
        return mode

    async def set_mode(self, session: SessionId, mode: QueueMode) -> None:
        await self._store.write_note(_NOTES, f"mode/{session}", mode.value.encode())
        _keep(self._modes, session, mode)

    # readers

    async def readers(self, place: Place) -> frozenset[PrincipalId]:
        """Who reads a message where it is said, besides its sender: the room itself, and everybody who is known in it."""
        if place.private:
            return frozenset()
        return frozenset({room(place)}) | (await self._members(place) or frozenset())

    async def audience(self, turn: Turn, place: Place | None) -> Sequence[Readers]:
        """Who reads a turn's reply: whoever asked, or the room; also everybody in it by name, if all are known."""
        if place is None or place.private:
            return [Readers(names=frozenset({turn.principal}))]
        ways = [Readers(names=frozenset({room(place)}))]
        members = await self._members(place)
        return ways if members is None else [*ways, Readers(names=members)]

    async def _members(self, place: Place) -> frozenset[PrincipalId] | None:
        line = self._board.find(place.channel)
        if line is None or Feature.MEMBERS not in line.channel.facts().features:
            return None
        try:
            senders = await line.channel.members(place)
        except CarapaxError:
            return None
        if not senders or len(senders) > MOST_ASKED:
            return None
        return await self._people.members(place.channel, senders)

    async def left(self, removed: Removed) -> None:
        """Somebody left a place, or a message was deleted. Members are asked anew each time, so there is nothing to undo."""
        if removed.person:
            self._board.note(removed.place.channel, f"{removed.person[:64]} left {removed.place.chat[:64]}")

    # files of a reply

    async def attach(self, turn: str, blob: Blob) -> int:
        """Add a file to a turn's reply; how many it has then."""
        kept = [*await self._attached(turn), blob]
        packed = json.dumps([[each.name, each.type, each.digest] for each in kept]).encode()
        await self._store.write_note(_NOTES, f"files/{turn}", packed)
        return len(kept)

    async def attached(self, turn: Turn) -> tuple[Blob, ...]:
        """The files of a turn's reply."""
        return tuple(await self._attached(turn.id))

    async def _attached(self, turn: str) -> list[Blob]:
        noted = await self._store.read_note(_NOTES, f"files/{turn}")
        return [Blob(*each) for each in json.loads(noted)] if noted else []


def room(place: Place) -> PrincipalId:
    """A group as a reader: whoever is in it."""
    return PrincipalId(f"room:{place.key}")


def _keep(kept: OrderedDict[SessionId, object] | OrderedDict, key: SessionId, value: object) -> None:  # type: ignore[type-arg]
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MOST_SESSIONS:
        kept.popitem(last=False)
