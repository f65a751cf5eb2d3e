"""The first lines of a gateway: system, model, policy, walls, ready.

Layer: surfaces/cli. `app` hands over facts and checks while it starts; this shows them as they come.
Absent: deciding anything.
"""

from __future__ import annotations

from carapax.surfaces.cli.terminal import pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from carapax.core.terms.check import Check
    from carapax.surfaces.cli.terminal import Pen, Span
    from carapax.surfaces.cli.texts import Texts

MARKS = {"ok": ("green", "✓"), "warning": ("amber", "◦"), "failed": ("red", "✗")}


class Banner:
    """Call `begin` once, then `fact` and `checks` in any order, then `ready`."""

    def __init__(self, pen: Pen, t: Texts) -> None:
        self._pen = pen
        self._t = t

    def begin(self, version: str, *, first: bool) -> None:
        """The name and version; says so when nothing was set up here before."""
        self._pen.line(f"Carapax {version}", self._t("banner.first") if first else "")

    def fact(self, name: str, text: str) -> None:
        """One line: "model", "embedded Qwen2.5-Coder 1.5B"."""
        self._pen.line("  ", pad(name, 12), text)

    def checks(self, name: str, checks: Iterable[Check], note: str = "") -> None:
        """Checks side by side, each with its mark; what to do for those that are not well comes below."""
        listed = list(checks)
        spans: list[Span] = ["  ", pad(name, 12)]
        for check in listed:
            spans += [f"{check.found} ", MARKS[check.standing.value], "  "]
        self._pen.line(*spans, ("grey", note))
        for check in listed:
            if check.standing.value != "ok":
                self._pen.line("  ", " " * 12, MARKS[check.standing.value], f" {check.found}: {check.next_step}")

    def ready(self, url: str, code: str) -> None:
        """The address and the one-time sign-in code."""
        self._pen.line("  ", pad("ready", 12), url, self._t("banner.code", code=code) if code else "")
