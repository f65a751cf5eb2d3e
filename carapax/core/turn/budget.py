"""Budgets: which bound is reached, and the sentence that says so.

Layer: core/turn. Checked before every model request and every call; at the bound the turn stops.
Law: monotone: more usage never un-reaches a bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from carapax.core.terms.limit import Budget, Budgets, Span, Usage

TALK_ONLY = Budgets(
    turn=Budget(tokens=50_000, usd_micro=200_000, tool_calls=10, wall_ms=300_000),
    session=Budget(tokens=500_000, usd_micro=1_000_000),
    day=Budget(tokens=1_000_000, usd_micro=2_000_000),
)
"""Bounds of talk while no valid policy is in force; nothing can be done then, but talk costs too."""

_NAMES = {"tokens": "tokens", "usd_micro": "money", "tool_calls": "tool calls", "wall_ms": "time"}


@dataclass(frozen=True, slots=True)
class Reached:
    """A bound that is reached: of which span, which kind, and both figures."""

    span: Span
    kind: str
    used: int
    bound: int

    def sentence(self) -> str:
        """What a person reads."""
        name, used, bound = _NAMES[self.kind], self.used, self.bound
        shown = f"{_amount(self.kind, used)} of {_amount(self.kind, bound)}"
        return f"The {self.span.value}'s budget of {name} is used up ({shown})."


def find_reached(budgets: Budgets, used: dict[Span, Usage]) -> Reached | None:
    """The first bound that is reached, smallest span first; None when all are open."""
    for span in Span:
        budget: Budget = getattr(budgets, span.value)
        for kind in _NAMES:
            bound, spent = getattr(budget, kind), getattr(used.get(span, Usage()), kind)
            if bound is not None and spent >= bound:
                return Reached(span, kind, spent, bound)
    return None


def _amount(kind: str, value: int) -> str:
    if kind == "usd_micro":
        return f"{value / 1_000_000:,.2f} USD"
    if kind == "wall_ms":
        return f"{value // 1000:,} s"
    return f"{value:,}"
