"""Laws of the ledger's bytes: rendering and parsing, proofs of any tree, any damage to any file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.adapters.ledger.layout import Layout
from carapax.adapters.ledger.reader import export_ledger, newest_checkpoint, prove_entry, read_entries, verify_ledger
from carapax.adapters.ledger.signature import checker
from carapax.core.ledger.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint, verify_checkpoint
from carapax.core.ledger.entry import Entry, find_position, parse_entry, render_entry
from carapax.core.ledger.merkle import (
    consistency_ranges,
    consistency_roots,
    inclusion_ranges,
    inclusion_root,
    leaf_hash,
    root_of,
)
from carapax.core.ledger.proof import verify_proof
from carapax.core.terms.error import CarapaxError, LedgerCorrupt, Malformed
from carapax.core.terms.ids import EntryIndex
from tests.unit.adapters.ledger.ledgers import PUBLIC, SIGN, fill, reopen, segment
from tests.unit.core.ledger import rfc6962_oracle as oracle

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
ENTRIES = st.builds(
    Entry,
    st.integers(0, 10**17).map(EntryIndex),
    st.integers(-(10**17), 10**17),
    st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True),
    st.dictionaries(TEXT, VALUES, max_size=4),
)
GROUPS = [1, 3, 1, 2, 4, 1]
SIZE = sum(GROUPS)
FILES = ["entries-000000000000.jsonl", "leaves", "roots", "checkpoints"]


@settings(deadline=None)
@given(ENTRIES)
def test_parsing_an_entry_is_the_inverse_of_rendering(entry: Entry) -> None:
    line = render_entry(entry)
    assert parse_entry(line) == entry
    assert find_position(line) == (entry.index, entry.time_ms)
    assert b"\n" not in line
    assert b"\0" not in line


@settings(deadline=None)
@given(st.binary(max_size=200) | ENTRIES.map(render_entry), st.integers(0, 199), st.integers(1, 255))
def test_bytes_that_parse_are_canonical(line: bytes, at: int, flip: int) -> None:
    changed = bytearray(line)
    if changed:
        changed[at % len(changed)] ^= flip
    try:
        entry = parse_entry(bytes(changed))
    except Malformed:
        return
    assert render_entry(entry) == bytes(changed)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=8), min_size=1, max_size=70), st.data())
def test_any_entry_of_any_tree_is_proven_and_no_other(data: list[bytes], draw: st.DataObject) -> None:
    leaves = [leaf_hash(d) for d in data]
    index = draw.draw(st.integers(0, len(data) - 1))
    path = [root_of(leaves[low:high]) for low, high in inclusion_ranges(index, len(data))]
    assert path == oracle.path(index, data)
    assert inclusion_root(leaves[index], index, len(data), path) == oracle.mth(data)
    other = draw.draw(st.binary(max_size=9).filter(lambda d: d != data[index]))
    assert inclusion_root(leaf_hash(other), index, len(data), path) != oracle.mth(data)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=8), min_size=1, max_size=70), st.data())
def test_a_prefix_is_consistent_and_a_rewrite_is_not(data: list[bytes], draw: st.DataObject) -> None:
    leaves = [leaf_hash(d) for d in data]
    old = draw.draw(st.integers(1, len(data)))
    path = [root_of(leaves[low:high]) for low, high in consistency_ranges(old, len(data))]
    assert path == oracle.proof(old, data)
    assert consistency_roots(old, len(data), oracle.mth(data[:old]), path) == (oracle.mth(data[:old]), oracle.mth(data))
    rewritten = [b"rewritten", *data[1:old]]
    both = consistency_roots(old, len(data), oracle.mth(rewritten), path)
    assert both != (oracle.mth(rewritten), oracle.mth(data))


@settings(deadline=None)
@given(
    st.from_regex(r"[a-z][a-z0-9./-]{0,40}", fullmatch=True),
    st.integers(0, 10**17),
    st.binary(min_size=32, max_size=32),
)
def test_a_checkpoint_round_trips(origin: str, size: int, root: bytes) -> None:
    point = Checkpoint(origin, size, root)
    note = sign_checkpoint(point, PUBLIC, SIGN)
    assert parse_checkpoint(note).checkpoint == verify_checkpoint(note, PUBLIC, checker(PUBLIC)) == point


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_as_checkpoint_or_proof_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        verify_checkpoint(text, PUBLIC, checker(PUBLIC))
    with pytest.raises(Malformed):
        verify_proof(text, PUBLIC, checker(PUBLIC))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("whole") / "ledger"
    fill(directory, GROUPS)
    yield directory


def test_any_changed_byte_of_any_entry_is_found_and_named(whole: Path, tmp_path: Path) -> None:
    ledger = Path(shutil.copytree(whole, tmp_path / "ledger"))
    content = segment(ledger).read_bytes()
    for at in range(len(content)):
        flipped = content[at] ^ (1 << at % 8)
        segment(ledger).write_bytes(content[:at] + bytes([flipped]) + content[at + 1 :])
        with pytest.raises(LedgerCorrupt) as caught:
            verify_ledger(ledger, PUBLIC)
        assert caught.value.first_bad == content[:at].count(b"\n"), at


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["cut", "delete", "insert", "copy"]),
    st.integers(0, 10**6),
    st.integers(1, 400),
    st.binary(min_size=1, max_size=99),
)
def test_any_damage_to_the_entries_is_found_at_the_first_line_that_differs(
    whole: Path, how: str, at: int, count: int, inserted: bytes
) -> None:
    content = segment(whole).read_bytes()
    at %= len(content)
    damaged = {
        "cut": content[:at],
        "delete": content[:at] + content[at + count :],
        "insert": content[:at] + inserted + content[at:],
        "copy": content[:at] + content[max(0, at - count) :],
    }[how]
    before, after = content.splitlines(keepends=True), damaged.split(b"\n")
    after_lines = [line + b"\n" for line in after[:-1]] + [after[-1]]
    first = next((n for n, line in enumerate(before) if n >= len(after_lines) or after_lines[n] != line), None)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(shutil.copytree(whole, Path(folder) / "ledger"))
        segment(ledger).write_bytes(damaged)
        if first is None:  # only something behind the last signed entry
            return
        with pytest.raises(LedgerCorrupt) as caught:
            verify_ledger(ledger, PUBLIC)
        assert caught.value.first_bad == first


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(FILES),
        st.tuples(st.integers(0, 10**6), st.integers(0, 300), st.binary(max_size=60)),
        min_size=1,
    )
)
def test_whatever_happens_to_the_files_nothing_false_verifies_and_nothing_crashes(
    whole: Path, damages: dict[str, tuple[int, int, bytes]]
) -> None:
    original = [e.body for e in read_entries(whole)]
    kept = newest_checkpoint(whole)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(shutil.copytree(whole, Path(folder) / "ledger"))
        for name, (at, count, inserted) in damages.items():
            content = (ledger / name).read_bytes()
            at %= len(content) + 1
            (ledger / name).write_bytes(content[:at] + inserted + content[at + count :])
        before = {p.name: p.read_bytes() for p in ledger.iterdir()}
        try:
            verified = verify_ledger(ledger, PUBLIC)
            assert [e.body for e in read_entries(ledger, limit=verified.size)] == original[: verified.size]
            verify_ledger(ledger, PUBLIC, kept)
            prove_entry(ledger, 0)
            list(export_ledger(ledger))
        except CarapaxError:
            pass
        assert {p.name: p.read_bytes() for p in ledger.iterdir()} == before
        _open_after(ledger)


def _open_after(ledger: Path) -> None:
    """A damaged ledger either refuses to open, or opens to one whose every entry verifies, with its checkpoints kept."""
    stored = Layout(ledger).checkpoints.read_bytes()
    try:
        reopen(ledger)
    except CarapaxError:
        return
    try:
        assert verify_ledger(ledger, PUBLIC).unsigned == 0
    except LedgerCorrupt as corrupt:  # a superseded checkpoint is damaged: opening does not read those, verifying does
        assert corrupt.first_bad is None
    assert Layout(ledger).checkpoints.read_bytes()[: len(stored) - 400] == stored[: len(stored) - 400]
