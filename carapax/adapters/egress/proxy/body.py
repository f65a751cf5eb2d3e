"""Bodies as they pass: reading one to its end, and looking through one that leaves.

Layer: adapters/egress/proxy. Owns the end of a body on a wire, and undoing gzip in order to look inside.
Laws: what stands behind a body's end is left on the wire for the next request; a body that ends early is an error.
"""

from __future__ import annotations

import asyncio
import zlib

from carapax.adapters.egress.proxy.chunks import Unchunker
from carapax.adapters.egress.proxy.disguise import Stream, Watch
from carapax.adapters.egress.proxy.wire import HIGH_BYTES, Closed, Wire
from carapax.core.terms.error import Malformed

UNPACKED_BYTES = 16_777_216
"""Most bytes of one compressed body that are unpacked to be looked through."""

_STEP = 1 << 18


class Body:
    """A body on a wire. `framing` is none, length, chunked, or close (until the end of the stream)."""

    def __init__(self, wire: Wire, framing: str, length: int, *, lenient: bool = False) -> None:
        self._wire = wire
        self._left = length if framing == "length" else 0
        self._framing = framing
        self._chunks = Unchunker(lenient=lenient) if framing == "chunked" else None
        self.done = framing == "none" or (framing == "length" and not length)

    async def read(self, seconds: float) -> bytes:
        """The next bytes; b"" at the end. Raises Closed, TimeoutError, Malformed."""
        while not self.done:
            if not self._wire.buffer:
                async with asyncio.timeout(seconds):
                    await self._wire.fill()
            part = await self._wire.take(min(self._left, HIGH_BYTES) if self._framing == "length" else HIGH_BYTES)
            if not part:
                if self._framing == "close":
                    self.done = True
                    break
                raise Closed
            content = self._passed(part)
            if content:
                return content
        return b""

    def _passed(self, part: bytes) -> bytes:
        if self._chunks is not None:
            content = self._chunks.feed(part)
            if self._chunks.done:
                self.done = True
                self._wire.buffer[:0] = self._chunks.rest
            return content
        if self._framing == "length":
            self._left -= len(part)
            self.done = not self._left
        return part


class Look:
    """Looks through a body that leaves, undoing `gzip` and `deflate`."""

    def __init__(self, encoding: str, *watches: Watch) -> None:
        self._streams = [Stream(watch) for watch in watches]
        self._unpacker = None
        self._unpacked = 0
        if encoding in ("gzip", "x-gzip", "deflate"):
            self._unpacker = zlib.decompressobj(47)
        elif encoding not in ("", "identity"):
            raise Malformed("the body is packed in a way that cannot be looked into")

    def feed(self, content: bytes) -> list[list[str]]:
        """The names found, one list per watch. Raises Malformed for a body that does not unpack."""
        found: list[list[str]] = [[] for _ in self._streams]
        for piece in self._pieces(content):
            for names, stream in zip(found, self._streams, strict=True):
                names += stream.feed(piece)
        return found

    def _pieces(self, content: bytes) -> list[bytes]:
        if self._unpacker is None:
            return [content]
        pieces: list[bytes] = []
        rest = content
        try:
            while rest or not pieces:
                piece = self._unpacker.decompress(rest, _STEP)
                rest = self._unpacker.unconsumed_tail
                self._unpacked += len(piece)
                pieces.append(piece)
                if self._unpacker.eof or not piece:
                    break
                if self._unpacked > UNPACKED_BYTES:
                    raise Malformed("the body unpacks to more than can be looked through")
        except zlib.error:
            raise Malformed("the body does not unpack") from None
        if self._unpacker.unused_data:
            raise Malformed("bytes stand behind the packed body")
        return pieces
