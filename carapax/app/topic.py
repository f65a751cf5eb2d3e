"""A topic: the events of one turn, handed to whoever listens, without ever holding the turn up.

Layer: app. Law: a listener that does not keep up misses text deltas, never the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from carapax.core.terms.event import Event, TextDelta, TurnEnded

BACKLOG = 2_048
"""Events that wait for one listener; over it, its text deltas are dropped."""


class Topic:
    """Events of one turn. The last one is its TurnEnded."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Event]] = set()
        self.ended: TurnEnded | None = None

    def publish(self, event: Event) -> None:
        """Hand an event to every listener."""
        if isinstance(event, TurnEnded):
            self.ended = event
        for queue in self._listeners:
            if not isinstance(event, TextDelta) or queue.qsize() < BACKLOG:
                queue.put_nowait(event)

    def listen(self) -> AsyncIterator[Event]:
        """Events from this moment on; registered before this returns."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        if self.ended is not None:
            queue.put_nowait(self.ended)
        self._listeners.add(queue)
        return self._drain(queue)

    async def _drain(self, queue: asyncio.Queue[Event]) -> AsyncIterator[Event]:
        try:
            while True:
                event = await queue.get()
                yield event
                if isinstance(event, TurnEnded):
                    return
        finally:
            self._listeners.discard(queue)
