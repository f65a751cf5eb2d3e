"""A local Discord: gateway and REST, version 10, and the file host, as docs.discord.com describes them.

It wants heartbeats and a right IDENTIFY, resumes sessions by repeating what came after a sequence, checks bodies, and
notes whom a text would ping.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.platforms.serving import Fault, Server, texts_of

TOKEN = ".".join(("invented", "bot", "token"))
ME = "900000000000000001"
PEOPLE = {"alice": "100000000000000001", "bob": "100000000000000002", "robot": "100000000000000009"}
DMS = {name: "3" + id[1:] for name, id in PEOPLE.items()}
GUILD, GROUP = "200000000000000001", "400000000000000001"
PING = re.compile(r"@everyone|@here|<@!?\d+>|<@&\d+>")
EPOCH = "2026-01-02T03:04:05.678000+00:00"


@dataclass(slots=True)
class FakeDiscord:
    server: Server = field(init=False)
    beat_ms: int = 41_250
    answers_beats: bool = True
    token: str = TOKEN
    allowed_intents: int = (1 << 16) - 1
    nonce_s: float = 120.0
    gateway_url: str = "wss://gateway.discord.gg"
    resume_url: str = "wss://gateway-us-east1-b.discord.gg"
    cdn: str = "https://cdn.discordapp.com"
    remaining: int = 1_000
    page: int = 1_000
    names: dict[str, str] = field(default_factory=lambda: {name: name.title() for name in PEOPLE})
    members: list[str] = field(default_factory=lambda: [ME, PEOPLE["alice"], PEOPLE["bob"]])
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    callbacks: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    breaks: bool = False
    identified: list[dict[str, Any]] = field(default_factory=list)
    resumed: int = 0
    beats: int = 0
    session: str = ""
    seq: int = 0
    backlog: list[dict[str, Any]] = field(default_factory=list)
    live: web.WebSocketResponse | None = None
    _ids: int = 500_000_000_000_000_000
    _nonces: dict[str, tuple[float, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        api = "/api/v10"
        message = f"{api}/channels/{{channel}}/messages/{{message}}"
        self.channels[GROUP] = {"id": GROUP, "type": 0, "guild_id": GUILD, "name": "general"}
        for name, id in DMS.items():
            self.channels[id] = {"id": id, "type": 1, "recipients": [self.user(name)]}
        self.server = Server([
            ("GET", f"{api}/users/@me", self._checked(self._user)),
            ("GET", f"{api}/gateway/bot", self._checked(self._gateway)),
            ("GET", f"{api}/channels/{{channel}}", self._checked(self._channel)),
            ("POST", f"{api}/channels/{{channel}}/messages", self._checked(self._post)),
            ("GET", f"{api}/channels/{{channel}}/messages", self._checked(self._list)),
            ("GET", f"{api}/oauth2/applications/@me", self._checked(self._application)),
            ("GET", message, self._checked(self._get)),
            ("PATCH", message, self._checked(self._patch)),
            ("PUT", message + "/reactions/{emoji}/@me", self._checked(self._put_reaction)),
            ("DELETE", message + "/reactions/{emoji}/@me", self._checked(self._delete_reaction)),
            ("POST", f"{api}/channels/{{channel}}/typing", self._checked(self._typing)),
            ("GET", f"{api}/guilds/{{guild}}/channels", self._checked(self._guild_channels)),
            ("GET", f"{api}/guilds/{{guild}}/members", self._checked(self._guild_members)),
            ("POST", f"{api}/interactions/{{id}}/{{token}}/callback", self._callback),
            ("GET", "/attachments/{id}/{name}", self._file),
            ("GET", "/", self._socket),
        ])  # fmt: skip

    def user(self, name: str) -> dict[str, Any]:
        if name == "me":
            return {
                "id": ME,
                "username": "carapax",
                "discriminator": "0",
                "global_name": None,
                "avatar": None,
                "bot": True,
            }
        given = {"id": PEOPLE[name], "username": name, "discriminator": "0", "avatar": None}
        return given | {"global_name": self.names[name]} | ({"bot": True} if name == "robot" else {})

    def new_id(self) -> str:
        self._ids += 1
        return str(self._ids)

    def _checked(self, answer: Any) -> Any:
        async def checked(request: web.Request) -> web.StreamResponse:
            if request.headers.get("authorization") != f"Bot {self.token}":
                return _refused(401, 0, "401: Unauthorized")
            if "user-agent" not in request.headers:
                return _refused(403, 40333, "no user agent")
            self.calls.append((request.method, request.path.removeprefix("/api/v10")))
            result: web.StreamResponse = await answer(request)
            return result

        return checked

    async def _user(self, request: web.Request) -> web.Response:
        return _json(self.user("me"))

    async def _gateway(self, request: web.Request) -> web.Response:
        limit = {"total": 1_000, "remaining": self.remaining, "reset_after": 7_000, "max_concurrency": 1}
        return _json({"url": self.gateway_url, "shards": 1, "session_start_limit": limit})

    async def _channel(self, request: web.Request) -> web.Response:
        found = self.channels.get(request.match_info["channel"])
        return _refused(404, 10003, "Unknown Channel") if found is None else _json(found)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if self.breaks:
            assert request.transport is not None
            request.transport.abort()
        if self.faults:
            return _failed(self.faults.pop(0))
        body, files = await _body(request)
        channel = request.match_info["channel"]
        if channel not in self.channels:
            return _refused(404, 10003, "Unknown Channel")
        if (not body.get("content") and not files) or len(body.get("content", "")) > 2_000:
            return _refused(400, 50035, "Invalid Form Body")
        nonce = str(body.get("nonce", ""))
        if len(nonce) > 25:
            return _refused(400, 50035, "Invalid Form Body")
        said_s, known = self._nonces.get(nonce, (0.0, ""))
        if body.get("enforce_nonce") and known and time.monotonic() - said_s < self.nonce_s:
            return _json(self._shown(self.messages[known]))
        id = self.new_id()
        self._nonces[nonce] = (time.monotonic(), id)
        self.messages[id] = {**body, "id": id, "channel_id": channel, "mine": True, "sent": files}
        return _json(self._shown(self.messages[id]))

    def _shown(self, message: dict[str, Any]) -> dict[str, Any]:
        found = self.reactions.get(message["id"], [])
        own = {key: message.get(key, []) for key in ("attachments", "message_snapshots")}
        own["attachments"] = [file for file in own["attachments"] if "url" in file]
        return {
            **{key: message[key] for key in ("mentions", "referenced_message", "message_reference") if key in message},
            "id": message["id"], "channel_id": message["channel_id"], "content": message.get("content", ""), "type": 0,
            "author": message.get("author", self.user("me")), "timestamp": EPOCH, "edited_timestamp": None, "tts": False,
            "mention_everyone": False, "mentions": message.get("mentions", []), "mention_roles": [], "embeds": [], "pinned": False, "flags": 0, **own,
            "reactions": [{"emoji": {"id": None, "name": mark}, "count": 1, "me": True, "me_burst": False,
                           "count_details": {"burst": 0, "normal": 1}, "burst_colors": []} for mark in found],
        }  # fmt: skip

    async def _get(self, request: web.Request) -> web.Response:
        found = self.messages.get(request.match_info["message"])
        if found is None or found["channel_id"] != request.match_info["channel"]:
            return _refused(404, 10008, "Unknown Message")
        return _json(self._shown(found))

    async def _list(self, request: web.Request) -> web.Response:
        after, limit = int(request.query["after"]), int(request.query["limit"])
        at = request.match_info["channel"]
        if at not in self.channels or limit > 100:
            return _refused(404, 10003, "Unknown Channel")
        found = [m for m in self.messages.values() if m["channel_id"] == at and int(m["id"]) > after]
        chosen = sorted(found, key=lambda m: int(m["id"]))[: min(limit, self.page)]
        return _json([self._shown(m) for m in reversed(chosen)])

    async def _application(self, request: web.Request) -> web.Response:
        return _json({
            "id": "800000000000000001", "name": "carapax", "icon": None, "description": "", "bot_public": False, "flags": 0,
            "bot_require_code_grant": False, "verify_key": "0" * 64, "owner": self.user("alice"), "team": None, "summary": "",
        })  # fmt: skip

    async def _patch(self, request: web.Request) -> web.Response:
        found = self.messages.get(request.match_info["message"])
        if found is None or not found.get("mine"):
            return _refused(403, 50005, "Cannot edit a message authored by another user")
        found.update(await request.json())
        return _json(self._shown(found))

    async def _put_reaction(self, request: web.Request) -> web.Response:
        marks = self.reactions.setdefault(request.match_info["message"], [])
        if request.match_info["emoji"] not in marks:
            marks.append(request.match_info["emoji"])
        return web.Response(status=204)

    async def _delete_reaction(self, request: web.Request) -> web.Response:
        marks = self.reactions.get(request.match_info["message"], [])
        if request.match_info["emoji"] not in marks:
            return _refused(404, 10014, "Unknown Emoji")
        marks.remove(request.match_info["emoji"])
        return web.Response(status=204)

    async def _typing(self, request: web.Request) -> web.Response:
        self.typed.append(request.match_info["channel"])
        return web.Response(status=204)

    async def _guild_channels(self, request: web.Request) -> web.Response:
        inside = [entry for entry in self.channels.values() if entry.get("guild_id") == request.match_info["guild"]]
        voiceless = {"id": "400000000000000009", "type": 4, "name": "category"}
        return _json([*(entry for entry in inside if entry["type"] == 0), voiceless])

    async def _guild_members(self, request: web.Request) -> web.Response:
        after, limit = int(request.query.get("after", "0")), min(int(request.query.get("limit", "1")), 1_000)
        found = sorted((id for id in self.members if int(id) > after), key=int)[: min(limit, self.page)]
        return _json([{"user": {"id": id, "username": id}, "roles": [], "flags": 0} for id in found])

    async def _callback(self, request: web.Request) -> web.Response:
        assert (await request.json())["type"] == 6
        self.callbacks.append(request.match_info["id"])
        return web.Response(status=204)

    async def _file(self, request: web.Request) -> web.Response:
        if "authorization" in request.headers or request.query.get("hm") != "signed":
            return web.Response(status=403)
        return web.Response(body=self.files[request.match_info["id"]])

    # the gateway

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("v") != "10" or request.query.get("encoding") != "json":
            return web.Response(status=400)
        socket = await self.server.upgrade(request)
        await _put(socket, 10, {"heartbeat_interval": self.beat_ms})
        async for raw in texts_of(socket):
            given = json.loads(raw)
            match given["op"]:
                case 1:
                    self.beats += 1
                    if self.answers_beats:
                        await _put(socket, 11, None)
                case 2:
                    await self._identify(socket, given["d"])
                case 6:
                    await self._resume(socket, given["d"])
                case _:
                    await socket.close(code=4001)
        self.server.left(socket)
        if self.live is socket:
            self.live = None
        return socket

    async def _identify(self, socket: web.WebSocketResponse, given: dict[str, Any]) -> None:
        if given["token"] != self.token:
            await socket.close(code=4004, message=b"Authentication failed.")
            return
        if given["intents"] & ~self.allowed_intents:
            await socket.close(code=4014, message=b"Disallowed intent(s).")
            return
        self.identified.append(given)
        self.session, self.seq, self.backlog = f"session-{self.new_id()}", 0, []
        self.live = socket
        ready = {
            "v": 10, "user": self.user("me"), "guilds": [{"id": GUILD, "unavailable": True}], "session_id": self.session,
            "resume_gateway_url": self.resume_url, "application": {"id": "800000000000000001", "flags": 0},
        }  # fmt: skip
        await self.dispatch("READY", ready)
        await self.dispatch("GUILD_CREATE", self.guild())

    def guild(self) -> dict[str, Any]:
        return {
            "id": GUILD, "name": "Acme", "owner_id": PEOPLE["alice"], "roles": [], "emojis": [], "features": [],
            "joined_at": EPOCH, "large": False, "member_count": len(self.members), "voice_states": [], "threads": [],
            "members": [{"user": self.user("me"), "roles": [], "joined_at": EPOCH, "deaf": False, "mute": False, "flags": 0}],
            "channels": [{"id": GROUP, "type": 0, "name": "general", "position": 0, "permission_overwrites": []}],
            "presences": [], "stage_instances": [], "guild_scheduled_events": [], "soundboard_sounds": [],
            "default_message_notifications": 0, "explicit_content_filter": 0, "mfa_level": 0, "nsfw_level": 0,
            "premium_tier": 0, "preferred_locale": "en-US", "system_channel_flags": 0, "verification_level": 0,
            "afk_timeout": 300, "premium_progress_bar_enabled": False, "stickers": [],
        }  # fmt: skip

    async def _resume(self, socket: web.WebSocketResponse, given: dict[str, Any]) -> None:
        if given["token"] != self.token:
            await socket.close(code=4004)
            return
        if given["session_id"] != self.session or given["seq"] > self.seq:
            await _put(socket, 9, False)
            return
        self.live, self.resumed = socket, self.resumed + 1
        for frame in [frame for frame in self.backlog if frame["s"] > given["seq"]]:
            await socket.send_str(json.dumps(frame))
        await self.dispatch("RESUMED", {})

    async def dispatch(self, type: str, body: dict[str, Any]) -> None:
        """An event: sent where a connection stands, and kept for those that resume."""
        self.seq += 1
        frame = {"op": 0, "s": self.seq, "t": type, "d": body}
        self.backlog.append(frame)
        if self.live is not None and not self.live.closed:
            await self.live.send_str(json.dumps(frame))

    async def command(self, op: int, body: Any = None) -> None:
        assert self.live is not None
        await _put(self.live, op, body)

    async def close_with(self, code: int) -> None:
        assert self.live is not None
        await self.live.close(code=code)

    def pings(self, message: dict[str, Any]) -> tuple[str, ...]:
        allowed = message.get("allowed_mentions")
        if allowed is None:
            return tuple(PING.findall(message.get("content", "")))
        replied = ("replied",) if message.get("message_reference") and allowed.get("replied_user") else ()
        return replied + (tuple(PING.findall(message.get("content", ""))) if allowed.get("parse") else ())


async def _put(socket: web.WebSocketResponse, op: int, body: Any) -> None:
    await socket.send_str(json.dumps({"op": op, "d": body, "s": None, "t": None}))


async def _body(request: web.Request) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    if request.content_type == "application/json":
        return await request.json(), []
    form = await request.post()
    files = [(part.filename, part.file.read()) for key, part in form.items() if key.startswith("files[")]  # type: ignore[union-attr]
    return json.loads(str(form["payload_json"])), files


def _json(made: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    # Discord names no character set, and clients compare the whole header.
    return web.Response(body=json.dumps(made).encode(), content_type="application/json", status=status, headers=headers)


def _refused(status: int, code: int, message: str) -> web.Response:
    return _json({"message": message, "code": code}, status=status)


def _failed(fault: Fault) -> web.Response:
    if fault.status == 429:
        body = {"message": "You are being rate limited.", "retry_after": float(fault.retry_after_s), "global": False}
        return _json(body, status=429, headers={"retry-after": str(fault.retry_after_s)})
    return _refused(fault.status, 50035, "Invalid Form Body")
