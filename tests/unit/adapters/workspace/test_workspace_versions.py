from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from carapax.adapters.workspace.ceilings import Ceilings
from carapax.adapters.workspace.versions import Versions
from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.error import NotFound, SettingsInvalid, StoreUnavailable
from carapax.core.terms.ids import CallId
from carapax.ports.workspace import Mark
from tests.fakes.tree import tree_of
from tests.unit.adapters.workspace.conftest import Place

CALL = CallId("call")


def during(versions: Versions, effect: Callable[[], object]) -> tuple[Change, ...]:
    mark = versions.before(CALL)
    effect()
    changes = versions.after(mark)
    versions.settle(mark)
    return changes


def listed(changes: tuple[Change, ...]) -> list[tuple[str, str]]:
    return [(change.kind.value, change.path) for change in changes]


def test_nothing_done_is_nothing_listed(place: Place) -> None:
    (place.root / "a").write_text("1")
    assert during(place.versions(), lambda: None) == ()


def test_every_kind_of_change_is_listed_in_path_order_and_taken_back(place: Place) -> None:
    root = place.root
    (root / "docs").mkdir()
    (root / "docs/gone.txt").write_text("gone")
    (root / "edited").write_text("old")
    (root / "mode.sh").write_text("#!")
    (root / "link").symlink_to("edited")
    (root / "empty").mkdir(0o750)
    before = tree_of(root)
    versions = place.versions()

    def effect() -> None:
        (root / "docs/gone.txt").unlink()
        (root / "docs").rmdir()
        (root / "edited").write_text("new words")
        (root / "mode.sh").chmod(0o755)
        (root / "link").unlink()
        (root / "link").symlink_to("elsewhere")
        (root / "empty").rmdir()
        (root / "new/deep").mkdir(parents=True)
        (root / "new/deep/file").write_bytes(b"\0\1")

    changes = during(versions, effect)
    assert listed(changes) == [
        ("deleted", "docs/"),
        ("deleted", "docs/gone.txt"),
        ("modified", "edited"),
        ("deleted", "empty/"),
        ("modified", "link"),
        ("modified", "mode.sh"),
        ("created", "new/"),
        ("created", "new/deep/"),
        ("created", "new/deep/file"),
    ]
    assert all(change.kept for change in changes)
    after = tree_of(root)
    undone = versions.revert(changes)
    assert (undone.conflicts, undone.lost) == ((), ())
    assert tree_of(root) == before
    again = versions.revert(undone.changes)
    assert (again.conflicts, again.lost) == ((), ())
    assert tree_of(root) == after


def test_a_digest_is_the_sha256_of_the_bytes_and_sizes_are_told(place: Place) -> None:
    versions = place.versions()
    (change,) = during(versions, lambda: (place.root / "a").write_text("abc"))
    assert change == Change(
        "a", ChangeKind.CREATED, None,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3, True,
    )  # fmt: skip
    (gone,) = during(versions, (place.root / "a").unlink)
    assert (gone.kind, gone.before, gone.after, gone.size_bytes) == (ChangeKind.DELETED, change.after, None, 3)


def test_touching_a_file_is_no_change(place: Place) -> None:
    (place.root / "a").write_text("1")
    assert during(place.versions(), lambda: os.utime(place.root / "a", (5, 5))) == ()


@pytest.mark.parametrize("first_is_folder", [True, False])
def test_a_file_that_became_a_folder_and_the_other_way_round(place: Place, first_is_folder: bool) -> None:
    thing = place.root / "thing"

    def folder() -> None:
        thing.mkdir()
        (thing / "inside").write_text("i")

    def swap() -> None:
        if thing.is_dir():
            (thing / "inside").unlink()
            thing.rmdir()
            thing.write_text("file")
        else:
            thing.unlink()
            folder()

    folder() if first_is_folder else thing.write_text("file")
    before = tree_of(place.root)
    versions = place.versions()
    undone = versions.revert(during(versions, swap))
    assert (undone.conflicts, undone.lost) == ((), ())
    assert tree_of(place.root) == before


@pytest.mark.parametrize("newest_first", [True, False])
def test_several_changes_of_one_path_are_one_chain(place: Place, newest_first: bool) -> None:
    file = place.root / "a"
    versions = place.versions()
    parts = [
        during(versions, lambda: file.write_text("1")),
        during(versions, lambda: file.write_text("22")),
        during(versions, file.unlink),
        during(versions, lambda: file.write_text("4444")),
    ]
    order = parts[::-1] if newest_first else parts
    undone = versions.revert([change for part in order for change in part])
    assert listed(undone.changes) == [("deleted", "a")]
    assert (undone.conflicts, undone.lost, file.exists()) == ((), (), False)


def test_a_file_that_changed_since_is_a_conflict_and_left_alone(place: Place) -> None:
    mine, agents = place.root / "mine", place.root / "agents"
    mine.write_text("before")
    versions = place.versions()
    changes = during(versions, lambda: (mine.write_text("agent"), agents.write_text("agent")))
    mine.write_text("person")
    undone = versions.revert(changes)
    assert undone.conflicts == ("mine",)
    assert mine.read_text() == "person"
    assert not agents.exists()


def test_a_folder_somebody_put_a_file_into_stays(place: Place) -> None:
    versions = place.versions()
    changes = during(versions, (place.root / "new").mkdir)
    (place.root / "new/mine").write_text("person")
    undone = versions.revert(changes)
    assert undone.conflicts == ("new/",)
    assert (place.root / "new/mine").read_text() == "person"


def test_changes_nobody_recorded_are_lost_not_guessed(place: Place) -> None:
    (place.root / "a").write_text("x")
    undone = place.versions().revert([Change("a", ChangeKind.CREATED, None, None, 1)])
    assert undone.lost == ("a",)
    assert (place.root / "a").exists()


def test_damaged_kept_bytes_are_lost_and_the_file_stays(place: Place) -> None:
    file = place.root / "a"
    file.write_text("precious")
    versions = place.versions()
    changes = during(versions, lambda: file.write_text("new"))
    for blob in place.state.rglob("objects/*/*"):
        blob.write_bytes(b"damaged")
    undone = versions.revert(changes)
    assert (undone.lost, undone.changes, file.read_text()) == (("a",), (), "new")


# ceilings


def test_a_file_over_the_ceiling_is_listed_without_its_bytes(place: Place) -> None:
    big = place.root / "big"
    big.write_bytes(b"x" * 101)
    versions = place.versions(Ceilings(file_bytes=100))
    changes = during(versions, lambda: big.write_bytes(b"y" * 102))
    assert [(c.path, c.kept, c.before, c.size_bytes) for c in changes] == [("big", False, None, 102)]
    assert versions.revert(changes).lost == ("big",)
    assert big.read_bytes() == b"y" * 102


def test_a_created_file_over_the_ceiling_can_still_be_taken_back(place: Place) -> None:
    versions = place.versions(Ceilings(file_bytes=10))
    changes = during(versions, lambda: (place.root / "big").write_bytes(b"x" * 11))
    undone = versions.revert(changes)
    assert [(c.path, c.kind, c.kept) for c in undone.changes] == [("big", ChangeKind.DELETED, False)]


def test_files_over_the_count_are_listed_without_their_bytes(place: Place) -> None:
    for name in "abc":
        (place.root / name).write_text(name)
    versions = place.versions(Ceilings(files=2))
    changes = during(versions, lambda: [(place.root / name).write_text("new" + name) for name in "abc"])
    assert [c.path for c in changes] == ["a", "b", "c"]
    assert sorted(c.kept for c in changes) == [False, True, True]


def test_a_full_store_forgets_the_oldest_changes_first(place: Place) -> None:
    file = place.root / "a"
    versions = place.versions(Ceilings(store_bytes=1000))
    turns = [during(versions, lambda n=n: file.write_bytes(bytes([n]) * 200)) for n in range(12)]
    versions.before(CALL)
    assert sum(blob.stat().st_size for blob in place.state.rglob("objects/*/*")) <= 1000
    assert versions.revert(turns[-1]).lost == ()
    assert file.read_bytes() == bytes([10]) * 200
    assert versions.revert(turns[0]).lost == ("a",)


def test_too_many_entries_are_refused_before_an_effect_and_survived_after_it(place: Place) -> None:
    versions = place.versions(Ceilings(entries=3))
    (place.root / "kept").write_text("k")
    mark = versions.before(CALL)
    for n in range(5):
        (place.root / f"f{n}").write_text("x")
    changes = versions.after(mark)
    assert all(change.kind is ChangeKind.CREATED for change in changes)
    with pytest.raises(StoreUnavailable, match="more than 3 files"):
        versions.before(CALL)


def test_folders_deeper_than_the_ceiling_are_not_looked_into(place: Place) -> None:
    versions = place.versions(Ceilings(depth=2))
    changes = during(versions, lambda: (place.root / "1/2/3/4").mkdir(parents=True))
    assert [change.path for change in changes] == ["1/", "1/2/", "1/2/3/"]


# durability


def test_a_mark_that_a_killed_gateway_left_is_found_with_its_changes(place: Place) -> None:
    (place.root / "a").write_text("old")
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from carapax.adapters.workspace.versions import Versions\n"
        "root, state = map(Path, sys.argv[1:])\n"
        "Versions(root, state).before('killed')\n"
        "(root / 'a').write_text('newer')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    project = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", program, place.root, place.state], cwd=project, check=False)
    assert done.returncode == -9
    versions = place.versions()
    ((call, changes),) = versions.unfinished()
    assert (call, listed(tuple(changes))) == ("killed", [("modified", "a")])
    assert versions.unfinished() == ()
    versions.revert(changes)
    assert (place.root / "a").read_text() == "old"


def test_overlapping_marks_each_list_what_happened_since(place: Place) -> None:
    versions = place.versions()
    first = versions.before(CallId("1"))
    (place.root / "a").write_text("a")
    second = versions.before(CallId("2"))
    (place.root / "b").write_text("b")
    assert listed(versions.after(first)) == [("created", "a"), ("created", "b")]
    assert listed(versions.after(second)) == [("created", "b")]
    for mark in (first, second):
        versions.settle(mark)
    assert versions.unfinished() == ()


def test_a_mark_is_closed_once(place: Place) -> None:
    versions = place.versions()
    mark = versions.before(CALL)
    versions.after(mark)
    versions.settle(mark)
    for closed in (mark, Mark(999)):
        with pytest.raises(NotFound):
            versions.after(closed)
        with pytest.raises(NotFound):
            versions.settle(closed)


def test_a_mark_that_was_read_but_not_settled_is_found_again(place: Place) -> None:
    versions = place.versions()
    mark = versions.before(CALL)
    (place.root / "a").write_text("a")
    told = versions.after(mark)
    assert place.versions().unfinished() == ((CALL, told),)


def test_a_second_process_sees_what_the_first_recorded(place: Place) -> None:
    one, other = place.versions(), place.versions()
    changes = during(one, lambda: (place.root / "a").write_text("1"))
    assert listed(other.revert(changes).changes) == [("deleted", "a")]
    assert during(one, lambda: None) == ()


def test_an_unchanged_reopened_workspace_is_not_read_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.root / "a").write_text("1")
    monkeypatch.setattr("carapax.adapters.workspace.versions.RACY_NS", -(10**12))
    first = place.versions()
    first.after(first.before(CALL))
    second = place.versions()
    monkeypatch.setattr(Versions, "_read", lambda *_: pytest.fail("read an unchanged file"))
    assert during(second, lambda: None) == ()


def test_a_full_disk_refuses_before_and_is_survived_after(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = place.versions()
    (place.root / "a").write_text("1")
    mark = versions.before(CALL)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("carapax.adapters.workspace.blobs.BlobStore.put", full)
        (place.root / "a").write_text("22")
        assert listed(versions.after(mark)) == [("modified", "a")]
        (place.root / "b").write_text("3")
        with pytest.raises(StoreUnavailable, match="No space left"):
            versions.before(CALL)
    (place.root / "c").write_text("4")
    (change,) = during(versions, (place.root / "a").unlink)
    assert change.kept


def test_folders_that_cannot_serve_are_refused(place: Place) -> None:
    with pytest.raises(SettingsInvalid, match="inside the workspace"):
        Versions(place.root, place.root / ".state")
    with pytest.raises(SettingsInvalid, match="not a folder"):
        Versions(place.root / "missing", place.state)


@pytest.mark.parametrize("content", [b"not a database", b"SQLite format 3\0" + b"\xff" * 200])
def test_a_damaged_index_is_refused_with_a_next_step(place: Place, content: bytes) -> None:
    place.state.mkdir()
    (place.state / "versions.sqlite3").write_bytes(content)
    with pytest.raises(StoreUnavailable) as caught:
        Versions(place.root, place.state)
    assert "moved away" in caught.value.next_step


def test_kept_bytes_are_for_the_gateway_alone(place: Place) -> None:
    (place.root / "a").write_text("1")
    place.versions().before(CALL)
    files = [path for path in place.state.rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert {path.stat().st_mode & 0o077 for path in files} == {0}
