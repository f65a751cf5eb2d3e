"""Proof texts: they stand alone, and nothing in them can be changed."""

from __future__ import annotations

import base64

import pytest

from carapax.adapters.ledger.signature import checker, signer
from carapax.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from carapax.core.ledger.entry import Entry, render_entry
from carapax.core.ledger.merkle import inclusion_ranges, leaf_hash, root_of
from carapax.core.ledger.proof import render_proof, verify_proof
from carapax.core.terms.error import Malformed
from carapax.core.terms.ids import EntryIndex

PUBLIC, SIGN = signer(bytes(range(32)))
CHECK = checker(PUBLIC)
LINES = [render_entry(Entry(EntryIndex(n), n, "call.judged", {"n": n})) for n in range(11)]
LEAVES = [leaf_hash(line) for line in LINES]
NOTE = sign_checkpoint(Checkpoint("carapax.test/ledger", 11, root_of(LEAVES)), PUBLIC, SIGN)


def text_of(index: int) -> str:
    return render_proof(LINES[index], index, [root_of(LEAVES[a:b]) for a, b in inclusion_ranges(index, 11)], NOTE)


@pytest.mark.parametrize("index", range(11))
def test_every_entry_can_be_proven(index: int) -> None:
    proven = verify_proof(text_of(index), PUBLIC, CHECK)
    assert (proven.entry.index, proven.entry.body, proven.checkpoint.size) == (index, {"n": index}, 11)


def test_no_character_can_be_changed_or_cut() -> None:
    text = text_of(6)
    for at in range(len(text)):
        with pytest.raises(Malformed):
            verify_proof(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :], PUBLIC, CHECK)
        with pytest.raises(Malformed):
            verify_proof(text[:at], PUBLIC, CHECK)


def test_another_entry_in_the_same_place_is_refused() -> None:
    forged = render_entry(Entry(EntryIndex(6), 6, "call.judged", {"n": 99}))
    text = text_of(6).replace(base64.b64encode(LINES[6]).decode(), base64.b64encode(forged).decode())
    with pytest.raises(Malformed, match="does not lead"):
        verify_proof(text, PUBLIC, CHECK)


def test_a_signed_tree_with_an_entry_that_lies_about_its_index_is_refused() -> None:
    line = render_entry(Entry(EntryIndex(5), 0, "call.judged", {}))
    note = sign_checkpoint(Checkpoint("carapax.test/ledger", 1, leaf_hash(line)), PUBLIC, SIGN)
    with pytest.raises(Malformed, match="says 5"):
        verify_proof(render_proof(line, 0, [], note), PUBLIC, CHECK)


def test_another_key_and_an_oversized_text_are_refused() -> None:
    other, _ = signer(bytes(32))
    with pytest.raises(Malformed):
        verify_proof(text_of(0), other, checker(other))
    with pytest.raises(Malformed):
        verify_proof(text_of(0) + "x" * 140_000, PUBLIC, CHECK)
