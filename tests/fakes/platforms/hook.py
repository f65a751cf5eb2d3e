"""A program on the other side of a signed webhook: it signs what it posts, and checks what it gets, as the standard says.

Source: the Standard Webhooks specification, 1.0.0.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.platforms.serving import Fault, Server

TOLERANCE_S = 300


@dataclass
class Peer:
    secret: str  # whsec_…
    now_ms: Callable[[], int]
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)  # by webhook-id: each is taken once
    typing: list[str] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    tests: int = 0
    faults: list[Fault] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)  # what is answered to a message
    requests: list[tuple[str, str, str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = Server([("POST", "/in", self._in)])
        self.count = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/in"

    def sign(self, id: str, seconds: int, body: bytes) -> str:
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        mac = hmac.new(key, f"{id}.{seconds}.".encode() + body, hashlib.sha256).digest()
        return "v1," + base64.b64encode(mac).decode()

    async def _in(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        id, stamp, given = (request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
        self.requests.append((id, stamp, given, body))
        if not id or not stamp.isdigit() or given != self.sign(id, int(stamp), body):
            return web.Response(status=401)
        if abs(self.now_ms() - int(stamp) * 1000) > TOLERANCE_S * 1000:
            return web.Response(status=401)
        said = json.loads(body)
        if said["type"] == "message" and self.faults:
            fault = self.faults.pop(0)
            headers = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s else {}
            return web.Response(status=fault.status, headers=headers)
        return self._take(id, said)

    def _take(self, id: str, said: dict[str, Any]) -> web.Response:
        match said["type"]:
            case "message":
                self.messages.setdefault(id, said)
                return web.json_response(self.answers)
            case "edit":
                self.messages[said["id"]]["text"] = said["text"]
            case "typing":
                self.typing.append(said["chat"])
            case "reaction":
                self.reactions[said["id"]] = [said["mark"]] if said["mark"] else []
            case "test":
                self.tests += 1
        return web.Response(status=204)
