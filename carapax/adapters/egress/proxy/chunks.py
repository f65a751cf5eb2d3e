"""Chunked bodies, undone as they arrive; requests strictly, so that both sides see the same end.

Layer: adapters/egress/proxy. Pure. Absent: chunk extensions and trailers, which are refused.
Law: the bytes given out do not depend on how the input was split. Source: RFC 9112 section 7.1.
"""

from __future__ import annotations

import re

from carapax.core.terms.error import Malformed

SIZE_LINE_BYTES = 64
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,12}\Z")


class Unchunker:
    """Feed it bytes; it gives out the body. `rest` is what stood behind the end.

    `lenient` reads answers: chunk extensions and trailers are passed over, as many servers send them.
    """

    def __init__(self, *, lenient: bool = False) -> None:
        self._lenient = lenient
        self._left = 0  # bytes of the present chunk
        self._awaits = "size"  # then "data", "data-end", "trailer", "done"
        self._held = bytearray()
        self._trailer_bytes = 0
        self.rest = b""

    @property
    def done(self) -> bool:
        return self._awaits == "done"

    def feed(self, chunk: bytes) -> bytes:
        """The body's next bytes. Raises Malformed."""
        self._held += chunk
        out = bytearray()
        while self._held and not self.done and self._step(out):
            pass
        if self.done:
            self.rest += bytes(self._held)
            self._held.clear()
        return bytes(out)

    def _step(self, out: bytearray) -> bool:
        if self._awaits == "data":
            part = self._held[: self._left]
            out += part
            del self._held[: len(part)]
            self._left -= len(part)
            self._awaits = "data" if self._left else "data-end"
            return True
        line = self._line()
        if line is None:
            return False
        if self._awaits == "size":
            self._size(line)
        elif self._awaits == "data-end":
            if line:
                raise Malformed("a chunk is longer than its size")
            self._awaits = "size"
        else:
            self._trailer(line)
        return True

    def _line(self) -> bytes | None:
        at = self._held.find(b"\n")
        bound = 8_192 if self._lenient else SIZE_LINE_BYTES
        if at < 0 and len(self._held) <= bound:
            return None
        if at < 1 or at > bound or self._held[at - 1] != 0x0D:
            raise Malformed("a chunk's line does not end as it must")
        line = bytes(self._held[: at - 1])
        del self._held[: at + 1]
        return line

    def _size(self, line: bytes) -> None:
        text = line.partition(b";")[0].strip() if self._lenient else line
        if not _SIZE.match(text):
            raise Malformed("a chunk's size is not a number")
        self._left = int(text, 16)
        self._awaits = "data" if self._left else "trailer"

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if line and (not self._lenient or self._trailer_bytes > 16_384):
            raise Malformed("trailers are not passed on")
        if not line:
            self._awaits = "done"


def chunk_of(content: bytes) -> bytes:
    """One chunk of an outgoing body; nothing for nothing, as an empty one would end it."""
    return b"%x\r\n%b\r\n" % (len(content), content) if content else b""


LAST_CHUNK = b"0\r\n\r\n"
