"""HTTP clients of the gateway's own, which reach the proxy over a socket pair and nothing else.

Layer: adapters/egress. Owns the connection pool's backend: a "connection" to host:port is a pair of sockets whose
other end the proxy holds, and TLS begins there. Absent: redirects, cookies, environment proxies.
Laws: this process dials nothing; a refusal of the proxy becomes Refused with the same rule and reason; what looks like
a refusal but came from a service does not (the proxy strips its mark from answers).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, Protocol, cast

import httpcore2
import httpx2

from carapax.adapters.egress.loopback import is_loopback
from carapax.adapters.egress.narrow import NarrowClient, NarrowTransport, client_over, origin_of
from carapax.adapters.egress.process import ProxyProcess
from carapax.core.terms.egress import Way
from carapax.core.terms.error import EgressUnavailable, Refused
from carapax.ports.egress import Spot

POOL = 20
"""Most connections of one client at a time."""

REASON_BYTES = 4_096
UNREACHABLE = "egress.unreachable"


class Doors(Protocol):
    """What this module needs of the keeper."""

    async def open_door(
        self, token: str, process: ProxyProcess, host: str, port: int, *, tls: bool
    ) -> socket.socket: ...

    def process_of(self, way: Way) -> ProxyProcess: ...

    async def open_origin(
        self, host: str, port: int, handle: str, placeholder: str, spot: Spot
    ) -> tuple[str, ProxyProcess]: ...

    async def close_origin(self, token: str, process: ProxyProcess) -> None: ...


class WayClient(httpx2.AsyncClient):
    """An AsyncClient through one way. `placeholders` are the words that stand for secrets."""

    placeholders: tuple[tuple[str, str], ...] = ()


def open_way_client(doors: Doors, way: Way, timeout_ms: int) -> WayClient:
    """A client for a tool of the gateway's own. https only; no redirect is followed by itself."""

    async def door(host: str, port: int) -> socket.socket:
        return await doors.open_door(way.token, doors.process_of(way), host, port, tls=True)

    client = WayClient(
        transport=InsideTransport(door), timeout=timeout_ms / 1000, follow_redirects=False, trust_env=False
    )
    client.placeholders = way.placeholders
    return client


class InsideTransport(httpx2.AsyncBaseTransport):
    """Sends requests through doors of the proxy."""

    def __init__(self, door: Door, *, plain: bool = False) -> None:
        self._plain = plain
        self._pool = httpcore2.AsyncConnectionPool(
            # No authority is loaded: the proxy verifies the service, and nobody else is on this socket.
            ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            max_connections=POOL,
            network_backend=PairBackend(door),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request. Raises Refused, EgressUnavailable, and httpx2's own errors for a service that fails."""
        if request.url.scheme != "https" and not self._plain:
            raise Refused("Plain http:// does not leave.", next_step="Use https:// for this address.")
        try:
            answer = await self._pool.handle_async_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={"timeout": request.extensions.get("timeout", {})},
                )
            )
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise _as_httpx(error, request) from None
        stream = PassingStream(answer, request)
        headers = httpx2.Headers(answer.headers)
        if "carapax-refused" in headers:
            await _raise_refusal(headers["carapax-refused"], stream, request)
        return httpx2.Response(answer.status, headers=answer.headers, stream=stream)

    async def aclose(self) -> None:
        await self._pool.aclose()


async def _raise_refusal(rule: str, stream: PassingStream, request: httpx2.Request) -> None:
    text = b""
    async for part in stream:
        text += part
        if len(text) > REASON_BYTES:
            break
    await stream.aclose()
    reason = text.decode("utf-8", "replace").strip().removesuffix(f"[{rule}]").strip()
    if rule == UNREACHABLE:
        raise httpx2.ConnectError(reason, request=request)
    if rule in ("egress.unavailable", "egress.closed"):
        raise EgressUnavailable(reason)
    raise Refused(reason, next_step=f"Rule {rule}; see `carapax egress log --refused`.")


class PassingStream(httpx2.AsyncByteStream):
    """An answer's body, with the pool's errors as httpx2's."""

    def __init__(self, answer: httpcore2.Response, request: httpx2.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            # A client library may look for a rest after the end, which `aiter_stream` would refuse.
            async for part in cast(AsyncIterable[bytes], self._answer.stream):
                yield part
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise _as_httpx(error, self._request) from None

    async def aclose(self) -> None:
        await self._answer.aclose()


def _as_httpx(error: Exception, request: httpx2.Request) -> httpx2.TransportError:
    kind = getattr(httpx2, type(error).__name__, httpx2.TransportError)
    return kind(str(error), request=request)


class Door(Protocol):
    """Opens a pair of sockets for one host and port."""

    async def __call__(self, host: str, port: int) -> socket.socket: ...


class PairBackend(httpcore2.AsyncNetworkBackend):
    """Connects to nothing but the proxy."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                sock = await self._door(f"[{host}]" if ":" in host else host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("the egress proxy does not answer") from None
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        return PairStream(reader, writer)

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError("there are no unix sockets here")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class PairStream(httpcore2.AsyncNetworkStream):
    """This end of a pair. TLS "starts" at once: it is the proxy that speaks it to the service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError:
            raise httpcore2.ReadTimeout from None
        except OSError:
            raise httpcore2.ReadError("the egress proxy closed the connection") from None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()
        except TimeoutError:
            raise httpcore2.WriteTimeout from None
        except OSError:
            raise httpcore2.WriteError("the egress proxy closed the connection") from None

    async def aclose(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._reader.at_eof()
        return None


class _Placed:
    """Stands where a vault would: what it gives out is the proxy's placeholder, never a value."""

    def __init__(self, placeholder: str) -> None:
        self._placeholder = placeholder

    def find_secret(self, handle: str) -> str | None:
        return self._placeholder

    def put_secret(self, handle: str, value: str) -> None:
        raise EgressUnavailable("Secrets are not set here.")

    def drop_secret(self, handle: str) -> None:
        raise EgressUnavailable("Secrets are not set here.")

    def handles(self) -> tuple[str, ...]:
        return ()


class OriginDoor:
    """Doors to one origin; the way behind them is opened at the first, and again after the process was started anew."""

    def __init__(self, doors: Doors, base_url: str, handle: str, placeholder: str, spot: Spot) -> None:
        self._doors = doors
        self._origin = origin_of(base_url)
        self._handle = handle
        self._placeholder = placeholder
        self._spot = spot
        self._way: tuple[str, ProxyProcess] | None = None
        self._lock = asyncio.Lock()

    async def __call__(self, host: str, port: int) -> socket.socket:
        async with self._lock:
            if self._way is None or not self._way[1].alive:
                self._way = await self._doors.open_origin(
                    f"[{self._origin.host}]" if ":" in self._origin.host else self._origin.host,
                    self._origin.port,
                    self._handle,
                    self._placeholder,
                    self._spot,
                )
        token, process = self._way
        return await self._doors.open_door(token, process, host, port, tls=self._origin.scheme == "https")

    async def aclose(self) -> None:
        if self._way is not None:
            way, self._way = self._way, None
            await self._doors.close_origin(*way)


class OriginTransport(InsideTransport):
    """Sends requests to one origin."""

    def __init__(self, door: OriginDoor, *, plain: bool) -> None:
        super().__init__(door, plain=plain)
        self._origin_door = door

    async def aclose(self) -> None:
        await super().aclose()
        await self._origin_door.aclose()


def open_origin_client(
    doors: Doors, *, base_url: str, secret: str, timeout_ms: int, response_bytes: int, spot: Spot = Spot.HEADER
) -> NarrowClient:
    """A client for one origin, whose secret is put in by the proxy. Raises Refused (see `narrow`)."""
    origin = origin_of(base_url)
    inner_word = f"placeholder-{secrets.token_hex(20)}"
    outer_word = f"placeholder-{secrets.token_hex(16)}"
    plain = origin.scheme == "http" and is_loopback(origin.host)
    transport = NarrowTransport(
        origin=origin,
        inner=OriginTransport(OriginDoor(doors, base_url, secret, inner_word, spot), plain=plain),
        vault=_Placed(inner_word),
        secret=secret,
        placeholder=outer_word,
        timeout_ms=timeout_ms,
        response_bytes=response_bytes,
        spot=spot,
    )
    return client_over(transport, base_url, timeout_ms, outer_word)
