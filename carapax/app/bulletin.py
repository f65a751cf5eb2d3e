"""The bulletin: what concerns everybody, handed to every surface that listens, without ever waiting for one.

Layer: app. One per gateway; a turn's own events are its topic's (`topic`).
Law: a listener that does not keep up loses its oldest news, never holds up the teller.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from carapax.core.terms.error import Conflict
from carapax.core.terms.event import Event

BACKLOG = 256
MAX_LISTENERS = 64


class Bulletin:
    """Tell from the loop; listen from anywhere in it."""

    def __init__(self) -> None:
        self._listeners: list[asyncio.Queue[Event]] = []

    def tell(self, event: Event) -> None:
        """Hand it to whoever listens."""
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    def listen(self) -> AsyncIterator[Event]:
        """News from this moment on; registered before this returns. Raises Conflict over MAX_LISTENERS."""
        if len(self._listeners) >= MAX_LISTENERS:
            raise Conflict(f"{MAX_LISTENERS} already listen here.", next_step="Close one of them.")
        queue: asyncio.Queue[Event] = asyncio.Queue(BACKLOG)
        self._listeners.append(queue)
        return self._drain(queue)

    async def _drain(self, queue: asyncio.Queue[Event]) -> AsyncIterator[Event]:
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)
