"""The meter: what was used today and in a session, kept in memory beside the store's own count.

Layer: app. The store is the truth; this spares a read before every model request.
Law: never below what the store has.
"""

from __future__ import annotations

import datetime

from carapax.core.terms.limit import Usage
from carapax.ports.clock import Clock
from carapax.ports.store import Store


class Meter:
    """Usage of the present day (UTC)."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._day = ""
        self._used = Usage()

    def day(self) -> str:
        """Today, "YYYY-MM-DD" in UTC."""
        return datetime.datetime.fromtimestamp(self._clock.now_ms() / 1000, datetime.UTC).date().isoformat()

    async def today(self) -> Usage:
        """What was used today."""
        day = self.day()
        if day != self._day:
            self._used = await self._store.day_usage(day)
            self._day = day
        return self._used

    def add(self, usage: Usage) -> None:
        """Count what was just used."""
        self._used = self._used.plus(usage)
