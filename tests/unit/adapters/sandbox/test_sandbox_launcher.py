"""Making the launcher, keeping it, and its own refusals."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bwrap import BwrapSandbox
from carapax.adapters.sandbox.bwrap.launch import _not_built
from carapax.adapters.sandbox.launcher import build
from carapax.adapters.sandbox.launcher.build import Launcher, find_launcher
from carapax.core.terms.check import Standing
from carapax.core.terms.egress import Way
from carapax.core.terms.ids import CallId
from carapax.ports.sandbox import Job, Mount
from tests.attacks.sealing import KEY, Inside, WallClock, mint


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    build._launcher.cache_clear()
    yield
    build._launcher.cache_clear()


def content(launcher: Launcher) -> bytes:
    return os.pread(launcher.descriptor, build.MAX_PROGRAM_BYTES, 0)


def test_it_is_made_once_and_kept_under_the_name_of_what_it_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = content(find_launcher(tmp_path / "kept"))
    (path,) = (tmp_path / "kept").iterdir()
    assert path.read_bytes() == made
    assert path.stat().st_mode & 0o777 == 0o500
    assert made.startswith(b"\x7fELF")
    build._launcher.cache_clear()
    monkeypatch.setattr(build, "_compile", lambda: pytest.fail("it was there"))
    assert content(find_launcher(tmp_path / "kept")) == made
    monkeypatch.setattr(build, "_OPTIONS", (*build._OPTIONS, "-g"))
    assert build._name() != path.name


def test_many_who_ask_at_once_get_one_that_was_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many, made = 8, list[int]()
    arrived = threading.Barrier(many)
    second = threading.Event()

    def compile_slowly() -> bytes:
        made.append(1)
        if len(made) > 1:
            second.set()
        second.wait(0.2)  # time for another to begin, were it not kept out
        return b"made"

    def ask() -> None:
        arrived.wait(10)
        found.append(find_launcher(tmp_path))

    monkeypatch.setattr(build, "_compile", compile_slowly)
    found: list[Launcher] = []
    threads = [threading.Thread(target=ask) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(made) == 1
    assert len(found) == many and len({launcher.descriptor for launcher in found}) == 1


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


def test_without_a_compiler_python_stands_in_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.shutil, "which", lambda *_, **__: None)
    found = find_launcher(tmp_path)
    assert content(found) == (Path(build.__file__).with_name("fallback.py")).read_bytes()
    assert found.interpreter[1:] == ("-I", "-S")
    assert found.lacks == "there is no C compiler"
    assert list(tmp_path.iterdir()) == []  # a compiler installed later is used at the next start


def test_a_compiler_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_OPTIONS", (*build._OPTIONS, "-no-such-option"))
    assert "no-such-option" in find_launcher(None).lacks


@pytest.fixture(params=["c", "python"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "python":
        monkeypatch.setattr(build, "_compile", lambda: "there is no C compiler")
    return str(request.param)


def run(*words: str) -> tuple[int, bytes]:
    found = find_launcher(None)
    command = [*found.interpreter, f"/proc/self/fd/{found.descriptor}", *words]
    done = subprocess.run(command, pass_fds=(found.descriptor,), capture_output=True, env={}, timeout=20)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), b"no stage"),
        (("sideways", "x"), b"no stage"),
        (("outside", "-z", "1", "--", "true"), b"unknown option"),
        (("outside", "-u", "1x", "--", "true"), b""),
        (("outside", "-r", "7:x", "--", "true"), b""),
        (("outside", "-r", "7"), b"no program"),
        (("outside", "--"), b"no program"),
        (("inside", "-q", "1", "--", "true"), b"option"),
        (("inside", "-a", "1000", "--", "true"), b"Landlock is too old"),
        (("inside", "--"), b"no program"),
    ],
)
def test_words_that_are_not_understood_end_it(kind: str, words: tuple[str, ...], said: bytes) -> None:
    code, told = run(*words)
    assert code == 125
    assert said in told


def test_the_second_stage_runs_nothing_where_the_walls_are_missing(kind: str) -> None:
    """Here, outside every sandbox, its canary must see that it is not behind the walls."""
    code, told = run("inside", "-x", "/usr", "--", "/usr/bin/echo", "ran")
    assert code == 125
    assert b"ran" not in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only a root gateway maps owners")
def test_a_file_system_that_cannot_map_owners_is_named_with_what_to_do(kind: str) -> None:
    code, told = run("outside", "-u", "64242", "-m", "/proc/self/fdinfo", "--", "/usr/bin/echo", "ran")
    assert code == 125
    assert b"id-mapped" in told
    error = _not_built(told)
    assert "id-mapped" in error.what
    assert "ordinary user" in error.next_step
    assert "user namespaces" in _not_built(b"bwrap: no").next_step


@pytest.mark.skipif(os.geteuid() != 0, reason="only a root gateway clones what is shown")
@pytest.mark.parametrize("option", ["-m", "-b"])
def test_a_link_in_the_workspaces_place_is_not_followed(kind: str, tmp_path: Path, option: str) -> None:
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


def test_python_in_the_launchers_place_holds_every_wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_compile", lambda: "there is no C compiler")
    (tmp_path / "w" / ".git").mkdir(parents=True)
    sandbox = BwrapSandbox(tmp_path / "w", KEY, WallClock())
    inside = Inside(sandbox, tmp_path / "w")
    assert inside.shell("id -u; touch made; stat -c %u made", mount=Mount.WRITE).output == b"1000\n1000\n"
    assert (tmp_path / "w" / "made").stat().st_uid == (tmp_path / "w").stat().st_uid
    assert inside.run("no-such-program").exit_code == 127
    checks = asyncio.run(sandbox.probe())
    sandbox.close()
    assert "launcher in Python (there is no C compiler)" in checks[0].found
    assert "apt install gcc" in checks[0].next_step
    assert [check for check in checks if check.standing is Standing.FAILED] == []
    assert [check for check in checks[1:] if check.standing is Standing.WARNING] == []


def test_python_in_the_launchers_place_hands_the_way_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_compile", lambda: "there is no C compiler")
    (tmp_path / "w").mkdir()
    seen: list[object] = []

    def attach(way: Way, listener: int) -> None:
        with socket.socket(fileno=os.dup(listener)) as taken:
            seen.append(taken.getsockname())

    sandbox = BwrapSandbox(tmp_path / "w", KEY, WallClock(), attach=attach)
    job = Job(("grep", "-c", "0C38", "/proc/net/tcp"), way=Way(CallId("w"), "token"))
    assert asyncio.run(sandbox.run(mint(call="w"), job)).output == b"0\n"  # the one listener was given away, and closed
    assert seen == [("127.0.0.1", 3128)]
    sandbox.close()
