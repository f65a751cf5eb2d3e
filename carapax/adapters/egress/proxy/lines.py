"""The lines of the gateway's own services (channels), and what is signed for them.

Layer: adapters/egress/proxy. Owns the table of lines, their bound, and the orders that concern them.
Absent: rules; the owner's setting of the address is the rule, as for origins. Sessions: a line belongs to none.
Laws: plain only to this machine, refused before a look-up; no answer to an order holds a secret.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Awaitable, Callable

from carapax.adapters.egress.link import Frame
from carapax.adapters.egress.loopback import is_loopback
from carapax.adapters.egress.mac import mac_of, verify_mac
from carapax.adapters.egress.proxy.dial import Dial, Forbidden, Unreachable
from carapax.adapters.egress.proxy.line import LineTunnel, make_scrubber, make_swap
from carapax.adapters.egress.proxy.spelling import parse_host
from carapax.adapters.egress.proxy.way import pinned_for
from carapax.adapters.egress.proxy.wire import Wire
from carapax.adapters.egress.swap import line_fault
from carapax.core.terms.error import EgressUnavailable, Refused
from carapax.ports.egress import Mac, Wrap

LINES = 256
"""Most lines open at a time."""

ValueOf = Callable[[str], Awaitable[str | None]]


class Lines:
    """Opens, keeps and cuts them. `told` gets the host and the reason when one is cut for what it carries."""

    def __init__(self, dial: Dial, value_of: ValueOf, told: Callable[[str, str], object]) -> None:
        self._dial = dial
        self._value_of = value_of
        self._told = told
        self._wires: set[tuple[Wire, Wire]] = set()
        self._opening = 0

    async def open(self, frame: Frame, sock: socket.socket) -> bool:
        """A line between this socket and the service. Raises Refused, EgressUnavailable, VaultLocked, Malformed."""
        if len(self._wires) + self._opening >= LINES:
            sock.close()
            raise EgressUnavailable(f"{LINES} lines are open already.", next_step="Remove a channel.")
        self._opening += 1
        try:
            await self._connect(frame, sock)
        except BaseException:
            sock.close()
            raise
        finally:
            self._opening -= 1
        return True

    async def _connect(self, frame: Frame, sock: socket.socket) -> None:
        host, port, tls = parse_host(frame["host"]), int(frame["port"]), bool(frame["tls"])
        wrap, handle, word = Wrap(frame["wrap"]), str(frame["handle"]), str(frame["placeholder"])
        if not 0 < port < 65_536:
            raise Refused(f"The port of {host} is not one (1 to 65535).", next_step="Correct the channel's address.")
        if not tls and not is_loopback(host):
            raise Refused(f"A plain connection is only for this machine; {host} must be reached with TLS.")
        value = (await self._value(handle)).encode("utf-8") if handle else b""
        outer = await self._reach(host, port, frame["timeout_ms"] / 1000, tls=tls)
        try:
            _, inner = await asyncio.get_running_loop().create_unix_connection(Wire, sock=sock)
        except BaseException:
            outer.cut()
            raise
        pair = (inner, outer)
        self._wires.add(pair)
        outer.on_gone(lambda: self._wires.discard(pair))
        swap = make_swap(wrap, word.encode(), value, host, port, tls=tls)
        LineTunnel(inner, outer, swap, make_scrubber(value), lambda reason: self._told(host, reason)).begin()

    async def _reach(self, host: str, port: int, seconds: float, *, tls: bool) -> Wire:
        try:
            async with asyncio.timeout(seconds):
                wire, _ = await self._dial.open(host, port, pinned_for(host), tls=tls)
                return wire
        except Forbidden as error:
            raise Refused(f"{host} is refused: {error}.", next_step="Correct the channel's address.") from None
        except Unreachable as error:
            raise EgressUnavailable(str(error), next_step="Try again later.") from None
        except TimeoutError:
            raise EgressUnavailable(f"{host} did not answer in time.", next_step="Try again later.") from None

    async def check_mac(self, frame: Frame) -> bool:
        """Raises Refused when it is another signature, or there is no such secret."""
        mac, message = _signed(frame)
        verify_mac(mac, await self._value(str(frame["handle"])), message, base64.b64decode(frame["given"]))
        return True

    async def make_mac(self, frame: Frame) -> str:
        """The signature in base64. Raises Refused."""
        mac, message = _signed(frame)
        return base64.b64encode(mac_of(mac, await self._value(str(frame["handle"])), message)).decode("ascii")

    async def _value(self, handle: str) -> str:
        value = await self._value_of(handle)
        if not value:
            raise Refused(
                f"The secret {handle!r} is not in the vault.", next_step="Set it with `carapax vault set`, or add the channel again."
            )  # fmt: skip
        if fault := line_fault(value):
            raise Refused(f"The secret {handle!r} {fault}.", next_step="Set it again.")
        return value

    def close(self) -> None:
        """Cut them all."""
        for inner, outer in list(self._wires):
            inner.cut()
            outer.cut()
        self._wires.clear()


def _signed(frame: Frame) -> tuple[Mac, bytes]:
    return Mac(frame["mac"]), base64.b64decode(frame["message"])
