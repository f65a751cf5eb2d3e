"""Cutting a long text into messages that a platform takes.

Layer: core/channel. Owns where a text may be cut. Absent: the platform's own markup (its adapter renders).
Laws: the slices joined are the text; every piece is within the bound; no code block is left open at a cut (it is closed
and opened again with its language); a cut inside a word, an entity or a grapheme is the last resort.
Source: CommonMark 0.31 (fences); Unicode UAX 29 (graphemes, without its tables: marks, joiners, flags, Hangul).
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

MOST_PIECES = 50
"""Messages that one text becomes; what is over is counted in words."""

LEAST_CHARS = 64
MORE = "[… {count:,} more characters are not shown here.]"

_FENCE = re.compile(r" {0,3}(`{3,16}|~{3,16})([^\n]*)\Z")
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,20}")
_SENTENCE = re.compile(r"[.!?…。！？][\"'”’»)\]]*\s")
_ENTITY = re.compile(r"&#?[A-Za-z0-9]{1,31};")
_LOOK_BACK = 64  # characters that one grapheme may have before it is cut all the same
_FLAGS_BACK = 8_192
_LEAST_FILL = (0.5, 0.35, 0.3, 0.3, 0.05)  # of a piece, by the rank of the place where it would end
_PARAGRAPH, _LINE, _CODE_LINE, _SENTENCES, _WORDS = range(5)


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of the text as it stands, and what is put around it so that it reads alone."""

    text: str
    before: str = ""  # the line that opens the code block again
    after: str = ""  # the mark that closes it

    @property
    def shown(self) -> str:
        """What is sent: without empty lines at its ends."""
        body = self.text if self.before else self.text.lstrip("\n")
        return f"{self.before}{body.rstrip(chr(10))}\n{self.after}" if self.after else self.before + body.rstrip()


def split_text(
    text: str, *, chars: int, bytes_: int = 0, utf16: bool = False, most: int = MOST_PIECES, more: str = MORE
) -> tuple[str, ...]:
    """The messages that a text becomes, each at most `chars` (code points, or UTF-16 units) and `bytes_` of UTF-8 if given.

    At most `most` pieces; the last one says with `more` how much is missing. Raises ValueError for less than 64 chars.
    """
    pieces = tuple(part.shown for part in cut_text(text, chars=chars, bytes_=bytes_, utf16=utf16))
    kept = tuple(piece for piece in pieces if piece.strip())
    if len(kept) <= most:
        return kept
    told = more.format(count=sum(map(len, kept[most - 1 :])))
    return (*kept[: most - 1], told)


def cut_text(text: str, *, chars: int, bytes_: int = 0, utf16: bool = False) -> tuple[Slice, ...]:
    """Every slice of the text in order; joined they are the text. Raises ValueError for bounds that are too small."""
    if chars < LEAST_CHARS or 0 < bytes_ < LEAST_CHARS:
        raise ValueError(f"a message must bear at least {LEAST_CHARS} characters")
    return tuple(_Cutting(text, chars, bytes_, utf16).slices())


@dataclass(frozen=True, slots=True)
class _Fence:
    mark: str
    opening: str


def _units(character: str) -> int:
    return 2 if ord(character) > 0xFFFF else 1


def _bytes(character: str) -> int:
    point = ord(character)
    return 1 if point < 0x80 else 2 if point < 0x800 else 3 if point < 0x10000 else 4


class _Cutting:
    """One text on its way into slices."""

    def __init__(self, text: str, chars: int, bytes_: int, utf16: bool) -> None:
        self._text = text
        self._bounds = [(chars, self._sums(_units) if utf16 else list(range(len(text) + 1)))]
        if bytes_:
            self._bounds.append((bytes_, self._sums(_bytes)))
        self._starts: list[int] = []  # of each line
        self._open: list[_Fence | None] = []  # what is open where the line begins
        self._fence_lines: set[int] = set()
        self._read_lines()

    def _sums(self, size: Callable[[str], int]) -> list[int]:
        return list(accumulate(map(size, self._text), initial=0))

    def _read_lines(self) -> None:
        """Which code block is open at the start of every line."""
        open_: _Fence | None = None
        at = 0
        for number, line in enumerate(self._text.split("\n")):
            self._starts.append(at)
            self._open.append(open_)
            at += len(line) + 1
            if found := _FENCE.match(line):
                after = self._after(open_, found[1], found[2].strip())
                if after is not open_:
                    self._fence_lines.add(number)
                open_ = after

    def _after(self, open_: _Fence | None, mark: str, info: str) -> _Fence | None:
        if open_ is not None:
            closes = mark[0] == open_.mark[0] and len(mark) >= len(open_.mark) and not info
            return None if closes else open_
        if mark[0] == "`" and "`" in info:
            return None
        language = _LANGUAGE.match(info)
        return _Fence(mark, f"{mark}{language.group() if language else ''}\n")

    def slices(self) -> Iterator[Slice]:
        """The slices, from the first."""
        at, size = 0, len(self._text)
        while at < size:
            fence = self._fence_at(at)
            before = fence.opening if fence else ""
            end = self._end(at, len(before), 0)
            if end < size:
                end = self._choose(at, self._end(at, len(before), self._reserve(at, end)))
            left = self._fence_at(end) if end < size else None
            yield Slice(self._text[at:end], before, left.mark if left else "")
            at = end

    def _reserve(self, at: int, end: int) -> int:
        """Room for the line that closes a code block, when one is open anywhere in this stretch."""
        first, last = self._line(at), self._line(end)
        marks = [fence.mark for fence in self._open[first : last + 2] if fence]
        return 1 + max(map(len, marks)) if marks else 0

    def _line(self, at: int) -> int:
        return max(0, bisect_right(self._starts, at) - 1)

    def _fence_at(self, at: int) -> _Fence | None:
        """The code block that is open at this place; the lines of the fence itself count as outside."""
        line = self._line(at)
        if self._starts[line] != at and line in self._fence_lines:
            return None
        return self._open[line]

    def _end(self, at: int, before: int, after: int) -> int:
        """How far one piece can reach; at least one character."""
        ends = [bisect_right(sums, sums[at] + most - before - after) - 1 for most, sums in self._bounds]
        return max(at + 1, min(len(self._text), *ends))

    def _choose(self, at: int, end: int) -> int:
        """The best place to cut, at most `end`."""
        found: dict[int, int] = {}
        for line in range(self._line(at) + 1, self._line(end) + 1):
            place = self._starts[line]
            if at < place <= end and (rank := self._rank(line)) is not None:
                found[rank] = place
        for rank, least in enumerate(_LEAST_FILL):
            place = found.get(rank, 0) if rank <= _CODE_LINE else self._inside(rank, at, end)
            if place > at and place - at >= (end - at) * least:
                return place
        return self._hard(at, end)

    def _rank(self, line: int) -> int | None:
        """How good a cut before this line is; None when it would leave an empty code block."""
        if line - 1 in self._fence_lines and self._open[line] is not None:
            return None
        if self._open[line] is not None:
            return None if line in self._fence_lines else _CODE_LINE
        above = self._text[self._starts[line - 1] : self._starts[line]]
        parts = not above.strip() or line in self._fence_lines or line - 1 in self._fence_lines
        return _PARAGRAPH if parts else _LINE

    def _inside(self, rank: int, at: int, end: int) -> int:
        """The last end of a sentence or of a word in this stretch, 0 when there is none."""
        if rank == _WORDS:
            last = max(self._text.rfind(" ", at, end), self._text.rfind("\t", at, end), self._text.rfind("\n", at, end))
            return last + 1
        if self._fence_at(end) is not None:
            return 0
        return max((found.end() for found in _SENTENCE.finditer(self._text, at, end)), default=0)

    def _hard(self, at: int, end: int) -> int:
        """A cut where there is no good place: still not inside a fence, or what reads as one sign."""
        text, line = self._text, self._line(end)
        if line in self._fence_lines and at < self._starts[line] < end:
            return self._starts[line]
        begin = text.rfind("&", max(at, end - 34), end)
        if begin > at and (found := _ENTITY.match(text, begin)) and found.end() > end:
            return begin
        floor = max(at + 1, end - _LOOK_BACK)
        place = end
        while place > floor and joined(text, place):
            place -= 1
        return end if joined(text, place) else place


def joined(text: str, at: int) -> bool:
    """Whether the characters before and at this place read as one sign."""
    if not 0 < at < len(text):
        return False
    before, here = text[at - 1], text[at]
    if before == "\r" and here == "\n":
        return True
    if before in "\u200d\u2060" or here in "\u200d\u200c\ufe0e\ufe0f\u20e3" or "\U0001f3fb" <= here <= "\U0001f3ff":
        return True
    if unicodedata.category(here).startswith("M") or "\U000e0020" <= here <= "\U000e007f":
        return True
    if "\ud800" <= before <= "\udbff" and "\udc00" <= here <= "\udfff":
        return True
    if "\u1160" <= here <= "\u11ff" and "\u1100" <= before <= "\u11ff":
        return True
    return _flag(before) and _flag(here) and _flags_before(text, at) % 2 == 1


def _flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flags_before(text: str, at: int) -> int:
    count = 0
    while count < _FLAGS_BACK and at > count and _flag(text[at - 1 - count]):
        count += 1
    return count
