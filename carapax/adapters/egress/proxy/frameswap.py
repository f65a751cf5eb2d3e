"""A placeholder in a websocket: in the head that opens it, or in a text frame; the secret is put in there.

Layer: adapters/egress/proxy. Pure. Source: RFC 6455. Absent: extensions (the offer is dropped, since compression would
hide what is sent), and what comes back.
Laws: what is no frame of a client, exactly as the RFC writes it, ends the connection; a placeholder in a binary,
fragmented or longer frame does too. A frame without a placeholder goes on byte for byte.
"""

from __future__ import annotations

from carapax.adapters.egress.proxy.head import HEAD_BYTES, parse_request
from carapax.adapters.egress.proxy.webtunnel import mask
from carapax.adapters.egress.swap import Misplaced, as_json, check_head, fill_head, header_in_spot
from carapax.core.terms.error import Malformed
from carapax.ports.egress import Spot

TEXT_BYTES = 65_536
_CONTINUED, _TEXT, _BINARY, _CLOSE, _PONG = 0, 1, 2, 8, 10


class FrameSwap:
    """Feed it what the client writes: a request to upgrade, then frames."""

    holds = False  # frames wait until they are whole, however long that takes

    def __init__(self, word: bytes, value: bytes, host: str, port: int, default_port: int) -> None:
        self._word = word
        self._value = value
        self._place = (host, port, default_port)
        self._buffer = bytearray()
        self._opened = False
        self._message = False  # a fragmented one is under way
        self._left = 0  # bytes of a frame that passes as it is
        self._key = b""
        self._tail = b""

    def __repr__(self) -> str:
        return "FrameSwap()"

    def feed(self, content: bytes) -> bytes:
        """What may go on now. Raises Misplaced, Malformed."""
        self._buffer += content
        out = bytearray()
        if not self._opened:
            at = self._buffer.find(b"\r\n\r\n")
            if at < 0 or at + 4 > HEAD_BYTES:
                if len(self._buffer) > HEAD_BYTES:
                    raise Malformed(f"the head is over {HEAD_BYTES} bytes")
                return b""
            out += self._head(bytes(self._buffer[: at + 4]))
            del self._buffer[: at + 4]
            self._opened = True
        while self._buffer:
            passed = self._pass() if self._left else self._frame()
            if not passed:
                break
            out += passed
        return bytes(out)

    def flush(self) -> bytes:
        """Nothing: half a frame is none."""
        return b""

    def _head(self, raw: bytes) -> bytes:
        host, port, default_port = self._place
        head = parse_request(raw, host, port, default_port)
        if not head.websocket:
            raise Malformed("a websocket begins with a request to upgrade")
        target, fields = head.path.encode("ascii"), head.headers
        if self._word:
            spot = Spot.HEADER if header_in_spot(Spot.HEADER, fields, self._word) else Spot.QUERY
            if check_head(spot, target, fields, self._word):
                target, fields = fill_head(spot, target, fields, self._word, self._value)
        name = f"[{host}]" if ":" in host else host
        netloc = name if port == default_port else f"{name}:{port}"
        own = (("host", netloc.encode("ascii")), ("upgrade", b"websocket"), ("connection", b"Upgrade"))
        kept = tuple((key, value) for key, value in fields if key not in ("host", "sec-websocket-extensions"))
        lines = [b"GET %b HTTP/1.1" % target, *(key.encode("ascii") + b": " + value for key, value in own + kept)]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _frame(self) -> bytes:
        """The next frame, or the head of one that passes in pieces; b"" while it is not whole."""
        size, at = self._size()
        if at == 0 or len(self._buffer) < at + 4:
            return b""
        final, opcode = bool(self._buffer[0] & 0x80), self._buffer[0] & 0x0F
        whole = final and opcode == _TEXT and size <= TEXT_BYTES
        if whole and len(self._buffer) < at + 4 + size:
            return b""
        if opcode < _CLOSE:
            if (opcode == _CONTINUED) != self._message:
                raise Malformed("a websocket frame continues none, or begins one inside another")
            self._message = not final
        self._key = bytes(self._buffer[at : at + 4])
        start = bytes(self._buffer[: at + 4])
        del self._buffer[: at + 4]
        if whole:
            masked = bytes(self._buffer[:size])
            del self._buffer[:size]
            return self._text(start, masked)
        if opcode in (_TEXT, _BINARY):
            self._tail = b""
        self._left = size
        return start

    def _size(self) -> tuple[int, int]:
        """The payload's size and where the mask stands; 0, 0 while that is not known. Raises Malformed."""
        head = self._buffer
        if head[0] & 0x70 or (head[0] & 0x0F) not in (_CONTINUED, _TEXT, _BINARY, _CLOSE, 9, _PONG):
            raise Malformed("a websocket frame has bits that were not agreed on")
        if len(head) < 2:
            return 0, 0
        if not head[1] & 0x80:
            raise Malformed("a websocket frame of a client is not masked")
        size, extended = head[1] & 0x7F, {126: 2, 127: 8}.get(head[1] & 0x7F, 0)
        if head[0] & 0x08 and (size > 125 or not head[0] & 0x80):
            raise Malformed("a websocket's control frame is long or in fragments")
        if len(head) < 2 + extended:
            return 0, 0
        if extended:
            size = int.from_bytes(head[2 : 2 + extended], "big")
            if size < (126 if extended == 2 else 65_536) or size >= 1 << 63:
                raise Malformed("a websocket frame's length is not written as it must be")
        return size, 2 + extended

    def _text(self, start: bytes, masked: bytes) -> bytes:
        if not self._word:
            return start + masked
        payload = mask(masked, self._key)
        if self._word not in payload:
            return start + masked
        value = as_json(self._value) if payload.lstrip()[:1] in (b"{", b"[", b'"') else self._value
        payload = payload.replace(self._word, value)
        return _text_head(len(payload)) + self._key + mask(payload, self._key)

    def _pass(self) -> bytes:
        part = bytes(self._buffer[: self._left])
        del self._buffer[: len(part)]
        self._left -= len(part)
        if self._word:
            clear = self._tail + mask(part, self._key)
            if self._word in clear:
                raise Misplaced("a placeholder stands in a websocket frame that is not whole, short text")
            self._tail = clear[len(clear) - len(self._word) + 1 :] if len(clear) >= len(self._word) else clear
            turned = len(part) % 4
            self._key = self._key[turned:] + self._key[:turned]
        return part


def _text_head(size: int) -> bytes:
    if size < 126:
        return bytes((0x80 | _TEXT, 0x80 | size))
    if size < 65_536:
        return bytes((0x80 | _TEXT, 0x80 | 126)) + size.to_bytes(2, "big")
    return bytes((0x80 | _TEXT, 0x80 | 127)) + size.to_bytes(8, "big")
