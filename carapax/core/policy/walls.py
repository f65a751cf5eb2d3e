"""Walls: which tier of isolation a job gets, from who wrote its code. Pure.

Layer: core/policy. Absent: whether that tier is there (the sandbox refuses when it is not; none stands in for it).
Law: a policy may raise a tier and never lower one.
"""

from __future__ import annotations

from collections.abc import Mapping

from carapax.core.terms.tier import Provenance, WallTier

DEFAULT: Mapping[Provenance, WallTier] = {
    Provenance.OURS: WallTier.DEFAULT,
    Provenance.EXPRESSION: WallTier.PURE,
    Provenance.AGENT: WallTier.DEFAULT,
    Provenance.APPROVED: WallTier.DEFAULT,
    Provenance.THIRD_PARTY: WallTier.STRONG,
    Provenance.BINARY: WallTier.DISPOSABLE,
}


def choose_tier(provenance: Provenance, floor: Mapping[Provenance, WallTier]) -> WallTier:
    """The tier for code of this origin; `floor` is what a policy asks for at least."""
    return max(DEFAULT[provenance], floor.get(provenance, WallTier.PURE))
