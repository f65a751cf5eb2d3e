"""Merkle hashes and proofs against known answers and the literal RFC."""

from __future__ import annotations

import pytest

from carapax.core.ledger.merkle import (
    EMPTY_ROOT,
    SEGMENT_ENTRIES,
    Frontier,
    Tree,
    consistency_ranges,
    consistency_roots,
    inclusion_ranges,
    inclusion_root,
    leaf_hash,
    node_hash,
    root_of,
)
from carapax.core.terms.error import Malformed
from tests.unit.core.ledger import rfc6962_oracle as oracle

# The reference tree of the Certificate Transparency implementations.
KNOWN = [
    bytes.fromhex(h)
    for h in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
KNOWN_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZE = 70
DATA = [n.to_bytes(2, "big") for n in range(SIZE)]
LEAVES = [leaf_hash(d) for d in DATA]
ROOTS = [oracle.mth(DATA[:n]) for n in range(SIZE + 1)]


@pytest.mark.parametrize("size", range(9))
def test_known_roots(size: int) -> None:
    assert root_of(leaf_hash(d) for d in KNOWN[:size]).hex() == KNOWN_ROOTS[size]


def test_known_inclusion_path() -> None:
    leaves = [leaf_hash(d) for d in KNOWN]
    path = [root_of(leaves[low:high]).hex() for low, high in inclusion_ranges(0, 8)]
    assert path == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def test_leaf_and_node_hashes_cannot_be_confused() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)


def test_roots_paths_and_proofs_equal_the_rfc_for_every_size_and_index() -> None:
    for size in range(SIZE + 1):
        assert root_of(LEAVES[:size]) == ROOTS[size]
        for index in range(size):
            path = [root_of(LEAVES[low:high]) for low, high in inclusion_ranges(index, size)]
            assert path == oracle.path(index, DATA[:size])
            assert inclusion_root(LEAVES[index], index, size, path) == ROOTS[size]


def test_consistency_equals_the_rfc_for_every_pair() -> None:
    for new in range(1, SIZE + 1):
        for old in range(1, new + 1):
            path = [root_of(LEAVES[low:high]) for low, high in consistency_ranges(old, new)]
            assert path == oracle.proof(old, DATA[:new])
            assert consistency_roots(old, new, ROOTS[old], path) == (ROOTS[old], ROOTS[new])


def test_a_changed_consistency_proof_or_old_root_leads_elsewhere() -> None:
    for old, new in ((3, 7), (4, 7), (6, 8), (1, 2)):
        path = [root_of(LEAVES[low:high]) for low, high in consistency_ranges(old, new)]
        for at in range(len(path)):
            changed = [*path[:at], bytes(32), *path[at + 1 :]]
            assert consistency_roots(old, new, ROOTS[old], changed) != (ROOTS[old], ROOTS[new])
    assert consistency_roots(4, 7, bytes(32), [root_of(LEAVES[4:7])])[1] != ROOTS[7]


def test_a_wrong_index_size_leaf_or_hash_leads_to_another_root() -> None:
    path = [root_of(LEAVES[low:high]) for low, high in inclusion_ranges(5, 13)]
    assert inclusion_root(LEAVES[6], 5, 13, path) != ROOTS[13]
    assert inclusion_root(LEAVES[5], 4, 13, path) != ROOTS[13]
    assert inclusion_root(LEAVES[5], 5, 13, [*path[:-1], bytes(32)]) != ROOTS[13]


@pytest.mark.parametrize(("index", "size", "extra"), [(5, 13, 1), (5, 13, -1), (0, 1, 1)])
def test_a_path_of_the_wrong_length_is_refused(index: int, size: int, extra: int) -> None:
    count = len(inclusion_ranges(index, size)) + extra
    with pytest.raises(Malformed):
        inclusion_root(LEAVES[index], index, size, [bytes(32)] * count)
    with pytest.raises(Malformed):
        consistency_roots(3, 7, ROOTS[3], [])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_outside_the_tree_there_is_no_path(index: int, size: int) -> None:
    with pytest.raises(Malformed):
        inclusion_ranges(index, size)


def test_consistency_at_the_ends() -> None:
    assert consistency_ranges(0, 5) == consistency_ranges(5, 5) == []
    assert consistency_roots(5, 5, ROOTS[5], []) == (ROOTS[5], ROOTS[5])
    with pytest.raises(Malformed):
        consistency_ranges(6, 5)


def test_the_segmented_tree_is_the_plain_one_across_a_segment() -> None:
    tree, plain, roots = Tree(), Frontier(), []
    for n in range(2 * SEGMENT_ENTRIES + 3):
        leaf = leaf_hash(b"%d" % n)
        root = tree.append(leaf)
        plain.append(leaf)
        if root is not None:
            roots.append(root)
        if n % 1021 == 0 or n % SEGMENT_ENTRIES in (0, SEGMENT_ENTRIES - 1):
            assert (tree.size, tree.root()) == (plain.size, plain.root())
    assert Tree(roots).size == 2 * SEGMENT_ENTRIES


def test_a_copy_grows_apart() -> None:
    tree = Tree()
    tree.append(LEAVES[0])
    twin = tree.copy()
    twin.append(LEAVES[1])
    assert (tree.root(), twin.root()) == (ROOTS[1], ROOTS[2])
    assert Tree().root() == EMPTY_ROOT
