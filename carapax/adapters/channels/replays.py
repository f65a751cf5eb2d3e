"""Requests that were taken already: a signed one is good for one time, also after a restart.

Layer: adapters/channels. Owns the bounded memory of ids in the channel's notes. Absent: signatures, and how old a request
may be (each adapter's; never more than `WINDOW_MS`).
Law: an id that had to be forgotten for want of room is refused by its time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable

from carapax.ports.channel import Keep
from carapax.ports.clock import Clock

WINDOW_MS = 600_000
MOST = 2_048
NOTE = "replays"


class Replays:
    def __init__(self, keep: Keep, clock: Clock) -> None:
        self._keep = keep
        self._clock = clock
        self._lock = asyncio.Lock()
        self._seen: dict[str, int] | None = None  # digest of the id → its time
        self._floor_ms = 0

    async def take(self, id: str, at_ms: int, work: Callable[[], Awaitable[None]]) -> bool:
        """Do the work for an id the first time and say True; False, and nothing done, for one seen before or forgotten.

        One at a time, in the order of the calls. What `work` raises goes on, and the id counts as not seen. Raises
        StoreUnavailable.
        """
        digest = hashlib.sha256(id.encode("utf-8", "replace")).hexdigest()[:24]
        async with self._lock:
            seen = await self._loaded()
            if digest in seen or at_ms <= self._floor_ms:
                return False
            await work()
            seen[digest] = at_ms
            self._prune(seen)
            note = {"floor_ms": self._floor_ms, "seen": seen}
            try:
                await self._keep.write(NOTE, json.dumps(note, separators=(",", ":")).encode())
            except BaseException:
                seen.pop(digest, None)
                raise
            return True

    async def _loaded(self) -> dict[str, int]:
        if self._seen is None:
            note = json.loads(await self._keep.read(NOTE) or b"{}")
            self._floor_ms = note.get("floor_ms", 0)
            self._seen = dict(note.get("seen", {}))
        return self._seen

    def _prune(self, seen: dict[str, int]) -> None:
        oldest_ms = self._clock.now_ms() - WINDOW_MS
        for digest in [digest for digest, at_ms in seen.items() if at_ms < oldest_ms]:
            del seen[digest]
        while len(seen) > MOST:
            first = min(seen, key=seen.__getitem__)
            self._floor_ms = max(self._floor_ms, seen.pop(first))
