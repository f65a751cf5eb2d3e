"""While a turn runs: "is writing", and a reply that grows where the platform can change a message.

Layer: app. Best effort: nothing of it is kept, and nothing depends on it. The whole reply comes from the outbox.
Laws: nothing grows but in a private place; a message is changed no more often than its platform bears.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from carapax.core.channel.chunk import split_text
from carapax.core.terms.channel import Feature, Outgoing, Place
from carapax.core.terms.error import CarapaxError
from carapax.core.terms.event import Event, TextDelta, TurnEnded
from carapax.ports.channel import Channel

TYPING_S = 5.0
FIRST_CHARS = 40
MOST_S = 3_600.0
FINISH_S = 5.0


class Live:
    """Follows one turn for one place."""

    def __init__(self, channel: Channel, place: Place, key: str, held: Callable[[], bool]) -> None:
        self._channel, self._place, self._key = channel, place, key
        self._held = held
        self._facts = channel.facts()
        self._text = ""
        self._shown = ""
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._growing: asyncio.Task[None] | None = None
        self.message = ""

    async def follow(self, events: AsyncIterator[Event]) -> None:
        """Until the turn ends. Never raises for what the platform does."""
        self._growing = asyncio.create_task(self._grow())
        self._tasks = {asyncio.create_task(self._type()), self._growing}
        try:
            async with asyncio.timeout(MOST_S):
                async for event in events:
                    if isinstance(event, TextDelta):
                        self._text += event.text
                    elif isinstance(event, TurnEnded):
                        return
        except TimeoutError:
            return
        finally:
            self._over.set()

    async def finish(self) -> None:
        """Let a request that is under way come to its end: one that was cut off may have arrived all the same."""
        self._over.set()
        if self._growing is not None:
            await asyncio.wait({self._growing}, timeout=FINISH_S)

    def cancel(self) -> None:
        """Leave off at once."""
        self._over.set()
        for task in self._tasks:
            task.cancel()

    async def _pause(self, seconds: float) -> bool:
        """Wait; True when the turn is over."""
        try:
            await asyncio.wait_for(self._over.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _type(self) -> None:
        if Feature.TYPING not in self._facts.features:
            return
        with suppress(CarapaxError):
            while not self._over.is_set():
                if not self._held():
                    await self._channel.typing(self._place)
                if await self._pause(TYPING_S):
                    return

    async def _grow(self) -> None:
        if Feature.EDIT not in self._facts.features or not self._place.private:
            return
        pause_s = max(1.0, 60 / max(1, self._facts.edits_per_minute))
        with suppress(CarapaxError):
            while not await self._pause(pause_s):
                text = self._piece()
                if self._held() or len(text) < FIRST_CHARS or text == self._shown:
                    continue
                if self.message:
                    await self._channel.edit(self._place, self.message, text)
                else:
                    sent = await self._channel.send(Outgoing(self._place, text, self._key))
                    self.message = sent.message
                    if not sent.message:
                        return
                self._shown = text

    def _piece(self) -> str:
        chars = max(64, self._facts.text_chars - 2)
        pieces = split_text(self._text, chars=chars, bytes_=self._facts.text_bytes, utf16=True, most=1)
        return f"{pieces[0]} …" if pieces else ""
