"""The way out for the gateway's own services (models): through the proxy, which alone has their keys.

Layer: adapters/egress. Owns the choice of client. Absent: rules; the owner's setting of the address is the rule.
Law: this process never holds the key and dials nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carapax.adapters.egress.keeper import Keeper

if TYPE_CHECKING:
    from carapax.adapters.egress.narrow import NarrowClient

RESPONSE_BYTES = 64 << 20


class KeptEgress:
    """Implements ports.egress.Egress over a Keeper. `response_bytes` bounds each answer's body."""

    def __init__(self, keeper: Keeper, *, response_bytes: int = RESPONSE_BYTES) -> None:
        self._keeper = keeper
        self._response_bytes = response_bytes

    def __repr__(self) -> str:
        return "KeptEgress()"

    def client(self, *, base_url: str, secret: str, timeout_ms: int) -> NarrowClient:
        """A client for the origin of `base_url`. Raises Refused; see ports.egress.Egress.client."""
        from carapax.adapters.egress.inside import open_origin_client  # httpx2 is loaded when something first goes out

        return open_origin_client(
            self._keeper,
            base_url=base_url,
            secret=secret,
            timeout_ms=timeout_ms,
            response_bytes=self._response_bytes,
        )
