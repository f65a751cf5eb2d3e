"""Prepared: one statement as the driver takes it.

Layer: adapters/store. Made from `statements` by `generate`, kept as text in `sqlite_text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Value = str | int | bytes | None
Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """SQL text and the order of its values; `fixed` holds those that the statement brings itself."""

    sql: str
    names: tuple[str, ...]
    fixed: Values

    def ordered(self, values: Values) -> list[Value]:
        """The values in the statement's order. Raises KeyError for one that is missing."""
        fixed = self.fixed
        if not fixed:
            return [values[name] for name in self.names]
        return [fixed[name] if name in fixed else values[name] for name in self.names]
