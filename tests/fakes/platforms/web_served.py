"""The web chat's hook behind a real HTTP server on loopback, as the gateway's door serves it: for a real browser."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from carapax.core.terms.channel import HookRequest
from carapax.ports.channel import Channel, Hear

LEAVES = frozenset({"content-security-policy", "retry-after", "set-cookie", "vary"})
BODY_BYTES = 12 << 20


class ServedChat:
    """Serves one channel at /hooks/web."""

    def __init__(self, channel: Channel, hear: Hear) -> None:
        self.channel = channel
        self.hear = hear
        self.port = 0
        self.statuses: list[tuple[str, int]] = []
        self._runner: Any = None

    async def start(self) -> None:
        app = web.Application(client_max_size=BODY_BYTES)
        app.router.add_route("*", "/hooks/web{rest:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = HookRequest(
            request.method,
            request.match_info["rest"],
            request.query_string,
            tuple((name.lower(), value) for name, value in request.headers.items()),
            await request.read(),
            str(request.url),
            "127.0.0.1",
        )
        answer = await self.channel.hook(asked, self.hear)
        self.statuses.append((f"{request.method} {asked.path}", answer.status))
        response = (
            web.StreamResponse(status=answer.status)
            if answer.stream
            else web.Response(status=answer.status, body=answer.body)
        )
        response.headers["content-type"] = answer.type
        for name, value in answer.headers:
            if name in LEAVES:
                response.headers.add(name, value)
        if answer.stream is None:
            return response
        await response.prepare(request)
        try:
            async for part in answer.stream:
                await response.write(part)
        finally:
            await answer.stream.aclose()  # type: ignore[attr-defined]
        return response
