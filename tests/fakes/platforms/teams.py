"""A local Bot Framework: signing keys, tokens, activities and the connector, as learn.microsoft.com describes them.

It checks the bot's token, keeps conversations and their activities, and signs what it posts with a key of its own.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aiohttp import web
from joserfc import jws
from joserfc.jwk import RSAKey

from tests.fakes.platforms.serving import Fault, Server

APP_ID = "c9e8c047-2a74-40a2-b28a-b162d5f5327c"
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
TOKEN = ".".join(("invented", "connector", "token"))
BOT = f"28:{APP_ID}"
SERVICE = "https://smba.trafficmanager.net/emea/"
PEOPLE = {name: f"29:{name}-1XJKJMvc5GBtc2JwZq0oj8tHZmzr" for name in ("alice", "bob", "robot")}
DMS = {name: f"a:{name}-17I0kl9EkpE1O9PH5TWrzrLNwnWWcf" for name in PEOPLE}
GROUP, TEAM = "19:general@thread.tacv2", "19:general@thread.tacv2"
AT = re.compile(r"<at>(.*?)</at>")


@cache
def signing_key(name: str = "real", bits: int = 2048) -> RSAKey:
    return RSAKey.generate_key(bits, {"kid": f"key-{name}"})


@dataclass(slots=True)
class FakeTeams:
    server: Server = field(init=False)
    token: str = TOKEN
    members: list[str] = field(default_factory=lambda: [BOT, PEOPLE["alice"], PEOPLE["bob"]])
    names: dict[str, str] = field(default_factory=lambda: {name: name.title() for name in PEOPLE})
    activities: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    endorsements: list[str] = field(default_factory=lambda: ["msteams", "skype"])
    keys_fetched: int = 0
    keys_status: int = 200
    page: int = 500
    breaks: bool = False
    fetched: list[tuple[str, bool]] = field(default_factory=list)
    _ids: int = 1_600_000_000_000

    def __post_init__(self) -> None:
        at = "/emea/v3/conversations/{conversation}"
        self.server = Server([
            ("GET", "/v1/.well-known/keys", self._keys),
            ("GET", "/{region}/v3/conversations", self._checked(self._conversations)),
            ("POST", f"{at}/activities", self._checked(self._post)),
            ("PUT", f"{at}/activities/{{activity}}", self._checked(self._put)),
            ("GET", f"{at}/pagedmembers", self._checked(self._members)),
            ("GET", "/emea/v3/attachments/{file}/views/original", self._checked(self._picture)),
            ("GET", "/personal/files/{file}", self._document),
        ])  # fmt: skip

    def new_id(self) -> str:
        self._ids += 1
        return str(self._ids)

    async def _keys(self, request: web.Request) -> web.Response:
        self.keys_fetched += 1
        public = {**signing_key().as_dict(private=False), "use": "sig", "x5t": "x", "endorsements": self.endorsements}
        return web.json_response({"keys": [public]}, status=self.keys_status)

    def _checked(self, answer: Any) -> Any:
        async def checked(request: web.Request) -> web.StreamResponse:
            if request.headers.get("authorization") != f"Bearer {self.token}":
                return _refused(401, "Unauthorized", "Authorization has been denied for this request.")
            result: web.StreamResponse = await answer(request)
            return result

        return checked

    async def _conversations(self, request: web.Request) -> web.Response:
        return _refused(405, "MethodNotAllowed", "The method is not allowed.")

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body, conversation = await request.json(), request.match_info["conversation"]
        if body["type"] == "typing":
            self.typed.append(conversation)
            return web.json_response({"id": "t"}, status=201)
        if self.breaks:
            assert request.transport is not None
            request.transport.abort()
        if self.faults:
            return _failed(self.faults.pop(0))
        if conversation.split(";")[0] not in (GROUP, *DMS.values()):
            return _refused(404, "ConversationNotFound", "Conversation not found.")
        if len(str(body).encode()) > 100_000:
            return _refused(413, "MessageSizeTooBig", "Message size too large.")
        id = self.new_id()
        self.activities[id] = {**body, "id": id, "conversation": conversation, "mine": True}
        return web.json_response({"id": id}, status=201)

    async def _put(self, request: web.Request) -> web.Response:
        found = self.activities.get(request.match_info["activity"])
        if found is None or found["conversation"] != request.match_info["conversation"] or not found.get("mine"):
            return _refused(404, "ActivityNotFound", "Activity not found.")
        found.update({"attachments": [], **await request.json()})
        return web.json_response({"id": found["id"]})

    async def _members(self, request: web.Request) -> web.Response:
        at, size = int(request.query.get("continuationToken") or 0), min(int(request.query["pageSize"]), self.page)
        listed = self.members[at : at + size]
        more = {"continuationToken": str(at + size)} if at + size < len(self.members) else {}
        return web.json_response({"members": [{"id": id, "name": "x", "tenantId": TENANT} for id in listed], **more})

    async def _picture(self, request: web.Request) -> web.Response:
        self.fetched.append(("picture", True))
        return web.Response(body=self.files[request.match_info["file"]])

    async def _document(self, request: web.Request) -> web.Response:
        self.fetched.append(("document", "authorization" in request.headers))
        if request.query.get("tempauth") != "once":
            return web.Response(status=403)
        return web.Response(body=self.files[request.match_info["file"]])

    def bearer(
        self, now_ms: int, *, key: RSAKey | None = None, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """The token of a request; claims that are None are left out."""
        signer = key or signing_key()
        now_s = now_ms // 1000
        made = {
            "iss": "https://api.botframework.com",
            "aud": APP_ID,
            "nbf": now_s,
            "exp": now_s + 240,
            "serviceurl": SERVICE,
        }
        given = {name: value for name, value in {**made, **claims}.items() if value is not None}
        head = header or {"alg": "RS256", "typ": "JWT", "kid": signer.kid, "x5t": "x"}
        return jws.serialize_compact(head, json.dumps(given).encode(), signer, algorithms=["RS256", "HS256", "RS512"])

    def activity(self, type: str, sender: str, conversation: str, **more: Any) -> dict[str, Any]:
        kind = "personal" if conversation.startswith("a:") else "channel"
        data: dict[str, Any] = {"tenant": {"id": TENANT}}
        if kind == "channel":
            data |= {"team": {"id": TEAM}, "channel": {"id": GROUP}}
        return {
            "type": type, "id": self.new_id(), "channelId": "msteams", "serviceUrl": SERVICE,
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{self._ids % 1000:03}Z",
            "from": {"id": PEOPLE.get(sender, sender), "name": self.names.get(sender, sender), "aadObjectId": "7faf8511"},
            "recipient": {"id": BOT, "name": "carapax"}, "channelData": data,
            "conversation": {"id": conversation, "conversationType": kind, "tenantId": TENANT, "isGroup": kind == "channel"},
            **more,
        }  # fmt: skip

    def pings(self, activity: dict[str, Any]) -> tuple[str, ...]:
        called = AT.findall(activity["text"]) if activity.get("entities") else []
        return tuple(called)


def _refused(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


def _failed(fault: Fault) -> web.Response:
    headers = {"retry-after": str(fault.retry_after_s)} if fault.retry_after_s else {}
    body = {"error": {"code": "BadSyntax", "message": "It did not work."}}
    return web.json_response(body, status=fault.status, headers=headers)
