"""Platforms on this machine, each with people who write: the tests' stand-ins, told apart by name and driven by number.

Owns one form for all of them: `say`, `cut`, and a book that is told what was taken and what came back. A platform keeps
what was said until the gateway took it, as the real ones do.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from bench.channels.book import Book
from tests.fakes.platforms import mattermost, signal
from tests.fakes.platforms.hook import Peer as HookSide
from tests.fakes.platforms.telegram import Telegram
from tests.fakes.platforms.terminal_client import Client
from tests.journeys.gate import Gate

RETRY_S = 0.05
ALICE, BOB = "alice", "bob"


class Peer(Protocol):
    """One platform with one bot of ours. `people` write to it, each in a conversation of their own."""

    name: str
    kind: str
    people: tuple[str, ...]

    def answers(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The values and the secrets that the channel is added with."""
        ...

    async def start(self, gate: Gate, book: Book) -> None: ...

    async def stop(self) -> None: ...

    async def say(self, who: str, number: str, text: str) -> None:
        """A person writes; returns once the platform has it."""
        ...

    async def cut(self) -> None:
        """Break every connection."""
        ...


# Telegram


class _BotApi(Telegram):
    """Woken instead of looking again and again, and without a memory of everything."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.woken = asyncio.Event()
        self.requests = deque(maxlen=64)  # type: ignore[assignment]
        self.typing = deque(maxlen=64)  # type: ignore[assignment]
        self.offsets = deque(maxlen=64)  # type: ignore[assignment]
        self.mine: Any = None
        self.given: dict[int, float] = {}
        self.confirmed_s: deque[float] = deque(maxlen=200_000)
        self.taken: Any = lambda update: None

    async def happen(self, **what: Any) -> dict[str, Any]:
        made = await super().happen(**what)
        self.woken.set()
        return made

    async def _getUpdates(self, given: dict[str, Any], request: web.Request) -> web.Response:
        offset, now_s = given.get("offset"), time.monotonic()
        if offset is not None:
            for update in self.updates:
                if update["update_id"] < int(offset):
                    self.taken(update)
                    if (at_s := self.given.pop(update["update_id"], 0.0)) > 0:
                        self.confirmed_s.append(now_s - at_s)
            self.updates = [update for update in self.updates if update["update_id"] >= int(offset)]
        ends = now_s + min(int(given.get("timeout", 0)), self.poll_s)
        self.polls.append(request)
        try:
            while not self.updates and time.monotonic() < ends:
                if request.transport is None or request.transport.is_closing():
                    break
                self.woken.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.woken.wait(), 0.5)
            batch = self.updates[: int(given.get("limit", 100))]
            for update in batch:
                self.given.setdefault(update["update_id"], time.monotonic())
            return web.json_response({"ok": True, "result": batch})
        finally:
            if request in self.polls:
                self.polls.remove(request)

    def _sent(self, given: dict[str, Any], **more: Any) -> dict[str, Any]:
        made = super()._sent(given, **more)
        self.mine(str(given["chat_id"]), more.get("text", ""))
        for old in list(self.messages)[:-2_000]:
            del self.messages[old]
        return made


class TelegramPeer:
    """A bot that is polled."""

    kind = "telegram"

    def __init__(self, name: str, people: int = 4) -> None:
        self.name = name
        self.people = tuple(f"p{n}" for n in range(people))
        self._ids = {who: 1_001 + n for n, who in enumerate(self.people)}
        known = {who: {"id": ident, "is_bot": False, "first_name": who} for who, ident in self._ids.items()}
        bot = {"id": 424242, "is_bot": True, "first_name": "Carapax", "username": "carapax_test_bot"}
        bot |= {"can_read_all_group_messages": True, "can_join_groups": True}
        group = {"id": -1_001, "type": "supergroup", "title": "x"}
        self.api = _BotApi(token=f"424242:{'t' * 35}", people=known, group=group, bot=bot)

    def answers(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        return {"api": self.api.url}, {"token": self.api.token}

    async def start(self, gate: Gate, book: Book) -> None:
        names = {str(ident): who for who, ident in self._ids.items()}
        self.api.mine = lambda chat, text: book.reply(self.name, names[chat], text)
        self.api.taken = lambda update: _take_number(book, update["message"]["text"])
        await self.api.start()

    async def stop(self) -> None:
        await self.api.stop()

    async def say(self, who: str, number: str, text: str) -> None:
        await self.api.happen(message=dict(self.api.message(who, None, text=text)))

    async def cut(self) -> None:
        await self.api.cut()


def _take_number(book: Book, text: str) -> None:
    number = text.rpartition(" ")[2]
    if number in book.said:
        book.take(number)


# signed webhooks


class _HookSide(HookSide):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.requests = deque(maxlen=64)  # type: ignore[assignment]
        self.mine: Any = None

    def _take(self, id: str, said: dict[str, Any]) -> web.Response:
        if said["type"] == "message" and id not in self.messages:
            self.mine(said["chat"], said["text"])
        answer = super()._take(id, said)
        for old in list(self.messages)[:-2_000]:
            del self.messages[old]
        return answer


class HookPeer:
    """A program that calls, and is called back; what is not answered well is sent again, in its order."""

    kind = "hook"

    def __init__(self, name: str, people: int = 4) -> None:
        self.name = name
        self.people = tuple(f"p{n}" for n in range(people))
        secret = "whsec_" + base64.b64encode(b"a shared secret of 32 bytes, yes").decode()
        self.side = _HookSide(secret=secret, now_ms=lambda: int(time.time() * 1000))
        self.waits_s: deque[float] = deque(maxlen=200_000)
        self.statuses: dict[int, int] = {}
        self._locks = {who: asyncio.Lock() for who in self.people}
        self._tasks: set[asyncio.Task[None]] = set()

    def answers(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        return {"out_url": self.side.url}, {"secret": self.side.secret}

    async def start(self, gate: Gate, book: Book) -> None:
        self._gate, self._book = gate, book
        self.side.mine = lambda chat, text: book.reply(self.name, chat, text)
        self._session = ClientSession(timeout=ClientTimeout(total=30))
        await self.side.server.start()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()
        await self.side.server.stop()

    async def say(self, who: str, number: str, text: str) -> None:
        _later(self._tasks, self.post(who, number, text))

    async def post(self, who: str, number: str, text: str) -> None:
        """Until it is taken; the same request has the same id."""
        body = json.dumps({"id": number, "sender": who, "sender_name": who, "text": text}).encode()
        async with self._locks[who]:
            while True:
                began_s = time.monotonic()
                if await self._posted(number, body):
                    self.waits_s.append(time.monotonic() - began_s)
                    if number in self._book.said:
                        self._book.take(number)
                    return
                await asyncio.sleep(RETRY_S)

    async def _posted(self, number: str, body: bytes) -> bool:
        seconds = int(time.time())
        ident = f"req-{self.name}-{number}"
        headers = {
            "content-type": "application/json",
            "webhook-id": ident,
            "webhook-timestamp": str(seconds),
            "webhook-signature": self.side.sign(ident, seconds, body),
        }
        try:
            url = f"{self._gate.url}/hooks/{self.name}"
            async with self._session.post(url, data=body, headers=headers) as answer:
                await answer.read()
                self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
                return answer.status == 200
        except (ClientError, OSError, TimeoutError, ValueError):  # the gateway is away, or its file is not there yet
            return False

    async def cut(self) -> None:
        return  # it holds no connection open


def _later(tasks: set[asyncio.Task[None]], work: Any) -> None:
    task = asyncio.ensure_future(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


# Mattermost


class _Mattermost(mattermost.FakeMattermost):
    mine: Any
    seen: Any

    def add(self, channel: str, user: str, message: str, **more: Any) -> dict[str, Any]:
        made = super().add(channel, user, message, **more)
        if user == mattermost.ME:
            self.mine(channel, message)
        return made


class MattermostPeer:
    """A server with a socket."""

    kind = "mattermost"
    people: tuple[str, ...] = (ALICE, BOB)

    def __init__(self, name: str) -> None:
        self.name = name
        self.server = _Mattermost()
        # Its clock runs with this machine's: a channel asks for what was said since it was last there.
        self.server._now_ms = int(time.time() * 1000)

    def answers(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        return {"server": f"http://127.0.0.1:{self.server.server.port}"}, {"token": mattermost.TOKEN}

    async def start(self, gate: Gate, book: Book) -> None:
        names = {chat: who for who, chat in mattermost.DMS.items()}
        self.server.mine = lambda chat, text: book.reply(self.name, names[chat], text)
        await self.server.server.start()

    async def stop(self) -> None:
        await self.server.server.stop()

    async def say(self, who: str, number: str, text: str) -> None:
        post = self.server.add(mattermost.DMS[who], mattermost.PEOPLE[who], text)
        with contextlib.suppress(ConnectionError):
            await self.server.tell_post("posted", post)

    async def cut(self) -> None:
        await self.server.server.cut()


# Signal


class _Signal(signal.FakeSignal):
    mine: Any

    def _send(self, **given: Any) -> Any:
        made = super()._send(**given)
        if "editTimestamp" not in given:
            self.mine((given.get("recipient") or [""])[0], given.get("message", ""))
        for old in list(self.sent)[:-2_000]:
            del self.sent[old]
        self.calls = self.calls[-64:]
        return made


class SignalPeer:
    """A signal-cli daemon."""

    kind = "signal"
    people: tuple[str, ...] = (ALICE, BOB)

    def __init__(self, name: str) -> None:
        self.name = name
        self.daemon = _Signal()

    def answers(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        return {"server": f"http://127.0.0.1:{self.daemon.server.port}", "account": signal.ACCOUNT}, {}

    async def start(self, gate: Gate, book: Book) -> None:
        names = {ident: who for who, ident in signal.PEOPLE.items()}
        self.daemon.mine = lambda chat, text: book.reply(self.name, names[chat], text)
        await self.daemon.server.start()

    async def stop(self) -> None:
        await self.daemon.cut()
        await self.daemon.server.stop()

    async def say(self, who: str, number: str, text: str) -> None:
        message = {"timestamp": self.daemon.stamp(), "message": text, "expiresInSeconds": 0, "viewOnce": False}
        self.daemon.push(who, dataMessage=message)

    async def cut(self) -> None:
        await self.daemon.cut()


# this machine: the web chat and the terminal


class WebPeer:
    """A page that a browser has open."""

    kind = "web"
    people: tuple[str, ...] = (ALICE,)

    def __init__(self, name: str) -> None:
        self.name = name
        self._seen: set[str] = set()
        self._last = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()

    def answers(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        return {}, {}

    async def start(self, gate: Gate, book: Book) -> None:
        self._gate, self._book = gate, book
        self._session = ClientSession(timeout=ClientTimeout(total=None, sock_connect=10))
        self._cookie = ""
        self._reading: Any = None
        _later(self._tasks, self._read())

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    def _headers(self) -> dict[str, str]:
        more = {"cookie": self._cookie} if self._cookie else {}
        return {"origin": self._gate.url, "sec-fetch-site": "same-origin", **more}

    async def _read(self) -> None:
        while True:
            with contextlib.suppress(ClientError, OSError, TimeoutError, ValueError):
                if not self._cookie:
                    await self._hello()
                await self._follow()
            await asyncio.sleep(RETRY_S)

    async def _hello(self) -> None:
        async with self._session.post(
            f"{self._gate.url}/hooks/{self.name}/hello", json={}, headers=self._headers()
        ) as answer:
            self._cookie = answer.headers.get("set-cookie", "").partition(";")[0]

    async def _follow(self) -> None:
        more = {"last-event-id": self._last} if self._last else {}
        url = f"{self._gate.url}/hooks/{self.name}/events"
        headers = self._headers() | {"accept": "text/event-stream"} | more
        async with self._session.get(url, headers=headers) as answer:
            self._reading = answer
            part: dict[str, str] = {}
            async for raw in answer.content:
                line = raw.decode().rstrip("\n")
                if line:
                    key, _, value = line.partition(": ")
                    part[key] = value
                    continue
                self._take(part)
                part = {}

    def _take(self, part: Mapping[str, str]) -> None:
        if part.get("event") != "line":
            return
        self._last = part["id"]
        shown = json.loads(part["data"])
        if not shown["mine"] and shown["id"] not in self._seen:
            self._seen.add(shown["id"])
            self._book.reply(self.name, ALICE, shown["text"])

    async def say(self, who: str, number: str, text: str) -> None:
        _later(self._tasks, self.post(number, text))

    async def post(self, number: str, text: str) -> None:
        said = {"id": secrets.token_urlsafe(24), "text": text}
        async with self._lock:
            while True:
                with contextlib.suppress(ClientError, OSError, TimeoutError, ValueError):
                    async with self._session.post(
                        f"{self._gate.url}/hooks/{self.name}/send", json=said, headers=self._headers()
                    ) as answer:
                        if answer.status == 200:
                            if number in self._book.said:
                                self._book.take(number)
                            return
                await asyncio.sleep(RETRY_S)

    async def cut(self) -> None:
        if self._reading is not None:
            self._reading.close()


class _Terminal(Client):
    """Told of what comes, and one line at a time: what waits is said again in its order."""

    def __init__(self, path: str, name: str, book: Book) -> None:
        self._name, self._book = name, book
        self.waits_s: deque[float] = deque(maxlen=200_000)
        self._said_s: dict[str, tuple[str, float]] = {}
        super().__init__(path)

    def say_number(self, number: str, text: str) -> None:
        at_s = time.monotonic()
        self._said_s[self.say(text=text)] = (number, at_s)

    def _take(self, told: dict[str, Any]) -> None:
        fresh = told["type"] == "line" and told["id"] not in self.lines
        super()._take(told)
        if fresh:
            self._book.reply(self._name, ALICE, told["text"])
        if told["type"] == "taken" and (kept := self._said_s.pop(told["id"], None)) is not None:
            self.waits_s.append(time.monotonic() - kept[1])
            if kept[0] in self._book.said:
                self._book.take(kept[0])

    def hang_up(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()


class TerminalPeer:
    """A program at the socket."""

    kind = "terminal"
    people: tuple[str, ...] = (ALICE,)

    def __init__(self, name: str) -> None:
        self.name = name

    def answers(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        return {"path": self._path}, {}

    async def start(self, gate: Gate, book: Book) -> None:
        self._path = str(gate.home / "run" / f"{self.name}.sock")
        self.client = _Terminal(self._path, self.name, book)

    async def stop(self) -> None:
        await self.client.stop()

    async def say(self, who: str, number: str, text: str) -> None:
        self.client.say_number(number, text)

    async def cut(self) -> None:
        self.client.hang_up()


KINDS: Mapping[str, Any] = {
    "telegram": TelegramPeer,
    "hook": HookPeer,
    "mattermost": MattermostPeer,
    "signal": SignalPeer,
    "web": WebPeer,
    "terminal": TerminalPeer,
}
