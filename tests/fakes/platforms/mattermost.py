"""A local Mattermost: REST, the WebSocket and button presses, as its API documentation and its server's model describe them.

It checks tokens, lists posts by time, takes a pending id twice for the same post, and notes whom a text would notify.
"""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.platforms.serving import Fault, Server, texts_of

TOKEN = "invented" + "0" * 18
ME = "bot".ljust(26, "0")
PEOPLE = {name: name.ljust(26, "1") for name in ("alice", "bob", "robot")}
DMS = {name: f"dm{name}".ljust(26, "2") for name in PEOPLE}
TEAM, GROUP = "team".ljust(26, "3"), "group".ljust(26, "4")
MENTION = re.compile(r"\B@([A-Za-z0-9][A-Za-z0-9.\-_:]*)", re.ASCII)
CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
CALLED = ("all", "channel", "here", *PEOPLE, *PEOPLE.values())
API = "/api/v4"


@dataclass(slots=True)
class FakeMattermost:
    server: Server = field(init=False)
    token: str = TOKEN
    names: dict[str, str] = field(default_factory=lambda: {name: name.title() for name in PEOPLE})
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    posts: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    actions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    typed: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    breaks: bool = False
    pending_s: float = 30.0
    hello: str = "hello"
    seq: int = 0
    _now_ms: int = 1_760_000_000_000
    _pending: dict[str, tuple[float, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.channels[GROUP] = {"id": GROUP, "type": "O", "team_id": TEAM, "name": "general", "last_post_at": 0}
        self.members[GROUP] = [ME, PEOPLE["alice"], PEOPLE["bob"]]
        for name, id in DMS.items():
            self.channels[id] = {
                "id": id,
                "type": "D",
                "team_id": "",
                "name": f"{ME}__{PEOPLE[name]}",
                "last_post_at": 0,
            }
            self.members[id] = [ME, PEOPLE[name]]
        self.server = Server([
            ("GET", f"{API}/websocket", self._socket),
            ("GET", f"{API}/users/me", self._checked(self._user)),
            ("GET", f"{API}/users/{{user}}/channels", self._checked(self._channels)),
            ("POST", f"{API}/users/{{user}}/typing", self._checked(self._typing)),
            ("GET", f"{API}/channels/{{channel}}", self._checked(self._channel)),
            ("GET", f"{API}/channels/{{channel}}/posts", self._checked(self._since)),
            ("GET", f"{API}/channels/{{channel}}/members", self._checked(self._members)),
            ("POST", f"{API}/posts", self._checked(self._post)),
            ("GET", f"{API}/posts/{{post}}", self._checked(self._get)),
            ("PUT", f"{API}/posts/{{post}}/patch", self._checked(self._patch)),
            ("GET", f"{API}/posts/{{post}}/reactions", self._checked(self._get_reactions)),
            ("POST", f"{API}/reactions", self._checked(self._react)),
            ("DELETE", f"{API}/users/{{user}}/posts/{{post}}/reactions/{{emoji}}", self._checked(self._unreact)),
            ("POST", f"{API}/files", self._checked(self._upload)),
            ("GET", f"{API}/files/{{file}}/info", self._checked(self._info)),
            ("GET", f"{API}/files/{{file}}", self._checked(self._download)),
        ])  # fmt: skip

    def now_ms(self) -> int:
        self._now_ms += 7
        return self._now_ms

    def new_id(self) -> str:
        self.seq += 1
        return f"id{self.seq}".ljust(26, "x")

    def _checked(self, answer: Any) -> Any:
        async def checked(request: web.Request) -> web.StreamResponse:
            if request.headers.get("authorization") != f"Bearer {self.token}":
                return _refused(401, "api.context.session_expired.app_error", "Invalid or expired session.")
            self.calls.append((request.method, request.path_qs.removeprefix(API)))
            result: web.StreamResponse = await answer(request)
            return result

        return checked

    async def _user(self, request: web.Request) -> web.Response:
        return web.json_response({"id": ME, "username": "carapax", "is_bot": True, "roles": "system_user"})

    async def _channels(self, request: web.Request) -> web.Response:
        mine = [channel for id, channel in self.channels.items() if ME in self.members[id]]
        return web.json_response(mine)

    async def _channel(self, request: web.Request) -> web.Response:
        found = self.channels.get(request.match_info["channel"])
        return (
            _refused(404, "app.channel.get.existing.app_error", "no channel")
            if found is None
            else web.json_response(found)
        )

    async def _since(self, request: web.Request) -> web.Response:
        at, since = request.match_info["channel"], int(request.query["since"])
        found = {id: post for id, post in self.posts.items() if post["channel_id"] == at and post["update_at"] >= since}
        order = sorted(found, key=lambda id: -int(found[id]["create_at"]))
        return web.json_response({"order": order, "posts": {id: self.shown(post) for id, post in found.items()}})

    async def _members(self, request: web.Request) -> web.Response:
        page, size = int(request.query["page"]), int(request.query["per_page"])
        listed = self.members[request.match_info["channel"]][page * size : (page + 1) * size]
        return web.json_response([{"user_id": id, "roles": "channel_user"} for id in listed])

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if self.breaks:
            assert request.transport is not None
            request.transport.abort()
        if self.faults:
            return _failed(self.faults.pop(0))
        body = await request.json()
        if body["channel_id"] not in self.channels:
            return _refused(403, "api.context.permissions.app_error", "You do not have the appropriate permissions.")
        if len(body.get("message", "")) > 16_383 or not (body.get("message") or body.get("file_ids")):
            return _refused(400, "model.post.is_valid.msg.app_error", "Invalid message.")
        pending = body.get("pending_post_id", "")
        said_s, known = self._pending.get(pending, (0.0, ""))
        if known and time.monotonic() - said_s < self.pending_s:
            return web.json_response(self.shown(self.posts[known]), status=201)
        post = self.add(
            body["channel_id"], ME, body.get("message", ""), root_id=body.get("root_id", ""), props=body["props"]
        )
        post["file_ids"] = body.get("file_ids", [])
        self.actions[post["id"]] = [
            action for entry in body["props"].get("attachments", []) for action in entry["actions"]
        ]
        self._pending[pending] = (time.monotonic(), post["id"])
        return web.json_response(self.shown(post), status=201)

    def add(self, channel: str, user: str, message: str, **more: Any) -> dict[str, Any]:
        """A post, kept."""
        now_ms, id = self.now_ms(), self.new_id()
        self.posts[id] = {
            "id": id, "create_at": now_ms, "update_at": now_ms, "edit_at": 0, "delete_at": 0, "is_pinned": False,
            "user_id": user, "channel_id": channel, "root_id": "", "original_id": "", "message": message, "type": "",
            "props": {}, "hashtags": "", "pending_post_id": "", "metadata": {}, **more,
        }  # fmt: skip
        self.channels[channel]["last_post_at"] = now_ms
        return self.posts[id]

    def shown(self, post: dict[str, Any]) -> dict[str, Any]:
        """A post as clients see it: what belongs to an integration is left out."""
        shown = json.loads(json.dumps(post))
        for entry in shown["props"].get("attachments", []):
            for action in entry.get("actions", []):
                action.pop("integration", None)
        return dict(shown)

    async def _get(self, request: web.Request) -> web.Response:
        found = self.posts.get(request.match_info["post"])
        return (
            _refused(404, "app.post.get.app_error", "no post")
            if found is None
            else web.json_response(self.shown(found))
        )

    async def _patch(self, request: web.Request) -> web.Response:
        found = self.posts.get(request.match_info["post"])
        if found is None or found["user_id"] != ME:
            return _refused(403, "api.context.permissions.app_error", "You do not have the appropriate permissions.")
        found.update(await request.json())
        found["edit_at"] = found["update_at"] = self.now_ms()
        self.actions[found["id"]] = []
        return web.json_response(self.shown(found))

    async def _get_reactions(self, request: web.Request) -> web.Response:
        post = request.match_info["post"]
        found = [
            {"user_id": ME, "post_id": post, "emoji_name": name, "create_at": 1}
            for name in self.reactions.get(post, [])
        ]
        return web.json_response(found or None)

    async def _react(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["user_id"] != ME:
            return _refused(403, "api.reaction.save_reaction.user_id.app_error", "not you")
        marks = self.reactions.setdefault(body["post_id"], [])
        if body["emoji_name"] not in marks:
            marks.append(body["emoji_name"])
        return web.json_response(body, status=201)

    async def _unreact(self, request: web.Request) -> web.Response:
        self.reactions[request.match_info["post"]].remove(request.match_info["emoji"])
        return web.json_response({"status": "OK"})

    async def _typing(self, request: web.Request) -> web.Response:
        self.typed.append(await request.json())
        return web.json_response({"status": "OK"})

    async def _upload(self, request: web.Request) -> web.Response:
        id = self.new_id()
        if request.query["channel_id"] not in self.channels:
            return _refused(403, "api.context.permissions.app_error", "no permission")
        self.files[id] = {"name": request.query["filename"], "content": await request.read()}
        return web.json_response(
            {"file_infos": [{"id": id, "name": request.query["filename"]}], "client_ids": []}, status=201
        )

    async def _info(self, request: web.Request) -> web.Response:
        found = self.files.get(request.match_info["file"])
        if found is None:
            return _refused(404, "app.file_info.get.app_error", "no file")
        return web.json_response(
            {"id": request.match_info["file"], "name": found["name"], "size": len(found["content"])}
        )

    async def _download(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["file"]]["content"])

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        socket = await self.server.upgrade(request)
        if request.headers.get("authorization") == f"Bearer {self.token}":
            await socket.send_str(self._frame(self.hello, {"server_version": "10.5.0", "connection_id": "c1"}, {}))
        async for _ in texts_of(socket):
            pass
        self.server.left(socket)
        return socket

    async def tell(self, event: str, fields: dict[str, Any], broadcast: dict[str, Any] | None = None) -> None:
        for socket in list(self.server.sockets):
            await socket.send_str(self._frame(event, fields, broadcast or {}))

    def _frame(self, event: str, fields: dict[str, Any], broadcast: dict[str, Any]) -> str:
        return json.dumps({"event": event, "data": fields, "broadcast": broadcast, "seq": 0})

    async def tell_post(self, event: str, post: dict[str, Any]) -> None:
        fields: dict[str, Any] = {"post": json.dumps(self.shown(post))}
        if event == "posted":
            fields |= {"channel_type": self.channels[post["channel_id"]]["type"], "team_id": TEAM, "set_online": True}
        await self.tell(event, fields, {"channel_id": post["channel_id"]})

    def press(self, post: str, data: str, user: str) -> bytes:
        """What the server posts for a pressed button."""
        (action,) = (action for action in self.actions[post] if action["integration"]["context"]["data"] == data)
        channel = self.posts[post]["channel_id"]
        return self.press_body(action["integration"]["context"], channel, post, user, int(time.time() * 1000))

    def press_body(self, context: dict[str, Any], channel: str, post: str, user: str, at_ms: int) -> bytes:
        trigger = base64.b64encode(f"{self.new_id()}:{user}:{at_ms}:c2lnbmF0dXJl".encode()).decode()
        return json.dumps({
            "user_id": user, "user_name": "x", "channel_id": channel, "channel_name": "c", "team_id": "", "team_domain": "",
            "post_id": post, "trigger_id": trigger, "type": "button", "data_source": "", "context": context,
        }).encode()  # fmt: skip

    def pings(self, post: dict[str, Any]) -> tuple[str, ...]:
        words = MENTION.findall(CODE.sub(" ", post["message"]))
        return tuple(word for word in words if word.rstrip(".-_:").lower() in CALLED)


def _refused(status: int, id: str, message: str) -> web.Response:
    return web.json_response({"id": id, "message": message, "status_code": status, "request_id": "r"}, status=status)


def _failed(fault: Fault) -> web.Response:
    if fault.status == 429:
        return web.Response(status=429, text="limit exceeded", headers={"retry-after": str(fault.retry_after_s)})
    return _refused(fault.status, "api.some.app_error", "It did not work.")
