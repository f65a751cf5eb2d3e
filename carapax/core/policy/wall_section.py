"""The section `walls` of a document: whose code gets a stronger tier than it has anyway, and comparing two of them.

Layer: core/policy. Optional; a line like `agent: 2`. An expression has no line: nothing but its own tier can run one.
Format: docs/formats/policy.md. Law: a line that would lower a tier is refused with line, key and remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from carapax.core.policy import reading
from carapax.core.policy.tree import Node, fault
from carapax.core.policy.walls import DEFAULT, choose_tier
from carapax.core.terms.tier import Provenance, WallTier

KEYS = tuple(provenance.value for provenance in Provenance if provenance is not Provenance.EXPRESSION)


def read_walls(node: Node | None) -> Mapping[Provenance, WallTier]:
    """Every line below `walls`."""
    if node is None:
        return {}
    return {Provenance(key): _tier(Provenance(key), line) for key, line in reading.fields(node, KEYS).items()}


def _tier(provenance: Provenance, node: Node) -> WallTier:
    least, most = DEFAULT[provenance], max(WallTier)
    number = reading.whole(node)
    if not least <= number <= most:
        built_in = f"{provenance.value} has tier {least.value} built in, and {most.value} is the strongest"
        raise fault(node, f"{number} is no tier it may have ({built_in})", f"write {least.value} to {most.value}")
    return WallTier(number)


def wall_widenings(old: Mapping[Provenance, WallTier], new: Mapping[Provenance, WallTier]) -> Iterator[str]:
    """In what `new` walls code in less than `old`."""
    for provenance in Provenance:
        before, after = choose_tier(provenance, old), choose_tier(provenance, new)
        if after < before:
            yield f"walls.{provenance.value} falls from tier {before.value} to {after.value}"
