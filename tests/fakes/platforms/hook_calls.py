"""How a platform that calls does so: in order, again until it is answered well, and twice when told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from carapax.core.terms.channel import HookAnswer, HookRequest
from carapax.core.terms.error import StoreUnavailable
from carapax.ports.channel import Channel, Hear

Make = Callable[[], HookRequest]  # a request is signed anew for each try


@dataclass
class Calls:
    """Requests to one channel. What is not answered with 2xx waits for the next channel or the next request."""

    waiting: list[Make] = field(default_factory=list)
    newest: Make | None = None
    answers: list[HookAnswer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._hooked: tuple[Channel, Hear] | None = None
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def hooked(self, channel: Channel, hear: Hear) -> None:
        self._hooked = (channel, hear)
        task = asyncio.create_task(self._all())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def post(self, make: Make) -> None:
        self.newest = make
        self.waiting.append(make)
        await self._all()

    async def repeat(self) -> None:
        assert self.newest is not None
        await self._one(self.newest)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _all(self) -> None:
        async with self._lock:
            for make in list(self.waiting):
                if await self._one(make):
                    self.waiting.remove(make)

    async def _one(self, make: Make) -> bool:
        if self._hooked is None:
            return False
        channel, hear = self._hooked
        try:
            answer = await channel.hook(make(), hear)
        except StoreUnavailable:
            return False
        self.answers.append(answer)
        return 200 <= answer.status < 300
