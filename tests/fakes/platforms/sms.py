"""A local Twilio: its Messages API, pictures on a host of their own, and webhooks signed as its documentation says.

Source: twilio.com/docs/messaging/api, twilio.com/docs/usage/webhooks/webhooks-security.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from tests.fakes.platforms.serving import Fault, Server

TEXT_CHARS = 1_600


@dataclass
class Twilio:
    account: str
    token: str
    number: str
    people: dict[str, str]  # by the rig's name: their numbers
    messages: list[dict[str, str]] = field(default_factory=list)
    media: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # by SID: type and bytes
    stopped: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    media_host: str = "https://mms.twiliocdn.com"
    received: list[tuple[dict[str, str], float]] = field(default_factory=list)  # what people sent, and when
    queries: list[dict[str, str]] = field(default_factory=list)
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        account = f"/2010-04-01/Accounts/{self.account}"
        self.server = Server(
            [
                ("POST", f"{account}/Messages.json", self._messages),
                ("GET", f"{account}/Messages.json", self._listed),
                ("GET", f"{account}/Messages/{{message}}/Media.json", self._media_of),
                ("GET", f"{account}.json", self._account),
                ("GET", f"{account}/Messages/{{message}}/Media/{{media}}", self._moved),
                ("GET", "/{account}/{media}", self._picture),
            ]
        )
        self._count = 0

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    def sid(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count:032x}"

    # webhooks

    def form(self, sender: str, text: str, files: tuple[tuple[str, str, bytes], ...] = ()) -> dict[str, str]:
        message = self.sid("MM" if files else "SM")
        form = {
            "ToCountry": "US", "ToState": "", "SmsMessageSid": message, "NumMedia": str(len(files)), "ToCity": "",
            "SmsSid": message, "SmsStatus": "received", "FromCountry": "US", "Body": text, "To": self.number,
            "NumSegments": "1", "MessageSid": message, "AccountSid": self.account, "From": self.people[sender],
            "ApiVersion": "2010-04-01",
        }  # fmt: skip
        for index, (_, type, content) in enumerate(files):
            media = self.sid("ME")
            self.media[media] = (type, content)
            base = f"https://api.twilio.com/2010-04-01/Accounts/{self.account}/Messages/{message}/Media/{media}"
            form |= {f"MediaUrl{index}": base, f"MediaContentType{index}": type}
        self.received.append((form, self.clock()))
        return form

    def sign(self, url: str, form: dict[str, str]) -> str:
        whole = url + "".join(f"{key}{form[key]}" for key in sorted(form))
        return base64.b64encode(hmac.new(self.token.encode(), whole.encode(), hashlib.sha1).digest()).decode()

    def body(self, form: dict[str, str]) -> bytes:
        return urlencode(form).encode()

    # the REST API

    def _refused(self, request: web.Request) -> web.Response | None:
        wanted = base64.b64encode(f"{self.account}:{self.token}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {wanted}":
            return _error(401, 20003, "Authenticate")
        return None

    async def _account(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        return web.json_response({"sid": self.account, "friendly_name": "The lab", "status": "active", "type": "Full"})

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        if self.faults:
            fault = self.faults.pop(0)
            headers = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s else {}
            return _error(fault.status, 20429 if fault.status == 429 else 21602, "No", headers)
        form = {key: str(value) for key, value in (await request.post()).items()}
        if form.get("From", form.get("MessagingServiceSid")) != self.number:
            return _error(400, 21606, "The 'From' phone number is not a valid, message-capable number")
        if not re.fullmatch(r"\+[1-9]\d{4,14}", form["To"]):
            return _error(400, 21211, f"Invalid 'To' Phone Number: {form['To']}")
        if form["To"] in self.stopped:
            return _error(400, 21610, "Attempt to send to unsubscribed recipient")
        if not 0 < len(form["Body"]) <= TEXT_CHARS:
            return _error(400, 21617, "The concatenated message body exceeds the 1600 character limit")
        form["sid"] = self.sid("SM")
        self.messages.append(form)
        return web.json_response({"sid": form["sid"], "status": "queued", "error_code": None}, status=201)

    async def _listed(self, request: web.Request) -> web.StreamResponse:
        """Newest first, as the real one; `DateSent>` is a day."""
        if (refused := self._refused(request)) is not None:
            return refused
        query = dict(request.query)
        self.queries.append(query)
        since = datetime.fromisoformat(query["DateSent>"]).replace(tzinfo=UTC).timestamp()
        found = [
            {
                "sid": form["MessageSid"], "account_sid": self.account, "direction": "inbound", "from": form["From"],
                "to": form["To"], "body": form["Body"], "num_media": form["NumMedia"], "date_sent": format_datetime(
                    datetime.fromtimestamp(at, UTC)
                ),
            }
            for form, at in reversed(self.received)
            if at >= since and form["To"] == query["To"]
        ]  # fmt: skip
        return web.json_response({"messages": found[: int(query["PageSize"])], "next_page_uri": None})

    async def _media_of(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        form = next(form for form, _ in self.received if form["MessageSid"] == request.match_info["message"])
        found = [
            {"sid": form[f"MediaUrl{index}"].rsplit("/", 1)[1], "content_type": form[f"MediaContentType{index}"]}
            for index in range(int(form["NumMedia"]))
        ]
        return web.json_response({"media_list": found})

    async def _moved(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        media = request.match_info["media"]
        if media not in self.media:
            return _error(404, 20404, "The requested resource was not found")
        location = f"{self.media_host}/{self.account}/{media}?Expires=1790000000&Signature=abc"
        return web.Response(status=307, headers={"Location": location})

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        # The store behind it takes one way of proof: an address that is signed, or a header, but not both.
        if "Authorization" in request.headers:
            return web.Response(status=400, text="Only one auth mechanism allowed")
        if request.headers["Host"] != "mms.twiliocdn.com":
            return web.Response(status=404)
        type, content = self.media[request.match_info["media"]]
        return web.Response(body=content, content_type=type)


def _error(status: int, code: int, words: str, headers: dict[str, str] | None = None) -> web.Response:
    body: dict[str, Any] = {"code": code, "message": words, "status": status}
    return web.json_response(body, status=status, headers=headers or {})
