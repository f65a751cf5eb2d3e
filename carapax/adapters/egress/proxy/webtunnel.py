"""A websocket on its way: what goes up is unmasked and looked through, what comes back is scrubbed.

Layer: adapters/egress/proxy. Owns the frames' headers as far as looking needs them. Absent: extensions (compression
would hide what is sent; the offer is dropped from the request). Source: RFC 6455.
Law: bytes go on only after they were looked at; anything that is no frame, or holds a placeholder or a canary, cuts
both sides. Of a planted secret split over two reads, the first part may have gone on before the second tells.
"""

from __future__ import annotations

from carapax.adapters.egress.proxy.disguise import Stream
from carapax.adapters.egress.proxy.request import canary, mismatch
from carapax.adapters.egress.proxy.scrub import Scrubber
from carapax.adapters.egress.proxy.way import OpenWay, Refusal
from carapax.adapters.egress.proxy.wire import Tunnel, Wire
from carapax.core.terms.signal import SignalKind


class WebTunnel(Tunnel):
    """The two sides of one websocket."""

    def __init__(self, inner: Wire, outer: Wire, way: OpenWay, host: str, scrubber: Scrubber) -> None:
        super().__init__(inner, outer)
        self._way = way
        self._host = host
        self._scrubber = scrubber
        self._hits = scrubber.hits
        self._frames = Unmask()
        self._placed = Stream(way.watch)
        self._canaries = Stream(way.canaries)

    def look(self, up: bool, content: bytes) -> bytes | None:
        try:
            return self._up(content) if up else self._down(content)
        except Refusal as refusal:
            self._way.refuse(refusal, self._host)
            return None

    def _up(self, content: bytes) -> bytes:
        self._way.count_up(len(content), self._host)
        payload = self._frames.feed(content)
        if payload is None:
            raise Refusal("egress.malformed", "These bytes are no websocket frames.", 400)
        if found := self._canaries.feed(payload):
            raise canary(found[0], self._host)
        if self._placed.feed(payload):
            raise mismatch("a placeholder stands in a websocket message", self._host)
        return content

    def _down(self, content: bytes) -> bytes:
        if not self._way.count_down(len(content)):
            raise Refusal("egress.budget", "This run has received all that it may.")
        clean = self._scrubber.feed(content)
        if self._scrubber.hits > self._hits:
            self._hits = self._scrubber.hits
            self._way.gate.saw(self._way.call, SignalKind.SCRUBBED, 1, self._host)
        return clean


class Unmask:
    """Reads client frames as they come and gives out their payloads, unmasked and joined."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0
        self._key = b""

    def feed(self, content: bytes) -> bytes | None:
        """The payload in these bytes; None when they are no masked frames without extensions."""
        out = bytearray()
        at = 0
        while at < len(content):
            if not self._left:
                self._head.append(content[at])
                at += 1
                if not self._begin():
                    return None
                continue
            part = content[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            out += self._clear(part)
        return bytes(out)

    def _begin(self) -> bool:
        head = self._head
        if head[0] & 0x70:
            return False
        if len(head) < 2:
            return True
        if not head[1] & 0x80:
            return False
        extended = {126: 2, 127: 8}.get(head[1] & 0x7F, 0)
        if len(head) == 6 + extended:
            size = head[1] & 0x7F
            self._left = int.from_bytes(head[2 : 2 + extended], "big") if extended else size
            self._key = bytes(head[-4:])
            head.clear()
        return True

    def _clear(self, part: bytes) -> bytes:
        clear = mask(part, self._key)
        turned = len(part) % 4
        self._key = self._key[turned:] + self._key[:turned]
        return clear


def mask(part: bytes, key: bytes) -> bytes:
    """Bytes under a frame's four-byte key; the same again takes it off."""
    size = len(part)
    whole = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(part, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big")
