"""A local Bot API: long polling, the webhook, messages, files, reactions, and its refusals, as its documentation says.

Source: core.telegram.org/bots/api (version 9). One bot, some people, one group with topics.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from aiohttp import web

from tests.fakes.platforms.serving import Fault, Server

TEXT_CHARS = 4_096
CAPTION_CHARS = 1_024
DOWNLOAD_BYTES = 20 << 20
MENTION = re.compile(r"(?<!\w)@([A-Za-z0-9_]{2,32})")
TAGS = {"b", "strong", "i", "em", "u", "s", "del", "code", "pre", "a", "tg-spoiler", "blockquote"}
REACTIONS = set("👍👎🔥🥰👏😁🤔🤯😱🎉🤩🙏👌🤝👀💯⚡🏆💔🤨😐🍓💋😈😴😭🤓👻🙈😇😨✍🤗🫡🎅🎄💅🤪🗿🆒💘🙉🦄😘💊🙊😎👾😡") | {
    "❤"
}
SENDS = ("sendMessage", "sendDocument", "editMessageText")
Caller = Callable[[dict[str, Any], str], Awaitable[bool]]


class Html(HTMLParser):
    """Telegram's HTML: the words, the code in it, and whom it names. Raises ValueError as the real parser refuses."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[tuple[str, bool]] = []
        self.named: list[str] = []
        self._open: list[str] = []
        # HTMLParser forgives a bare "<"; Telegram does not.
        if re.search(r"<(?!/?[a-z])", text):
            raise ValueError("Unsupported start tag")
        self.feed(text)
        self.close()
        if self._open:
            raise ValueError(f"Can't find end tag corresponding to start tag {self._open[-1]}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            raise ValueError(f'Unsupported start tag "{tag}"')
        self._open.append(tag)
        href = dict(attrs).get("href") or ""
        if href.startswith("tg://user?id="):
            self.named.append(href.removeprefix("tg://user?id="))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            raise ValueError("Unmatched end tag")

    def handle_data(self, data: str) -> None:
        self.words.append((data, bool({"code", "pre"} & set(self._open))))


def parse_marked(text: str, mode: str) -> tuple[str, tuple[str, ...]]:
    """What people see, and whom it notifies."""
    pieces, named = [(text, False)], []
    if mode:
        assert mode == "HTML"
        parsed = Html(text)
        pieces, named = parsed.words, parsed.named
    named += [found for words, code in pieces if not code for found in MENTION.findall(words)]
    return "".join(words for words, _ in pieces), tuple(named)


@dataclass
class Telegram:
    """`people` by the rig's name; messages have one count for all chats."""

    token: str
    people: dict[str, dict[str, Any]]
    group: dict[str, Any]
    bot: dict[str, Any]
    updates: list[dict[str, Any]] = field(default_factory=list)  # not confirmed yet
    again: list[dict[str, Any]] = field(default_factory=list)  # delivered once more whatever the offset says
    newest: dict[str, Any] = field(default_factory=dict)
    messages: dict[int, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    reactions: dict[int, list[str]] = field(default_factory=dict)
    typing: list[int] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    blocked: set[int] = field(default_factory=set)
    moved: dict[int, int] = field(default_factory=dict)
    webhook: dict[str, Any] = field(default_factory=dict)
    caller: Caller | None = None
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    clock: Callable[[], float] = time.time
    offsets: list[int | None] = field(default_factory=list)
    poll_s: float = 50.0  # the longest that a poll is held open

    def __post_init__(self) -> None:
        self.server = Server(
            [
                ("*", "/bot{token:[^/]+}/{method}", self._answer),
                ("GET", "/file/bot{token:[^/]+}/{path:.+}", self._file),
            ]
        )
        self._count = 100
        self._update = 1_000
        self.polls: list[web.Request] = []
        self._ended: set[int] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._calling = asyncio.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self.cut()
        await self.server.stop()

    async def cut(self) -> None:
        polls, self.polls = self.polls, []
        for poll in polls:
            if poll.transport is not None:
                poll.transport.abort()

    # what people do

    async def happen(self, **what: Any) -> dict[str, Any]:
        """An update for the bot."""
        self._update += 1
        self.newest = {"update_id": self._update, **what}
        self.updates.append(self.newest)
        await self.call_all()
        return self.newest

    def message(self, sender: str, chat: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
        person = self.people[sender]
        self._count += 1
        made = {
            "message_id": self._count,
            "date": int(self.clock()),
            "from": person,
            "chat": chat or {"id": person["id"], "type": "private", "first_name": person["first_name"]},
            **more,
        }
        self.messages[self._count] = made
        return made

    def keep_file(self, name: str, content: bytes) -> str:
        made = f"BQACAgQAAxk{len(self.files):04}"
        self.files[made] = (f"documents/file_{len(self.files)}.bin", content)
        return made

    async def call_all(self) -> None:
        """The webhook: what is answered with 2xx is done, the rest is tried again with the next one."""
        if not self.webhook or self.caller is None:
            return
        async with self._calling:
            for update in list(self.updates):
                if await self.caller(update, self.webhook.get("secret_token", "")):
                    self.updates.remove(update)

    # the Bot API

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["token"] != self.token:
            return _refusal(401, "Unauthorized")
        method = request.match_info["method"]
        given = await _given(request)
        self.requests.append((method, given))
        answer = getattr(self, f"_{method}", None)
        if answer is None:
            return _refusal(404, "Not Found: method not found")
        if method in SENDS and self.faults:
            fault = self.faults.pop(0)
            more = {"retry_after": fault.retry_after_s} if fault.retry_after_s else {}
            words = {429: f"Too Many Requests: retry after {fault.retry_after_s}"}.get(fault.status, "Bad Request: no")
            return _refusal(fault.status, words, more)
        try:
            return await answer(given, request)
        except Refusal as refusal:
            return _refusal(refusal.code, refusal.words, refusal.more)

    async def _getMe(self, given: dict[str, Any], request: web.Request) -> web.Response:
        return _result(self.bot)

    async def _deleteWebhook(self, given: dict[str, Any], request: web.Request) -> web.Response:
        self.webhook = {}
        return _result(True)

    async def _setWebhook(self, given: dict[str, Any], request: web.Request) -> web.Response:
        if not given["url"].startswith("https://"):
            raise Refusal(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", given.get("secret_token", "x")):
            raise Refusal(400, "Bad Request: secret token contains unallowed characters")
        self.webhook = given
        task = asyncio.create_task(self.call_all())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return _result(True)

    async def _getUpdates(self, given: dict[str, Any], request: web.Request) -> web.Response:
        if self.webhook:
            raise Refusal(409, "Conflict: can't use getUpdates method while webhook is active")
        offset = given.get("offset")
        self.offsets.append(None if offset is None else int(offset))
        if offset is not None:
            self.updates = [update for update in self.updates if update["update_id"] >= int(offset)]
        for older in self.polls:
            self._ended.add(id(older))
        self.polls.append(request)
        ends = time.monotonic() + min(int(given.get("timeout", 0)), self.poll_s)
        try:
            while not (self.updates or self.again) and time.monotonic() < ends:
                if id(request) in self._ended:
                    raise Refusal(
                        409, "Conflict: terminated by other getUpdates request; make sure that only one bot runs"
                    )
                if request.transport is None or request.transport.is_closing():
                    break
                await asyncio.sleep(0.01)
            again, self.again = self.again, []
            return _result((again + self.updates)[: int(given.get("limit", 100))])
        finally:
            self._ended.discard(id(request))
            if request in self.polls:
                self.polls.remove(request)

    async def _sendMessage(self, given: dict[str, Any], request: web.Request) -> web.Response:
        text, pings = self._marked(given, "text", TEXT_CHARS)
        if not text.strip():
            raise Refusal(400, "Bad Request: message text is empty")
        return _result(self._sent(given, text=text, pings=pings))

    async def _sendDocument(self, given: dict[str, Any], request: web.Request) -> web.Response:
        text, pings = self._marked(given, "caption", CAPTION_CHARS)
        name, content = given["document"]
        kept = self.keep_file(name, content)
        file = {"file_id": kept, "file_unique_id": kept[-4:], "file_name": name, "file_size": len(content)}
        return _result(self._sent(given, caption=text, pings=pings, document=file, sent=(name, content)))

    async def _editMessageText(self, given: dict[str, Any], request: web.Request) -> web.Response:
        message = self.messages.get(int(given["message_id"]))
        if message is None or message["from"] != self.bot:
            raise Refusal(400, "Bad Request: message to edit not found")
        text, pings = self._marked(given, "text", TEXT_CHARS)
        if message.get("text") == text:
            raise Refusal(400, "Bad Request: message is not modified: specified new message content is the same")
        message.update(text=text, pings=pings, reply_markup=given.get("reply_markup"))
        return _result(_public(message))

    async def _sendChatAction(self, given: dict[str, Any], request: web.Request) -> web.Response:
        self._chat(given)
        self.typing.append(int(given["chat_id"]))
        return _result(True)

    async def _setMessageReaction(self, given: dict[str, Any], request: web.Request) -> web.Response:
        self._chat(given)
        marks = [reaction["emoji"] for reaction in given["reaction"]]
        if not set(marks) <= REACTIONS:
            raise Refusal(400, "Bad Request: REACTION_INVALID")
        self.reactions[int(given["message_id"])] = marks
        return _result(True)

    async def _answerCallbackQuery(self, given: dict[str, Any], request: web.Request) -> web.Response:
        self.answered.append(given["callback_query_id"])
        return _result(True)

    async def _getFile(self, given: dict[str, Any], request: web.Request) -> web.Response:
        if given["file_id"] not in self.files:
            raise Refusal(400, "Bad Request: invalid file_id")
        path, content = self.files[given["file_id"]]
        if len(content) > DOWNLOAD_BYTES:
            raise Refusal(400, "Bad Request: file is too big")
        return _result(
            {"file_id": given["file_id"], "file_unique_id": "u", "file_size": len(content), "file_path": path}
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["token"] != self.token:
            return _refusal(401, "Unauthorized")
        for path, content in self.files.values():
            if path == request.match_info["path"]:
                return web.Response(body=content)
        return _refusal(404, "Not Found")

    def _marked(self, given: dict[str, Any], key: str, most: int) -> tuple[str, tuple[str, ...]]:
        try:
            text, pings = parse_marked(given.get(key, ""), given.get("parse_mode", ""))
        except ValueError as error:
            raise Refusal(400, f"Bad Request: can't parse entities: {error}") from None
        if len(text) > most:
            raise Refusal(400, f"Bad Request: message {'caption ' if key == 'caption' else ''}is too long")
        return text, pings

    def _chat(self, given: dict[str, Any]) -> dict[str, Any]:
        chat = int(given["chat_id"])
        if chat in self.moved:
            words = "Bad Request: group chat was upgraded to a supergroup chat"
            raise Refusal(400, words, {"migrate_to_chat_id": self.moved[chat]})
        if chat in self.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        known = {person["id"]: {"id": person["id"], "type": "private"} for person in self.people.values()}
        known[self.group["id"]] = self.group
        known |= {new: {"id": new, "type": "supergroup"} for new in self.moved.values()}
        if chat not in known:
            raise Refusal(400, "Bad Request: chat not found")
        return known[chat]

    def _sent(self, given: dict[str, Any], **more: Any) -> dict[str, Any]:
        chat = self._chat(given)
        self._count += 1
        message = {
            "message_id": self._count,
            "date": int(self.clock()),
            "from": self.bot,
            "chat": chat,
            "reply_markup": given.get("reply_markup"),
            "reply": (given.get("reply_parameters") or {}).get("message_id"),
            "thread": given.get("message_thread_id"),
            **more,
        }
        self.messages[self._count] = message
        return _public(message)


@dataclass
class Refusal(Exception):
    code: int
    words: str
    more: dict[str, Any] = field(default_factory=dict)


def _public(message: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in message.items() if v is not None and k not in ("pings", "reply", "thread", "sent")}


def _result(result: Any) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def _refusal(code: int, words: str, more: dict[str, Any] | None = None) -> web.Response:
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": words}
    headers = {}
    if more:
        body["parameters"] = more
        if "retry_after" in more:
            headers["Retry-After"] = str(more["retry_after"])
    return web.json_response(body, status=code, headers=headers)


async def _given(request: web.Request) -> dict[str, Any]:
    """The parameters: JSON, a form, or a form with files; in forms, what is no text is JSON."""
    if request.content_type == "application/json":
        found: dict[str, Any] = await request.json()
        return found
    given: dict[str, Any] = dict(request.query)
    if request.method == "POST":
        for key, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                given[key] = (value.filename, value.file.read())
            else:
                given[key] = value
    for key in ("reply_parameters", "reply_markup", "reaction", "link_preview_options"):
        if isinstance(given.get(key), str):
            given[key] = json.loads(given[key])
    return given
