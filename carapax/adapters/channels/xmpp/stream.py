"""An XML stream, cut into stanzas.

Layer: adapters/channels/xmpp; pure. Owns the bounds on what a server may send. Absent: what stanzas mean (`wire`).
Laws: a document type, an entity, a comment or a processing instruction ends the stream; so does a stanza that is too
large, too deep or of too many parts. Source: RFC 6120, sections 4 and 11.
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from carapax.core.terms.error import Malformed, TooLarge

STANZA_BYTES = 512 << 10
DEPTH, ELEMENTS, ATTRIBUTES = 32, 5_000, 50


class StreamParser:
    """Feed bytes, take whole stanzas. `closed` once the other side ended its stream."""

    def __init__(self) -> None:
        self.closed = False
        self._ready: list[Element] = []
        self._depth = self._count = self._bytes = 0
        self._builder: TreeBuilder | None = None
        parser = expat.ParserCreate("utf-8", "}")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        for name in ("StartDoctypeDecl", "EntityDecl", "ProcessingInstruction", "Comment", "UnparsedEntityDecl"):
            setattr(parser, f"{name}Handler", _refuse)
        self._parser = parser

    def feed(self, part: bytes) -> list[Element]:
        """The stanzas that these bytes complete. Raises Malformed, TooLarge; the stream is of no use then."""
        # Fed in small pieces, so that nothing grows far over its bound before it is looked at.
        for at in range(0, len(part), 16_384):
            piece = part[at : at + 16_384]
            self._bytes += len(piece)
            try:
                self._parser.Parse(piece, False)
            except expat.ExpatError as error:
                raise Malformed(f"The server's XML cannot be read: {error}.") from None
            if self._bytes > STANZA_BYTES:
                raise TooLarge("A stanza of the server is too large.")
        ready, self._ready = self._ready, []
        return ready

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._count += 1
        if self._depth > DEPTH or self._count > ELEMENTS or len(attributes) > ATTRIBUTES:
            raise TooLarge("A stanza of the server is too deep or has too many parts.")
        if self._depth == 2:
            self._builder = TreeBuilder()
        if self._builder is not None:
            self._builder.start(_name(tag), {_name(key): value for key, value in attributes.items()})

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if self._builder is not None:
            self._builder.end(_name(tag))
            if self._depth == 1:
                self._ready.append(self._builder.close())
                self._builder = None
                self._count = self._bytes = 0
        elif self._depth == 0:
            self.closed = True

    def _text(self, text: str) -> None:
        if self._builder is not None:
            self._builder.data(text)
        else:
            self._bytes = 0  # white space between stanzas keeps the line alive


def _refuse(*given: Any) -> None:
    raise Malformed("The server's XML holds what XMPP forbids.")


def _name(tag: str) -> str:
    return f"{{{tag}" if "}" in tag else tag
