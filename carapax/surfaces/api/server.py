"""Serving the application: one socket, HTTP/1.1, ends when asked.

Layer: surfaces/api; a thin shell over uvicorn. Absent: signals (the app owns them), access logs (they would hold what
people ask), proxy headers (a peer's address is its socket's), WebSockets.
Law: returns within `GRACE_S` and a little after `stopping` is set, whatever its connections do.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from carapax.core.terms.error import Unavailable
from carapax.surfaces.api.settings import check_bind

GRACE_S = 4  # for open connections after the stop
HEAD_S = 30.0  # for a new connection's first request to begin
CONNECTIONS = 512


class AddressTaken(Unavailable):
    """The address cannot be listened on."""

    code = "address.taken"
    next_step = "`carapax status` shows a running gateway; else choose another port in the settings."


class _Protocol(H11Protocol):
    """uvicorn's protocol, that does not wait for ever for a first request."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_S, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises AddressTaken."""
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off only for sockets that name their protocol; with it an answer takes 40 ms more
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(256)
    except OSError as error:
        bound.close()
        raise AddressTaken(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return bound


async def run_server(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    stopping: asyncio.Event,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    bound: socket.socket | None = None,
    on_ready: Callable[[int], None] | None = None,
) -> None:
    """Serve until `stopping` is set. `bound` is a socket from `listen`. Raises SettingsInvalid, AddressTaken."""
    check_bind(host, tls_cert, tls_key)
    sock = bound or listen(host, port)
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",  # its tracebacks would reach a terminal; the gate logs what goes wrong
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=32_768,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
    )
    actual: int = sock.getsockname()[1]
    server = _Server(config, lambda: on_ready(actual) if on_ready is not None else None)

    async def watch() -> None:
        await stopping.wait()
        server.should_exit = True

    watching = asyncio.create_task(watch())
    try:
        await server.serve(sockets=[sock])
    finally:
        watching.cancel()
        sock.close()
