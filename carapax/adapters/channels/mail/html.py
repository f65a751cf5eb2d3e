"""HTML as text: enough to read a mail, and nothing of it is ever run, fetched or shown as HTML.

Layer: adapters/channels/mail; pure. Absent: layout, styles, pictures. Time grows with the length alone, whatever is inside.
"""

from __future__ import annotations

import re
from html import unescape

HTML_CHARS = 1 << 20
_DROPPED = ("script", "style", "head", "title", "template", "noscript", "svg", "math", "textarea", "select", "iframe")
_BLOCKS = frozenset(
    (
        "p",
        "div",
        "br",
        "tr",
        "li",
        "ul",
        "ol",
        "table",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "pre",
        "hr",
        "dd",
    )
)
_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]{0,20})")
_TARGET = re.compile(r"""\shref\s*=\s*(?:"([^"]{0,2000})"|'([^']{0,2000})')""", re.IGNORECASE)


def html_to_text(html: str) -> str:
    """The words of a page, lines of a quotation behind "> ", targets of links behind their text. Total."""
    reader = _Reader(html[:HTML_CHARS])
    reader.read()
    lines = (re.sub(r"[ \t\r\f\v\xa0]+", " ", line).strip() for line in "".join(reader.said).split("\n"))
    return re.sub(r"(\n>? ?){3,}", "\n\n", "\n".join(lines)).strip()


class _Reader:
    def __init__(self, html: str) -> None:
        self._html = html
        self._lower = html.lower()
        self._quotes = 0
        self._target = ""
        self.said: list[str] = []

    def read(self) -> None:
        at = 0
        while at < len(self._html):
            opened = self._html.find("<", at)
            if opened < 0:
                opened = len(self._html)
            if opened > at:
                self._say(self._html[at:opened])
            at = self._tag(opened) if opened < len(self._html) else opened

    def _tag(self, opened: int) -> int:
        """Read what begins with "<" and say where it ends. What never ends takes the rest with it."""
        if self._html.startswith("<!--", opened):
            return self._after("-->", opened)
        name = _NAME.match(self._html, opened + 1)
        if name is None and self._html[opened + 1 : opened + 2] not in ("!", "?"):
            self._say("<")
            return opened + 1
        end = self._after(">", opened)
        if name is not None:
            found = name[1].lower()
            if found in _DROPPED and name[0][0] != "/":
                return self._after(">", self._lower.find(f"</{found}", end))
            self._element(found, name[0][0] == "/", self._html[opened:end])
        return end

    def _after(self, mark: str, start: int) -> int:
        found = self._html.find(mark, start) if start >= 0 else -1
        return found + len(mark) if found >= 0 else len(self._html)

    def _element(self, name: str, closing: bool, tag: str) -> None:
        if name == "a":
            found = _TARGET.search(tag[:4_000]) if not closing else None
            if closing and self._target:
                self.said.append(f" ({self._target})")
            self._target = unescape(found[1] or found[2] or "") if found else ""
            if not self._target.startswith(("http://", "https://", "mailto:")):
                self._target = ""
        elif name == "blockquote":
            self._quotes = max(0, self._quotes + (-1 if closing else 1))
        if name in _BLOCKS:
            self.said.append("\n> " if self._quotes else "\n")

    def _say(self, text: str) -> None:
        self.said.append(re.sub(r"\s+", " ", unescape(text)))
