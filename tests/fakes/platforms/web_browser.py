"""A browser with one person in front of it, as far as the web chat's page goes: it keeps the cookie, posts, and reads the stream.

It asks the channel's hook directly, with the headers a browser sets; the real page in a real browser is another test's.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from carapax.core.terms.channel import HookAnswer, HookRequest
from carapax.ports.channel import Channel, Hear

HERE = "http://127.0.0.1:18790"


class Browser:
    """One person's. `lines` is what the page shows, by id, in the order of the conversation."""

    def __init__(self, origin: str = HERE) -> None:
        self.origin = origin
        self.cookie = ""
        self.lines: dict[str, dict[str, Any]] = {}
        self.typings = 0
        self.last = ""
        self.last_post: HookRequest | None = None
        self._channel: Channel | None = None
        self._hear: Hear | None = None
        self._reading: asyncio.Task[None] | None = None

    def show(self, channel: Channel, hear: Hear) -> None:
        """Use this channel from now on: the stream is read until `leave`."""
        self._channel, self._hear = channel, hear
        if self._reading is not None:
            self._reading.cancel()
        self._reading = asyncio.create_task(self._read())

    async def leave(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
            self._reading = None

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> HookRequest:
        given = {"host": self.origin.partition("//")[2], "user-agent": "a browser"}
        if self.cookie:
            given["cookie"] = f"theme=dark; {self.cookie}"
        if method == "POST":
            given |= {"origin": self.origin, "content-type": "application/json", "sec-fetch-site": "same-origin"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        path, _, query = path.partition("?")
        url = f"{self.origin}/hooks/web{path}"
        return HookRequest(method, path, query, tuple(given.items()), body, url, "127.0.0.1")

    async def ask(self, request: HookRequest) -> HookAnswer:
        assert self._channel is not None and self._hear is not None
        answer = await self._channel.hook(request, self._hear)
        for name, value in answer.headers:
            if name == "set-cookie":
                self.cookie = value.partition(";")[0]
        return answer

    async def hello(self) -> HookAnswer:
        return await self.ask(self.request("POST", "/hello", b"{}"))

    async def post(self, **given: Any) -> HookAnswer:
        said = {"id": secrets.token_urlsafe(24)} | given
        self.last_post = self.request("POST", "/send", json.dumps(said).encode())
        return await self.ask(self.last_post)

    async def put(self, name: str, type: str, content: bytes) -> str:
        given = {"content_type": "application/octet-stream", "x_file_type": type}
        answer = await self.ask(self.request("POST", f"/file?name={quote(name)}", content, **given))
        assert answer.status == 200, answer
        return str(json.loads(answer.body)["ref"])

    async def events(self) -> HookAnswer:
        more = {"last_event_id": self.last} if self.last else {}
        return await self.ask(self.request("GET", "/events", accept="text/event-stream", **more))

    async def _read(self) -> None:
        if not self.cookie:
            await self.hello()
        answer = await self.events()
        if answer.stream is None:
            return
        try:
            async for part in answer.stream:
                self._take(part.decode())
        finally:
            await answer.stream.aclose()  # type: ignore[attr-defined]

    def _take(self, part: str) -> None:
        fields = dict(line.split(": ", 1) for line in part.strip().split("\n") if not line.startswith(":"))
        if fields.get("event") == "line":
            line = json.loads(fields["data"])
            self.lines[line["id"]] = line
            self.last = fields["id"]
        elif fields.get("event") == "typing":
            self.typings += json.loads(fields["data"])
