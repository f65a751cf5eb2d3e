"""Merkle tree hashes and proofs.

Layer: core/ledger. Owns leaf and node hashes, the frontier (a tree's right edge, O(log n) to extend),
which ranges a proof consists of, and what root a proof leads to.
Absent: where leaves are kept; callers hash the ranges named here from whatever they hold.
Source: RFC 6962 section 2.1 (hashes, paths), RFC 9162 sections 2.1.3.2 and 2.1.4.2 (verification).
Laws: `Frontier` fed leaf by leaf has the RFC's root at every size; a path of `inclusion_ranges` leads
`inclusion_root` back to that root; likewise for consistency.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from carapax.core.terms.error import Malformed

HASH_BYTES = 32
SEGMENT_ENTRIES = 4096  # leaves of one full segment: a perfect subtree
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _fold(nodes: Sequence[bytes]) -> bytes:
    if not nodes:
        return EMPTY_ROOT
    root = nodes[-1]
    for node in reversed(nodes[:-1]):
        root = node_hash(node, root)
    return root


class Frontier:
    """The perfect subtrees along a growing tree's right edge, largest first."""

    __slots__ = ("nodes", "size")

    def __init__(self) -> None:
        self.size = 0
        self.nodes: list[bytes] = []

    def append(self, node: bytes) -> None:
        """Add one leaf hash (or, in a tree of subtrees, one subtree's root)."""
        nodes = self.nodes
        nodes.append(node)
        size = self.size
        while size & 1:
            right = nodes.pop()
            nodes[-1] = node_hash(nodes[-1], right)
            size >>= 1
        self.size += 1

    def root(self) -> bytes:
        return _fold(self.nodes)

    def copy(self) -> Frontier:
        twin = Frontier()
        twin.size, twin.nodes = self.size, self.nodes.copy()
        return twin


class Tree:
    """A tree kept as full segments plus the open one, so that a segment's root is at hand when it closes."""

    __slots__ = ("open", "segments")

    def __init__(self, segment_roots: Iterable[bytes] = ()) -> None:
        self.segments = Frontier()
        self.open = Frontier()
        for root in segment_roots:
            self.segments.append(root)

    @property
    def size(self) -> int:
        return self.segments.size * SEGMENT_ENTRIES + self.open.size

    def append(self, leaf: bytes) -> bytes | None:
        """Add one leaf hash; the finished segment's root when it was the segment's last."""
        self.open.append(leaf)
        if self.open.size < SEGMENT_ENTRIES:
            return None
        root = self.open.root()
        self.segments.append(root)
        self.open = Frontier()
        return root

    def root(self) -> bytes:
        return _fold(self.segments.nodes + self.open.nodes)

    def copy(self) -> Tree:
        twin = Tree()
        twin.segments, twin.open = self.segments.copy(), self.open.copy()
        return twin


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes in order."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def _split(count: int) -> int:
    return 1 << (count - 1).bit_length() - 1


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The half-open leaf ranges whose roots are the inclusion path, lowest first. Raises Malformed outside the tree."""
    if not 0 <= index < size:
        raise Malformed(f"entry {index} is not in a tree of {size}")
    low, high, ranges = 0, size, []
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    return ranges[::-1]


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """The leaf ranges whose roots prove that the tree of `old` leaves is a prefix of `new`; empty when equal or old is 0."""
    if not 0 <= old <= new:
        raise Malformed(f"a tree of {old} cannot precede a tree of {new}")
    if old in (0, new):
        return []
    low, high, whole, ranges = 0, new, True, []
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low, whole = middle, False
    if not whole:
        ranges.append((low, high))
    return ranges[::-1]


def inclusion_root(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that this leaf and path lead to. Raises Malformed when the path has the wrong length."""
    ranges = inclusion_ranges(index, size)
    if len(path) != len(ranges):
        raise Malformed(f"an inclusion proof for entry {index} of {size} has {len(ranges)} hashes, not {len(path)}")
    root = leaf
    for sibling, (low, _) in zip(path, ranges, strict=True):
        root = node_hash(root, sibling) if low > index else node_hash(sibling, root)
    return root


def consistency_roots(old: int, new: int, old_root: bytes, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots of the old and the new tree that the path leads to; both must equal the known ones.

    For old = new or old = 0 there is no path, and the given root is returned for both. Raises Malformed on a wrong length.
    """
    ranges = consistency_ranges(old, new)
    if len(path) != len(ranges):
        raise Malformed(f"a consistency proof from {old} to {new} has {len(ranges)} hashes, not {len(path)}")
    if not ranges:
        return old_root, old_root
    nodes = list(zip(path, ranges, strict=True))
    # When old is itself a subtree of new, the RFC leaves its root out of the path.
    first, nodes = (nodes[0][0], nodes[1:]) if nodes[0][1][0] < old else (old_root, nodes)
    first_root = second_root = first
    for sibling, (low, _) in nodes:
        if low < old:
            first_root, second_root = node_hash(sibling, first_root), node_hash(sibling, second_root)
        else:
            second_root = node_hash(second_root, sibling)
    return first_root, second_root
