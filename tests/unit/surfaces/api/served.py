"""A gateway's HTTP surface on a loopback port of its own, for as long as a test runs."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope

from carapax.core.terms.principal import Scope
from carapax.surfaces.api.build import build_api
from carapax.surfaces.api.server import listen, run_server
from carapax.surfaces.api.settings import ApiSettings
from tests.fakes.gateway import FakeClock, FakeGateway

BOUND_S = 20


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def text(self) -> str:
        return self.raw.decode("utf-8")

    def json(self) -> Any:
        return json.loads(self.raw)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.raw.splitlines()]


@dataclass
class Served:
    gateway: FakeGateway
    clock: FakeClock
    listener: Listener
    token: str

    @property
    def port(self) -> int:
        return self.listener.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        """One request; `token=""` sends none, None sends the owner's."""
        value = self.token if token is None else token
        sent = {"Authorization": f"Bearer {value}"} if value else {}
        content = json.dumps(body).encode() if body is not None else raw
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOUND_S)
        try:
            connection.request(method, path, content, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def chat(self, text: str, *, token: str | None = None, **more: Any) -> Reply:
        body = {"model": "carapax", "messages": [{"role": "user", "content": text}], **more}
        return self.call("POST", "/v1/chat/completions", body, token=token)


class Listener:
    """A running server whose application can be exchanged, because starting one takes longer than most tests."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._failed: list[Exception] = []
        self._ready = threading.Event()
        self._sock = listen("127.0.0.1", 0)
        self.port: int = self._sock.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(BOUND_S)
        assert not self._failed, self._failed

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - shown by the test's own thread
            self._failed.append(error)
        self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await run_server(
            self, "127.0.0.1", self.port,
            stopping=self._stopping, bound=self._sock, on_ready=lambda _: self._ready.set(),
        )  # fmt: skip

    def stop(self) -> None:
        if self._loop is not None and self._stopping is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(BOUND_S)
        assert not self._thread.is_alive()
        assert not self._failed, self._failed


_SHARED: list[Listener] = []


def stop_shared() -> None:
    """Stop the listener that tests share; called when the last test is done."""
    while _SHARED:
        _SHARED.pop().stop()


@contextmanager
def serving(settings: ApiSettings | None = None, *, own: bool = False) -> Iterator[Served]:
    """Serve a fresh fake gateway, on a listener of its `own` when the test is about the server."""
    if own:
        listener = Listener()
    else:
        listener = _SHARED[0] if _SHARED else Listener()
        _SHARED[:] = [listener]
    clock = FakeClock()
    gateway = FakeGateway(clock)
    before = listener.app
    listener.app = build_api(gateway, replace(settings or ApiSettings(), port=listener.port), clock)
    try:
        yield Served(gateway, clock, listener, gateway.mint(*Scope))
    finally:
        listener.app = before
        if own:
            listener.stop()
