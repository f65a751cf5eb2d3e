"""Opening after whatever happened: torn ends are repaired and recorded, a bad middle is refused and named."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from carapax.adapters.ledger.file_ledger import FileLedger
from carapax.adapters.ledger.layout import Layout
from carapax.adapters.ledger.reader import newest_checkpoint, read_entries, verify_ledger
from carapax.adapters.ledger.recovery import RECOVERED
from carapax.core.ledger.entry import render_entry
from carapax.core.terms.error import LedgerCorrupt, LedgerUnavailable, Malformed
from tests.fakes.ledger import ORIGIN, SEED, ToldClock
from tests.unit.adapters.ledger.ledgers import PUBLIC, edit_line, entry, fill, newest_size, reopen, segment

GROUPS = [1, 3, 1, 2]
SIZE = sum(GROUPS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "ledger"
    fill(directory, GROUPS)
    return directory


@pytest.fixture
def ledger(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "ledger"))


def recovered(directory: Path) -> dict[str, object]:
    last = read_entries(directory, newest=True, limit=1)[0]
    assert last.kind == RECOVERED
    return last.body


def drop_notes(directory: Path, count: int) -> None:
    path = Layout(directory).checkpoints
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[: -5 * count]))


def test_a_whole_ledger_opens_unchanged(ledger: Path) -> None:
    before = {p.name: p.read_bytes() for p in ledger.iterdir()}
    assert reopen(ledger) == SIZE
    assert {p.name: p.read_bytes() for p in ledger.iterdir()} == before


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    fill(tmp_path / "a" / "ledger", [1])
    assert stat.S_IMODE((tmp_path / "a" / "ledger").stat().st_mode) == 0o700
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "a" / "ledger").iterdir()}
    assert modes == {0o600}


def test_a_torn_last_line_is_dropped_and_that_is_recorded(ledger: Path) -> None:
    whole = segment(ledger).read_bytes()
    torn = render_entry(entry(SIZE))
    for length in (1, len(torn) // 2, len(torn)):
        segment(ledger).write_bytes(whole + torn[:length])
        assert reopen(ledger) == SIZE + 1
        assert recovered(ledger) == {
            "signed_before": SIZE,
            "kept_unsigned": 0,
            "dropped_bytes": length,
            "rebuilt": False,
        }
        assert verify_ledger(ledger, PUBLIC).notes == ()
        shutil.rmtree(ledger)
        fill(ledger, GROUPS)


def test_whole_entries_after_the_checkpoint_are_kept_and_signed(ledger: Path) -> None:
    before = read_entries(ledger)
    drop_notes(ledger, 2)
    assert reopen(ledger) == SIZE + 1
    assert recovered(ledger) == {"signed_before": 4, "kept_unsigned": 3, "dropped_bytes": 0, "rebuilt": False}
    assert read_entries(ledger)[:-1] == before
    assert verify_ledger(ledger, PUBLIC).unsigned == 0


def test_a_page_of_zeros_after_a_power_loss_is_dropped(ledger: Path) -> None:
    with segment(ledger).open("ab") as lines:
        lines.write(render_entry(entry(SIZE)) + b"\n" + bytes(4096) + render_entry(entry(SIZE + 1)) + b"\n")
    assert reopen(ledger) == SIZE + 2
    assert recovered(ledger)["kept_unsigned"] == 1
    assert verify_ledger(ledger, PUBLIC).notes == ()


@pytest.mark.parametrize("garbage", [b"nonsense\n", b"x" * 70_000, render_entry(entry(SIZE + 1)) + b"\n", b'{"v":1}\n'])
def test_what_no_crash_leaves_after_the_checkpoint_is_refused(ledger: Path, garbage: bytes) -> None:
    with segment(ledger).open("ab") as lines:
        lines.write(garbage)
    before = segment(ledger).read_bytes()
    with pytest.raises(LedgerCorrupt) as caught:
        reopen(ledger)
    assert caught.value.first_bad == SIZE
    assert segment(ledger).read_bytes() == before


def test_a_torn_checkpoint_is_made_again(ledger: Path) -> None:
    path = Layout(ledger).checkpoints
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    last = sum(map(len, lines[-5:]))
    for cut in range(1, last, 13):
        path.write_bytes(whole[:-cut])
        assert reopen(ledger) == SIZE + 1
        assert verify_ledger(ledger, PUBLIC).notes == ()
        shutil.rmtree(ledger)
        fill(ledger, GROUPS)


@pytest.mark.parametrize("name", ["leaves", "roots"])
def test_a_missing_index_is_rebuilt(tmp_path: Path, name: str) -> None:
    ledger = tmp_path / "ledger"
    fill(ledger, [256] * 17)
    before = (ledger / name).read_bytes()
    (ledger / name).unlink()
    assert reopen(ledger) == 256 * 17 + 1
    assert recovered(ledger)["rebuilt"] is True
    assert (ledger / name).read_bytes()[: len(before)] == before
    assert verify_ledger(ledger, PUBLIC).notes == ()


def test_a_torn_leaf_file_is_mended_from_the_entries(ledger: Path) -> None:
    path = Layout(ledger).leaves
    whole = path.read_bytes()
    for damaged in (b"", whole[:-32], whole[:-5], whole + b"x", whole + bytes(32), bytes(len(whole))):
        path.write_bytes(damaged)
        assert reopen(ledger) == SIZE
        assert path.read_bytes() == whole


def test_an_altered_segment_root_is_not_believed(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    fill(ledger, [256] * 17)
    whole = Layout(ledger).roots.read_bytes()
    Layout(ledger).roots.write_bytes(bytes(32))
    reopen(ledger)
    assert Layout(ledger).roots.read_bytes() == whole


@pytest.mark.parametrize("index", range(SIZE))
def test_a_bad_middle_is_refused_and_named(ledger: Path, index: int) -> None:
    edit_line(segment(ledger), index, render_entry(entry(index, n=99)))
    with pytest.raises(LedgerCorrupt) as caught:
        reopen(ledger)
    assert caught.value.first_bad == index


def test_a_cut_below_the_checkpoint_is_refused_not_repaired(ledger: Path) -> None:
    whole = segment(ledger).read_bytes()
    segment(ledger).write_bytes(whole[:-1])
    with pytest.raises(LedgerCorrupt) as caught:
        reopen(ledger)
    assert caught.value.first_bad == SIZE - 1
    assert segment(ledger).read_bytes() == whole[:-1]
    segment(ledger).unlink()
    with pytest.raises(LedgerCorrupt) as caught:
        reopen(ledger)
    assert caught.value.first_bad == 0


def test_missing_checkpoints_are_refused_not_begun_anew(ledger: Path) -> None:
    Layout(ledger).checkpoints.unlink()
    with pytest.raises(LedgerCorrupt) as caught:
        reopen(ledger)
    assert caught.value.first_bad == 0


def test_a_damaged_whole_newest_checkpoint_is_refused(ledger: Path) -> None:
    path = Layout(ledger).checkpoints
    whole = path.read_bytes()
    for at in range(len(whole) - 170, len(whole) - 1, 9):
        for byte in (whole[at] ^ 1, ord("!")):
            path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
            with pytest.raises(LedgerCorrupt):
                reopen(ledger)


def test_a_file_of_checkpoints_without_one_is_refused(ledger: Path) -> None:
    Layout(ledger).checkpoints.write_bytes(b"")
    with pytest.raises(LedgerUnavailable):
        reopen(ledger)


def test_another_key_or_name_is_refused_with_the_way_out(ledger: Path) -> None:
    for seed, origin in ((bytes(32), ORIGIN), (SEED, "carapax.test/other")):
        with pytest.raises(LedgerUnavailable, match=r"belongs to carapax\.test/ledger") as caught:
            FileLedger.open(ledger, seed, origin, ToldClock())
        assert not isinstance(caught.value, LedgerCorrupt)
        assert "Restore the key" in caught.value.next_step


def test_a_key_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="32 bytes"):
        FileLedger.open(tmp_path / "ledger", b"short", ORIGIN, ToldClock())


def test_a_name_that_cannot_be_signed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        FileLedger.open(tmp_path / "ledger", SEED, "two words", ToldClock())


def test_a_crash_before_the_first_entry(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.mkdir()
    (ledger / "checkpoints.new").write_bytes(b"half a no")
    assert reopen(ledger) == 0
    segment(ledger).write_bytes(b"")
    assert reopen(ledger) == 0


def test_a_kept_tail_that_fills_the_segment(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    fill(ledger, [256] * 16)
    drop_notes(ledger, 1)
    Layout(ledger).roots.write_bytes(b"")
    assert reopen(ledger) == 4097
    assert newest_size(ledger) == 4097
    assert segment(ledger, 1).read_bytes().count(b"\n") == 1
    assert verify_ledger(ledger, PUBLIC).notes == ()


def test_a_crash_between_a_full_segment_and_the_next(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    fill(ledger, [256] * 16)
    assert not segment(ledger, 1).exists()
    assert reopen(ledger) == 4096
    fill(ledger, [2])
    segment(ledger, 1).write_bytes(segment(ledger, 1).read_bytes()[:-3])
    drop_notes(ledger, 1)
    assert reopen(ledger) == 4098
    assert recovered(ledger)["kept_unsigned"] == 1


def test_a_segment_behind_a_gap_of_checkpoints_is_refused(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    fill(ledger, [256] * 17)
    drop_notes(ledger, 3)
    with pytest.raises(LedgerCorrupt) as caught:
        reopen(ledger)
    assert caught.value.first_bad == 256 * 14


def test_opening_reads_one_segment_not_the_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tmp_path / "ledger"
    fill(ledger, [256] * 33)
    os.chmod(segment(ledger, 0), 0)
    segment(ledger, 0).rename(ledger / "away")
    assert reopen(ledger) == 256 * 33
    (ledger / "away").rename(segment(ledger, 0))
    assert verify_ledger(ledger, PUBLIC, newest_checkpoint(ledger)).size == 256 * 33


def test_unreadable_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("a file where the folder should be")
    with pytest.raises(LedgerUnavailable):
        reopen(tmp_path / "ledger")


def test_a_lock_or_ledger_that_is_a_link_is_refused(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    fill(ledger, [1])
    target = tmp_path / "target"
    target.write_bytes(b"")
    Layout(ledger).lock.unlink()
    Layout(ledger).lock.symlink_to(target)
    with pytest.raises(LedgerUnavailable):
        reopen(ledger)
