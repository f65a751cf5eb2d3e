"""A local signal-cli daemon (signal-cli-jsonrpc(5)): JSON-RPC over HTTP, an event stream with ids, and the last 1,000 events kept."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import time
from contextlib import suppress
from typing import Any

from aiohttp import web

from tests.fakes.platforms.serving import Fault, Server

ACCOUNT = "+33700000001"
OWN = "0b5e0b5e-0000-4000-8000-00000000a9e7"
PEOPLE = {"alice": "a11ce000-0000-4000-8000-000000000001", "bob": "b0b00000-0000-4000-8000-000000000002"}
GROUP = "Pmpi+EfPWmsxiomLe9Nx2XF9HOE483p6iKiFj65iMwI="
SENDS = {"send"}


class RpcError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class FakeSignal:
    """One account. `refuse` is what every command answers with, when set."""

    def __init__(self) -> None:
        self.server = Server(
            [
                ("POST", "/api/v1/rpc", self._rpc),
                ("GET", "/api/v1/events", self._events),
                ("GET", "/api/v1/check", self._check),
            ]
        )
        self.names = {"alice": "Alice", "bob": "Bob"}
        self.group = [OWN, *PEOPLE.values()]
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.sent: dict[int, dict[str, Any]] = {}  # by the time it was sent; edits replace
        self.files: dict[str, bytes] = {}
        self.reactions: dict[int, str] = {}
        self.typings = 0
        self.faults: list[Fault] = []
        self.refuse: RpcError | None = None
        self.results: list[dict[str, Any]] | None = None  # what a send says of its recipients
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._streams: dict[asyncio.Event, web.Request] = {}
        self._ids = itertools.count(1)
        self._last_ms = 0

    def stamp(self) -> int:
        self._last_ms = max(self._last_ms + 1, int(time.time() * 1000))
        return self._last_ms

    def push(self, sender: str, **inside: Any) -> None:
        """An envelope of one of the people."""
        stamp = next(
            (each["timestamp"] for each in inside.values() if isinstance(each, dict) and "timestamp" in each),
            self.stamp(),
        )
        envelope = {
            "source": PEOPLE[sender], "sourceNumber": None, "sourceUuid": PEOPLE[sender], "sourceName": self.names[sender],
            "sourceDevice": 1, "timestamp": stamp, "serverReceivedTimestamp": stamp, "serverDeliveredTimestamp": stamp,
        }  # fmt: skip
        self.push_raw({"envelope": envelope | inside, "account": ACCOUNT})

    def push_raw(self, given: dict[str, Any]) -> None:
        self.events = [*self.events[-999:], (next(self._ids), given)]
        for woken in self._streams:
            woken.set()

    def repeat(self) -> None:
        self.push_raw(self.events[-1][1])

    async def cut(self) -> None:
        for request in list(self._streams.values()):
            if request.transport is not None:
                request.transport.abort()

    async def _check(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=200)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        known = request.headers.get("last-event-id", "")
        ids = [id for id, _ in self.events]
        # A stream without an id begins now; an id that is not kept any more gets everything that is.
        at = int(known) if known.isdigit() and int(known) in ids else (0 if known else (ids or [0])[-1])
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        woken = asyncio.Event()
        self._streams[woken] = request
        try:
            await response.prepare(request)
            await response.write(b":\n")
            while True:
                woken.clear()
                for id, given in [event for event in self.events if event[0] > at]:
                    at = id
                    await response.write(f"event:receive\nid:{id}\ndata:{json.dumps(given)}\n\n".encode())
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), 0.05)
                if request.transport is None:  # aiohttp does not tell a handler that its client went
                    return response
        except ConnectionError:
            return response
        finally:
            del self._streams[woken]

    async def _rpc(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        method, given = asked["method"], asked.get("params") or {}
        self.calls.append((method, given))
        if method in SENDS and self.faults:
            fault = self.faults.pop(0)
            headers = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s else {}
            return web.Response(status=fault.status, headers=headers)
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
        try:
            if self.refuse is not None:
                raise self.refuse
            return web.json_response(answer | {"result": getattr(self, f"_{method}")(**given)})
        except RpcError as error:
            return web.json_response(answer | {"error": {"code": error.code, "message": str(error), "data": None}})

    def _getUserStatus(self, account: str, recipient: list[str]) -> Any:
        return [{"recipient": recipient[0], "number": recipient[0], "uuid": OWN, "isRegistered": True}]

    def _listGroups(self, account: str, groupId: str = "") -> Any:
        members = [{"number": None, "uuid": uuid} for uuid in self.group]
        return [{"id": GROUP, "name": "Everybody", "isMember": True, "members": members, "admins": members[:1]}]

    def _chat(self, given: dict[str, Any]) -> str:
        chat = given.get("groupId") or given["recipient"][0]
        if chat not in (GROUP, *PEOPLE.values()):
            raise RpcError(-1, "Unknown recipient or group")
        return str(chat)

    def _send(self, **given: Any) -> Any:
        chat = self._chat(given)
        message = {
            "chat": chat,
            "text": given.get("message", ""),
            "styles": given.get("textStyle", []),
            "mentions": given.get("mention"),
        }
        message["files"] = [_data_uri(each) for each in given.get("attachments", [])]
        message["quote"] = (given.get("quoteTimestamp"), given.get("quoteAuthor"))
        if "editTimestamp" in given:
            if given["editTimestamp"] not in self.sent:
                raise RpcError(-1, "Invalid edit timestamp")
            self.sent[given["editTimestamp"]] |= {"text": message["text"], "styles": message["styles"]}
            return {"timestamp": self.stamp(), "results": []}
        results = self.results or [{"recipientAddress": {"uuid": chat}, "type": "SUCCESS"}]
        stamp = self.stamp()
        if any(each["type"] == "SUCCESS" for each in results):
            self.sent[stamp] = message
        return {"timestamp": stamp, "results": results}

    def _sendTyping(self, **given: Any) -> Any:
        self._chat(given)
        self.typings += 1
        return {"timestamp": self.stamp()}

    def _sendReaction(self, **given: Any) -> Any:
        self._chat(given)
        if given["remove"]:
            self.reactions.pop(given["targetTimestamp"], None)
        else:
            self.reactions[given["targetTimestamp"]] = given["emoji"]
        return {"timestamp": self.stamp()}

    def _getAttachment(self, account: str, id: str, recipient: str = "", groupId: str = "") -> Any:
        if id not in self.files:
            raise RpcError(-1, "Could not find attachment with ID")
        return {"data": base64.b64encode(self.files[id]).decode()}


def _data_uri(uri: str) -> tuple[str, bytes]:
    head, _, data = uri.partition(";base64,")
    return head.partition(";filename=")[2], base64.b64decode(data)
