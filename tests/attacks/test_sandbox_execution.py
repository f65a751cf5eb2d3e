"""Attack: run a program of one's own from where anything may be written; and what must still run."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bwrap import Bounds, BwrapSandbox
from carapax.ports.sandbox import Mount
from tests.attacks.sealing import KEY, Inside, WallClock


@pytest.fixture
def closed(inside: Inside) -> Iterator[Inside]:
    """The same workspace, in which nothing may be run."""
    sandbox = BwrapSandbox(inside.workspace, KEY, WallClock(), bounds=Bounds(run_workspace=False))
    yield Inside(sandbox, inside.workspace)
    sandbox.close()


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
@pytest.mark.parametrize(
    "how",
    [
        "cp /usr/bin/true {0}/x",
        "printf '#!/bin/sh\\nexit 0\\n' > {0}/x",
        "mkdir {0}/d; cp /usr/bin/true {0}/d/y; ln -s d/y {0}/x",
    ],
)
def test_a_program_in_a_temporary_folder(inside: Inside, folder: str, how: str) -> None:
    ran = inside.shell(f"{how.format(folder)} && chmod -R 755 {folder}/* && {folder}/x && echo open")
    assert ran.exit_code == 126
    assert b"Permission denied" in ran.output
    assert b"open" not in ran.output


def test_a_program_in_memory(inside: Inside) -> None:
    assert inside.met("tried(lambda: raw(319, 279, ctypes.c_char_p(b'x'), 0))") == ["EPERM"]


def test_a_deleted_or_unnamed_file(inside: Inside) -> None:
    code = """
    held = os.open("/tmp", os.O_TMPFILE | os.O_RDWR, 0o700)
    with open("/usr/bin/true", "rb") as file:
        os.write(held, file.read())
    reading = os.open(f"/proc/self/fd/{held}", os.O_RDONLY)
    os.close(held)
    tried(lambda: os.execve(reading, ["true"], {}))
    """
    assert inside.met(code) == ["EACCES"]


def test_the_launcher_cannot_be_run_again(inside: Inside) -> None:
    assert inside.shell("/launcher inside -v 1 -- /bin/true").exit_code == 126
    assert inside.shell("cat /launcher > /tmp/x; echo x > /launcher").exit_code != 0


def test_scripts_and_programs_of_the_workspace_run(inside: Inside) -> None:
    script = inside.workspace / "script.sh"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o755)
    (inside.workspace / "x.py").write_text("print('ran')")
    shutil.copy("/usr/bin/true", inside.workspace / "program")
    for mount in (Mount.READ, Mount.WRITE):
        ran = inside.shell("./script.sh && python3 x.py && ./program && echo all", mount=mount)
        assert ran.output == b"ran\nran\nall\n"


@pytest.mark.skipif(shutil.which("cc", path="/usr/bin") is None, reason="there is no compiler")
def test_a_compiled_program_runs_where_it_was_made(inside: Inside) -> None:
    (inside.workspace / "a.c").write_text("int main(void) { return 7; }\n")
    assert inside.shell("cc a.c && ./a.out", mount=Mount.WRITE).exit_code == 7


def test_a_closed_workspace_runs_nothing_but_what_the_system_runs(closed: Inside) -> None:
    script = closed.workspace / "script.sh"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o755)
    for mount in (Mount.READ, Mount.WRITE):
        refused = closed.shell("./script.sh", mount=mount)
        assert (refused.exit_code, b"Permission denied" in refused.output) == (126, True)
        assert closed.shell("sh script.sh", mount=mount).output == b"ran\n"


POISON = ("bwrap", "cc", "gcc", "git", "sh", "bash", "env", "python3", "launcher", "true")


def test_the_gateway_runs_nothing_of_the_workspace(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Poisoned search paths, preloads and Python settings of the gateway lead nowhere, outside and inside."""
    told = inside.workspace / "evil-ran"
    for name in POISON:
        program = inside.workspace / name
        program.write_text(f"#!/bin/sh\n/usr/bin/touch {told}\n")
        program.chmod(0o755)
    for name in ("sitecustomize.py", "usercustomize.py", "subprocess.py", "json.py"):
        (inside.workspace / name).write_text(f"open({str(told)!r}, 'w')\n")
    (inside.workspace / "evil.so").write_bytes(b"not a library")
    here = str(inside.workspace)
    poison = {
        "PATH": f"{here}:.",
        "LD_PRELOAD": f"{here}/evil.so",
        "LD_LIBRARY_PATH": here,
        "PYTHONPATH": here,
        "PYTHONSTARTUP": f"{here}/json.py",
        "GIT_EXEC_PATH": here,
        "GIT_DIR": here,
        "BASH_ENV": f"{here}/sh",
        "ENV": f"{here}/sh",
        "NODE_OPTIONS": f"--require {here}/x.js",
    }
    for name, value in poison.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(inside.workspace)
    sandbox = BwrapSandbox(inside.workspace, KEY, WallClock(), build=None)
    ran = Inside(sandbox, inside.workspace).shell("env; echo done", mount=Mount.WRITE)
    sandbox.close()
    assert ran.output.endswith(b"done\n")
    assert here.encode() not in ran.output.replace(b"PWD=/workspace", b"")
    assert not told.exists()


ARCHIVES = {
    "a parent": [("../../escaped", "file", "")],
    "an absolute name": [("{outside}/escaped", "file", "")],
    "through a link": [("way", "link", "{outside}"), ("way/escaped", "file", "")],
    "through a link to the root": [("way", "link", "/"), ("way{outside}/escaped", "file", "")],
    "a hard link": [("hard", "hard", "{outside}/there"), ("hard", "file", "")],
}


@pytest.mark.parametrize("members", ARCHIVES.values(), ids=ARCHIVES.keys())
@pytest.mark.parametrize(
    "unpack",
    ["tar -xPf a.tar", "tar -xf a.tar", 'python3 -c \'import tarfile; tarfile.open("a.tar").extractall(".")\''],
)
def test_an_archive_that_reaches_out_stays_inside(
    inside: Inside, tmp_path: Path, members: list[tuple[str, str, str]], unpack: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "there").write_text("kept")
    kinds = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE}
    with tarfile.open(inside.workspace / "a.tar", "w") as archive:
        for name, kind, target in members:
            member = tarfile.TarInfo(name.format(outside=outside))
            member.type, member.linkname = kinds[kind], target.format(outside=outside)
            content = b"evil" if kind == "file" else b""
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    before = sorted(tmp_path.iterdir())
    inside.shell(unpack, mount=Mount.WRITE)
    assert sorted(tmp_path.iterdir()) == before
    assert os.listdir(outside) == ["there"]
    assert (outside / "there").read_text() == "kept"
