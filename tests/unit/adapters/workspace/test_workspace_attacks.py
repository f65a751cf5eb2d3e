"""What a program in the sandbox may leave behind to make the gateway read, list or write the wrong thing."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from carapax.adapters.workspace import beneath, restore, scan
from carapax.adapters.workspace import versions as versions_module
from carapax.adapters.workspace.index import Entry
from carapax.adapters.workspace.names import parse_path
from carapax.adapters.workspace.versions import Versions
from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.ids import CallId
from carapax.core.terms.plain import canonical_json, plain
from tests.fakes.tree import tree_of
from tests.unit.adapters.workspace.conftest import Place

CALL = CallId("call")


def during(versions: Versions, effect: Callable[[], object]) -> tuple[Change, ...]:
    mark = versions.before(CALL)
    effect()
    changes = versions.after(mark)
    versions.settle(mark)
    return changes


def test_a_folder_replaced_by_a_link_leads_no_restored_file_out(place: Place) -> None:
    folder = place.root / "docs"
    folder.mkdir()
    (folder / "secret").write_text("inside")
    versions = place.versions()
    changes = during(versions, (folder / "secret").unlink)
    folder.rmdir()
    folder.symlink_to(place.outside)
    undone = versions.revert(changes)
    assert undone.conflicts == ("docs/secret",)
    assert tree_of(place.outside) == {"secret": ("file", 0o644, b"outside")}


def test_a_link_planted_between_the_plan_and_the_write_leads_nothing_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place.root / "docs"
    folder.mkdir()
    for name in ("secret", "other"):
        (folder / name).write_text("inside")
    versions = place.versions()
    changes = during(versions, lambda: [(folder / "secret").unlink(), (folder / "other").write_text("changed")])

    def plant_then_apply(root: Path, steps: object, find: object) -> object:
        shutil.rmtree(folder)
        folder.symlink_to(place.outside)
        return restore.apply_steps(root, steps, find)  # type: ignore[arg-type]

    monkeypatch.setattr(versions_module, "apply_steps", plant_then_apply)
    undone = versions.revert(changes)
    assert sorted(undone.conflicts) == ["docs/other", "docs/secret"]
    assert tree_of(place.outside) == {"secret": ("file", 0o644, b"outside")}


@pytest.mark.parametrize(
    "write",
    [
        lambda root: beneath.replace_file(root, "way/secret", b"mine", 0o644),
        lambda root: beneath.replace_link(root, "way/secret", b"mine"),
        lambda root: beneath.remove(root, "way/secret", folder=False),
        lambda root: beneath.make_folder(root, "way/new"),
        lambda root: beneath.set_mode(root, "way/secret", 0o777),
        lambda root: beneath.set_mode(root, "file", 0o777),
        lambda root: beneath.open_file(root, "file"),
        lambda root: beneath.read_link(root, "way/link"),
        lambda root: beneath.make_folder(root, "way"),
    ],
)
def test_nothing_goes_through_a_link(place: Place, write: Callable[[Path], object]) -> None:
    (place.outside / "link").symlink_to("x")
    (place.root / "way").symlink_to(place.outside)
    (place.root / "file").symlink_to(place.outside / "secret")
    before = tree_of(place.outside)
    with pytest.raises(OSError):
        write(place.root)
    assert tree_of(place.outside) == before


def test_a_link_is_versioned_as_a_link_and_what_it_names_is_never_read(place: Place) -> None:
    versions = place.versions()
    changes = during(versions, lambda: (place.root / "peek").symlink_to(place.outside))
    assert [change.path for change in changes] == ["peek"]
    kept = [blob.read_bytes() for blob in place.state.rglob("objects/*/*")]
    assert kept == [os.fsencode(place.outside)]
    versions.revert(changes)
    assert (place.outside / "secret").read_text() == "outside"


def test_a_restored_file_is_not_written_through_a_hard_link(place: Place) -> None:
    file = place.root / "a"
    file.write_text("old")
    versions = place.versions()
    changes = during(versions, lambda: file.write_text("new"))
    os.link(file, place.outside / "other-name")
    versions.revert(changes)
    assert (file.read_text(), (place.outside / "other-name").read_text()) == ("old", "new")


def test_a_mode_is_not_changed_through_a_hard_link(place: Place) -> None:
    file = place.root / "a"
    file.write_text("same")
    file.chmod(0o755)
    versions = place.versions()
    changes = during(versions, lambda: file.chmod(0o600))
    os.link(file, place.outside / "other-name")
    with pytest.raises(OSError, match="one name"):
        beneath.set_mode(place.root, "a", 0o755)
    versions.revert(changes)
    assert (file.stat().st_mode & 0o777, (place.outside / "other-name").stat().st_mode & 0o777) == (0o755, 0o600)


def test_set_id_bits_are_never_put_back(place: Place) -> None:
    file = place.root / "tool"
    file.write_text("x")
    file.chmod(0o6755)
    versions = place.versions()
    versions.revert(during(versions, file.unlink))
    assert file.stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    "name",
    [b"new\nline", b"\xff\xfe", b"\x1b[31mred", "gpj.\u202eexe".encode(), b"back\\slash", b"\\x41", b"-rf", b" "],
)
def test_an_odd_name_is_listed_on_one_line_recordable_and_taken_back(place: Place, name: bytes) -> None:
    odd = os.path.join(os.fsencode(place.root), name)
    versions = place.versions()

    def make() -> None:
        with open(odd, "wb") as file:
            file.write(b"odd")

    (change,) = during(versions, make)
    assert change.path.isprintable()
    canonical_json(plain(change))
    assert os.fsencode(parse_path(change.path)) == name
    undone = versions.revert((change,))
    assert not os.path.lexists(odd)
    versions.revert(undone.changes)
    assert os.listdir(os.fsencode(place.root)) == [name]


@pytest.mark.parametrize("path", ["../outside/secret", "/etc/hostname", "docs/../../outside/secret", "\\x2e./x"])
def test_a_recorded_path_that_was_tampered_with_is_a_conflict(place: Place, path: str) -> None:
    undone = place.versions().revert([Change(path, ChangeKind.CREATED, None, None, 7)])
    assert undone.conflicts == (path,)
    assert (place.outside / "secret").exists()


def test_pipes_sockets_and_devices_neither_block_nor_count(place: Place) -> None:
    versions = place.versions()

    def effect() -> None:
        os.mkfifo(place.root / "pipe")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(place.root / "socket"))

    assert during(versions, effect) == ()


def test_a_pipe_that_took_a_files_place_after_the_scan_does_not_block(place: Place) -> None:
    os.mkfifo(place.root / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        beneath.open_file(place.root, "pipe")


def test_a_second_write_in_the_same_clock_tick_is_seen(place: Place) -> None:
    file = place.root / "a"
    file.write_text("one")
    versions = place.versions()
    mark = versions.before(CALL)
    file.write_text("two")
    look = file.stat()
    # As if the clock had not moved: the remembered stamp is the one the file has now.
    entry = versions._entries["a"]
    same = entry.stamp._replace(mtime_ns=look.st_mtime_ns, ctime_ns=look.st_ctime_ns)
    versions._entries["a"] = Entry(same, entry.node, entry.settled)
    if entry.settled:
        versions._quiet["a"] = same
    assert [change.path for change in versions.after(mark)] == ["a"]


def test_what_hides_in_an_unreadable_folder_is_not_taken_for_deleted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place.root / "locked"
    folder.mkdir()
    (folder / "a").write_text("1")
    versions = place.versions()
    mark = versions.before(CALL)
    real_open = os.open

    def refuse(path: object, flags: int, *rest: object, **named: object) -> int:
        if path == "locked":
            raise PermissionError(13, "Permission denied")
        return real_open(path, flags, *rest, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        assert versions.after(mark) == ()


def test_restored_folders_and_files_keep_their_own_modes_when_the_agent_closed_them(place: Place) -> None:
    folder = place.root / "docs"
    folder.mkdir(mode=0o750)
    (folder / "a").write_text("1")
    before = tree_of(place.root)
    versions = place.versions()

    def effect() -> None:
        (folder / "a").unlink()
        folder.chmod(0o500)

    undone = versions.revert(during(versions, effect))
    assert (undone.conflicts, undone.lost) == ((), ())
    assert tree_of(place.root) == before


def test_a_folder_that_became_a_link_after_the_listing_is_not_entered(place: Place) -> None:
    (place.root / "way").symlink_to(place.outside)
    found = scan.Scan()
    fd = os.open(place.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        scan._enter(fd, "way", "way", 5, 100, {}, found)
    finally:
        os.close(fd)
    assert (found.paths, found.unseen) == (set(), ["way"])


def test_what_a_person_writes_between_the_plan_and_the_write_is_left(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed, made = place.root / "changed", place.root / "made"
    changed.write_text("old")
    versions = place.versions()
    changes = during(versions, lambda: (changed.write_text("agent"), made.write_text("agent")))

    def write_then_apply(root: Path, steps: object, find: object) -> object:
        changed.write_text("person")
        made.write_text("person")
        return restore.apply_steps(root, steps, find)  # type: ignore[arg-type]

    monkeypatch.setattr(versions_module, "apply_steps", write_then_apply)
    undone = versions.revert(changes)
    assert sorted(undone.conflicts) == ["changed", "made"]
    assert (changed.read_text(), made.read_text()) == ("person", "person")
