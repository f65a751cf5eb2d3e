"""The way out for the gateway's own services (models, channels): through the proxy, which alone has their keys.

Layer: adapters/egress. Implements ports.egress.Egress. Absent: rules; the owner's setting of the address is the rule.
Law: this process never holds a key and dials nothing.
"""

from __future__ import annotations

import base64
import secrets
import socket
from typing import TYPE_CHECKING

from carapax.adapters.egress.keeper import Keeper
from carapax.adapters.egress.loopback import is_loopback
from carapax.adapters.egress.mac import MESSAGE_BYTES
from carapax.core.terms.error import Refused, TooLarge
from carapax.ports.egress import Line, Mac, Spot, Wrap

if TYPE_CHECKING:
    from carapax.adapters.egress.narrow import NarrowClient

RESPONSE_BYTES = 64 << 20
GRACE_MS = 5_000
"""So much longer than the dialling itself its answer is waited for: the vault may have to be asked first."""


class KeptEgress:
    """Over a Keeper. `response_bytes` bounds each answer's body."""

    def __init__(self, keeper: Keeper, *, response_bytes: int = RESPONSE_BYTES) -> None:
        self._keeper = keeper
        self._response_bytes = response_bytes

    def __repr__(self) -> str:
        return "KeptEgress()"

    def client(self, *, base_url: str, secret: str, timeout_ms: int, spot: Spot = Spot.HEADER) -> NarrowClient:
        """A client for the origin of `base_url`. Raises Refused; see ports.egress.Egress.client."""
        from carapax.adapters.egress.inside import open_origin_client  # httpx2 is loaded when something first goes out

        return open_origin_client(
            self._keeper,
            base_url=base_url,
            secret=secret,
            timeout_ms=timeout_ms,
            response_bytes=self._response_bytes,
            spot=spot,
        )

    async def open_line(
        self, *, host: str, port: int, tls: bool, secret: str, wrap: Wrap = Wrap.STREAM, timeout_ms: int = 15_000
    ) -> Line:
        """A connection whose other end the proxy holds. See ports.egress.Egress.open_line."""
        if not tls and not is_loopback(host):
            raise Refused(
                f"A plain connection is only for this machine; {host} must be reached with TLS.",
                next_step="Correct the channel's address.",
            )
        placeholder = f"placeholder-{secrets.token_hex(16)}" if secret else ""
        order = {
            "op": "line",
            "host": f"[{host}]" if ":" in host else host,
            "port": port,
            "tls": tls,
            "handle": secret,
            "placeholder": placeholder,
            "wrap": wrap,
            "timeout_ms": timeout_ms,
        }
        mine, theirs = socket.socketpair()
        try:
            await self._keeper.ask(order, [theirs.fileno()], most_ms=timeout_ms + GRACE_MS)
        except BaseException:
            mine.close()
            raise
        finally:
            theirs.close()
        mine.setblocking(False)
        return Line(mine, placeholder)

    async def check_mac(self, *, secret: str, mac: Mac, message: bytes, given: bytes) -> None:
        """Have it checked where the secret is. See ports.egress.Egress.check_mac."""
        if len(given) > MESSAGE_BYTES:
            raise Refused("The signature is not right.", next_step="Check the secret on both sides.")
        await self._keeper.ask(_signed("check_mac", secret, mac, message) | {"given": _text(given)})

    async def make_mac(self, *, secret: str, mac: Mac, message: bytes) -> bytes:
        """Have it signed where the secret is. See ports.egress.Egress.make_mac."""
        return base64.b64decode(await self._keeper.ask(_signed("make_mac", secret, mac, message)))


def _signed(op: str, secret: str, mac: Mac, message: bytes) -> dict[str, str]:
    if len(message) > MESSAGE_BYTES:
        raise TooLarge(f"What is signed is over {MESSAGE_BYTES:,} bytes.")
    return {"op": op, "handle": secret, "mac": mac, "message": _text(message)}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
