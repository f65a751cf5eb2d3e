"""Attack: read Carapax's own folder from a job, or have it shown as a workspace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bwrap import BwrapSandbox
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Mount
from tests.attacks.sealing import KEY, Inside, WallClock


@pytest.mark.parametrize("mount", list(Mount))
def test_the_secret_is_not_there(inside: Inside, state: Path, mount: Mount) -> None:
    assert inside.met(f"tried(lambda: open({str(state / 'secret')!r}))", mount) == ["ENOENT"]


def test_nor_by_way_of_the_workspace(inside: Inside, state: Path) -> None:
    (inside.workspace / "link").symlink_to(state / "secret")
    assert inside.met("tried(lambda: open('/workspace/link')); tried(lambda: open('/workspace/../state/secret'))") == [
        "ENOENT",
        "ENOENT",
    ]


def test_nor_is_anything_of_the_users_home_but_the_interpreter(inside: Inside) -> None:
    home = Path.home()
    found = inside.shell(f"find {home} -maxdepth 1 -mindepth 1 2>/dev/null").output.decode().split()
    assert len(found) <= 1  # the way to the interpreter, when it is installed there


def _refused(workspace: Path, *forbidden: Path) -> str:
    with pytest.raises(SandboxUnavailable) as refused:
        BwrapSandbox(workspace, KEY, WallClock(), forbidden=forbidden)
    assert refused.value.next_step
    return refused.value.what


def test_a_workspace_that_holds_it_is_refused(tmp_path: Path, state: Path) -> None:
    assert "Carapax's own folder" in _refused(tmp_path, state)


def test_a_workspace_inside_it_is_refused(state: Path) -> None:
    (state / "inner").mkdir()
    assert "Carapax's own folder" in _refused(state / "inner", state)
    assert "Carapax's own folder" in _refused(state, state)


def test_a_workspace_holding_it_behind_a_link_is_refused(tmp_path: Path, state: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(state)
    work = tmp_path / "w"
    work.mkdir()
    state.rename(work / "state")
    (tmp_path / "elsewhere").unlink()
    (tmp_path / "elsewhere").symlink_to(work / "state")
    assert "Carapax's own folder" in _refused(work, tmp_path / "elsewhere")


def test_a_link_is_refused_as_a_workspace(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert "symbolic link" in _refused(tmp_path / "link")


def test_a_link_above_the_workspace_is_followed_before_it_is_judged(tmp_path: Path, state: Path) -> None:
    (tmp_path / "link").symlink_to(state)
    (state / "deep").mkdir()
    assert "Carapax's own folder" in _refused(tmp_path / "link" / "deep", state)
    (tmp_path / "system").symlink_to("/usr")
    assert "system" in _refused(tmp_path / "system" / "share")


@pytest.mark.parametrize("path", ["/", "/usr", "/usr/share", "/etc", "/proc", "/dev/shm"])
def test_the_system_is_refused_as_a_workspace(path: str) -> None:
    _refused(Path(path))


def test_the_whole_home_is_refused_as_a_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home" / "someone"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    assert "home" in _refused(home)
    assert "home" in _refused(home.parent)
    (home / "work").mkdir()
    BwrapSandbox(home / "work", KEY, WallClock()).close()


def test_the_running_program_is_refused_as_a_workspace() -> None:
    assert "runs from" in _refused(Path(__file__).resolve().parents[2])


def test_a_workspace_replaced_after_the_start_is_refused(inside: Inside, state: Path) -> None:
    os.rename(inside.workspace, inside.workspace.with_name("moved"))
    inside.workspace.symlink_to(state)
    with pytest.raises(SandboxUnavailable, match="replaced"):
        inside.run("cat", "secret")
