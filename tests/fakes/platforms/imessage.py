"""A local BlueBubbles server (API v1): the password in the query, messages by guid, tapbacks, edits, webhooks sent once."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from aiohttp import web

from tests.fakes.platforms.serving import Fault, Server

PASSWORD = "an invented BlueBubbles password"
WORD = "w" * 8 + "0123456789abcdef" * 2
OWN = "agent@icloud.example"
PEOPLE = {"alice": "+33600000001", "bob": "bob@icloud.example"}
GROUP = "iMessage;+;chat100000000000000001"
EMOJI = {"like": "👍", "emphasize": "👀", "love": "❤️"}


def private_chat(sender: str) -> str:
    return f"iMessage;-;{PEOPLE[sender]}"


class FakeBlueBubbles:
    def __init__(self) -> None:
        routes = [
            ("GET", "/api/v1/server/info", self._info),
            ("POST", "/api/v1/chat/query", self._chats),
            ("GET", "/api/v1/chat/{guid}", self._chat),
            ("POST", "/api/v1/chat/{guid}/typing", self._typing),
            ("POST", "/api/v1/message/query", self._query),
            ("POST", "/api/v1/message/text", self._text),
            ("POST", "/api/v1/message/attachment", self._attachment),
            ("POST", "/api/v1/message/react", self._react),
            ("POST", "/api/v1/message/{guid}/edit", self._edit),
            ("GET", "/api/v1/attachment/{guid}/download", self._download),
        ]
        self.server = Server([(method, path, self._guarded(answer)) for method, path, answer in routes])
        self.password = PASSWORD
        self.names = {"alice": "Alice", "bob": "Bob"}
        self.group = list(PEOPLE.values())
        self.messages: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.tapbacks: dict[str, str] = {}
        self.typings = 0
        self.faults: list[Fault] = []
        self.private_api = True
        self.drops_after_send = 0  # connections broken after a message went out
        self._numbers = itertools.count(1)
        self._last_ms = 0

    def stamp(self) -> int:
        self._last_ms = max(self._last_ms + 1, int(time.time() * 1000))
        return self._last_ms

    def guid(self) -> str:
        return f"{next(self._numbers):08X}-0000-4000-8000-0123456789AB"

    def message(self, sender: str, chat: str, text: str, **more: Any) -> dict[str, Any]:
        """A message of one of the people, as the server serialises it."""
        made = {
            "originalROWID": next(self._numbers), "guid": self.guid(), "text": text, "attributedBody": [],
            "handle": {"originalROWID": 7, "address": PEOPLE[sender], "service": chat.partition(";")[0], "country": "fr"},
            "handleId": 7, "otherHandle": 0, "attachments": [], "subject": None, "error": 0, "dateCreated": self.stamp(),
            "isFromMe": False, "itemType": 0, "groupTitle": None, "groupActionType": 0, "associatedMessageGuid": None,
            "associatedMessageType": None, "threadOriginatorGuid": None, "isForward": False, "isAudioMessage": False,
            "chats": [{"guid": chat, "chatIdentifier": chat.rpartition(";")[2], "style": 45 if ";-;" in chat else 43}],
            "dateEdited": None, "dateRetracted": None,
        }  # fmt: skip
        made |= more
        self.messages[made["guid"]] = made
        return made

    def put_file(self, name: str, type: str, content: bytes) -> dict[str, Any]:
        guid = self.guid()
        self.files[guid] = content
        return {"guid": guid, "mimeType": type, "transferName": name, "totalBytes": len(content)}

    def mine(self) -> list[dict[str, Any]]:
        return [message for message in self.messages.values() if message["isFromMe"]]

    def _guarded(self, answer: Any) -> Any:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if request.query.get("password") != self.password:
                return _said(401, "Unauthorized", error={"type": "Authentication Error", "message": "Unauthorized"})
            sends = request.path in ("/api/v1/message/text", "/api/v1/message/attachment")
            if sends and self.faults:
                fault = self.faults.pop(0)
                headers = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s else {}
                return web.Response(status=fault.status, headers=headers)
            made: web.StreamResponse = await answer(request)
            if sends and self.drops_after_send:
                self.drops_after_send -= 1
                assert request.transport is not None
                request.transport.abort()
            return made

        return guarded

    async def _info(self, request: web.Request) -> web.StreamResponse:
        facts = {"os_version": "15.1", "server_version": "1.9.9", "detected_imessage": OWN, "detected_icloud": OWN}
        return _said(200, data=facts | {"private_api": self.private_api, "helper_connected": self.private_api})

    def _group(self) -> dict[str, Any]:
        return {"guid": GROUP, "participants": [{"address": address, "service": "iMessage"} for address in self.group]}

    async def _chats(self, request: web.Request) -> web.StreamResponse:
        return _said(200, data=[self._group()])

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        guid = request.match_info["guid"]
        if guid == GROUP:
            return _said(200, data=self._group())
        if ";-;" in guid:
            return _said(200, data={"guid": guid, "participants": [{"address": guid.rpartition(";")[2]}]})
        return _said(404, "Not Found", error={"message": "Chat does not exist!"})

    async def _typing(self, request: web.Request) -> web.StreamResponse:
        self.typings += 1
        return _said(200)

    async def _query(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        found = [message for message in self.messages.values() if message["dateCreated"] > asked["after"]]
        found.sort(key=lambda message: message["dateCreated"])
        return _said(200, data=found[asked["offset"] : asked["offset"] + asked["limit"]])

    async def _text(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if asked["method"] == "apple-script" and not asked.get("tempGuid"):
            return _said(400, "Bad Request", error={"message": "A 'tempGuid' is required"})
        return self._put(asked["chatGuid"], asked["message"], asked.get("selectedMessageGuid"), [])

    async def _attachment(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        given = form["attachment"]
        assert isinstance(given, web.FileField)
        return self._put(str(form["chatGuid"]), "", None, [(str(form["name"]), given.file.read())])

    def _put(self, chat: str, text: str, reply: str | None, files: list[tuple[str, bytes]]) -> web.StreamResponse:
        if chat not in (GROUP, *(private_chat(sender) for sender in PEOPLE)):
            return _said(500, "Server Error", error={"message": "Chat does not exist"})
        made = self.message("alice", chat, text, isFromMe=True, handle=None, threadOriginatorGuid=reply)
        made["sent_files"] = files
        return _said(200, data={key: value for key, value in made.items() if key != "sent_files"})

    async def _react(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if asked["reaction"].startswith("-"):
            self.tapbacks.pop(asked["selectedMessageGuid"], None)
        else:
            self.tapbacks[asked["selectedMessageGuid"]] = asked["reaction"]
        return _said(200, data={"guid": self.guid()})

    async def _edit(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        message = self.messages.get(request.match_info["guid"])
        if message is None or not message["isFromMe"]:
            return _said(400, "Bad Request", error={"message": "Message does not exist"})
        message["text"] = asked["editedMessage"]
        return _said(200, data=message | {"sent_files": None})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        content = self.files.get(request.match_info["guid"])
        if content is None:
            return _said(404, "Not Found", error={"message": "Attachment does not exist!"})
        return web.Response(body=content, content_type="application/octet-stream")


def _said(status: int, message: str = "Success", **more: Any) -> web.StreamResponse:
    body = json.dumps({"status": status, "message": message, **more}, default=str)
    return web.Response(status=status, text=body, content_type="application/json")
