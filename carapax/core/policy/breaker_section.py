"""The section `breaker` of a document: how much is too much, for those who need other figures than the usual ones.

Layer: core/policy. Absent: turning the breaker off, and any figure for planted secrets; neither can be written.
Law: a raised figure is a wider document.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from carapax.core.breaker.limits import DEFAULT, Limits
from carapax.core.policy import reading
from carapax.core.policy.tree import Node

NAMES = tuple(field.name for field in fields(Limits))


def read_breaker(node: Node | None) -> Limits:
    """The figures of a document; the usual one for each that it does not name."""
    if node is None:
        return DEFAULT
    given = reading.fields(node, NAMES)
    return Limits(**{name: reading.whole(value, 1) for name, value in given.items()})


def raised(old: Limits, new: Limits) -> Iterator[str]:
    """A sentence for every figure that lets more pass than before."""
    for name in NAMES:
        before, after = getattr(old, name), getattr(new, name)
        if after > before:
            yield f"breaker.{name} rises from {before:,} to {after:,}"
