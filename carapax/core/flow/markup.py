"""Markup read by hand: tags with their attributes, and which parts of a Markdown text are surely code.

Layer: core/flow. Owns the scanning that `hidden` and `reply` share. Absent: a parse tree, and html.parser, which is
quadratic on unclosed constructs. Where two renderers could disagree whether something is code, it is not code.
Source: HTML Living Standard 13.2.5, CommonMark 0.31.
Laws: never raises; linear in the text; the regions are in order and do not overlap.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field
from html import unescape

VALUE = r"(?:\s*+=\s*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|(?![\"'])[^\s>]*+))?+"
TAG = re.compile(rf"<(/?)([a-zA-Z][^\s/>]*+)((?:[\s/]++|[^\s/>=][^\s/>=]*+{VALUE}|={VALUE})*+)(>|\Z)")
"""A tag; its last group is empty when the text ends inside it. An end tag's attributes are skipped, as browsers do."""

COMMENT = re.compile(r"<!--(?:-?>|(?s:.*?)(?:--!?>|\Z))|<[!?][^>]*+(?:>|\Z)|</[^a-zA-Z][^>]*+(?:>|\Z)")
"""A comment, or what a browser takes for one."""

ATTRIBUTE = re.compile(
    r"([^\s/>=][^\s/>=]*+)(?:\s*+=\s*+(?:\"([^\"]*+)(?:\"|\Z)|'([^']*+)(?:'|\Z)|(?![\"'])([^\s>]*+)))?+"
)

_NEXT = re.compile(
    r"(?P<fence>^(?P<indent> {0,3})(?:`{3,}(?=[^`\n]*$)|~{3,}))|(?P<escape>\\[\\`<])|(?P<tick>`+)|(?P<markup><[!?/a-zA-Z])",
    re.MULTILINE,
)
_BLANK = re.compile(r"\n[ \t\r]*(?:\n|\Z)|\Z")
_CONTAINERS = " \t\r>*+-.)0123456789"  # what may stand before a block in its line
_TICKS = re.compile(r"`+")
_RAW_BLOCK = re.compile(r"(?i)</?(?:pre|script|style|textarea)\b|<\?|<!(?!--)")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a tag: its lower-case name, its decoded value, and where it stands in the text."""

    name: str
    value: str
    start: int
    end: int


def attributes(tag: re.Match[str]) -> list[Attribute]:
    """The attributes of a tag found by TAG, in order; of two with one name a browser takes the first."""
    base = tag.start(3)
    found = []
    for one in ATTRIBUTE.finditer(tag.group(3)):
        value = next((v for v in one.groups()[1:] if v is not None), "")
        found.append(Attribute(one.group(1).lower(), unescape(value), base + one.start(), base + one.end()))
    return found


def code_regions(text: str) -> list[tuple[int, int]]:
    """Start and end of each fenced block and one-line code span that every renderer takes for code."""
    if "`" not in text and "~~~" not in text:
        return []
    return _CodeScan(text).run()


@dataclass(slots=True)
class _CodeScan:
    text: str
    regions: list[tuple[int, int]] = field(default_factory=list)
    line_end: int = -1
    blank: int = -1
    markup_at: int = -1

    def run(self) -> list[tuple[int, int]]:
        runs: dict[int, list[int]] = {}
        for tick in _TICKS.finditer(self.text):
            runs.setdefault(len(tick.group()), []).append(tick.start())
        at: int | None = 0
        while at is not None:
            found = _NEXT.search(self.text, at)
            if found is None:
                break
            match found.lastgroup:
                case "fence":
                    at = self._fence(found)
                case "tick":
                    at = self._span(found, runs)
                case "markup":
                    at = self._markup(found)
                case _:
                    at = found.end()
        return self.regions

    def _in_html_block(self, at: int) -> bool:
        # An HTML block goes on until a blank line, and what looks like code in it is none.
        if self.markup_at < 0:
            return False
        if self.blank < self.markup_at:
            found = _BLANK.search(self.text, self.markup_at)
            self.blank = found.start() if found else len(self.text)
        return at <= self.blank

    def _fence(self, found: re.Match[str]) -> int | None:
        if self._in_html_block(found.start()):
            return found.end()
        indent, mark = len(found.group("indent")), found.group().lstrip(" ")
        close = rf"^(?P<by> {{0,3}})(?:{mark[0]}{{{len(mark)},}})[ \t\r]*$"
        if indent:
            # Inside a list item a line that stands further left ends the item, and the code with it.
            close += rf"|^ {{0,{indent - 1}}}(?=[^\s])"
        line = self.text.find("\n", found.end())
        end = re.compile(close, re.MULTILINE).search(self.text, line) if line >= 0 else None
        if end is None:
            self.regions.append((found.start(), len(self.text)))
            return None
        if indent and end.group("by") is not None and len(end.group("by")) < indent:
            return None  # a close for some renderers, another opening for others
        self.regions.append((found.start(), end.end()))
        return end.end() if end.end() > found.end() else found.end()

    def _span(self, found: re.Match[str], runs: dict[int, list[int]]) -> int:
        start, size = found.start(), len(found.group())
        if self.line_end < start:
            cut = self.text.find("\n", start)
            self.line_end = cut if cut >= 0 else len(self.text)
        same = runs.get(size, [])
        index = bisect.bisect_right(same, start)
        if index >= len(same) or same[index] > self.line_end or self._in_html_block(start):
            return found.end()
        end = same[index] + size
        # In a table a bar parts the cells before code is looked for.
        if self.text.find("|", start, end) < 0:
            self.regions.append((start, end))
        return end

    def _markup(self, found: re.Match[str]) -> int | None:
        start = found.start()
        token = COMMENT.match(self.text, start) or TAG.match(self.text, start)
        if token is None:
            return start + 1
        if token.end() == len(self.text) and token.group()[-1] != ">":
            return None
        if "`" in token.group() or _RAW_BLOCK.match(token.group()):
            return None
        line = self.text.rfind("\n", max(0, start - 64), start) + 1
        if not self.text[max(line, start - 64) : start].strip(_CONTAINERS):
            self.markup_at = start
        return token.end()
