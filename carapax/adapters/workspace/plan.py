"""Deciding an undo: from the changes to take back, what was recorded and what is there now, to steps.

Layer: adapters/workspace. Pure. Changes of one path form a chain; each is taken back only when what is there is what it
left, newest first. The first that does not fit is a conflict and ends the chain.
Laws: a step's `present` is what the caller said is there; no step exists for a path that is already as wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from carapax.adapters.workspace.index import Difference
from carapax.adapters.workspace.names import parse_path
from carapax.adapters.workspace.nodes import FOLDER, Node, make_change, same_node
from carapax.core.terms.action import Change
from carapax.core.terms.error import Malformed
from carapax.core.terms.ids import Digest


@dataclass(frozen=True, slots=True)
class Step:
    """One path: what is there, and what shall be."""

    shown: str
    path: str
    present: Node | None
    target: Node | None


@dataclass(frozen=True, slots=True)
class Plan:
    steps: tuple[Step, ...]
    conflicts: tuple[str, ...]
    lost: tuple[str, ...]


def decide_plan(
    changes: Sequence[Change],
    recorded: Callable[[str], Sequence[Difference]],
    present: Mapping[str, Node],
    has_bytes: Callable[[Digest], bool],
) -> Plan:
    """The steps that take these changes back, what conflicts, and what cannot be put back."""
    steps: list[Step] = []
    conflicts: list[str] = []
    lost: list[str] = []
    for shown, chain in _chains(changes).items():
        try:
            path = parse_path(shown)
        except Malformed:
            conflicts.append(shown)
            continue
        there = present.get(path)
        target, fits, known = _walk(chain, recorded(path), there)
        if not known:
            lost.append(shown)
        elif not fits:
            conflicts.append(shown)
        if same_node(there, target):
            continue
        if _bytes_missing(there, target, has_bytes):
            lost.append(shown)
        else:
            steps.append(Step(shown, path, there, target))
    return Plan(tuple(steps), tuple(conflicts), tuple(dict.fromkeys(lost)))


def _chains(changes: Sequence[Change]) -> dict[str, list[Change]]:
    # A path that was a folder before or after and a file on the other side is one path: the "/" is not part of it.
    chains: dict[str, list[Change]] = {}
    for change in changes:
        chains.setdefault(change.path.removesuffix("/"), []).append(change)
    return {max((c.path for c in chain), key=len): chain for chain in chains.values()}


def _walk(chain: Sequence[Change], rows: Sequence[Difference], there: Node | None) -> tuple[Node | None, bool, bool]:
    """Where the chain leads from what is there: (target, whole chain fits, every change was recorded)."""
    forward = _follow(chain, rows, there)
    backward = _follow(chain[::-1], rows, there)
    return max(forward, backward, key=lambda walk: walk[0])[1:]  # given newest first, or oldest first


def _follow(
    chain: Sequence[Change], rows: Sequence[Difference], there: Node | None
) -> tuple[int, Node | None, bool, bool]:
    node = there
    for count, change in enumerate(chain):
        matching = [row for row in rows if _is_row(change, row)]
        row = next((row for row in matching if same_node(row.after, node)), None)
        if row is None:
            return count, node, False, bool(matching)
        node = row.before
    return len(chain), node, True, True


def _is_row(change: Change, row: Difference) -> bool:
    made = make_change(row.path, row.before, row.after)
    return made is not None and (made.kind, made.before, made.after) == (change.kind, change.before, change.after)


def _bytes_missing(there: Node | None, target: Node | None, has_bytes: Callable[[Digest], bool]) -> bool:
    if target is None or target.kind == FOLDER:
        return False
    if there is not None and there.kind == target.kind and there.same_bytes(target):
        return False
    return target.digest is None or not has_bytes(target.digest)
