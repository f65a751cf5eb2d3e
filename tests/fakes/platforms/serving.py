"""What the local stand-ins of platforms share: a server on loopback that records, fails when told, and cuts connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

# What a foreign client's process begins with: it asks for no name and dials this machine only.
LOOPBACK_ONLY = """
import socket
_connect, _lookup = socket.socket.connect, socket.getaddrinfo
def _checked(host):
    if host != "127.0.0.1":
        raise SystemExit(f"a client in a test wanted to reach {host}")
def connect(self, address):
    if self.family != socket.AF_UNIX:
        _checked(address[0])
    return _connect(self, address)
def getaddrinfo(host, *more, **named):
    _checked(host)
    return _lookup(host, *more, **named)
socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
"""

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Fault:
    """One failure to play for a request that sends."""

    status: int
    retry_after_s: int = 0


@dataclass(slots=True)
class Server:
    """One aiohttp server on a free port of loopback. Everything it opened is closed by `stop`."""

    routes: list[tuple[str, str, Answer]]
    port: int = 0
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    _runner: Any = None

    async def start(self) -> None:
        app = web.Application(client_max_size=32 << 20)
        app.add_routes([web.route(method, path, answer) for method, path, answer in self.routes])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def stop(self) -> None:
        await self.cut()
        await self._runner.cleanup()

    async def cut(self) -> None:
        """Drop every open socket without a word of farewell."""
        sockets, self.sockets = self.sockets, []
        for socket in sockets:
            request = socket._req
            if request is not None and request.transport is not None:
                request.transport.abort()

    async def upgrade(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=4 << 20)
        await socket.prepare(request)
        self.sockets.append(socket)
        return socket

    def left(self, socket: web.WebSocketResponse) -> None:
        if socket in self.sockets:
            self.sockets.remove(socket)


async def texts_of(socket: web.WebSocketResponse) -> Any:
    """The text frames that come in, until the other side goes."""
    async for frame in socket:
        if frame.type == WSMsgType.TEXT:
            yield frame.data


@dataclass(slots=True)
class DictVault:
    """Secrets by handle, in memory."""

    values: dict[str, str] = field(default_factory=dict)

    def find_secret(self, handle: str) -> str | None:
        return self.values.get(handle)

    def put_secret(self, handle: str, value: str) -> None:
        self.values[handle] = value

    def drop_secret(self, handle: str) -> None:
        self.values.pop(handle, None)

    def handles(self) -> tuple[str, ...]:
        return tuple(sorted(self.values))


@dataclass(slots=True)
class Notes:
    """A channel's notes, which outlive it."""

    kept: dict[str, bytes] = field(default_factory=dict)

    async def read(self, name: str) -> bytes | None:
        return self.kept.get(name)

    async def write(self, name: str, value: bytes) -> None:
        assert len(value) <= 1 << 20
        self.kept[name] = value


@dataclass(slots=True)
class ShiftedClock:
    """The real clock, which a test may move on."""

    ahead_ms: int = 0

    def now_ms(self) -> int:
        return int(time.time() * 1000) + self.ahead_ms

    def monotonic_ms(self) -> int:
        return int(time.monotonic() * 1000) + self.ahead_ms

    def advance(self, ms: int) -> None:
        self.ahead_ms += ms


async def until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for a condition, at most this long."""
    for _ in range(round(seconds / 0.01)):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"It did not come to be within {seconds} s.")


def shows(heard: object, wanted: dict[str, Any] | None) -> bool:
    """Whether what was heard has these fields ("a.b" for one inside); None wants nothing heard."""
    if wanted is None or heard is None:
        return heard is None and wanted is None
    return all(_field(heard, path) == value for path, value in wanted.items())


def _field(found: Any, path: str) -> Any:
    for step in path.split("."):
        found = (
            found[int(step)] if step.isdigit() else type(found).__name__ if step == "type_" else getattr(found, step)
        )
    return found
