"""Making the launcher, keeping it, and its own refusals."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bwrap import BwrapSandbox
from carapax.adapters.sandbox.bwrap.launch import _not_built
from carapax.adapters.sandbox.launcher import build
from carapax.adapters.sandbox.launcher.build import find_launcher
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Job
from tests.attacks.sealing import KEY, Inside, WallClock


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    find_launcher.cache_clear()
    yield
    find_launcher.cache_clear()


def content(descriptor: int) -> bytes:
    return os.pread(descriptor, build.MAX_PROGRAM_BYTES, 0)


def test_it_is_made_once_and_kept_under_the_name_of_what_it_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = content(find_launcher(tmp_path / "kept"))
    (path,) = (tmp_path / "kept").iterdir()
    assert path.read_bytes() == made
    assert path.stat().st_mode & 0o777 == 0o500
    assert made.startswith(b"\x7fELF")
    find_launcher.cache_clear()
    monkeypatch.setattr(build, "_compile", lambda: pytest.fail("it was there"))
    assert content(find_launcher(tmp_path / "kept")) == made
    monkeypatch.setattr(build, "_OPTIONS", (*build._OPTIONS, "-g"))
    assert build._name() != path.name


@pytest.mark.parametrize("fault", ["writable", "link", "folder", "fifo", "empty", "foreign"])
def test_a_kept_file_that_another_could_have_written_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "foreign" and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    path = tmp_path / build._name()
    if fault == "link":
        (tmp_path / "other").write_bytes(b"evil")
        path.symlink_to("other")
    elif fault == "folder":
        path.mkdir()
    elif fault == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(b"" if fault == "empty" else b"evil")
        path.chmod(0o720 if fault == "writable" else 0o500)
    if fault == "foreign":
        os.chown(path, 1234, 1234)
    monkeypatch.setattr(build, "_compile", lambda: b"made anew")
    assert content(find_launcher(tmp_path)) == b"made anew"


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(build, "_compile", lambda: b"made")
    assert content(find_launcher(tmp_path / "file" / "below")) == b"made"


def test_no_compiler_is_named_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.shutil, "which", lambda *_, **__: None)
    with pytest.raises(SandboxUnavailable, match="no C compiler") as refused:
        find_launcher(None)
    assert "apt install gcc" in refused.value.next_step


def test_a_compiler_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_OPTIONS", (*build._OPTIONS, "-no-such-option"))
    with pytest.raises(SandboxUnavailable, match="no-such-option"):
        find_launcher(None)


def run(*words: str) -> tuple[int, bytes]:
    descriptor = find_launcher(None)
    done = subprocess.run(
        [f"/proc/self/fd/{descriptor}", *words], pass_fds=(descriptor,), capture_output=True, env={}, timeout=20
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), b"no stage"),
        (("sideways", "x"), b"no stage"),
        (("outside", "-z", "1", "--", "true"), b"unknown option"),
        (("outside", "-l", "1x", "--", "true"), b"not a number"),
        (("outside", "-l", "-1", "--", "true"), b"not a number"),
        (("outside", "-r", "7:x", "--", "true"), b"not a limit"),
        (("outside", "-r", "7"), b"no program"),
        (("outside", "--"), b"no program"),
        (("inside", "-q", "1", "--", "true"), b"option"),
        (("inside", "-a", "1000", "--", "true"), b"Landlock is too old"),
        (("inside", "--"), b"no program"),
    ],
)
def test_words_that_are_not_understood_end_it(words: tuple[str, ...], said: bytes) -> None:
    code, told = run(*words)
    assert code == 125
    assert said in told


def test_the_second_stage_runs_nothing_where_the_walls_are_missing() -> None:
    """Here, outside every sandbox, its canary must see that it is not behind the walls."""
    code, told = run("inside", "-x", "/usr", "--", "/usr/bin/echo", "ran")
    assert code == 125
    assert b"ran" not in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only a root gateway maps owners")
def test_a_file_system_that_cannot_map_owners_is_named_with_what_to_do() -> None:
    code, told = run("outside", "-u", "64242", "-m", "/proc/self/fdinfo", "--", "/usr/bin/echo", "ran")
    assert code == 125
    assert b"id-mapped" in told
    error = _not_built(told)
    assert "id-mapped" in error.what
    assert "ordinary user" in error.next_step
    assert "user namespaces" in _not_built(b"bwrap: no").next_step


@pytest.mark.skipif(os.geteuid() != 0, reason="only a root gateway clones what is shown")
@pytest.mark.parametrize("option", ["-m", "-b"])
def test_a_link_in_the_workspaces_place_is_not_followed(tmp_path: Path, option: str) -> None:
    (tmp_path / "link").symlink_to("/root")
    code, told = run("outside", "-u", "64242", option, str(tmp_path / "link"), "--", "/usr/bin/echo", "ran")
    assert code == 125
    assert b"link" in told


def test_nothing_of_the_library_is_shown_unless_asked(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    workspace.mkdir()
    sandbox = BwrapSandbox(workspace, KEY, WallClock(), build=tmp_path / "kept")
    inside = Inside(sandbox, workspace)
    where = os.path.dirname(os.path.dirname(pytest.__file__))
    with_it = inside.shell(f"ls {where} | grep -c ^pytest$; touch {where}/x", library=True)
    assert with_it.output.startswith(b"1\n")
    assert with_it.exit_code != 0
    assert inside.run("ls", where).exit_code != 0
    sandbox.close()


def test_the_jobs_own_variables_are_set(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    workspace.mkdir()
    sandbox = BwrapSandbox(workspace, KEY, WallClock())
    ran = Inside(sandbox, workspace).run("env", variables=(("TOKEN", "placeholder"), ("PATH", "/evil")))
    assert b"TOKEN=placeholder" in ran.output
    assert b"/evil" not in ran.output
    sandbox.close()
    assert Job(("x",)).variables == ()
