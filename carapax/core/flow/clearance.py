"""Clearance: which data classes of a context a model may not be shown.

Layer: core/flow; pure. Owns the one definition of "cleared" and the sentence for the person.
Absent: how values get their classes (labels do), and who asks (whoever shows a context to a model).
Laws: a class that no row names and that may leave is free for every model; a class that the policy guards is only for
models whose row names it (or "*"); adding a class to a label never clears it; a model without a row is cleared for nothing guarded.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from carapax.core.terms.label import Label
from carapax.core.terms.tables import Clearance, DataClass, Tables

EVERY = "*"
"""As a class of a row: every class, so that such a row guards all of them."""


def uncleared(label: Label, model: str, tables: Tables) -> frozenset[str]:
    """The classes in the label that `model` ("provider:name") may not be shown; empty is fine."""
    guarded = frozenset(name for name in label.classes if _is_guarded(name, tables.classes, tables.clearances))
    if not guarded:
        return frozenset()
    held = frozenset().union(*(row.classes for row in tables.clearances if fnmatchcase(model, row.models)))
    return frozenset() if EVERY in held else guarded - held


def render_uncleared(classes: Iterable[str], model: str) -> str:
    """What a person is told when a model may not be shown what a conversation has read."""
    named = ", ".join(sorted(classes))
    return (
        f"This conversation has read confidential data ({named}); the model {model} is not cleared for it. "
        "Use the embedded model (`carapax model embedded`) or start a new conversation."
    )


def _is_guarded(name: str, classes: Iterable[DataClass], clearances: Iterable[Clearance]) -> bool:
    """Whether only cleared models may see the class: it must not leave, or some row names it (or every class)."""
    kept = any(known.name == name and known.leaves == "deny" for known in classes)
    return kept or any(name in row.classes or EVERY in row.classes for row in clearances)
