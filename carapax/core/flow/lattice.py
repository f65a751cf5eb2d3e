"""The lattice of labels: what a value derived from others may claim, and where it may go.

Layer: core/flow. Laws (tests/properties): join is associative, commutative, idempotent; it never
raises integrity and never widens readers; may_flow is monotone.
Source: Denning 1976; FIDES.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from carapax.core.terms.label import PUBLIC, Integrity, Label, Readers

MAX_SOURCES = 64
"""Sources kept on one label; over it the smallest are kept, so equal sets give equal labels."""

NOTHING = Label(Integrity.USER, PUBLIC)
"""The label of the empty context: the unit of join."""


def join_readers(left: Readers, right: Readers) -> Readers:
    """Who may read both."""
    if left.everyone:
        return right
    if right.everyone:
        return left
    return Readers(names=left.names & right.names)


def join(left: Label, right: Label) -> Label:
    """The label of a value made from both: least integrity, fewest readers, all sources (at most 64)."""
    sources = left.sources | right.sources
    if len(sources) > MAX_SOURCES:
        sources = frozenset(sorted(sources)[:MAX_SOURCES])
    return Label(min(left.integrity, right.integrity), join_readers(left.readers, right.readers), sources)


def join_all(labels: Iterable[Label]) -> Label:
    """The join of every label; `NOTHING` for none."""
    return reduce(join, labels, NOTHING)


def may_flow(label: Label, readers: Readers) -> bool:
    """Whether a value with this label may be shown to all of `readers`."""
    if label.readers.everyone:
        return True
    if readers.everyone:
        return False
    return readers.names <= label.readers.names
