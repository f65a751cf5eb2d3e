"""The lattice of labels: what a value derived from others may claim, and where it may go.

Layer: core/flow. Laws (tests/properties): join is associative, commutative, idempotent; it never
raises integrity, never widens readers, forgets no data class and makes no text a scalar; may_flow is monotone.
Source: Denning 1976; FIDES.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from heapq import nsmallest

from carapax.core.terms.label import PUBLIC, Integrity, Label, Readers, Shape, Source

MAX_SOURCES = 64
"""Sources kept on one label; over it the smallest are kept, so equal sets give equal labels."""

NOTHING = Label(Integrity.USER, PUBLIC, shape=Shape.SCALAR)
"""The label of the empty context: the unit of join."""


def join_readers(left: Readers, right: Readers) -> Readers:
    """Who may read both."""
    if left.everyone:
        return right
    if right.everyone:
        return left
    return Readers(names=left.names & right.names)


def join(left: Label, right: Label) -> Label:
    """The label of a value made from both: least integrity, fewest readers, all sources (at most 64), all classes, the wider shape."""
    return join_all((left, right))


def join_all(labels: Iterable[Label]) -> Label:
    """The join of every label; `NOTHING` for none."""
    known = tuple(labels)
    return Label(
        min((label.integrity for label in known), default=NOTHING.integrity),
        reduce(join_readers, {label.readers for label in known}, NOTHING.readers),
        _bounded(frozenset().union(*(label.sources for label in known))),
        frozenset().union(*(label.classes for label in known)),
        max((label.shape for label in known), default=NOTHING.shape),
    )


def _bounded(sources: frozenset[Source]) -> frozenset[Source]:
    # The smallest of a union are among the smallest of its parts, so the order of joining does not matter.
    if len(sources) <= MAX_SOURCES:
        return sources
    return frozenset(nsmallest(MAX_SOURCES, sources, key=source_order))


def source_order(source: Source) -> tuple[str, str, str, str]:
    """The order in which sources are kept and shown."""
    return source.kind, source.ref, source.field, source.digest


def may_flow(label: Label, readers: Readers) -> bool:
    """Whether a value with this label may be shown to all of `readers`."""
    if label.readers.everyone:
        return True
    if readers.everyone:
        return False
    return readers.names <= label.readers.names
