"""One call of a route: what all routes share, and what this request brought, checked.

Layer: surfaces/api. Also how a turn's events are read: paced, so that silence can be noticed, and left properly.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request

from carapax.core.terms.principal import Principal
from carapax.ports.clock import Clock
from carapax.ports.gateway import Gateway
from carapax.surfaces.api.hooks import Door
from carapax.surfaces.api.rate import Failures
from carapax.surfaces.api.settings import ApiSettings
from carapax.surfaces.api.threads import Threads

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shared:
    """What every route may use."""

    gateway: Gateway
    settings: ApiSettings
    clock: Clock
    codes: Failures  # wrong sign-in codes
    threads: Threads
    door: Door


@dataclass(frozen=True, slots=True)
class Call:
    """A request that passed the gate and its route's scope. `principal` is None on public routes only."""

    shared: Shared
    principal: Principal | None
    peer: str
    address: str  # "http://127.0.0.1:18790", as the client called us
    id: str  # the path's {id}, "" when it has none
    query: dict[str, Any]
    body: dict[str, Any]
    key: str  # the Idempotency-Key header
    raw: Request | None = None  # the request itself, for the hooks alone

    @property
    def gateway(self) -> Gateway:
        return self.shared.gateway

    @property
    def who(self) -> Principal:
        """The principal of a route that is not public."""
        if self.principal is None:
            raise RuntimeError("a public route asked who calls")
        return self.principal


async def leave(events: AsyncIterator[Any]) -> None:
    """Stop reading; what is read goes on without us."""
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()


class _End:
    pass


_END = _End()


async def _next(events: AsyncIterator[T]) -> T | _End:
    try:
        return await anext(events)
    except StopAsyncIteration:
        return _END


async def paced(events: AsyncIterator[T], beat_ms: int) -> AsyncGenerator[T | None, None]:
    """The same events, with None after every `beat_ms` of silence."""
    pending: asyncio.Task[T | _End] | None = None
    try:
        while True:
            pending = pending or asyncio.create_task(_next(events))
            await asyncio.wait({pending}, timeout=beat_ms / 1000)
            if not pending.done():
                yield None
                continue
            event, pending = pending.result(), None
            if isinstance(event, _End):
                return
            yield event
    finally:
        if pending is not None:
            pending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pending
        await leave(events)
