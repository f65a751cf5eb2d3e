"""Web chat: the page, what it sends, and the stream that it reads.

Layer: adapters/channels/web. Absent: accounts and passwords: a visitor is whoever holds the cookie, and a stranger until paired.
Laws: a request that changes something comes from our own page (Origin) with a cookie made here, or is a 401; what is
answered with 200 is kept; the page runs under a policy that lets in nothing from elsewhere.
"""

from __future__ import annotations

import asyncio
import html
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cache
from pathlib import Path

from carapax.adapters.channels.catalogue import Opening
from carapax.adapters.channels.web.shelf import FILE_BYTES, Shelf
from carapax.adapters.channels.web.texts import texts_of
from carapax.adapters.channels.web.visitors import TYPING_MS, Conversation, Visitors
from carapax.adapters.channels.web.wire import (
    Item,
    Said,
    event_of,
    find_key,
    is_same_origin,
    parse_last,
    parse_said,
    parse_upload,
    prefers_french,
    render_item,
    render_typing,
    set_cookie,
    visitor_of,
)
from carapax.core.terms.channel import (
    Attached,
    ChannelFacts,
    Evidence,
    Feature,
    HookAnswer,
    HookRequest,
    Markup,
    Outgoing,
    Person,
    Place,
    Received,
    Sent,
)
from carapax.core.terms.error import Malformed, TooLarge
from carapax.ports.channel import Channel, Hear, SendRefused

FACTS = ChannelFacts(
    kind="web",
    features=frozenset(
        {Feature.EDIT, Feature.TYPING, Feature.BUTTONS, Feature.FILES_IN, Feature.IDEMPOTENT, Feature.HOOK}
    ),
    text_chars=20_000,
    file_bytes=FILE_BYTES,
    markup=Markup.MARKDOWN,
    edits_per_minute=40,
)
PAGE = Path(__file__).parent / "page"
MAX_STREAMS = 200
MAX_STREAMS_EACH = 6
QUIET_S = 25.0  # shorter than what proxies forget
STREAM_S = 600.0
_FILES = {
    "/app.js": "text/javascript; charset=utf-8",
    "/style.css": "text/css; charset=utf-8",
    "/icon.svg": "image/svg+xml",
}
_POSTS = ("/hello", "/send", "/file")


def open_channel(opening: Opening) -> Channel:
    """A web chat; nothing is held open."""
    return WebChannel(opening)


class WebChannel:
    """Implements ports.channel.Channel."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._origin = opening.values.get("origin", "")
        self._visitors = Visitors(opening.keep, opening.clock)
        self._shelf = Shelf(opening.keep)
        self._closed = False

    def facts(self) -> ChannelFacts:
        return FACTS

    async def run(self, hear: Hear, up: Callable[[str], None]) -> None:
        """Nothing to hold open: pages come to us."""
        up(f"page at {self._origin or 'this gateway'}/hooks/{self._opening.name}")

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        """The page and its files, its requests, its stream."""
        if self._closed:
            return HookAnswer(503)
        match request.method, request.path:
            case "GET", "" | "/":
                return self._page(request)
            case "GET", path if path in _FILES:
                return _answer(200, _read(path[1:]), _FILES[path])
            case "GET", "/events":
                return await self._events(request)
            case "POST", path if path in _POSTS:
                return await self._post(request, hear)
            case _, path if path in ("", "/", "/events", *_FILES, *_POSTS):
                return _answer(405)
            case _:
                return _answer(404)

    async def send(self, outgoing: Outgoing) -> Sent:
        """Keep a line for the visitor, who sees it now or with the next look. The same key is the same line."""
        message = event_of(outgoing.place.chat, f"agent/{outgoing.key}")
        conversation = await self._known(outgoing.place)
        if outgoing.files:
            raise SendRefused("The web chat takes no files from the agent.")
        if conversation.find(message) is None:
            now_ms = self._opening.clock.now_ms()
            item = Item(0, message, False, outgoing.text, now_ms, buttons=outgoing.buttons)
            await self._visitors.put(outgoing.place.chat, item)
        return Sent(message)

    async def edit(self, place: Place, message: str, text: str) -> None:
        """Show another text in a line that is there."""
        item = (await self._known(place)).find(message)
        if item is None or item.mine:
            raise SendRefused("This line is no longer in the conversation.")
        if item.text != text:
            await self._visitors.put(place.chat, Item(0, message, False, text, item.at_ms, buttons=item.buttons))

    async def typing(self, place: Place) -> None:
        """Shown for eight seconds, or until the next line."""
        conversation = await self._known(place)
        conversation.typing_until_ms = self._opening.clock.monotonic_ms() + TYPING_MS
        conversation.wake()

    async def react(self, place: Place, message: str, mark: str) -> None:
        raise SendRefused("The web chat has no reactions.")

    async def fetch(self, attached: Attached, most_bytes: int) -> bytes:
        """A file that a visitor put down."""
        upload = await self._shelf.find(attached.ref)
        if upload is not None and upload.size_bytes > most_bytes:
            raise TooLarge(f"The file has {upload.size_bytes:,} bytes; at most {most_bytes:,} were allowed.")
        return await self._shelf.read(attached.ref)

    async def members(self, place: Place) -> frozenset[str] | None:
        return None

    async def test(self) -> Sequence[str]:
        """There is nobody to ask; where the page is."""
        return [f"the page is at {self._origin or 'the address of this gateway'}/hooks/{self._opening.name}"]

    async def close(self) -> None:
        """End every stream; the pages ask again."""
        self._closed = True
        self._visitors.wake_all()

    async def _known(self, place: Place) -> Conversation:
        if not await self._visitors.is_known(place.chat):
            raise SendRefused("This visitor is not known here any more.")
        return await self._visitors.open(place.chat)

    def _page(self, request: HookRequest) -> HookAnswer:
        french = prefers_french(request)
        base = "" if request.path else f"{self._opening.name}/"
        texts = texts_of(french) | {"title": self._opening.values.get("title") or "Carapax", "base": base}
        page = _read("index.html").decode()
        for name, text in texts.items():
            page = page.replace(f"{{{{{name}}}}}", html.escape(text))
        return self._framed(_answer(200, page.encode(), "text/html; charset=utf-8"))

    def _framed(self, answer: HookAnswer) -> HookAnswer:
        embed = self._opening.values.get("embed") or "'none'"
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
            f"form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors {embed}"
        )
        more = [("content-security-policy", policy), ("vary", "accept-language")]
        if embed == "'none'":
            more.append(("x-frame-options", "DENY"))
        return HookAnswer(answer.status, answer.body, answer.type, (*answer.headers, *more))

    async def _post(self, request: HookRequest, hear: Hear) -> HookAnswer:
        if not is_same_origin(request, self._origin):
            return _answer(401)
        type = request.header("content-type").partition(";")[0].strip().lower()
        if request.path != "/file" and type != "application/json":
            return _answer(415)
        if request.path == "/hello":
            return await self._hello(request)
        visitor = await self._visitor(request)
        if not visitor:
            return _answer(401)
        if not await self._visitors.may_say(visitor):
            return _answer(429, headers=(("retry-after", "60"),))
        try:
            if request.path == "/file":
                return await self._file(request, visitor)
            return await self._send(request, visitor, hear)
        except Malformed as error:
            return _json(413 if isinstance(error, TooLarge) else 400, {"error": error.what})

    async def _visitor(self, request: HookRequest) -> str:
        key = find_key(request)
        visitor = visitor_of(key) if key else ""
        return visitor if visitor and await self._visitors.is_known(visitor) else ""

    async def _hello(self, request: HookRequest) -> HookAnswer:
        """Make the browser a visitor, unless it is one."""
        if await self._visitor(request):
            return _json(200, {})
        key = secrets.token_urlsafe(32)
        if not await self._visitors.admit(visitor_of(key)):
            return _answer(429, headers=(("retry-after", "60"),))
        secure = request.header("origin").startswith("https://")
        cookie = set_cookie(key, f"/hooks/{self._opening.name}", secure=secure)
        return _json(200, {}, headers=(("set-cookie", cookie),))

    async def _file(self, request: HookRequest, visitor: str) -> HookAnswer:
        if request.header("content-type") != "application/octet-stream":
            return _answer(415)
        if len(request.body) > FILE_BYTES:
            raise TooLarge(f"The file is larger than {FILE_BYTES >> 20} MiB.")
        name, type = parse_upload(request.query, request.header("x-file-type"))
        upload = await self._shelf.put(visitor, name, type, request.body)
        return _json(200, {"ref": upload.ref})

    async def _send(self, request: HookRequest, visitor: str, hear: Hear) -> HookAnswer:
        said = parse_said(request.body)
        received = await self._received(said, visitor)
        await hear(received)
        if not said.press:
            names = tuple(file.name for file in received.files)
            conversation = await self._visitors.open(visitor)
            if conversation.find(received.event) is None:
                await self._visitors.put(
                    visitor, Item(0, received.event, True, said.text, received.sent_ms, files=names)
                )
        return _json(200, {"message": received.event})

    async def _received(self, said: Said, visitor: str) -> Received:
        event = event_of(visitor, said.id)
        if said.press:
            item = (await self._visitors.open(visitor)).find(said.message)
            if item is None or not any(button.data == said.press for button in item.buttons):
                raise Malformed("There is no such button.")
        uploads = [await self._shelf.find(ref, visitor) for ref in said.files]
        if None in uploads:
            raise Malformed("A file of this message is no longer kept; attach it again.")
        files = tuple(
            Attached(upload.ref, name=upload.name, type=upload.type, size_bytes=upload.size_bytes)
            for upload in uploads
            if upload is not None
        )
        return Received(
            place=Place(self._opening.name, visitor),
            sender=Person(visitor),
            event=event,
            text="" if said.press else said.text,
            sent_ms=self._opening.clock.now_ms(),
            message=said.message if said.press else event,
            evidence=Evidence.PLATFORM,
            pressed=said.press,
            files=files,
        )

    async def _events(self, request: HookRequest) -> HookAnswer:
        if request.header("sec-fetch-site") not in ("", "same-origin"):
            return _answer(401)
        visitor = await self._visitor(request)
        if not visitor:
            return _answer(401)
        conversation = await self._visitors.open(visitor)
        if len(conversation.streams) >= MAX_STREAMS_EACH or self._visitors.stream_count() >= MAX_STREAMS:
            return _answer(429, headers=(("retry-after", "60"),))
        stream = self._stream(conversation, parse_last(request))
        bare = _answer(200, type="text/event-stream; charset=utf-8")
        return HookAnswer(200, type=bare.type, headers=(*bare.headers, ("x-accel-buffering", "no")), stream=stream)

    async def _stream(self, conversation: Conversation, last: int) -> AsyncIterator[bytes]:
        """Every line after `last`, then each as it comes, for ten minutes; the page asks again by itself."""
        woken = asyncio.Event()
        conversation.streams.add(woken)
        clock = self._opening.clock
        end_ms = clock.monotonic_ms() + int(STREAM_S * 1000)
        typing = False
        try:
            yield b"retry: 2000\n\n"
            while not self._closed and clock.monotonic_ms() < end_ms:
                woken.clear()
                for item in conversation.after(last):
                    last = item.seq
                    yield render_item(item)
                left_ms = conversation.typing_until_ms - clock.monotonic_ms()
                if typing is not (left_ms > 0):
                    typing = not typing
                    yield render_typing(typing)
                try:
                    async with asyncio.timeout(left_ms / 1000 if typing else QUIET_S):
                        await woken.wait()
                except TimeoutError:
                    if not typing:
                        yield b": still here\n\n"
        finally:
            conversation.streams.discard(woken)


@cache
def _read(name: str) -> bytes:
    return (PAGE / name).read_bytes()


def _answer(
    status: int, body: bytes = b"", type: str = "text/plain; charset=utf-8", headers: tuple[tuple[str, str], ...] = ()
) -> HookAnswer:
    always = (
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    )
    return HookAnswer(status, body, type, (*always, *headers))


def _json(status: int, given: object, headers: tuple[tuple[str, str], ...] = ()) -> HookAnswer:
    return _answer(status, json.dumps(given).encode(), "application/json", headers)
