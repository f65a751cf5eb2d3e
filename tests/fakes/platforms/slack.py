"""A local Slack: Web API, Socket Mode, signed requests and file hosts, as docs.slack.dev describes them.

It checks tokens, answers `"ok": false` as Slack does, sends again what was not acknowledged, and notes whom a text pings.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from tests.fakes.platforms.serving import Fault, Server, texts_of

BOT_TOKEN = "-".join(("xoxb", "invented", "bot"))
APP_TOKEN = "-".join(("xapp", "invented", "app"))
SIGNING = "invented-signing-secret"
BOT_USER, BOT_ID, TEAM = "U0CARAPAX", "B0CARAPAX", "T0ACME"
PEOPLE = {"alice": "U0ALICE", "bob": "U0BOB", "robot": "U0ROBOT"}
GROUP = "C0GROUP"
PING = re.compile(r"<(!(?:channel|here|everyone|subteam\^\w+)|@\w+)(?:\|[^>]*)?>")
SENDING = ("chat.postMessage", "files.completeUploadExternal", "chat.update")


@dataclass(slots=True)
class FakeSlack:
    server: Server = field(init=False)
    names: dict[str, str] = field(default_factory=lambda: {name: name.title() for name in PEOPLE})
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    reactions: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    members: list[str] = field(default_factory=lambda: [BOT_USER, PEOPLE["alice"], PEOPLE["bob"]])
    unacknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    revoked: bool = False
    breaks: bool = False  # a request that sends is taken, and its connection drops without an answer
    sign_in: bool = False
    tickets: set[str] = field(default_factory=set)
    socket_base: str = "wss://wss-primary.slack.com"
    files_base: str = "https://files.slack.com"
    page: int = 2
    history_page: int = 200
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    _clock: int = 1_700_000_000_000_000

    def __post_init__(self) -> None:
        self.server = Server([
            ("POST", "/api/{method}", self._api),
            ("GET", "/link", self._link),
            ("POST", "/upload/{id}", self._upload),
            ("GET", "/files-pri/{id}/{name}", self._download),
        ])  # fmt: skip

    def stamp(self) -> str:
        self._clock += 1_000_100
        return f"{self._clock // 1_000_000}.{self._clock % 1_000_000:06d}"

    async def _api(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        wanted = APP_TOKEN if method == "apps.connections.open" else BOT_TOKEN
        if self.revoked or token != wanted:
            return _ok(error="invalid_auth")
        if request.content_type == "application/json":
            body = await request.json()
        else:
            body = dict(await request.post())
        self.calls.append((method, body))
        if method in SENDING and self.breaks:
            assert request.transport is not None
            request.transport.abort()
        if method in SENDING and self.faults:
            return _failed(self.faults.pop(0))
        answer = getattr(self, "_" + re.sub(r"[.]|(?<=[a-z])(?=[A-Z])", "_", method).lower(), None)
        return _ok(error="unknown_method") if answer is None else answer(body)

    def _auth_test(self, body: dict[str, Any]) -> web.Response:
        return _ok(
            url="https://acme.slack.com/", team="Acme", team_id=TEAM, user="carapax", user_id=BOT_USER, bot_id=BOT_ID
        )

    def _apps_connections_open(self, body: dict[str, Any]) -> web.Response:
        ticket = secrets.token_hex(8)
        self.tickets.add(ticket)
        return _ok(url=f"{self.socket_base}/link?ticket={ticket}&app_id=A0CARAPAX")

    def _chat_post_message(self, body: dict[str, Any]) -> web.Response:
        if not self._known(body.get("channel", "")):
            return _ok(error="channel_not_found")
        if not body.get("text") and not body.get("blocks"):
            return _ok(error="no_text")
        stamp = self.stamp()
        self.messages[stamp] = {**body, "ts": stamp, "mine": True}
        return _ok(
            channel=body["channel"], ts=stamp, message={"text": body.get("text", ""), "bot_id": BOT_ID, "ts": stamp}
        )

    def _chat_update(self, body: dict[str, Any]) -> web.Response:
        found = self.messages.get(body.get("ts", ""))
        if found is None or found["channel"] != body.get("channel"):
            return _ok(error="message_not_found")
        if len(body.get("text", "")) > 4_000:
            return _ok(error="msg_too_long")
        found.update(text=body["text"], blocks=body.get("blocks", []))
        return _ok(channel=body["channel"], ts=body["ts"], text=body["text"])

    def _reactions_get(self, body: dict[str, Any]) -> web.Response:
        found = self.reactions.get(body.get("timestamp", ""), {})
        listed = [{"name": name, "users": sorted(users), "count": len(users)} for name, users in found.items() if users]
        return _ok(type="message", message={"ts": body.get("timestamp"), "reactions": listed})

    def _reactions_add(self, body: dict[str, Any]) -> web.Response:
        users = self.reactions.setdefault(body["timestamp"], {}).setdefault(body["name"], set())
        if BOT_USER in users:
            return _ok(error="already_reacted")
        users.add(BOT_USER)
        return _ok()

    def _reactions_remove(self, body: dict[str, Any]) -> web.Response:
        users = self.reactions.get(body["timestamp"], {}).get(body["name"], set())
        if BOT_USER not in users:
            return _ok(error="no_reaction")
        users.discard(BOT_USER)
        return _ok()

    def _conversations_history(self, body: dict[str, Any]) -> web.Response:
        if not self._known(body["channel"]):
            return _ok(error="channel_not_found")
        found = [m for m in self.messages.values() if m["channel"] == body["channel"] and m["ts"] > body["oldest"]]
        top = [m for m in found if m.get("thread_ts", m["ts"]) in (m["ts"], "")][::-1]
        at, size = int(body.get("cursor") or 0), min(int(body["limit"]), self.history_page)
        kept = ("type", "user", "text", "ts", "files", "subtype", "attachments", "bot_id", "edited")
        own = {"user": BOT_USER, "bot_id": BOT_ID, "type": "message"}
        shown = [
            {**(own if m.get("mine") else {}), **{key: m[key] for key in kept if key in m}} for m in top[at : at + size]
        ]
        cursor = str(at + size) if at + size < len(top) else ""
        return _ok(messages=shown, has_more=bool(cursor), response_metadata={"next_cursor": cursor})

    def _conversations_members(self, body: dict[str, Any]) -> web.Response:
        channel = body.get("channel", "")
        everybody = self.members if channel == GROUP else [BOT_USER, PEOPLE[self._owner(channel)]]
        at = int(body.get("cursor") or 0)
        more = at + self.page < len(everybody)
        cursor = str(at + self.page) if more else ""
        return _ok(members=everybody[at : at + self.page], response_metadata={"next_cursor": cursor})

    def _files_get_upload_urlexternal(self, body: dict[str, Any]) -> web.Response:
        id = f"F0OUT{len(self.files)}"
        self.files[id] = {"name": body["filename"], "length": int(body["length"]), "content": None}
        return _ok(upload_url=f"{self.files_base}/upload/{id}", file_id=id)

    def _files_complete_upload_external(self, body: dict[str, Any]) -> web.Response:
        files = json.loads(body["files"]) if isinstance(body["files"], str) else body["files"]
        found = [(entry["title"], self.files[entry["id"]]["content"]) for entry in files]
        if any(content is None for _, content in found):
            return _ok(error="file_not_found")
        stamp = self.stamp()
        self.messages[stamp] = {
            "channel": body["channel_id"], "thread_ts": body.get("thread_ts", ""), "ts": stamp, "mine": True,
            "text": body.get("initial_comment", ""), "attached": found,
        }  # fmt: skip
        return _ok(files=[{"id": entry["id"], "title": entry["title"]} for entry in files])

    def _files_info(self, body: dict[str, Any]) -> web.Response:
        found = self.files.get(body.get("file", ""))
        if found is None:
            return _ok(error="file_not_found")
        url = f"{self.files_base}/files-pri/{body['file']}/{found['name']}"
        size = found.get("told_size", len(found["content"]))
        return _ok(file={
            "id": body["file"], "name": found["name"], "mimetype": found["type"], "size": size, "url_private_download": url,
        })  # fmt: skip

    async def _upload(self, request: web.Request) -> web.Response:
        found = self.files[request.match_info["id"]]
        content = await request.read()
        if len(content) != found["length"]:
            return web.Response(status=400)
        found["content"] = content
        return web.Response(text=f"OK - {len(content)}")

    async def _download(self, request: web.Request) -> web.Response:
        if self.revoked or self.sign_in or request.headers.get("authorization") != f"Bearer {BOT_TOKEN}":
            return web.Response(text="<html>Sign in</html>", content_type="text/html")
        found = self.files[request.match_info["id"]]
        return web.Response(body=found["content"], content_type=found["type"])

    async def _link(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("ticket") not in self.tickets:
            return web.Response(status=403)
        self.tickets.discard(request.query["ticket"])
        socket = await self.server.upgrade(request)
        hello = {
            "type": "hello",
            "num_connections": 1,
            "connection_info": {"app_id": "A0CARAPAX"},
            "debug_info": {"host": "fake"},
        }
        await socket.send_str(json.dumps(hello))
        for envelope in list(self.unacknowledged.values()):
            envelope["retry_attempt"] = envelope.get("retry_attempt", 0) + 1
            await socket.send_str(json.dumps(envelope))
        async for raw in texts_of(socket):
            envelope_id = json.loads(raw).get("envelope_id")
            if self.unacknowledged.pop(envelope_id, None):
                self.acknowledged.append(envelope_id)
        self.server.left(socket)
        return socket

    def _known(self, channel: str) -> bool:
        return channel == GROUP or channel.removeprefix("D0").lower() in PEOPLE

    def _owner(self, channel: str) -> str:
        return channel.removeprefix("D0").lower()

    async def deliver(self, payload: dict[str, Any], type: str = "events_api") -> None:
        """Put an envelope on the newest socket, or keep it for the next."""
        self.last = {"payload": payload, "type": type}
        envelope = {
            "envelope_id": secrets.token_hex(8),
            "type": type,
            "payload": payload,
            "accepts_response_payload": False,
        }
        self.unacknowledged[envelope["envelope_id"]] = envelope
        if self.server.sockets:
            await self.server.sockets[-1].send_str(json.dumps(envelope))

    async def refresh(self, reason: str = "refresh_requested") -> None:
        await self.server.sockets[-1].send_str(json.dumps({"type": "disconnect", "reason": reason, "debug_info": {}}))

    def signed(self, at_s: int, *, secret: str = SIGNING) -> tuple[tuple[tuple[str, str], ...], bytes]:
        """Headers and body of the request that Slack would make for the newest payload."""
        if self.last["type"] == "interactive":
            type, body = (
                "application/x-www-form-urlencoded",
                urlencode({"payload": json.dumps(self.last["payload"])}).encode(),
            )
        else:
            type, body = "application/json", json.dumps(self.last["payload"]).encode()
        mac = hmac.new(secret.encode(), b"v0:%d:%s" % (at_s, body), hashlib.sha256).hexdigest()
        headers = (
            ("content-type", type), ("x-slack-request-timestamp", str(at_s)), ("x-slack-signature", f"v0={mac}"),
        )  # fmt: skip
        return headers, body

    def pings(self, message: dict[str, Any]) -> tuple[str, ...]:
        texts = [message.get("text", "")] + [
            block.get("text", {}).get("text", "") for block in message.get("blocks", [])
        ]
        found = {match.group(1) for text in texts for match in PING.finditer(text)}
        if message.get("link_names") or message.get("parse") == "full":
            found |= set(re.findall(r"@\w+", message.get("text", "")))
        return tuple(sorted(found))


def event(inner: dict[str, Any]) -> dict[str, Any]:
    """An event as Slack wraps it."""
    return {
        "token": "unused", "team_id": TEAM, "api_app_id": "A0CARAPAX", "type": "event_callback", "event": inner,
        "event_id": f"Ev{secrets.token_hex(5)}", "event_time": 1_700_000_000, "is_ext_shared_channel": False,
    }  # fmt: skip


def _ok(*, error: str = "", **fields: Any) -> web.Response:
    return web.json_response({"ok": False, "error": error} if error else {"ok": True, **fields})


def _failed(fault: Fault) -> web.Response:
    if fault.status == 429:
        return web.json_response(
            {"ok": False, "error": "ratelimited"}, status=429, headers={"retry-after": str(fault.retry_after_s)}
        )
    if fault.status >= 500:
        return web.Response(status=fault.status, text="upstream error")
    return _ok(error="invalid_auth" if fault.status == 401 else "is_archived")
