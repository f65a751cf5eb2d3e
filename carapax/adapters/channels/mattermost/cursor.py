"""How far Mattermost was heard: its socket acknowledges nothing, so what was missed is asked for by time.

Layer: adapters/channels. Owns the note with the newest time and the events around it.
Laws: the time moves on only after an event was taken; posts may appear out of order by `OVERLAP_MS`, and none is taken twice.
"""

from __future__ import annotations

import json

from carapax.adapters.channels.fields import number, parse_object, part
from carapax.core.terms.error import Malformed
from carapax.ports.channel import Keep

NOTE = "cursor"
OVERLAP_MS = 10_000
MOST = 500


class Cursor:
    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._seen: dict[str, int] = {}
        self.newest_ms: int | None = None  # None: nothing was ever heard

    @property
    def since_ms(self) -> int:
        return max(0, (self.newest_ms or 0) - OVERLAP_MS)

    async def load(self) -> None:
        """Raises StoreUnavailable."""
        try:
            note = parse_object(await self._keep.read(NOTE) or b"{}")
            self.newest_ms = number(note, "newest_ms")
            self._seen = {event: number(part(note, "seen"), event) or 0 for event in part(note, "seen")}
        except Malformed:
            self.newest_ms, self._seen = None, {}

    def knows(self, event: str) -> bool:
        return event in self._seen

    async def took(self, event: str, at_ms: int) -> None:
        """An event of this time was taken. Raises StoreUnavailable."""
        self._seen[event] = at_ms
        await self.begin(max(self.newest_ms or 0, at_ms))

    async def begin(self, at_ms: int) -> None:
        """Everything up to here needs no asking. Raises StoreUnavailable."""
        self.newest_ms = at_ms
        oldest_ms = self.since_ms
        kept = sorted(((ms, event) for event, ms in self._seen.items() if ms >= oldest_ms), reverse=True)[:MOST]
        self._seen = {event: ms for ms, event in kept}
        await self._keep.write(
            NOTE, json.dumps({"newest_ms": at_ms, "seen": self._seen}, separators=(",", ":")).encode()
        )
