"""Hidden text: what a person would not see is taken out of a text before a model reads it, and told to the person.

Layer: core/flow. Owns invisible characters and Markdown's own hiding places; `unseen` owns HTML and CSS.
Absent: look-alike letters (a look-alike is visible; matching is exact), rendering, style sheets behind an address.
Laws: idempotent; never raises; visible ASCII in plain text is unchanged; the work is bounded by the size of the text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from html import unescape
from typing import Literal

from carapax.core.flow.markup import code_regions
from carapax.core.flow.origin import hidden_characters
from carapax.core.flow.unseen import Cut, cut_out, unseen_markup

Media = Literal["text", "html", "markdown"]

MAX_HIDDEN = 64
"""Entries of a report; what is over is counted."""

MAX_SHOWN_CHARS = 500
"""Of one hidden piece."""

_ROUNDS = 4
_TEXT_CHARS = 200  # an alternative text or a title that a person would still take in

_EXTRA = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SELECTORS = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0), 0x180B, 0x180C, 0x180D, 0x180F)))
_SOMETIMES_SEEN = frozenset("\ufe0e\ufe0f\u200c\u200d\u00ad\ufeff\U000e0067")
_VISIBLE_FORMAT = frozenset(
    map(chr, (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)))
)
_FLAGS = ("gbeng", "gbsct", "gbwls")
_EMOJI = (
    (0x2190, 0x21FF),
    (0x2300, 0x23FF),
    (0x2460, 0x24FF),
    (0x25A0, 0x27BF),
    (0x2900, 0x2BFF),
    (0x3030, 0x303D),
    (0x3297, 0x3299),
    (0x1F000, 0x1FAFF),
)
_JOINING = (  # scripts that write words with ZWJ and ZWNJ
    (0x620, 0x6D3),
    (0x6FA, 0x7FF),
    (0x840, 0xDFF),
    (0x1000, 0x109F),
    (0x1780, 0x17D3),
    (0x1820, 0x18AA),
    (0xA840, 0xAADF),
    (0xFB50, 0xFDFF),
    (0xFE70, 0xFEFC),
)
_ENTITY = re.compile(r"&(?:#[xX]?[0-9a-fA-F]{1,8}|[A-Za-z]{2,32});?")
_DEFINITION = re.compile(
    r"^[ \t>]{0,12}\[((?:[^\]\[\\\n]|\\.){1,999})\]:[ \t]*+\n?[ \t]*+(<[^<>\n]*>|[^\s<]\S*+)?"
    r"([ \t]*+\n?[ \t]*+(?:\"(?:[^\"\\\n]|\\.|\n(?![ \t]*\n))*+\"|'(?:[^'\\\n]|\\.|\n(?![ \t]*\n))*+'"
    r"|\((?:[^()\\\n]|\\.|\n(?![ \t]*\n))*+\)))?[ \t]*+$",
    re.MULTILINE,
)
_BRACKETS = re.compile(r"\[([^\[\]\n]{1,999})\]")
_LONG_ALT = re.compile(rf"!\[([^\[\]]{{{_TEXT_CHARS + 1},}}+)\]")
_LONG_TITLE = re.compile(rf"\]\([ \t]*[^\s()]*[ \t]+[\"']([^\"']{{{_TEXT_CHARS + 1},}}+)[\"']")


@dataclass(frozen=True, slots=True)
class Shown:
    """A text as a person would see it, and what was taken out, in words for that person."""

    text: str
    hidden: tuple[str, ...] = ()


def strip_hidden(text: str, media: Media = "text") -> Shown:
    """The text without what a person would not see. HTML stays HTML, Markdown stays Markdown."""
    found: list[str] = []
    for _ in range(_ROUNDS):
        after = _once(text, media, found)
        if after == text:
            return Shown(text, _bounded(found))
        text = after
        if media == "text":
            return Shown(text, _bounded(found))
    # Markup nested so that taking out one layer makes the next: nothing of it is markup any more.
    flat = text.replace("&", "&amp;").replace("<", "&lt;").replace("[", "&#91;")
    return Shown(flat, _bounded([*found, "markup nested in markup"]))


def _once(text: str, media: Media, found: list[str]) -> str:
    if media != "text":
        known: dict[str, str] = {}
        text = _ENTITY.sub(lambda entity: _raw_if_hidden(entity.group(), known), text)
    text = _strip_characters(text, found)
    if media == "text":
        return text
    code = code_regions(text) if media == "markdown" else []
    cuts = unseen_markup(text, code)
    if media == "markdown":
        cuts += _markdown_cuts(text, code)
    return cut_out(text, cuts, found)


def _bounded(found: list[str]) -> tuple[str, ...]:
    texts = list(dict.fromkeys(_one_line(each) for each in found))
    over = len(texts) - MAX_HIDDEN
    return tuple(texts if over <= 0 else [*texts[: MAX_HIDDEN - 1], f"and {over + 1} more"])


def _one_line(piece: str) -> str:
    # What is told is itself shown to a person, and must hide nothing.
    visible = _strip_characters(" ".join(piece[: 4 * MAX_SHOWN_CHARS].split()), [])
    return visible if len(visible) <= MAX_SHOWN_CHARS else visible[: MAX_SHOWN_CHARS - 1] + "…"


# --- characters


def _suspects(text: str) -> frozenset[str]:
    different = "".join(set(text))
    hidden = {chr(int(code[2:], 16)) for code in hidden_characters(different)}
    return frozenset((hidden - _VISIBLE_FORMAT) | ((_EXTRA | _SELECTORS) & set(different)))


def _strip_characters(text: str, found: list[str]) -> str:
    suspects = _suspects(text) if not text.isascii() or not text.isprintable() else frozenset()
    if not suspects:
        return text
    run = re.compile("[" + "".join(map(re.escape, sorted(suspects))) + "]+")
    out: list[str] = []
    gone: list[str] = []
    last = 0
    for each in run.finditer(text):
        out.append(text[last : each.start()])
        last = each.end()
        if each.group()[0] not in _SOMETIMES_SEEN:
            gone.append(each.group())
            continue
        before = "".join(out[-2:])[-3:]
        kept = _kept(before, each.group(), text[each.end() : each.end() + 1])
        gone.append(_without(each.group(), kept, before, text[each.end() : each.end() + 1], each.start()))
        out.append(kept)
    out.append(text[last:])
    found.extend(_told("".join(gone)))
    return "".join(out)


def _kept(before: str, run: str, after: str) -> str:
    """The part of a run of invisible characters that a script or an emoji needs: at most a selector and a joiner."""
    if before[-1:] == "\U0001f3f4" and _untag(run[:5]) in _FLAGS and run[5:6] == "\U000e007f":
        return run[:6]
    rest, kept = run, ""
    if rest[0] in "\ufe0e\ufe0f" and before and (_within(before[-1], _EMOJI) or before[-1] in "0123456789#*©®‼⁉™ℹ"):
        kept, rest = rest[0], rest[1:]
    base = before[-2:-1] if before[-1:] == "\ufe0f" and not kept else before[-1:]
    if rest == "\u200d" and _within(base, _EMOJI) and _within(after, _EMOJI):
        return kept + rest
    if rest in ("\u200c", "\u200d") and not kept and _within(base, _JOINING) and _within(after, _JOINING):
        return rest
    return kept


def _without(run: str, kept: str, before: str, after: str, at: int) -> str:
    rest = run[len(kept) :]
    if rest == "\u00ad" and before[-1:].isalpha() and after.isalpha():
        return ""  # a soft hyphen inside a word is how it may be broken; not worth a word
    return "" if rest == "\ufeff" and at == 0 else rest


def _within(character: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return bool(character) and any(low <= ord(character) <= high for low, high in ranges)


def _untag(run: str) -> str:
    return "".join(chr(ord(c) - 0xE0000) for c in run if 0xE0020 <= ord(c) <= 0xE007E)


def _unselect(run: str) -> str:
    points = [ord(c) for c in run]
    octets = [
        p - 0xFE00 if p < 0xFE10 else p - 0xE00F0 for p in points if 0xFE00 <= p <= 0xFE0F or 0xE0100 <= p <= 0xE01EF
    ]
    text = bytes(o for o in octets if o < 256).decode("utf-8", "replace")
    readable = sum(c.isalnum() or c == " " for c in text)
    return text if len(text) >= 4 and readable * 2 >= len(text) else ""


def _told(gone: str) -> Iterable[str]:
    if not gone:
        return
    if tags := _untag(gone):
        yield f"tag characters: {tags}"
    if selected := _unselect(gone):
        yield f"variation selectors: {selected}"
    rest = Counter(c for c in gone if not 0xE0000 <= ord(c) <= 0xE007F and not (selected and c in _SELECTORS))
    if rest:
        names = [f"U+{ord(c):04X} ×{n}" if n > 1 else f"U+{ord(c):04X}" for c, n in sorted(rest.items())]
        shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        yield f"invisible characters: {shown}"


def _raw_if_hidden(entity: str, known: dict[str, str]) -> str:
    if entity not in known:
        raw = unescape(entity)
        known[entity] = raw if raw != entity and len(raw) <= 2 and _suspects(raw) else entity
    return known[entity]


# --- Markdown


def _markdown_cuts(text: str, code: list[tuple[int, int]]) -> list[Cut]:
    cuts = [Cut(each.start(1), each.end(1), "text of a picture: " + each.group(1)) for each in _LONG_ALT.finditer(text)]
    cuts += [Cut(each.start(1), each.end(1), "title: " + each.group(1)) for each in _LONG_TITLE.finditer(text)]
    if "]:" in text:
        cuts += _definition_cuts(text)
    return [cut for cut in cuts if not _overlaps(cut, code)] if code else cuts


def _definition_cuts(text: str) -> list[Cut]:
    definitions = list(_DEFINITION.finditer(text))
    spoken = Counter(_key(each.group(1)) for each in _BRACKETS.finditer(text))
    spoken.subtract(Counter(_key(each.group(1)) for each in definitions))
    cuts = []
    for each in definitions:
        place, title = (each.group(2) or "").strip("<>"), (each.group(3) or "").strip()
        if place in ("", "#") or spoken[_key(each.group(1))] <= 0:
            said = title[1:-1] or each.group(1)
            cuts.append(Cut(each.start(), min(each.end() + 1, len(text)), f"comment: {said}"))
        elif len(title) > _TEXT_CHARS:
            cuts.append(Cut(each.start(3), each.end(3), f"title: {title[1:-1]}"))
    return cuts


def _key(label: str) -> str:
    return " ".join(label.casefold().split())


def _overlaps(cut: Cut, regions: list[tuple[int, int]]) -> bool:
    low, high = 0, len(regions)
    while low < high:
        middle = (low + high) // 2
        if regions[middle][1] <= cut.start:
            low = middle + 1
        else:
            high = middle
    return low < len(regions) and regions[low][0] < cut.end
