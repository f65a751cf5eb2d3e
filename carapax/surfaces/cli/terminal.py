"""The terminal: the only place that writes to it, and what it can show.

Layer: surfaces/cli. Owns colours (on a terminal only, never needed), marks with ASCII stand-ins, width, and the
wrapping of running text. Every character goes through `neutral`; colours are added after.
Absent: words (texts) and what an event looks like (render).
"""

from __future__ import annotations

import codecs
import os
import re

from carapax.surfaces.cli.neutral import neutralise, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

_COLOURS = {"green": "32", "amber": "33", "red": "31", "grey": "90"}
_ASCII = {
    "✓": "+", "✗": "x", "◦": "o", "■": "#", "→": "->", "·": "-", "…": "...", "▸": ">", "–": "-", "—": "-", "\u00a0": " ",
    "’": "'", "‘": "'", "“": '"', "”": '"', "«": '"', "»": '"', "œ": "oe", "Œ": "OE",
}  # fmt: skip

Span = str | tuple[str, str]  # text, or (colour, text)


def cells(text: str) -> int:
    """Columns a text takes; wide characters count two, combining ones none."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) != 0 for c in text)


def pad(text: str, width: int) -> str:
    """The text with spaces up to `width` columns."""
    return text + " " * max(0, width - cells(text))


def declared_charset(env: Mapping[str, str]) -> str:
    """The character set that the locale names ("" when it names none), as Python's codec name."""
    # Python itself sets LC_CTYPE=C.UTF-8 when the locale is not installed (PEP 538); that says nothing of the terminal.
    coerced = ("C.UTF-8", "C.utf8", "UTF-8")
    names = [env.get("LC_ALL"), env.get("LC_CTYPE"), env.get("LANG")]
    locale = next((n for n in names if n and n not in coerced), "")
    if locale in ("C", "POSIX") and env.get("LC_ALL"):
        return "ascii"
    charset = locale.partition(".")[2].partition("@")[0]
    try:
        return codecs.lookup(charset).name if charset else ""
    except LookupError:
        return ""


class Pen:
    """One output stream. `line` and `text` are the only ways to it."""

    def __init__(self, stream: TextIO, env: Mapping[str, str]) -> None:
        self._stream = stream
        self._env = env
        self.tty = stream.isatty()
        self.colour = self.tty and not env.get("NO_COLOR") and env.get("TERM") != "dumb"
        charset = declared_charset(env)
        if charset and charset != "utf-8" and hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding=charset, errors="replace")
        encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-")
        self.unicode = encoding in ("utf-8", "utf8") and not env.get("CARAPAX_ASCII")
        self._encoding = "ascii" if env.get("CARAPAX_ASCII") else encoding
        self._passing = False

    @property
    def width(self) -> int:
        """Columns of the terminal, at least 20."""
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError, AttributeError):
            given = self._env.get("COLUMNS", "")
            columns = int(given) if given.isdecimal() else 0
        return max(20, columns or 80)

    def line(self, *spans: Span, strict: bool = False) -> None:
        """One line; a line feed inside a span is shown, never obeyed."""
        self._settle()
        self._write("".join(self._painted(s, strict) for s in spans).rstrip(" ") + "\n")

    def text(self, text: str) -> None:
        """A piece of running text, its line feeds obeyed; nothing is added after it."""
        self._settle()
        self._write(self._fit(neutralise(text)))

    def passing(self, text: str) -> None:
        """A line that the next output replaces; only where the terminal can."""
        if self.colour:
            self._settle()
            shown = self._fit(one_line(text))[: self.width - 1]
            self._write(f"\x1b[90m{shown}\x1b[0m")
            self._passing = True

    def flush(self) -> None:
        self._stream.flush()

    def _settle(self) -> None:
        if self._passing:
            self._passing = False
            self._write("\r\x1b[K")

    def _painted(self, span: Span, strict: bool) -> str:
        colour, text = ("", span) if isinstance(span, str) else span
        shown = self._fit(one_line(text, strict=strict))
        return f"\x1b[{_COLOURS[colour]}m{shown}\x1b[0m" if colour and self.colour and shown else shown

    def _fit(self, text: str) -> str:
        if self.unicode or text.isascii():
            return text
        return "".join(c if self._can(c) else _ASCII.get(c, "?") for c in text)

    def _can(self, char: str) -> bool:
        try:
            char.encode(self._encoding)
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Speech:
    """Running text behind a name ("it   …"), wrapped by us so that no text can place itself where a step is shown."""

    _PIECE = re.compile(r"\n|[ \t]+|[^ \t\n]+")

    def __init__(self, pen: Pen, name: str) -> None:
        self._pen = pen
        self._name = name
        self._column = 0
        self._open = False

    def say(self, text: str) -> None:
        """Add a piece; wraps at the terminal's width, or not at all where there is no terminal."""
        for piece in self._PIECE.findall(neutralise(text)):
            if not self._open:
                if piece.isspace():
                    continue
                self._pen.text(pad(self._name, 5))
                self._open, self._column = True, 5
            self._place(piece)

    def end(self) -> None:
        """Close the line when one is open."""
        if self._open:
            self._pen.text("\n")
        self._open = False

    def _place(self, piece: str) -> None:
        if piece == "\n":
            self._pen.text("\n" + " " * 5)
            self._column = 5
            return
        piece = piece.replace("\t", "    ")
        room = self._pen.width - 1 if self._pen.tty else 1 << 30
        if self._column + cells(piece) > room and self._column > 5 and not piece.isspace():
            self._place("\n")
        for char in _chunks(piece, room - self._column, room - 5):
            if self._column > 5 and self._column + cells(char) > room:
                self._place("\n")
            self._pen.text(char)
            self._column += cells(char)


def _chunks(piece: str, first: int, rest: int) -> list[str]:
    if cells(piece) <= first:
        return [piece]
    found, current, room = [], "", first
    for char in piece:
        if current and cells(current + char) > max(1, room):
            found.append(current)
            current, room = "", rest
        current += char
    return [*found, current]
