"""Who visits, and what was said with each: bounded, and kept, so that a phone that slept misses nothing.

Layer: adapters/channels/web. Owns the bounds on visitors and on conversations. Absent: who may speak (the gateway's).
Laws: a key that was not made here is nobody's; a line is kept before it is shown; a visitor who was here in the last week is
not forgotten for newcomers.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import OrderedDict
from dataclasses import dataclass, field, replace

from carapax.adapters.channels.web.wire import Item, parse_items, render_items
from carapax.ports.channel import Keep
from carapax.ports.clock import Clock

MAX_VISITORS = 2_000
MAX_NEW_A_MINUTE = 60
MAX_SAID_A_MINUTE = 120
KEPT_MS = 7 * 86_400_000
MAX_ITEMS = 200
MAX_TEXT_BYTES = 384 << 10
MAX_OPEN = 64  # conversations in memory
TYPING_MS = 8_000
MINUTE_MS = 60_000
_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True)
class Conversation:
    """What was said with one visitor. `streams` are pages that are open now."""

    visitor: str
    items: list[Item]
    last_seq: int
    typing_until_ms: int = 0
    streams: set[asyncio.Event] = field(default_factory=set)
    said_ms: list[int] = field(default_factory=list)

    def after(self, seq: int) -> list[Item]:
        """The lines with a larger number, in order."""
        return sorted((item for item in self.items if item.seq > seq), key=lambda item: item.seq)

    def find(self, message: str) -> Item | None:
        return next((item for item in self.items if item.id == message), None)

    def wake(self) -> None:
        """Let every open page look."""
        for stream in self.streams:
            stream.set()


class Visitors:
    """Everybody who was given a key here."""

    def __init__(self, keep: Keep, clock: Clock) -> None:
        self._keep = keep
        self._clock = clock
        self._known: dict[str, int] | None = None  # id → when last seen
        self._open: OrderedDict[str, Conversation] = OrderedDict()
        self._new_ms: list[int] = []
        self._writing = asyncio.Lock()

    async def is_known(self, visitor: str) -> bool:
        return visitor in await self._all()

    async def admit(self, visitor: str) -> bool:
        """Make somebody a visitor; False when too many came, or the place is full of people who were here this week."""
        now_ms = self._clock.now_ms()
        self._new_ms = [at for at in self._new_ms if now_ms - at < MINUTE_MS]
        known = await self._all()
        if len(self._new_ms) >= MAX_NEW_A_MINUTE:
            return False
        if len(known) >= MAX_VISITORS:
            oldest = min(known, key=lambda each: known[each])
            if now_ms - known[oldest] < KEPT_MS:
                return False
            del known[oldest]
            await self._keep.write(_box(oldest), b"")
        self._new_ms.append(now_ms)
        known[visitor] = now_ms
        await self._write_known()
        return True

    async def may_say(self, visitor: str) -> bool:
        """Whether this is not too fast; counts it."""
        conversation = await self.open(visitor)
        now_ms = self._clock.now_ms()
        conversation.said_ms = [at for at in conversation.said_ms if now_ms - at < MINUTE_MS]
        if len(conversation.said_ms) >= MAX_SAID_A_MINUTE:
            return False
        conversation.said_ms.append(now_ms)
        known = await self._all()
        if now_ms - known.get(visitor, 0) > KEPT_MS // 7:
            known[visitor] = now_ms
            await self._write_known()
        return True

    async def open(self, visitor: str) -> Conversation:
        """The conversation with somebody, read from where it is kept."""
        found = self._open.get(visitor)
        if found is None:
            raw = await self._keep.read(_box(visitor))
            items, last = parse_items(raw)
            found = self._open.setdefault(visitor, Conversation(visitor, items, last))
        self._open.move_to_end(visitor)
        for key in list(self._open)[: max(0, len(self._open) - MAX_OPEN)]:
            if not self._open[key].streams and key != visitor:
                del self._open[key]
        return found

    async def put(self, visitor: str, item: Item) -> Item:
        """Keep a line, or a change of one, and show it. Its number is set here."""
        async with self._writing:
            conversation = await self.open(visitor)
            old = conversation.find(item.id)
            placed = replace(item, seq=conversation.last_seq + 1, at_ms=old.at_ms if old else item.at_ms)
            items = [each for each in conversation.items if each.id != item.id] + [placed]
            items = _bounded(items)
            await self._keep.write(_box(visitor), render_items(items, placed.seq))
            conversation.items, conversation.last_seq = items, placed.seq
        if not item.mine:
            conversation.typing_until_ms = 0
        conversation.wake()
        return placed

    def wake_all(self) -> None:
        for conversation in self._open.values():
            conversation.wake()

    def stream_count(self) -> int:
        return sum(len(conversation.streams) for conversation in self._open.values())

    async def _all(self) -> dict[str, int]:
        if self._known is None:
            try:
                given = json.loads(await self._keep.read("visitors") or b"{}")
                pairs = given.items() if isinstance(given, dict) else ()
                read = {key: int(at) for key, at in pairs if _ID.fullmatch(key)}
            except (ValueError, TypeError, RecursionError):
                read = {}
            if self._known is None:  # two may have read at once
                self._known = read
        return self._known

    async def _write_known(self) -> None:
        await self._keep.write("visitors", json.dumps(self._known).encode())


def _box(visitor: str) -> str:
    return f"box-{visitor[:32]}"


def _bounded(items: list[Item]) -> list[Item]:
    kept = items[-MAX_ITEMS:]
    size = sum(len(item.text.encode()) for item in kept)
    while len(kept) > 1 and size > MAX_TEXT_BYTES:
        size -= len(kept.pop(0).text.encode())
    return kept
