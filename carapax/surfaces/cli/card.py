"""The approval card: exactly what was asked, each argument with its origin, never a reason a model wrote.

Layer: surfaces/cli. Shows an Approval as plain data. Absent: asking for the answer (answering).
Law: text is shown strictly (joiners and selectors too become visible), and what is folded away is counted.
"""

from __future__ import annotations

import time

from carapax.core.flow.disguise import disguise
from carapax.core.turn.batch import call_of, call_titles
from carapax.surfaces.cli.neutral import neutralise
from carapax.surfaces.cli.terminal import cells, pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from carapax.surfaces.cli.terminal import Pen, Span
    from carapax.surfaces.cli.texts import Texts

    Plain = Mapping[str, Any]

VALUE_LINES = 8  # of one value on the card; [d] shows the rest
_EXPIRES_AT = 64  # where the time left ends, when there is room
OPEN = "····"  # stands where a person has to type


def show_card(pen: Pen, t: Texts, approval: Plain, *, whole: bool = False) -> None:
    """Print the card. `whole`: every line of every value, the exact arguments, the digest and the identifiers."""
    _Card(pen, t, approval, whole).show()


def remaining(deadline_ms: object) -> str:
    """Time left as m:ss or h:mm:ss, "" when there is no deadline."""
    if not isinstance(deadline_ms, int):
        return ""
    seconds = max(0, deadline_ms // 1000 - int(time.time()))
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def indent(pen: Pen) -> str:
    """Where a card's text begins; nearer on a narrow terminal."""
    return " " * (12 if pen.width >= 60 else 4)


def agreed_words(t: Texts, approval: Plain) -> str:
    """How many of the people who must agree have done so."""
    agreed, people = len(approval.get("agreed") or ()), approval.get("people", 1)
    return t("card.agreed", agreed=agreed, people=people) if agreed else t("card.people", people=people)


class _Card:
    """One printing of one card."""

    def __init__(self, pen: Pen, t: Texts, approval: Plain, whole: bool) -> None:
        self._pen, self._t, self._approval, self._whole = pen, t, approval, whole
        self._margin = indent(pen)
        self._calls = max(1, int(approval.get("calls") or 1))
        names = [call_of(str(line.get("name", "")), self._calls)[1] for line in self._many("lines")] + [t("card.rule")]
        self._column = min(max([8, *(cells(name) for name in names)]), 16) + 2

    def show(self) -> None:
        self._head()
        self._arguments()
        self._choices()
        self._surroundings()
        self._foot()
        if self._whole:
            self._exact()

    def _many(self, key: str) -> Sequence[Any]:
        found = self._approval.get(key)
        return found if isinstance(found, list | tuple) else ()

    def _text(self, key: str) -> str:
        return str(self._approval.get(key) or "")

    def _head(self) -> None:
        t, left = self._t, remaining(self._approval.get("deadline_ms"))
        expires = t("card.expires", left=left) if left else ""
        title = self._text("title") if self._calls == 1 else t("card.calls", count=self._calls)
        waits = pad(t("card.waits"), len(self._margin) - 5) + " "
        room = self._pen.width - cells(waits) - 4
        first, *more = wrapped(neutralise(title, strict=True), room)
        beside = not more and bool(expires) and cells(first) + 3 + cells(expires) <= room
        gap = " " * (min(room, _EXPIRES_AT) - cells(first) - cells(expires)) if beside else ""
        told = ("grey", (gap or "   ") + expires if beside else "")
        self._pen.line("  ", ("amber", "◦"), " ", waits, first, told, strict=True)
        for line in more:
            self._line(line)
        if expires and not beside:
            self._line(("grey", expires))

    def _arguments(self) -> None:
        """Each call's lines, with what has to be typed in their places."""
        calls = self._calls
        titles = call_titles(self._text("title"), self._text("exact"), calls)
        for at, title in enumerate(titles):
            if calls > 1:
                self._block(f"{at + 1}. {title}")
            blanks = [b for b in self._many("blanks") if min(int(b.get("call") or 0), calls - 1) == at]
            for line in self._many("lines"):
                call, name = call_of(str(line.get("name", "")), calls)
                if call != at:
                    continue
                value, here = str(line.get("value", "")), [b for b in blanks if b.get("argument") == name]
                blanks = [b for b in blanks if b not in here]
                if not any(b.get("shown") == value for b in here):
                    self._row(name, value, str(line.get("origin", "")))
                self._blanks(here)
            self._blanks(blanks)

    def _blanks(self, blanks: Sequence[Plain]) -> None:
        """What has to be typed: a place for it, and below what the call says and where that stands."""
        t = self._t
        for blank in blanks:
            name, source = str(blank.get("argument", "")), str(blank.get("source") or "")
            self._under(f"{OPEN}   {t('card.type_it')}", name=name)
            said = t("card.says", source=source) if source else t("card.model_says")
            self._under(f"{said} {blank.get('shown', '')}")
            if why := disguise(str(blank.get("shown", ""))):
                self._under(t("card.look_twice", why=why), colour="amber")

    def _under(self, text: str, *, name: str = "", colour: str = "") -> None:
        """A text beside the column of names, all of it."""
        for number, line in enumerate(wrapped(neutralise(text, strict=True), self._width())):
            self._line(pad(name if number == 0 else "", self._column), (colour, line) if colour else line)

    def _row(self, name: str, value: str, origin: str) -> None:
        shown, hidden = self._folded(value, self._width())
        room = self._width() - cells(shown[-1]) - 3
        beside = not hidden and len(shown) == 1 and cells(origin) <= room
        for number, text in enumerate(shown):
            after = ("grey", f"   {origin}" if beside and origin else "")
            self._line(pad(name if number == 0 else "", self._column), text, after)
        self._folds(hidden, self._column)
        if origin and not beside:
            self._under(origin, colour="grey")

    def _choices(self) -> None:
        choices, t = self._many("choices"), self._t
        if not choices:
            return
        source = self._text("choices_source")
        self._block(t("card.choices_of", source=source) if source else t("card.choices"))
        size = len(str(len(choices)))
        for number, choice in enumerate(choices, 1):
            shown, hidden = self._folded(str(choice), self._width() - 2)
            for place, text in enumerate(shown):
                self._line(f"{number:>{size + 2}}  " if place == 0 else " " * (size + 4), text)
            self._folds(hidden, size + 4)

    def _surroundings(self) -> None:
        """What taints the session, hidden text, the detector's hint, and why the policy asks."""
        t = self._t
        if taint := self._text("taint"):
            self._block(t("card.taint", taint=taint))
        hidden = self._many("hidden")
        if hidden:
            self._block(t("card.hidden", count=len(hidden)))
        for found in hidden:
            shown, rest = self._folded(str(found), self._width())
            for text in shown:
                self._line("  ", ("amber", text))
            self._folds(rest, 2)
        if hint := self._text("hint"):
            self._block(t("card.hint", hint=hint))
        if reason := self._text("reason"):
            self._block(reason)

    def _foot(self) -> None:
        t, approval = self._t, self._approval
        self._under(f"{self._text('rule')} · {self._text('id')}", name=t("card.rule"), colour="grey")
        if approval.get("factor"):
            self._block(t("card.factor"))
        if int(approval.get("people") or 1) > 1:
            self._block(agreed_words(t, approval))

    def _exact(self) -> None:
        t = self._t
        for text in filter(None, self._text("exact").split("\n")):
            self._under(text, name=t("card.exact"))
        self._block(t("card.digest"))
        self._block(self._text("digest"))
        self._line(("grey", f"session {self._text('session')}"))
        self._line(("grey", f"turn    {self._text('turn')}"))

    def _width(self) -> int:
        return max(20, self._pen.width - len(self._margin) - self._column)

    def _folded(self, value: str, width: int) -> tuple[list[str], int]:
        """The lines to show, and how many characters of the value are left out."""
        lines = wrapped(neutralise(value, strict=True), width)
        if self._whole or len(lines) <= VALUE_LINES:
            return lines, 0
        return lines[:VALUE_LINES], sum(map(len, lines[VALUE_LINES:]))

    def _folds(self, hidden: int, column: int) -> None:
        if hidden:
            self._line(" " * column, ("amber", self._t("card.more", count=hidden)))

    def _block(self, text: str) -> None:
        for line in wrapped(neutralise(text, strict=True), max(20, self._pen.width - len(self._margin))):
            self._line(line)

    def _line(self, *spans: Span) -> None:
        self._pen.line(self._margin, *spans, strict=True)


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, nothing dropped; breaks at a space where there is one."""
    return [piece for line in text.split("\n") for piece in _pieces(line, width)]


def _pieces(rest: str, width: int) -> Iterator[str]:
    while cells(rest) > width:
        cut = _fitting(rest, width)
        space = rest.rfind(" ", cut // 2, cut)
        cut = space + 1 if space > 0 else cut
        yield rest[:cut]
        rest = rest[cut:]
    yield rest


def _fitting(text: str, width: int) -> int:
    cut = min(len(text), width)
    while cut > 1 and cells(text[:cut]) > width:
        cut -= 1
    return cut
