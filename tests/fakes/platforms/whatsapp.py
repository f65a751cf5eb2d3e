"""A local Graph API for one WhatsApp number: messages, media on its own host, and the numbers of its refusals.

Source: developers.facebook.com/docs/whatsapp/cloud-api (messages, media, webhooks, error codes; v23.0).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.platforms.serving import Fault, Server

TYPES = {"text/plain", "application/pdf", "audio/ogg", "image/png", "image/jpeg"}
TEXT_CHARS = 4_096


@dataclass
class WhatsApp:
    token: str
    app_secret: str
    phone: str
    people: dict[str, dict[str, str]]  # by the rig's name: wa_id and name
    messages: list[dict[str, Any]] = field(default_factory=list)  # what the business sent, as it was accepted
    media: dict[str, dict[str, Any]] = field(default_factory=dict)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    typing: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)  # whom the 24-hour window is closed for
    faults: list[Fault] = field(default_factory=list)
    known: set[str] = field(default_factory=set)  # ids of messages that people sent
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self.server = Server(
            [
                ("POST", "/v23.0/{phone}/messages", self._messages),
                ("POST", "/v23.0/{phone}/media", self._upload),
                ("GET", "/v23.0/{id}", self._get),
                ("GET", "/whatsapp_business/attachments/", self._attachment),
            ]
        )
        self._count = 0

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    # webhooks

    def notice(self, **value: Any) -> bytes:
        metadata = {"display_phone_number": "15550001111", "phone_number_id": self.phone}
        change = {"field": "messages", "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}
        return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}).encode()

    def message(self, sender: str, **content: Any) -> tuple[str, bytes]:
        """The id of a person's message, and the webhook of it."""
        self._count += 1
        person = self.people[sender]
        id = f"wamid.HBgLMTU1NTAwMDExMTEVAgASGBQ{self._count:06}"
        self.known.add(id)
        message = {"from": person["wa_id"], "id": id, "timestamp": str(int(self.clock())), **content}
        contact = {"profile": {"name": person["name"]}, "wa_id": person["wa_id"]}
        return id, self.notice(contacts=[contact], messages=[message])

    def sign(self, body: bytes) -> str:
        return "sha256=" + hmac.new(self.app_secret.encode(), body, hashlib.sha256).hexdigest()

    def keep(self, content: bytes, type: str) -> str:
        id = f"10{len(self.media):010}"
        self.media[id] = {"content": content, "type": type, "sha256": hashlib.sha256(content).hexdigest()}
        return id

    # the Graph API

    def _refused(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _error(401, 190, "Error validating access token: Session has expired.")
        if request.match_info.get("phone", self.phone) != self.phone:
            return _error(400, 100, "Unsupported post request. Object does not exist")
        return None

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        given = await request.json()
        if given["messaging_product"] != "whatsapp":
            return _error(400, 100, "Invalid parameter")
        if given.get("status") == "read":
            if given["message_id"] not in self.known:
                return _error(400, 131009, "Parameter value is not valid")
            self.read.append(given["message_id"])
            if "typing_indicator" in given:
                self.typing.append(given["message_id"])
            return web.json_response({"success": True})
        if self.faults:
            fault = self.faults.pop(0)
            headers = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s else {}
            return _error(fault.status, 130429 if fault.status == 429 else 131008, "(#100) No", headers)
        return self._take(given)

    def _take(self, given: dict[str, Any]) -> web.Response:
        to = given.get("to") or given.get("recipient")
        if to in self.closed:
            return _error(400, 131047, "Re-engagement message")
        if to not in {person["wa_id"] for person in self.people.values()}:
            return _error(400, 131026, "Message undeliverable")
        if given["type"] == "reaction":
            if given["reaction"]["message_id"] not in self.known:
                return _error(400, 131009, "Parameter value is not valid")
            mark = given["reaction"]["emoji"]
            self.reactions[given["reaction"]["message_id"]] = [mark] if mark else []
        elif (fault := self._fault(given)) is not None:
            return fault
        self._count += 1
        id = f"wamid.OUT{self._count:06}"
        if given["type"] != "reaction":
            self.messages.append({"id": id, "to": to, **given})
        contact = {"input": to, "wa_id": to}
        return web.json_response({"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": id}]})

    def _fault(self, given: dict[str, Any]) -> web.Response | None:
        match given["type"]:
            case "text":
                body = given["text"]["body"]
                return (
                    None if 0 < len(body) <= TEXT_CHARS else _error(400, 100, "Param text['body'] must be at most 4096")
                )
            case "document":
                return None if given["document"]["id"] in self.media else _error(400, 131053, "Media upload error")
            case "interactive":
                inside = given["interactive"]
                if inside["type"] == "button":
                    replies = [button["reply"] for button in inside["action"]["buttons"]]
                    fits = len(replies) <= 3 and all(len(reply["title"]) <= 20 for reply in replies)
                    fits = fits and len(inside["body"]["text"]) <= 1_024
                else:
                    rows = [row for section in inside["action"]["sections"] for row in section["rows"]]
                    fits = len(rows) <= 10 and all(len(r["title"]) <= 24 and len(r["description"]) <= 72 for r in rows)
                    fits = fits and len(inside["body"]["text"]) <= TEXT_CHARS and len(inside["action"]["button"]) <= 20
                return None if fits else _error(400, 131009, "Parameter value is not valid")
        return _error(400, 131051, "Unsupported message type")

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        if file.content_type not in TYPES:
            return _error(
                400, 100, f"Param file must be a file with one of the following types, not {file.content_type}"
            )
        id = self.keep(file.file.read(), file.content_type)
        self.media[id]["name"] = file.filename
        return web.json_response({"id": id})

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        id = request.match_info["id"]
        if id == self.phone:
            return web.json_response(
                {
                    "display_phone_number": "+1 555-000-1111",
                    "verified_name": "The lab",
                    "quality_rating": "GREEN",
                    "id": id,
                }
            )
        if id not in self.media or request.query.get("phone_number_id") != self.phone:
            return _error(400, 100, "Object with this ID does not exist")
        media = self.media[id]
        host = media.get("host", "https://lookaside.fbsbx.com")
        answer = {"url": f"{host}/whatsapp_business/attachments/?mid={id}&ext=1&hash=ATs", "mime_type": media["type"]}
        answer |= {"sha256": media["sha256"], "file_size": media.get("told", len(media["content"])), "id": id}
        return web.json_response(answer | {"messaging_product": "whatsapp"})

    async def _attachment(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if (media := self.media.get(request.query["mid"])) is None:
            return web.Response(status=404)
        return web.Response(body=media["content"], content_type=media["type"])


def _error(status: int, code: int, words: str, headers: dict[str, str] | None = None) -> web.Response:
    error = {"message": f"(#{code}) {words}", "type": "OAuthException", "code": code, "fbtrace_id": "Az8or2yhqkZf"}
    if code > 1_000:
        error["error_data"] = {"messaging_product": "whatsapp", "details": words}  # type: ignore[assignment]
    return web.json_response({"error": error}, status=status, headers=headers or {})
