"""What is pinned in a workspace, and what is made for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from carapax.adapters.sandbox.pins import Pin, pin_workspace
from carapax.core.terms.error import SandboxUnavailable

ALL = (Pin(".git", writable=True), Pin(".git/hooks"), Pin(".git/config"), Pin(".git/commondir"))


def test_a_workspace_without_a_repository_has_none_and_is_left_alone(tmp_path: Path) -> None:
    assert pin_workspace(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_repositorys_places_are_pinned_and_what_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".git" / "hooks").mkdir(parents=True)
    (tmp_path / ".git" / "config").write_text("[core]\n")
    (tmp_path / ".git" / "commondir").write_text("../main\n")
    assert pin_workspace(tmp_path) == ALL
    assert (tmp_path / ".git" / "config").read_text() == "[core]\n"
    assert (tmp_path / ".git" / "commondir").read_text() == "../main\n"


def test_what_is_missing_is_made_for_the_repositorys_owner(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / ".git", 1234, 5678)
    owner = (tmp_path / ".git").stat()
    assert pin_workspace(tmp_path) == ALL == pin_workspace(tmp_path)
    for name, content in (("config", ""), ("commondir", ".\n")):
        assert (tmp_path / ".git" / name).read_text() == content
    for path in (tmp_path / ".git").iterdir():
        assert (path.stat().st_uid, path.stat().st_gid) == (owner.st_uid, owner.st_gid)


def test_a_pointer_is_pinned_whole(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: x\n")
    assert pin_workspace(tmp_path) == (Pin(".git"),)


@pytest.mark.parametrize("place", [".git", ".git/hooks", ".git/config", ".git/commondir"])
@pytest.mark.parametrize("kind", ["link", "dangling", "fifo"])
def test_what_cannot_be_held_refuses(tmp_path: Path, place: str, kind: str) -> None:
    (tmp_path / "target").mkdir()
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / ("target" if kind == "link" else "nowhere"))
    with pytest.raises(SandboxUnavailable, match="cannot be protected") as refused:
        pin_workspace(tmp_path)
    assert refused.value.next_step
    assert list((tmp_path / "target").iterdir()) == []
    assert not (tmp_path / "nowhere").exists()
