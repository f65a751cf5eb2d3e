"""HTML that a person would not see: comments, scripts, hidden elements and attributes, text in the background's colour.

Layer: core/flow. Owns which elements, attributes and declarations hide. Absent: style sheets behind an address,
scripts, layout; an element that is hidden and never closed hides all that follows, as the strict reading.
Rules for widths of a screen or for print are not applied: mails hide one of two versions with them.
Laws: never raises; linear in the text; at most MAX_OPEN open elements are remembered.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from carapax.core.flow.markup import COMMENT, TAG, Attribute, attributes

MAX_OPEN = 256
"""Open elements whose background is remembered."""

_LOOK_BACK = 32
_CUT_TEXT = 2_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VOID = _words("area base br col embed hr img input link meta param source track wbr")
_RAW = _words("script style xmp iframe noembed noframes textarea title")
_NEVER_SEEN = _words(
    "script style template noembed noframes iframe object datalist metadata desc canvas audio video meta link base"
)
_CLOSES_ITSELF = _words("p li td th tr dt dd option")
_KEPT = _words(
    "href src srcset alt title placeholder value label summary style class id name content rel type role width height "
    "colspan rowspan lang dir datetime align valign bgcolor color face size border action method target for open "
    "cellpadding cellspacing start media sizes summary hidden aria-hidden"
)
_TEXT_CHARS = 200
_ADDRESS_CHARS = 4_000
_RULE = re.compile(r"([^{}]{1,2000})\{([^{}]*)\}")
_NARROWED = re.compile(r"@media[^{}]{0,500}(?:width|height|print|prefers)[^{}]{0,500}\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}")
_SELECTOR = re.compile(r"(?:^|[\s>+~])(?:[a-z][\w-]*)?([.#][\w-]+)$|^([a-z][\w-]*)$")
_NUMBER = re.compile(r"(-?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}))(px|pt|em|rem|ex|ch|vw|vh|%|cm|in|)")
_ESCAPE = re.compile(r"\\([0-9a-f]{1,6})\s?|\\(.)")
_BEGIN = re.compile(r"<(?=[!?/a-zA-Z])")
_COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "snow": (255, 250, 250), "ivory": (255, 255, 240)}
_WHITE = (255, 255, 255)

Colour = tuple[int, int, int]
Style = dict[str, str]


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece to take out, and what to tell of it; "" tells nothing."""

    start: int
    end: int
    told: str


def cut_out(text: str, cuts: list[Cut], found: list[str]) -> str:
    """The text without the pieces; what they said is added to `found`. Overlapping pieces count once."""
    out, last = [], 0
    for cut in sorted(cuts, key=lambda c: (c.start, -c.end)):
        if cut.start < last:
            continue
        out.append(text[last : cut.start])
        if cut.told.strip():
            found.append(cut.told)
        last = cut.end
    out.append(text[last:])
    return "".join(out)


def unseen_markup(text: str, code: list[tuple[int, int]]) -> list[Cut]:
    """The pieces of HTML in a text that are not seen, in order; `code` is left alone."""
    if "<" not in text:
        return []
    walk = _Walk(text, code, _sheet(text))
    walk.run()
    return walk.cuts


@dataclass(slots=True)
class _Walk:
    text: str
    code: list[tuple[int, int]]
    sheet: dict[str, Style]
    cuts: list[Cut] = field(default_factory=list)
    hidden: str = ""  # the name of the hidden element we are in
    depth: int = 0
    since: int = 0
    open: list[tuple[str, Colour | None, Colour | None]] = field(default_factory=list)

    def run(self) -> None:
        starts = [start for start, _ in self.code]
        at = 0
        while begin := _BEGIN.search(self.text, at):
            at = begin.start()
            index = bisect_right(starts, at) - 1
            if index >= 0 and at < self.code[index][1]:
                at = self.code[index][1]
                continue
            at = self._token(at)
        if self.hidden:
            self._cut(self.since, len(self.text), "hidden element: ")

    def _token(self, at: int) -> int:
        if comment := COMMENT.match(self.text, at):
            if not self.hidden:
                said = comment.group()[:_CUT_TEXT].strip("<>!-? ")
                self.cuts.append(Cut(at, comment.end(), "" if _is_doctype(said) else f"comment: {said}"))
            return comment.end()
        tag = TAG.match(self.text, at)
        if tag is None:
            return at + 1
        if not tag.group(4):
            if not self.hidden:
                self.cuts.append(Cut(at, tag.end(), "unfinished tag: " + tag.group()[:_CUT_TEXT]))
            return tag.end()
        name = tag.group(2).lower()
        if tag.group(1):
            return self._end(name, tag)
        return self._start(name, tag)

    def _end(self, name: str, tag: re.Match[str]) -> int:
        if name == self.hidden:
            self.depth -= 1
            if not self.depth:
                self._cut(self.since, tag.end(), "hidden element: ")
                self.hidden = ""
        elif not self.hidden:
            for back in range(1, min(_LOOK_BACK, len(self.open)) + 1):
                if self.open[-back][0] == name:
                    del self.open[-back:]
                    break
        return tag.end()

    def _start(self, name: str, tag: re.Match[str]) -> int:
        if name in _RAW:
            return self._raw(name, tag)
        if self.hidden:
            self.depth += name == self.hidden
            return tag.end()
        given = attributes(tag) if tag.group(3) else []
        style = self._style(name, given)
        if name in _CLOSES_ITSELF and self.open and self.open[-1][0] == name:
            self.open.pop()
        back, ink = self._colours(style, given)
        if name in _NEVER_SEEN or _hides(name, given, style) or _blends(back, ink, style, given):
            if name in _VOID:
                self.cuts.append(Cut(tag.start(), tag.end(), _prose(given)))
            else:
                self.hidden, self.depth, self.since = name, 1, tag.start()
            return tag.end()
        if name not in _VOID:
            self.open.append((name, back, ink))
            del self.open[:-MAX_OPEN]
        self.cuts += [Cut(a.start, a.end, f"attribute {a.name}: {a.value}") for a in given if _unseen_attribute(a)]
        return tag.end()

    def _raw(self, name: str, tag: re.Match[str]) -> int:
        close = re.compile(rf"(?i)</{name}(?=[\s/>])[^>]*+(?:>|\Z)").search(self.text, tag.end())
        end = close.end() if close else len(self.text)
        if name in _NEVER_SEEN and not self.hidden:
            self.cuts.append(Cut(tag.start(), end, f"{name}, {end - tag.start()} characters"))
        elif not self.hidden and _hides(name, given := attributes(tag), self._style(name, given)):
            self._cut(tag.start(), end, "hidden element: ")
        return end

    def _cut(self, start: int, end: int, kind: str) -> None:
        said = " ".join(re.sub(r"<[^>]*>", " ", self.text[start : min(end, start + 4 * _CUT_TEXT)]).split())
        self.cuts.append(Cut(start, end, kind + said if said else ""))

    def _style(self, name: str, given: list[Attribute]) -> Style:
        style = dict(self.sheet.get(name, {})) if self.sheet else {}
        inline = ""
        for each in given:
            if each.name == "style" and not inline:
                inline = each.value
            elif self.sheet and each.name in ("class", "id"):
                for word in each.value.lower().split()[:32]:
                    style |= self.sheet.get(("." if each.name == "class" else "#") + word, {})
        return style | _declarations(inline) if inline else style

    def _colours(self, style: Style, given: list[Attribute]) -> tuple[Colour | None, Colour | None]:
        back, ink = self.open[-1][1:] if self.open else (_WHITE, None)
        for each in given:
            if each.name == "bgcolor":
                back = _colour(each.value.lower())
            elif each.name == "background":
                back = None
            elif each.name == "color":
                ink = _colour(each.value.lower())
        for key in ("background", "background-color"):
            if key in style and style[key] not in ("transparent", "none", "inherit", "initial", "unset"):
                back = _colour(style[key])
        if "background-image" in style:
            back = None
        return back, _colour(style["color"]) if "color" in style else ink


def _is_doctype(said: str) -> bool:
    return said[:7].lower() == "doctype" and len(said) < _TEXT_CHARS


def _prose(given: list[Attribute]) -> str:
    said = next((a.value for a in given if a.name in ("content", "alt", "value", "title") and " " in a.value), "")
    return f"attribute: {said}" if said else ""


def _unseen_attribute(given: Attribute) -> bool:
    if given.name in ("href", "src", "srcset", "action"):
        return len(given.value) > _ADDRESS_CHARS
    if given.name in _KEPT:
        return "/*" in given.value if given.name == "style" else len(given.value) > _TEXT_CHARS
    return len(given.value) > 40 or len(given.value.split()) > 2


def _hides(name: str, given: list[Attribute], style: Style) -> bool:
    named = {each.name: each.value.lower().strip() for each in reversed(given)}
    if "hidden" in named or named.get("aria-hidden") == "true" or (name == "input" and named.get("type") == "hidden"):
        return True
    if name == "dialog" and "open" not in named:
        return True
    if name in ("img", "iframe"):
        return False
    return bool(style) and _style_hides(style)


def _blends(back: Colour | None, ink: Colour | None, style: Style, given: list[Attribute]) -> bool:
    if not ("color" in style or any(a.name == "color" for a in given)) or back is None or ink is None:
        return False
    return max(abs(a - b) for a, b in zip(back, ink, strict=True)) <= 16


def _style_hides(style: Style) -> bool:
    got = style.get
    if got("display") == "none" or got("visibility") in ("hidden", "collapse") or got("mso-hide") == "all":
        return True
    if got("content-visibility") == "hidden" or _invisible_ink(got("color", "")):
        return True
    if (
        _number(got("opacity", "1"), 100) <= 0.05
        or _pixels(got("font-size", "16px")) <= 2
        or _tiny_font(got("font", ""))
    ):
        return True
    if "text-indent" in style and abs(_pixels(style["text-indent"])) >= 500:
        return True
    if got("clip", "").startswith("rect(0") or re.match(r"inset\((?:[5-9]\d|100)%|circle\(0", got("clip-path", "")):
        return True
    if got("position") in ("absolute", "fixed", "relative") and _off_screen(style):
        return True
    if any(_pixels(got(f"margin-{side}", "0")) <= -500 for side in ("left", "top")):
        return True
    if re.search(r"scale[xy]?\(0?\.?0*[,)]|translate[xyz3d]*\([^)]*-\d{3,}", got("transform", "")):
        return True
    small = any(_pixels(got(f"{bound}{side}", "99px")) <= 1 for bound in ("", "max-") for side in ("height", "width"))
    return small and got("overflow", got("overflow-y", "")) in ("hidden", "clip")


def _off_screen(style: Style) -> bool:
    return any(
        abs(_pixels(style.get(side, "0"))) >= 500 and "-" in style[side] for side in _SIDES if side in style
    ) or any(_pixels(style.get(side, "0")) >= 5_000 for side in _SIDES)


_SIDES = ("left", "right", "top", "bottom")


def _invisible_ink(value: str) -> bool:
    return (
        value == "transparent"
        or re.fullmatch(r"(?:rgba?|hsla?)\(.*[,/]0?\.?0*%?\)|#[0-9a-f]{3}0|#[0-9a-f]{6}0[0-9a-f]", value) is not None
    )


def _tiny_font(value: str) -> bool:
    size = _NUMBER.search(value)
    return size is not None and size.group(2) != "" and _pixels(size.group()) <= 2


def _pixels(value: str) -> float:
    # Relative sizes are taken against usual ones: near enough to tell what nobody could read.
    found = _NUMBER.match(value)
    if found is None:
        return 16.0
    scale = {"em": 16.0, "rem": 16.0, "ex": 8.0, "ch": 8.0, "%": 0.16, "vw": 12.0, "vh": 8.0, "cm": 38.0, "in": 96.0}
    return float(found.group(1)) * scale.get(found.group(2), 1.0)


def _number(value: str, percent: float) -> float:
    found = _NUMBER.match(value)
    if found is None:
        return 1.0
    return float(found.group(1)) / (percent if found.group(2) == "%" else 1.0)


def _colour(value: str) -> Colour | None:
    if value in _COLOURS:
        return _COLOURS[value]
    if found := re.fullmatch(r"#([0-9a-f]{3}|[0-9a-f]{6})(?:[0-9a-f]{1,2})?", value):
        digits = found.group(1) if len(found.group(1)) == 6 else "".join(c * 2 for c in found.group(1))
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    if found := re.match(r"rgba?\((\d{1,3})[,\s](\d{1,3})[,\s](\d{1,3})", value):
        return int(found.group(1)), int(found.group(2)), int(found.group(3))
    return None


def _declarations(css: str) -> Style:
    style: Style = {}
    for part in re.sub(r"/\*.*?(?:\*/|\Z)", "", _ESCAPE.sub(_unescape, css[:_ADDRESS_CHARS].lower()), flags=re.S).split(
        ";"
    ):
        key, _, value = part.partition(":")
        if value:
            style[key.strip()] = re.sub(r"\s*([,/()])\s*", r"\1", value.replace("!important", "").strip())
    return style


def _unescape(found: re.Match[str]) -> str:
    if found.group(1) is None:
        return found.group(2)
    point = int(found.group(1), 16)
    return chr(point).lower() if 0 < point < 0x110000 else " "


def _sheet(text: str) -> dict[str, Style]:
    """Declarations by class, id and element name, of the style elements in the text."""
    sheet: dict[str, Style] = {}
    for block in re.finditer(r"(?i)<style[^>]*+>([^<]*+)", text):
        for selectors, body in _RULE.findall(_NARROWED.sub("", block.group(1).lower())):
            style = _declarations(body)
            for selector in selectors.split(",")[:64] if style else []:
                found = _SELECTOR.search(selector.strip())
                if found and ":" not in selector:
                    key = found.group(1) or found.group(2)
                    sheet[key] = sheet.get(key, {}) | style
    return sheet
