"""The workspace's copy: what is taken in, what comes back, and what never does."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from carapax.adapters.sandbox.vm import copy
from carapax.adapters.sandbox.vm.copy import Brought, Known, know, read_workspace, write_back
from carapax.adapters.sandbox.vm.wire import Record
from carapax.core.terms.error import SandboxUnavailable

Before = dict[bytes, Known]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "kept").write_bytes(b"kept")
    (folder / "run").write_bytes(b"#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "link").symlink_to("/etc/passwd")
    return folder


def taken(root: Path) -> tuple[tuple[Record, ...], Before]:
    records = read_workspace(root)
    return records, {record.path: know(record) for record in records}


def tree(root: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        found[name] = os.readlink(path) if path.is_symlink() else None if path.is_dir() else path.read_bytes()
    return found


def test_files_folders_and_links_are_taken_parents_first(root: Path) -> None:
    records, _ = taken(root)
    assert [(r.kind, r.path, r.content) for r in records] == [
        ("d", b"a", b""),
        ("f", b"a/kept", b"kept"),
        ("l", b"link", b"/etc/passwd"),
        ("f", b"run", b"#!/bin/sh\n"),
    ]
    assert records[3].mode == 0o755
    assert records[3].changed_ns == (root / "run").stat().st_mtime_ns


def test_sockets_pipes_and_set_id_bits_are_not_taken(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "door"))
    (root / "run").chmod(0o4755)
    records, _ = taken(root)
    assert {r.path for r in records} == {b"a", b"a/kept", b"link", b"run"}
    assert records[-1].mode == 0o755


def test_a_workspace_beyond_the_ceilings_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy, "MAX_COPY_FILES", 3)
    with pytest.raises(SandboxUnavailable, match="more than a disposable machine takes"):
        read_workspace(root)
    monkeypatch.setattr(copy, "MAX_COPY_FILES", 4)
    assert len(read_workspace(root)) == 4
    monkeypatch.setattr(copy, "MAX_COPY_BYTES", 20)
    with pytest.raises(SandboxUnavailable, match="more than"):
        read_workspace(root)
    (root / "huge").write_bytes(b"x" * 21)
    with pytest.raises(SandboxUnavailable, match="more than"):
        read_workspace(root)


def test_nothing_changed_nothing_written(root: Path) -> None:
    records, before = taken(root)
    inodes = {path: path.lstat().st_ino for path in root.rglob("*")}
    assert write_back(root, before, records) == Brought()
    assert {path: path.lstat().st_ino for path in root.rglob("*")} == inodes


def test_what_changed_comes_back(root: Path) -> None:
    records, before = taken(root)
    after = (
        Record("d", b"a", 0o755, 0),
        Record("f", b"a/kept", 0o600, 0, b"changed"),
        Record("d", b"a/new", 0o750, 0),
        Record("f", b"a/new/file", 0o640, 0, b"made"),
        Record("l", b"run", 0o777, 0, b"a/kept"),  # a file that became a link; `link` is gone
    )
    assert write_back(root, before, after) == Brought()
    assert tree(root) == {"a": None, "a/kept": b"changed", "a/new": None, "a/new/file": b"made", "run": "a/kept"}
    assert stat.S_IMODE((root / "a" / "kept").stat().st_mode) == 0o600
    assert stat.S_IMODE((root / "a" / "new").stat().st_mode) == 0o750
    assert records


def test_a_hard_link_keeps_its_old_bytes(root: Path, tmp_path: Path) -> None:
    os.link(root / "a" / "kept", tmp_path / "outside")
    _, before = taken(root)
    after = tuple(
        Record("f", b"a/kept", 0o644, 0, b"changed") if r.path == b"a/kept" else r for r in read_workspace(root)
    )
    write_back(root, before, after)
    assert (tmp_path / "outside").read_bytes() == b"kept"
    assert (root / "a" / "kept").read_bytes() == b"changed"


def test_what_somebody_changed_meanwhile_stays(root: Path) -> None:
    _, before = taken(root)
    (root / "a" / "kept").write_bytes(b"theirs")
    (root / "run").write_bytes(b"theirs too")
    (root / "fresh").write_bytes(b"theirs as well")
    after = (
        Record("d", b"a", 0o755, 0),
        Record("f", b"a/kept", 0o644, 0, b"ours"),
        Record("f", b"fresh", 0o644, 0, b"ours"),
        Record("l", b"link", 0o777, 0, b"/etc/passwd"),
    )
    assert write_back(root, before, after) == Brought(kept=(b"run", b"a/kept", b"fresh"))
    assert tree(root)["a/kept"] == b"theirs"
    assert tree(root)["run"] == b"theirs too"
    assert tree(root)["fresh"] == b"theirs as well"


def test_a_folder_in_which_somebody_made_something_stays(root: Path) -> None:
    _, before = taken(root)
    (root / "a" / "theirs").write_bytes(b"theirs")
    assert write_back(root, before, ()) == Brought(kept=(b"a",))
    assert tree(root) == {"a": None, "a/theirs": b"theirs"}


@pytest.mark.parametrize("kind", ["folder", "parent"])
def test_a_link_put_in_a_folders_place_is_never_followed(root: Path, tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    _, before = taken(root)
    for path in (root / "a").iterdir():
        path.unlink()
    (root / "a").rmdir()
    (root / "a").symlink_to(outside)
    new = b"a/kept" if kind == "folder" else b"a/new"
    after = (Record("d", b"a", 0o755, 0), Record("f", new, 0o644, 0, b"evil"))
    brought = write_back(root, before, after)
    assert new in brought.kept
    assert tree(outside) == {"kept": b"kept"}


GIT = (
    Record("d", b".git", 0o755, 0),
    Record("f", b".git/config", 0o644, 0, b"ours"),
    Record("d", b".git/hooks", 0o755, 0),
    Record("f", b".git/hooks/pre-commit", 0o755, 0, b"ours"),
    Record("f", b".git/index", 0o644, 0, b"old"),
)


@pytest.mark.parametrize("above", [b"", b"deep/er/"])
def test_hooks_and_configuration_of_a_repository_never_change(tmp_path: Path, above: bytes) -> None:
    root = tmp_path / "root"
    git = root / os.fsdecode(above) / ".git"
    (git / "hooks").mkdir(parents=True)
    for name, text in (("config", "ours"), ("hooks/pre-commit", "ours"), ("index", "old")):
        (git / name).write_text(text)
    records, before = taken(root)
    evil = {b".git/config": b"evil", b".git/hooks/pre-commit": b"evil", b".git/index": b"new"}
    changed = (Record(r.kind, r.path, r.mode, 0, evil.get(r.path.removeprefix(above), r.content)) for r in records)
    after = (*changed, Record("f", above + b".git/hooks/post-checkout", 0o755, 0, b"evil"))
    brought = write_back(root, before, after)
    assert set(brought.protected) == {above + name for name in (*list(evil)[:2], b".git/hooks/post-checkout")}
    assert {path.name: path.read_text() for path in git.rglob("*") if path.is_file()} == {
        "config": "ours",
        "pre-commit": "ours",
        "index": "new",
    }


@pytest.mark.parametrize(
    "instead", [(), (Record("f", b".git", 0o644, 0, b"gitdir: /evil"),), (Record("l", b".git", 0o777, 0, b"evil"),)]
)
def test_a_repository_is_not_replaced(tmp_path: Path, instead: tuple[Record, ...]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    write_back(root, {}, GIT)
    brought = write_back(root, {r.path: know(r) for r in GIT}, instead)
    assert b".git" in brought.protected
    assert (root / ".git" / "config").read_text() == "ours"
    assert (root / ".git" / "hooks" / "pre-commit").read_text() == "ours"


def test_a_repository_made_inside_comes_whole(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    assert write_back(root, {}, GIT) == Brought()
    assert (root / ".git" / "hooks" / "pre-commit").read_text() == "ours"


def test_a_disk_that_refuses_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, before = taken(root)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(SandboxUnavailable, match="could not be brought back") as caught:
        write_back(root, before, (*read_workspace(root), Record("f", b"new", 0o644, 0, b"x")))
    assert "a part of what it changed" in caught.value.kept
    assert [path.name for path in root.iterdir() if path.name.startswith(".carapax")] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_brings_back_belongs_to_the_folders_owner(root: Path) -> None:
    for path in (root, root / "a"):
        os.chown(path, 12_345, 12_345)
    _, before = taken(root)
    after = (*read_workspace(root), Record("d", b"d", 0o755, 0), Record("f", b"d/f", 0o644, 0, b"x"))
    write_back(root, before, after)
    assert {(root / name).stat().st_uid for name in ("d", "d/f")} == {12_345}
