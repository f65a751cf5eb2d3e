"""Show, verify, prove and export, on whole ledgers and on damaged ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from carapax.adapters.ledger.layout import Layout
from carapax.adapters.ledger.reader import (
    export_ledger,
    newest_checkpoint,
    prove_entry,
    read_entries,
    verify_export,
    verify_ledger,
    verify_proof,
)
from carapax.adapters.ledger.signature import signer
from carapax.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from carapax.core.ledger.entry import render_entry
from carapax.core.ledger.merkle import leaf_hash, root_of
from carapax.core.terms.error import LedgerCorrupt, Malformed, NotFound
from tests.fakes.ledger import ORIGIN
from tests.unit.adapters.ledger.ledgers import PUBLIC, SIGN, edit_line, entry, fill, reopen, segment

GROUPS = [1, 3, 1, 2, 4, 1]  # 12 entries
SIZE = sum(GROUPS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "ledger"
    fill(directory, GROUPS)
    return directory


@pytest.fixture
def ledger(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "ledger"))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("long") / "ledger"
    fill(directory, [256] * 33)  # two full segments and 256 more
    return directory


def first_bad(directory: Path, kept: str | None = None) -> int | None:
    with pytest.raises(LedgerCorrupt) as caught:
        verify_ledger(directory, PUBLIC, kept)
    assert "When it does not verify" in caught.value.next_step
    return caught.value.first_bad


def test_a_whole_ledger_verifies_without_notes(ledger: Path) -> None:
    verified = verify_ledger(ledger, PUBLIC)
    assert (verified.size, verified.notes, verified.unsigned, verified.origin) == (SIZE, (), 0, ORIGIN)
    assert verified.checkpoint == newest_checkpoint(ledger)
    assert verify_ledger(ledger, PUBLIC, verified.checkpoint).root == verified.root


def test_an_empty_ledger_verifies(tmp_path: Path) -> None:
    fill(tmp_path / "ledger", [])
    assert verify_ledger(tmp_path / "ledger", PUBLIC).size == 0
    assert verify_ledger(tmp_path / "ledger", PUBLIC, newest_checkpoint(tmp_path / "ledger")).size == 0
    assert read_entries(tmp_path / "ledger", newest=True) == []


def test_no_ledger_is_not_found(tmp_path: Path) -> None:
    for call in (
        lambda: read_entries(tmp_path),
        lambda: verify_ledger(tmp_path, PUBLIC),
        lambda: prove_entry(tmp_path, 0),
        lambda: list(export_ledger(tmp_path)),
    ):
        with pytest.raises(NotFound):
            call()


def test_reading_nothing_changes_nothing(ledger: Path) -> None:
    before = {p.name: p.read_bytes() for p in ledger.iterdir()}
    verify_ledger(ledger, PUBLIC)
    prove_entry(ledger, 3)
    list(export_ledger(ledger))
    assert {p.name: p.read_bytes() for p in ledger.iterdir()} == before


@pytest.mark.parametrize(
    ("first", "limit", "newest", "indexes"),
    [
        (0, 3, False, [0, 1, 2]),
        (10, 5, False, [10, 11]),
        (12, 5, False, []),
        (-1, 5, False, []),
        (0, 0, False, []),
        (0, 3, True, [9, 10, 11]),
        (11, 3, True, [11]),
        (0, 100, True, list(range(12))),
    ],
)
def test_show(ledger: Path, first: int, limit: int, newest: bool, indexes: list[int]) -> None:
    assert [e.index for e in read_entries(ledger, first, limit, newest)] == indexes


def test_show_across_segments(long: Path) -> None:
    assert [e.index for e in read_entries(long, 4094, 4)] == [4094, 4095, 4096, 4097]
    assert [e.index for e in read_entries(long, 8191, 2)] == [8191, 8192]
    assert read_entries(long, newest=True, limit=1)[0].body["n"] == 8447


def test_show_leaves_out_a_line_that_is_being_written(ledger: Path) -> None:
    with segment(ledger).open("ab") as lines:
        lines.write(b'{"body":{"n"')
    assert len(read_entries(ledger)) == SIZE


def test_show_names_an_unreadable_line(ledger: Path) -> None:
    edit_line(segment(ledger), 4, b"nonsense")
    with pytest.raises(LedgerCorrupt) as caught:
        read_entries(ledger)
    assert caught.value.first_bad == 4


@pytest.mark.parametrize("index", range(SIZE))
def test_an_edited_entry_is_named(ledger: Path, index: int) -> None:
    edit_line(segment(ledger), index, render_entry(entry(index, n=99)))
    assert first_bad(ledger) == index


@pytest.mark.parametrize("index", range(SIZE))
def test_a_removed_entry_is_named(ledger: Path, index: int) -> None:
    edit_line(segment(ledger), index, None)
    assert first_bad(ledger) == index


@pytest.mark.parametrize("index", range(SIZE - 1))
def test_swapped_entries_are_named_by_the_first(ledger: Path, index: int) -> None:
    lines = segment(ledger).read_bytes().splitlines(keepends=True)
    lines[index], lines[index + 1] = lines[index + 1], lines[index]
    segment(ledger).write_bytes(b"".join(lines))
    assert first_bad(ledger) == index


@pytest.mark.parametrize("index", range(SIZE + 1))
def test_an_inserted_entry_is_named(ledger: Path, index: int) -> None:
    lines = segment(ledger).read_bytes().splitlines(keepends=True)
    lines.insert(index, render_entry(entry(index, n="forged")) + b"\n")
    segment(ledger).write_bytes(b"".join(lines))
    if index == SIZE:  # after the newest checkpoint nobody vouches yet, and it says so
        verified = verify_ledger(ledger, PUBLIC)
        assert (verified.size, verified.unsigned) == (SIZE, 1)
        assert any("not signed yet" in note for note in verified.notes)
    else:
        assert first_bad(ledger) == index


def test_the_first_of_several_bad_entries_is_named(ledger: Path) -> None:
    edit_line(segment(ledger), 8, render_entry(entry(8, n=99)))
    edit_line(segment(ledger), 5, render_entry(entry(5, n=99)))
    edit_line(segment(ledger), 10, None)
    assert first_bad(ledger) == 5


@pytest.mark.parametrize("index", range(SIZE))
def test_an_entry_edited_together_with_its_leaf_is_named_up_to_its_group(ledger: Path, index: int) -> None:
    line = render_entry(entry(index, n=99))
    edit_line(segment(ledger), index, line)
    leaves = bytearray(Layout(ledger).leaves.read_bytes())
    leaves[32 * index : 32 * index + 32] = leaf_hash(line)
    Layout(ledger).leaves.write_bytes(leaves)
    starts = [sum(GROUPS[:n]) for n in range(len(GROUPS))]
    assert first_bad(ledger) == max(s for s in starts if s <= index)


def test_an_edited_entry_is_found_without_any_leaves(ledger: Path) -> None:
    Layout(ledger).leaves.unlink()
    assert any("leaf hashes is cut" in note for note in verify_ledger(ledger, PUBLIC).notes)
    edit_line(segment(ledger), 4, render_entry(entry(4, n=99)))
    assert first_bad(ledger) == 4


def test_every_truncation_of_the_entries_is_named(ledger: Path) -> None:
    whole = segment(ledger).read_bytes()
    for size in range(0, len(whole), 7):
        segment(ledger).write_bytes(whole[:size])
        assert first_bad(ledger) == whole[:size].count(b"\n")
    segment(ledger).unlink()
    assert first_bad(ledger) == 0


def test_a_cut_checkpoints_file_shows_as_unsigned_entries_or_fails(ledger: Path) -> None:
    path = Layout(ledger).checkpoints
    whole = path.read_bytes()
    for size in range(0, len(whole), 5):
        path.write_bytes(whole[:size])
        notes = whole[:size].count(b"\n") // 5
        if notes == 0:
            assert first_bad(ledger) == 0
        else:
            verified = verify_ledger(ledger, PUBLIC)
            assert verified.size == sum(GROUPS[: notes - 1])
            assert verified.size + verified.unsigned == SIZE
            assert verified.notes
    path.unlink()
    assert first_bad(ledger) == 0


def test_checkpoints_cut_below_the_last_segment_fail(long: Path, tmp_path: Path) -> None:
    ledger = Path(shutil.copytree(long, tmp_path / "ledger"))
    path = Layout(ledger).checkpoints
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[: 5 * 9]))  # up to 8 × 256 entries
    assert first_bad(ledger) == 2048


def test_every_cut_of_the_leaves_is_told(ledger: Path) -> None:
    whole = Layout(ledger).leaves.read_bytes()
    for size in range(0, len(whole), 11):
        Layout(ledger).leaves.write_bytes(whole[:size])
        assert any("cut short" in note for note in verify_ledger(ledger, PUBLIC).notes)
    Layout(ledger).leaves.write_bytes(whole[:64] + bytes(32) + whole[96:])
    assert any("leaf hash of entry 2" in note for note in verify_ledger(ledger, PUBLIC).notes)


def test_no_byte_of_the_checkpoints_changes_unnoticed(ledger: Path) -> None:
    path = Layout(ledger).checkpoints
    whole = path.read_bytes()
    signatures = {at for n in range(len(GROUPS)) for at in _signature_bytes(whole, n)}
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            verified = verify_ledger(ledger, PUBLIC)
        except LedgerCorrupt:
            continue
        # Signatures of superseded checkpoints are not checked each time: the newest one covers what they cover.
        assert verified.notes or at in signatures, at


def _signature_bytes(checkpoints: bytes, number: int) -> range:
    lines = checkpoints.splitlines(keepends=True)
    start = sum(map(len, lines[: 5 * number + 4]))
    return range(start, start + len(lines[5 * number + 4]) - 1)


def test_a_forged_newest_checkpoint_is_refused(ledger: Path) -> None:
    _, other_sign = signer(bytes(32))
    forged = sign_checkpoint(Checkpoint(ORIGIN, SIZE + 1, bytes(32)), PUBLIC, other_sign)
    with Layout(ledger).checkpoints.open("ab") as notes:
        notes.write(forged.encode())
    assert first_bad(ledger) == SIZE


def test_a_checkpoint_that_was_altered_leaves_no_entry_bad(ledger: Path) -> None:
    path = Layout(ledger).checkpoints
    lines = path.read_bytes().splitlines(keepends=True)
    lines[5 * 2 + 2] = lines[5 * 3 + 2]
    path.write_bytes(b"".join(lines))
    assert first_bad(ledger) is None


def test_another_key_vouches_for_nothing(ledger: Path) -> None:
    other, _ = signer(bytes(32))
    with pytest.raises(LedgerCorrupt, match="signed by this key") as caught:
        verify_ledger(ledger, other)
    assert caught.value.first_bad == 0


def test_a_rewritten_history_is_found_by_a_kept_checkpoint(ledger: Path, tmp_path: Path) -> None:
    kept = newest_checkpoint(ledger)
    rewritten = tmp_path / "rewritten"
    fill(rewritten, [*GROUPS, 2], start_ms=2_000)
    assert verify_ledger(rewritten, PUBLIC).size == SIZE + 2  # by itself it looks whole
    assert first_bad(rewritten, kept) == 0


def test_a_shortened_history_is_found_by_a_kept_checkpoint(ledger: Path, tmp_path: Path) -> None:
    kept = newest_checkpoint(ledger)
    shorter = tmp_path / "shorter"
    fill(shorter, GROUPS[:3])
    assert verify_ledger(shorter, PUBLIC).size == 5
    assert first_bad(shorter, kept) == 5


@pytest.mark.parametrize("groups", range(len(GROUPS) + 1))
def test_every_earlier_checkpoint_of_the_same_history_holds(ledger: Path, groups: int) -> None:
    lines = Layout(ledger).checkpoints.read_text().splitlines(keepends=True)
    kept = "".join(lines[5 * groups : 5 * groups + 5])
    assert verify_ledger(ledger, PUBLIC, kept.replace("\n", "\r\n") + "\n").size == SIZE


def test_a_kept_checkpoint_newer_than_the_stored_ones_counts_unsigned_entries(ledger: Path) -> None:
    kept = newest_checkpoint(ledger)
    path = Layout(ledger).checkpoints
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-5]))
    assert verify_ledger(ledger, PUBLIC, kept).unsigned == 1
    edit_line(segment(ledger), SIZE - 1, render_entry(entry(SIZE - 1, n=99)))
    assert verify_ledger(ledger, PUBLIC).unsigned == 1
    assert first_bad(ledger, kept) == 0


def test_a_kept_checkpoint_must_be_of_this_ledger(ledger: Path) -> None:
    other, sign = signer(bytes(32))
    for kept in (
        "",
        "nonsense",
        sign_checkpoint(Checkpoint(ORIGIN, 1, bytes(32)), other, sign),
        sign_checkpoint(Checkpoint("carapax.test/other", 1, bytes(32)), PUBLIC, SIGN),
    ):
        with pytest.raises(Malformed):
            verify_ledger(ledger, PUBLIC, kept)


def test_a_clock_that_went_back_is_a_note(tmp_path: Path) -> None:
    fill(tmp_path / "ledger", [3], start_ms=10_000)
    fill(tmp_path / "ledger", [3], start_ms=4_000)
    verified = verify_ledger(tmp_path / "ledger", PUBLIC)
    assert verified.notes == ("the clock went back 5999 ms at entry 3",)


def test_many_jumps_are_counted_not_listed(tmp_path: Path) -> None:
    for n in range(9):
        fill(tmp_path / "ledger", [1], start_ms=10_000 - 100 * n)
    assert verify_ledger(tmp_path / "ledger", PUBLIC).notes[-1] == "and 3 more times"


@pytest.mark.parametrize("index", [0, 1, 4095, 4096, 8191, 8192, 8447])
def test_proofs_across_segments(long: Path, index: int) -> None:
    proven = verify_proof(prove_entry(long, index), PUBLIC)
    assert (proven.entry.index, proven.checkpoint.size) == (index, 8448)


@pytest.mark.parametrize("damage", [b"", bytes(64)])
def test_a_proof_needs_no_leaves(ledger: Path, damage: bytes) -> None:
    Layout(ledger).leaves.write_bytes(damage)
    assert verify_proof(prove_entry(ledger, 5), PUBLIC).entry.index == 5


def test_an_edited_entry_is_not_proven(ledger: Path) -> None:
    edit_line(segment(ledger), 5, render_entry(entry(5, n=99)))
    with pytest.raises(LedgerCorrupt):
        prove_entry(ledger, 5)


@pytest.mark.parametrize("index", [-1, SIZE, 10**9])
def test_there_is_no_proof_outside(ledger: Path, index: int) -> None:
    with pytest.raises(NotFound):
        prove_entry(ledger, index)


def test_an_export_verifies_on_its_own(ledger: Path) -> None:
    exported = list(export_ledger(ledger))
    assert len(exported) == SIZE + 1
    assert json.loads(exported[-1])["checkpoint"] == newest_checkpoint(ledger)
    assert verify_export(exported, PUBLIC).size == SIZE


def test_a_changed_export_is_refused(ledger: Path) -> None:
    exported = list(export_ledger(ledger))
    for changed in (exported[1:], [*exported[:3], *exported[4:]], [exported[1], exported[0], *exported[2:]]):
        with pytest.raises(LedgerCorrupt):
            verify_export(changed, PUBLIC)
    for cut in ([], exported[:-1]):
        with pytest.raises(Malformed):
            verify_export(cut, PUBLIC)


def test_an_export_of_a_cut_ledger_fails(ledger: Path) -> None:
    edit_line(segment(ledger), SIZE - 1, None)
    with pytest.raises(LedgerCorrupt) as caught:
        list(export_ledger(ledger))
    assert caught.value.first_bad == SIZE - 1


def test_the_verdict_names_the_same_entry_after_a_restart_was_refused(ledger: Path) -> None:
    edit_line(segment(ledger), 7, render_entry(entry(7, n=99)))
    with pytest.raises(LedgerCorrupt) as caught:
        reopen(ledger)
    assert (caught.value.first_bad, first_bad(ledger)) == (7, 7)


def test_reading_imports_no_cryptography() -> None:
    program = "import sys, carapax.adapters.ledger.reader; sys.exit('cryptography' in sys.modules or 'asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("with_leaves", [False, True])
def test_forged_checkpoints_between_vouch_for_nothing(ledger: Path, with_leaves: bool) -> None:
    edit_line(segment(ledger), 2, render_entry(entry(2, n=99)))
    leaves = [leaf_hash(line) for line in segment(ledger).read_bytes().splitlines()]
    _, other_sign = signer(bytes(32))
    path = Layout(ledger).checkpoints
    lines = path.read_text().splitlines(keepends=True)
    notes = ["".join(lines[at : at + 5]) for at in range(0, len(lines), 5)]
    for number in range(
        2, len(GROUPS)
    ):  # all that cover entry 2 but the newest, with our key's id and another's signature
        size = sum(GROUPS[:number])
        notes[number] = sign_checkpoint(Checkpoint(ORIGIN, size, root_of(leaves[:size])), PUBLIC, other_sign)
    path.write_text("".join(notes))
    if with_leaves:
        Layout(ledger).leaves.write_bytes(b"".join(leaves))
    assert first_bad(ledger) == (1 if with_leaves else 2)
