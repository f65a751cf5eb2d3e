"""Counting failed sign-ins per peer address, in bounded memory.

Layer: surfaces/api. A fixed window per peer; the least recently seen peer is forgotten first. An IPv6 peer is its /64,
because whoever has one address there has them all. Law: the table never holds more than `peers` entries.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

from carapax.ports.clock import Clock


class Failures:
    """How often each peer failed in its present window."""

    def __init__(self, clock: Clock, limit: int, window_ms: int, peers: int) -> None:
        self._clock = clock
        self._limit = limit
        self._window_ms = window_ms
        self._peers = peers
        self._seen: OrderedDict[str, tuple[int, int]] = OrderedDict()  # peer → (window's start, failures)

    def add(self, peer: str) -> None:
        """Count one failure."""
        key = peer_key(peer)
        start, count = self._window(key)
        self._seen[key] = (start, count + 1)
        self._seen.move_to_end(key)
        while len(self._seen) > self._peers:
            self._seen.popitem(last=False)

    def wait_s(self, peer: str) -> int:
        """Seconds until the peer may fail again; 0 while it is under the limit."""
        start, count = self._window(peer_key(peer))
        if count < self._limit:
            return 0
        left_ms = start + self._window_ms - self._clock.monotonic_ms()
        return max(1, -(-left_ms // 1000))

    def _window(self, key: str) -> tuple[int, int]:
        now = self._clock.monotonic_ms()
        start, count = self._seen.get(key, (now, 0))
        return (start, count) if now - start < self._window_ms else (now, 0)

    def __len__(self) -> int:
        return len(self._seen)


def peer_key(peer: str) -> str:
    """The unit that is limited: an IPv4 address, an IPv6 /64, or the text itself."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)
