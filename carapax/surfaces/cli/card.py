"""The approval card: exactly what was asked, each argument with its origin, never a reason a model wrote.

Layer: surfaces/cli. Shows an Approval as plain data. Text is shown strictly: joiners and selectors too become visible.
"""

from __future__ import annotations

import time

from carapax.surfaces.cli.neutral import neutralise
from carapax.surfaces.cli.terminal import cells, pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from carapax.surfaces.cli.terminal import Pen
    from carapax.surfaces.cli.texts import Texts

VALUE_LINES = 8  # of one argument on the card; [d] shows the rest


def show_card(pen: Pen, t: Texts, approval: Mapping[str, Any], *, whole: bool = False) -> None:
    """Print the card. `whole`: every line of every value, the digest and the identifiers."""
    margin = indent(pen)
    left = remaining(approval.get("deadline_ms"))
    pen.line(
        "  ", ("amber", "◦"), " ", pad(t("card.waits"), 8), str(approval.get("title", "")),
        ("grey", "   " + t("card.expires", left=left) if left else ""), strict=True,
    )  # fmt: skip
    for line in approval.get("lines") or ():
        _argument(pen, t, line, whole)
    if taint := str(approval.get("taint") or ""):
        _block(pen, t("card.taint", taint=taint))
    if reason := str(approval.get("reason") or ""):
        _block(pen, reason)
    pen.line(margin, ("grey", t("card.rule", rule=approval.get("rule", ""), id=approval.get("id", ""))), strict=True)
    if whole:
        pen.line(margin, ("grey", f"{t('card.digest')} {approval.get('digest', '')}"), strict=True)
        pen.line(
            margin, ("grey", f"session {approval.get('session', '')}  turn {approval.get('turn', '')}"), strict=True
        )


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


def _argument(pen: Pen, t: Texts, line: Mapping[str, Any], whole: bool) -> None:
    name, value = str(line.get("name", "")), str(line.get("value", ""))
    margin = indent(pen)
    shown = wrapped(neutralise(value, strict=True), max(20, pen.width - len(margin) - 10))
    hidden = 0 if whole else max(0, len(shown) - VALUE_LINES)
    for number, text in enumerate(shown[: len(shown) - hidden]):
        pen.line(margin, pad(name if number == 0 else "", 9), " ", text, strict=True)
    if hidden:
        pen.line(margin, " " * 10, ("amber", t("card.more", count=hidden)))
    pen.line(margin, " " * 10, ("grey", str(line.get("origin", ""))), strict=True)


def _block(pen: Pen, text: str) -> None:
    margin = indent(pen)
    for line in wrapped(neutralise(text, strict=True), max(20, pen.width - len(margin))):
        pen.line(margin, line, strict=True)


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, nothing dropped; breaks at a space where there is one."""
    found: list[str] = []
    for line in text.split("\n"):
        rest = line
        while cells(rest) > width:
            cut = _fitting(rest, width)
            space = rest.rfind(" ", cut // 2, cut)
            cut = space + 1 if space > 0 else cut
            found.append(rest[:cut])
            rest = rest[cut:]
        found.append(rest)
    return found


def _fitting(text: str, width: int) -> int:
    cut = min(len(text), width)
    while cut > 1 and cells(text[:cut]) > width:
        cut -= 1
    return cut
