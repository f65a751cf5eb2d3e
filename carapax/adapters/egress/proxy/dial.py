"""Looking a name up once and dialling exactly what was found.

Layer: adapters/egress/proxy. Owns the order look-up, check of every address, dial; and TLS to the service.
Absent: when it is called (after the verdict). Resolver and dialler are given, so that tests record and redirect them.
Laws: one look-up per connection; if any address of the answer may not be dialled, none is (rebinding mixes them in);
TLS is verified against the system's trust store in the name that was asked for.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

from carapax.adapters.egress.proxy.addresses import Address, fault_of, own_addresses
from carapax.adapters.egress.proxy.spelling import is_address
from carapax.adapters.egress.proxy.wire import Wire

ADDRESSES_TRIED = 3
DIAL_MS = 10_000
KEEPALIVE = (120, 30, 4)
"""Seconds of silence, seconds between probes, probes without an answer until a connection is dead: within four minutes."""

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
Dialler = Callable[[str, int], Awaitable[socket.socket]]


class Unreachable(Exception):
    """The service cannot be reached. The text names no secret and may be shown."""


class Forbidden(Exception):
    """An address that may not be dialled."""


async def look_up(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, from the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def connect(address: str, port: int) -> socket.socket:
    """A connected TCP socket."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A peer that vanished without a word is noticed by the kernel, without a packet from any protocol above.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, amount in zip(
            (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT), KEEPALIVE, strict=True
        ):
            sock.setsockopt(socket.IPPROTO_TCP, option, amount)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


class Dial:
    """The way from this process to a service."""

    def __init__(
        self,
        *,
        resolver: Resolver = look_up,
        dialler: Dialler = connect,
        own: Callable[[], frozenset[Address]] = own_addresses,
        extra_authority: str = "",
    ) -> None:
        self._resolver = resolver
        self._dialler = dialler
        self._own = own
        self._extra = extra_authority
        self._context: ssl.SSLContext | None = None

    async def open(self, host: str, port: int, pinned: Sequence[str], *, tls: bool) -> tuple[Wire, str]:
        """A wire to the service and the address behind it. Raises Forbidden, Unreachable."""
        addresses = [host] if is_address(host) else await self._found(host, port)
        for address in addresses:
            self.check(address, pinned)
        sock, address = await self._dialled(addresses[:ADDRESSES_TRIED], port, host)
        wire = Wire()
        try:
            async with asyncio.timeout(DIAL_MS / 1000):
                await asyncio.get_running_loop().create_connection(
                    lambda: wire, sock=sock, ssl=self.trust() if tls else None, server_hostname=host if tls else None
                )
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(f"The certificate of {host} is not valid: {error.verify_message}.") from None
        except (OSError, TimeoutError):
            raise Unreachable(f"{host} did not answer as it should when the connection was secured.") from None
        return wire, address

    def check(self, address: str, pinned: Sequence[str]) -> None:
        """May this address be dialled under a verdict that pins these networks? Raises Forbidden."""
        fault = fault_of(address, pinned, self._own())
        if fault:
            raise Forbidden(f"its address {fault}")

    async def _found(self, host: str, port: int) -> list[str]:
        try:
            async with asyncio.timeout(DIAL_MS / 1000):
                found = list(await self._resolver(host, port))
        except (OSError, TimeoutError, UnicodeError):
            found = []
        if not found:
            raise Unreachable(f"The name {host} was not found.")
        return found

    async def _dialled(self, addresses: Sequence[str], port: int, host: str) -> tuple[socket.socket, str]:
        for address in addresses:
            try:
                async with asyncio.timeout(DIAL_MS / 1000):
                    return await self._dialler(address, port), address
            except (OSError, TimeoutError):
                continue
        raise Unreachable(f"{host} does not take connections on port {port}.")

    def trust(self) -> ssl.SSLContext:
        """What services are verified against; loaded once, and ahead where the process will not be able to read it."""
        if self._context is None:
            # No protocol is offered (ALPN): HTTP/1.1 is what a web server then speaks, and a mail or chat server may end a
            # connection that offers it HTTP. A second context for those would hold all authorities once more.
            self._context = ssl.create_default_context()
            if self._extra:
                self._context.load_verify_locations(cadata=self._extra)
        return self._context
