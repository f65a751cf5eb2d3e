"""An egress that dials by itself, from its own process: what tests of services go out through, and nothing else does.

It dials loopback only, whatever it is told. `hosts` maps the real address of a platform to a server of the test:
`DirectEgress(vault, hosts={"api.telegram.org": ("127.0.0.1", port)})` then reaches that server, in plain, for every
https:// or tls request to that name; the request itself keeps the platform's name. `trust` verifies real TLS on loopback.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from collections.abc import Mapping

import httpx2

from carapax.adapters.egress.loopback import is_loopback
from carapax.adapters.egress.mac import mac_of, verify_mac
from carapax.adapters.egress.narrow import (
    NarrowClient,
    NarrowTransport,
    Origin,
    client_over,
    origin_of,
)
from carapax.adapters.egress.proxy.line import LineTunnel, make_scrubber, make_swap
from carapax.adapters.egress.proxy.wire import Wire
from carapax.adapters.egress.swap import line_fault
from carapax.core.terms.error import EgressUnavailable, Refused
from carapax.ports.egress import Line, Mac, Spot, Wrap
from carapax.ports.vault import Vault

RESPONSE_BYTES = 64 << 20

Place = tuple[str, int]


class DirectEgress:
    """Implements ports.egress.Egress. `response_bytes` bounds each answer's body."""

    def __init__(
        self,
        vault: Vault,
        *,
        hosts: Mapping[str, Place] = {},
        trust: ssl.SSLContext | None = None,
        response_bytes: int = RESPONSE_BYTES,
    ) -> None:
        self._vault = vault
        self._hosts = dict(hosts)
        self._trust = trust
        self._response_bytes = response_bytes
        self.misplaced: list[str] = []  # why lines were cut for what they carried
        self._wires: list[Wire] = []

    def __repr__(self) -> str:
        return "DirectEgress()"

    def client(self, *, base_url: str, secret: str, timeout_ms: int, spot: Spot = Spot.HEADER) -> NarrowClient:
        """A client for the origin of `base_url`; its `placeholder` stands for the secret. Raises Refused."""
        return open_client(
            base_url=base_url,
            secret=secret,
            vault=self._vault,
            timeout_ms=timeout_ms,
            response_bytes=self._response_bytes,
            spot=spot,
            hosts=self._hosts,
            trust=self._trust,
        )

    async def open_line(
        self, *, host: str, port: int, tls: bool, secret: str, wrap: Wrap = Wrap.STREAM, timeout_ms: int = 15_000
    ) -> Line:
        """A line to loopback, or to the place that stands for this host. See ports.egress.Egress."""
        if not tls and not is_loopback(host):
            raise Refused(f"A plain connection is only for this machine, not for {host}.")
        value = self._value(secret) if secret else ""
        word = f"placeholder-{secrets.token_hex(16)}" if secret else ""
        place = self._hosts.get(host)
        context = self._trust or ssl.create_default_context()
        if place is None and not is_loopback(host):
            raise EgressUnavailable(f"Tests dial this machine only, not {host}.")
        loop = asyncio.get_running_loop()
        outer, inner = Wire(), Wire()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                secured = {"ssl": context, "server_hostname": host} if tls and place is None else {}
                await loop.create_connection(lambda: outer, *(place or (host, port)), **secured)  # type: ignore[call-overload]
        except (OSError, TimeoutError) as error:
            raise EgressUnavailable(f"{host} cannot be reached: {type(error).__name__}.") from None
        mine, theirs = socket.socketpair()
        mine.setblocking(False)
        theirs.setblocking(False)
        await loop.create_unix_connection(lambda: inner, sock=theirs)
        swap = make_swap(wrap, word.encode(), value.encode(), host, port, tls=tls)
        LineTunnel(inner, outer, swap, make_scrubber(value.encode()), self.misplaced.append).begin()
        self._wires += (inner, outer)
        return Line(mine, word)

    async def close(self) -> None:
        """Cut every line that is still open, and wait until the sockets are closed."""
        for wire in self._wires:
            wire.cut()
        self._wires.clear()
        for _ in range(3):
            await asyncio.sleep(0)

    async def check_mac(self, *, secret: str, mac: Mac, message: bytes, given: bytes) -> None:
        """See ports.egress.Egress."""
        verify_mac(mac, self._value(secret), message, given)

    async def make_mac(self, *, secret: str, mac: Mac, message: bytes) -> bytes:
        """See ports.egress.Egress."""
        return mac_of(mac, self._value(secret), message)

    def _value(self, handle: str) -> str:
        value = self._vault.find_secret(handle)
        if not value or line_fault(value):
            raise Refused(f"There is no secret {handle!r} that can be used.")
        return value


def open_client(
    *,
    base_url: str,
    secret: str,
    vault: Vault,
    timeout_ms: int,
    response_bytes: int,
    inner: httpx2.AsyncBaseTransport | None = None,
    spot: Spot = Spot.HEADER,
    hosts: Mapping[str, Place] = {},
    trust: ssl.SSLContext | None = None,
) -> NarrowClient:
    """A client that reaches the origin of `base_url` only. `inner` replaces the transport that dials (tests)."""
    origin = origin_of(base_url)
    placeholder = f"placeholder-{secrets.token_hex(16)}"
    transport = NarrowTransport(
        origin=origin,
        inner=inner or LoopbackTransport(origin, hosts.get(origin.host), trust),
        vault=vault,
        secret=secret,
        placeholder=placeholder,
        timeout_ms=timeout_ms,
        response_bytes=response_bytes,
        spot=spot,
    )
    return client_over(transport, base_url, timeout_ms, placeholder)


class LoopbackTransport(httpx2.AsyncBaseTransport):
    """Dials this machine only: the origin itself where it is on loopback, or the place that stands for it."""

    def __init__(self, origin: Origin, place: Place | None, trust: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._place = place
        # An empty context for plain http: no authority is loaded, and TLS could not succeed.
        context = trust or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._inner = httpx2.AsyncHTTPTransport(verify=context, trust_env=False, retries=0)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        if self._place is not None:
            url = url.copy_with(scheme="http", host=self._place[0], port=self._place[1])
        if not is_loopback(url.host):
            raise httpx2.ConnectError(f"tests dial this machine only, not {url.host}", request=request)
        sent = httpx2.Request(
            request.method,
            url,
            headers=request.headers.raw,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await self._inner.handle_async_request(sent)

    async def aclose(self) -> None:
        await self._inner.aclose()
