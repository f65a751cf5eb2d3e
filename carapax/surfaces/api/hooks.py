"""The door for platforms: `/hooks/NAME`, where nobody is authenticated before the channel has checked a signature.

Layer: surfaces/api. Owns bounds (size, time, how many at once, how often per peer and channel) and which headers of a
channel's answer leave. Absent: any judgement of what came (the channel's), CORS, logs of what was sent.
Laws: what is over a bound is answered before the channel sees it; whatever fails is an answer without a reason; nothing
that a platform sent is in a log or an error.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from carapax.core.terms.channel import HookAnswer, HookRequest
from carapax.core.terms.error import CarapaxError, Malformed, NotFound, Refused, TooLarge
from carapax.ports.clock import Clock
from carapax.ports.gateway import Gateway
from carapax.surfaces.api.body import read_body
from carapax.surfaces.api.rate import Failures, peer_key
from carapax.surfaces.api.settings import ApiSettings

PREFIX = "/hooks/"
METHODS = ("GET", "POST", "PUT", "DELETE")
OWN_POLICY = "carapax.own_policy"
"""Set in the scope when the channel's page brought a content security policy that closes everything it does not name."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+(?:; ?[a-z]+=[A-Za-z0-9_-]+)*", re.ASCII)
_LEAVES = frozenset(
    {"allow", "content-disposition", "content-language", "content-security-policy", "etag", "last-modified", "location",
     "permissions-policy", "retry-after", "set-cookie", "vary", "www-authenticate"}
)  # fmt: skip
_VALUE = re.compile(r"[\x20-\x7e]{0,4096}")
_SAID = {400: "malformed", 401: "not accepted", 404: "nothing here", 413: "too large", 429: "too often", 503: "not now"}


class Full(CarapaxError):
    """More is asked at once than the bounds allow."""


class Door:
    """All hooks of one gateway."""

    def __init__(self, gateway: Gateway, settings: ApiSettings, clock: Clock) -> None:
        self._gateway = gateway
        self._settings = settings
        self._calls = Failures(clock, settings.hook_calls, settings.window_ms, settings.peers)
        self._read: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._held_bytes = 0
        self._streams = 0

    async def answer(self, request: Request, peer: str) -> Response:
        """What the platform gets; never an error with words of ours beyond its status."""
        name = str(request.path_params["name"])
        most = self._gateway.hook_bytes(name) if _NAME.fullmatch(name) else 0
        if most <= 0:
            return _plain(404)
        key = f"{peer_key(peer)} {name}"
        if wait_s := self._calls.wait_s(key):
            return _plain(429, wait_s)
        self._calls.add(key)
        try:
            with self._memory(_size(request, most)):
                # A body that arrives slowly takes no place of those that the channel works on.
                with _place(self._read, key, self._settings.hooks_read, self._settings.hooks_read_each):
                    body = await read_body(request.scope, request.receive, most, self._settings)
                with _place(self._open, name, self._settings.hooks_open, self._settings.hooks_open_each):
                    found = await self._ask(name, request, peer, body)
            return await self._rendered(name, request, found)
        except Full:
            return _plain(503, 1)
        except TimeoutError:
            return _plain(503, 5)
        except CarapaxError as error:
            return _plain(_status(error))

    @contextmanager
    def _memory(self, size: int) -> Iterator[None]:
        if self._held_bytes + size > self._settings.hook_memory_bytes:
            raise Full("too much at once")
        self._held_bytes += size
        try:
            yield
        finally:
            self._held_bytes -= size

    async def _ask(self, name: str, request: Request, peer: str, body: bytes) -> HookAnswer:
        asked = HookRequest(
            method=request.method,
            path=request.scope["path"][len(PREFIX) + len(name) :],
            query=request.scope["query_string"].decode("latin-1"),
            headers=tuple(
                (key.decode("latin-1").lower(), value.decode("latin-1")) for key, value in request.headers.raw
            ),
            body=body,
            url=self._address(request),
            peer=peer,
        )
        async with asyncio.timeout(self._settings.hook_ms / 1000):
            return await self._gateway.hook(name, asked)

    def _address(self, request: Request) -> str:
        """The address as the platform called it: with it some sign what they send."""
        scheme = "https" if self._settings.tls else "http"
        base = self._settings.public_url.rstrip("/") or f"{scheme}://{request.headers['host']}"
        raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        query: bytes = request.scope["query_string"]
        return base + raw.decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")

    async def _rendered(self, name: str, request: Request, answer: HookAnswer) -> Response:
        status = answer.status if 200 <= answer.status <= 599 else 500
        media = answer.type if _TYPE.fullmatch(answer.type) else "application/octet-stream"
        if answer.stream is None:
            response: Response = Response(answer.body, status, media_type=media)
        else:
            if self._streams >= self._settings.hook_streams:
                await leave(answer.stream)
                raise Full("too many streams")
            response = _Going(self, answer.stream, status, media)
        for key, value in _leaving(name, answer.headers):
            response.headers.append(key, value)
            if key == "content-security-policy" and closes(value):
                request.scope[OWN_POLICY] = True
        return response

    def stream(self, by: int) -> None:
        """Count an answer that goes on, or that ended."""
        self._streams += by


class _Going(StreamingResponse):
    """An answer that goes on; it is counted and its source is closed, however it ends."""

    def __init__(self, door: Door, stream: AsyncIterator[bytes], status: int, media: str) -> None:
        super().__init__(stream, status, {"X-Accel-Buffering": "no"}, media_type=media)
        self._door, self._stream = door, stream
        door.stream(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._door.stream(-1)
            await leave(self._stream)


async def leave(stream: AsyncIterator[bytes]) -> None:
    """Let a stream's source know that nobody reads on."""
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()


@contextmanager
def _place(taken: Counter[str], key: str, most: int, most_each: int) -> Iterator[None]:
    """One of so many places in all, and for one key."""
    if taken.total() >= most or taken[key] >= most_each:
        raise Full("too many at once")
    taken[key] += 1
    try:
        yield
    finally:
        taken[key] -= 1
        if not taken[key]:
            del taken[key]


def _size(request: Request, most: int) -> int:
    """How much memory a body may take: what it declares, at most what is read of it."""
    declared = request.headers.get("content-length", "")
    return min(int(declared), most) if declared.isascii() and declared.isdigit() and len(declared) < 16 else most


def _leaving(name: str, headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Headers of a channel's answer that may leave; a cookie only for the channel's own path."""
    for key, value in headers:
        key = key.lower()
        if key not in _LEAVES or not _VALUE.fullmatch(value):
            continue
        if key != "set-cookie" or re.search(rf"; *path={re.escape(PREFIX + name)}/?(?:;|\Z)", value, re.IGNORECASE):
            yield key, value


def closes(policy: str) -> bool:
    """Whether a content security policy closes what it does not name, scripts in the page among it."""
    parts = {part.split()[0].lower(): part.lower() for part in policy.split(";") if part.strip()}
    scripts = parts.get("script-src", "")
    inline = "unsafe" in scripts or "*" in scripts or "data:" in scripts or "http" in scripts
    return parts.get("default-src", "").split()[1:] == ["'none'"] and "frame-ancestors" in parts and not inline


def _status(error: CarapaxError) -> int:
    match error:
        case TooLarge():
            return 413
        case Malformed():
            return 400
        case NotFound():
            return 404
        case Refused():
            return 401
        case _:
            return 503


def _plain(status: int, retry_after_s: int = 0) -> Response:
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
    return Response(_SAID.get(status, "failed"), status, headers, "text/plain")
