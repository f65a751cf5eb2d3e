"""Tallies: what was sent, changed and spent, counted durably, so that caps hold across turns and restarts.

Layer: guard. Counts are read before a call is judged and written after it ran.
"""

from __future__ import annotations

import asyncio
import datetime
from collections import deque
from typing import Protocol

from carapax.core.rules.authority import amount_cents
from carapax.core.rules.caps import TELLING
from carapax.core.rules.task import Counts
from carapax.core.terms.action import CanonicalCall, Effect, ToolManifest
from carapax.core.terms.ids import SessionId
from carapax.core.terms.tables import Caps
from carapax.ports.clock import Clock
from carapax.ports.store import Store

MESSAGES, FILES, MONEY = "messages", "files", "money"
COUNTED = TELLING | {Effect.MONEY}
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000


class Counted(Protocol):
    """What keeps counts: the store, or a book over it."""

    async def tally(self, kind: str, *, since_ms: int) -> int: ...

    async def add_tally(self, kind: str, amount: int, session: SessionId, now_ms: int) -> None: ...


class Book:
    """The store's counts, remembered: this gateway is the only one that writes them.

    What stood there before the first look is taken as counted at that moment, so it leaves a window late, never early.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._first = asyncio.Lock()
        self._rows: dict[str, deque[tuple[int, int]]] = {}

    async def tally(self, kind: str, *, since_ms: int) -> int:
        """The sum of a count from this moment on; a kind is always asked about with the same window."""
        if kind not in self._rows:
            async with self._first:
                before = await self._store.tally(kind, since_ms=since_ms)
                self._rows.setdefault(kind, deque([(self._clock.now_ms(), before)]))
        rows = self._rows[kind]
        while rows and rows[0][0] < since_ms:
            rows.popleft()
        return sum(amount for _, amount in rows)

    async def add_tally(self, kind: str, amount: int, session: SessionId, now_ms: int) -> None:
        """Count, durably."""
        async with self._first:
            await self._store.add_tally(kind, amount, session, now_ms)
            if kind in self._rows:
                self._rows[kind].append((now_ms, amount))


class Tally:
    """The counts of one gateway, as one turn reads and writes them."""

    def __init__(self, store: Counted, clock: Clock, session: SessionId) -> None:
        self._store = store
        self._clock = clock
        self._session = session

    def today(self) -> datetime.date:
        """The date in UTC."""
        return datetime.datetime.fromtimestamp(self._clock.now_ms() / 1000, datetime.UTC).date()

    async def counts(self, manifest: ToolManifest, caps: Caps) -> Counts:
        """What the caps of this kind of call need to know."""
        now, store = self._clock.now_ms(), self._store
        if manifest.effect is Effect.MONEY:
            return Counts(spent_cents=await store.tally(MONEY, since_ms=now - now % _DAY_MS))
        if manifest.effect in TELLING and caps.messages_per_minute is not None:
            return Counts(messages=await store.tally(MESSAGES, since_ms=now - _MINUTE_MS))
        if manifest.touches_workspace and caps.files_per_minute is not None:
            return Counts(files=await store.tally(FILES, since_ms=now - _MINUTE_MS))
        return Counts()

    async def begin(self, call: CanonicalCall, *, unasked: bool) -> None:
        """Count a message or a payment before it is made: one that is stopped half way may have gone out."""
        await self._add(MESSAGES, int(call.manifest.effect in TELLING))
        await self._add(MONEY, amount_cents(call) if unasked else 0)

    async def end(self, changed: int) -> None:
        """Count the files that a call changed."""
        await self._add(FILES, changed)

    async def _add(self, kind: str, amount: int) -> None:
        if amount:
            await self._store.add_tally(kind, amount, self._session, self._clock.now_ms())
