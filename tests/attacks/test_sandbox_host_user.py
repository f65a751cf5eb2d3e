"""Attack: be root, or the owner, on the host: whatever a job breaks out of, it must own nothing there."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bwrap.sources import UNPRIVILEGED_USER
from carapax.ports.sandbox import Job, Mount
from tests.attacks.sealing import Inside, mint

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only a root gateway changes the user")


def users_of(mark: str) -> list[tuple[str, ...]]:
    """The host users (real, effective, saved, file) of every process with the mark among its words."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    rows = dict(r.split(":\t", 1) for r in (entry / "status").read_text().splitlines() if ":\t" in r)
                    found.append((*rows["Uid"].split(), *rows["Gid"].split(), *rows["Groups"].split()))
            except OSError:
                continue
    return found


@needs_root
def test_no_process_of_a_job_is_root_on_the_host(inside: Inside) -> None:
    async def play() -> list[tuple[str, ...]]:
        job = Job(("bash", "-c", "touch began; sleep 600 & sleep 600; :", "carapax-user-mark"), mount=Mount.WRITE)
        running = asyncio.create_task(inside.sandbox.run(mint(), job))
        try:
            for _ in range(4_000):
                if await asyncio.to_thread((inside.workspace / "began").exists):
                    break
                await asyncio.sleep(0.005)
            return await asyncio.to_thread(users_of, "carapax-user-mark")
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    seen = asyncio.run(play())
    assert len(seen) >= 2  # the job, and bubblewrap around it
    assert set(seen) == {(str(UNPRIVILEGED_USER),) * 8}


@needs_root
def test_what_a_job_makes_belongs_to_the_workspaces_owner(inside: Inside) -> None:
    os.chown(inside.workspace, 1234, 5678)
    script = "mkdir d; echo x > d/f; ln -s f d/l; stat -c %u:%g . d/f"
    ran = inside.shell(script, mount=Mount.WRITE)
    assert ran.output == b"1000:1000\n1000:1000\n"  # inside it is the job's own
    for name in ("d", "d/f", "d/l"):
        about = os.lstat(inside.workspace / name)
        assert (about.st_uid, about.st_gid) == (1234, 5678)


@needs_root
def test_a_private_workspace_of_another_owner_can_be_worked_in(inside: Inside) -> None:
    (inside.workspace / "private").write_text("old")
    os.chmod(inside.workspace / "private", 0o600)
    os.chmod(inside.workspace, 0o700)
    ran = inside.shell("cat private && echo new > private", mount=Mount.WRITE)
    assert ran.output == b"old"
    assert (inside.workspace / "private").read_text() == "new\n"


@needs_root
def test_a_file_of_somebody_else_in_the_workspace_is_not_the_jobs(inside: Inside) -> None:
    other = inside.workspace / "other"
    other.write_text("theirs")
    os.chown(other, 4321, 4321)
    os.chmod(other, 0o600)
    ran = inside.shell("cat other; echo evil > other; chmod 777 other", mount=Mount.WRITE)
    assert b"theirs" not in ran.output
    assert (other.read_text(), stat.S_IMODE(other.stat().st_mode)) == ("theirs", 0o600)


def test_a_device_is_not_given_away(inside: Inside) -> None:
    before = os.stat("/dev/null")
    inside.run("true")
    after = os.stat("/dev/null")
    assert (before.st_uid, before.st_gid, before.st_mode) == (after.st_uid, after.st_gid, after.st_mode)


def test_the_output_can_be_opened_by_its_name(inside: Inside) -> None:
    assert inside.shell("echo a > /dev/stdout; echo b > /dev/stderr; cat < /dev/stdin", stdin=b"c\n").output == (
        b"a\nb\nc\n"
    )


ORDINARY = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from carapax.adapters.sandbox.bwrap import BwrapSandbox
from carapax.core.terms.check import Standing
from carapax.ports.sandbox import Job, Mount
from tests.attacks.sealing import KEY, WallClock, mint
folder = Path(sys.argv[2])
sandbox = BwrapSandbox(folder, KEY, WallClock(), build=None)
ran = asyncio.run(sandbox.run(mint(), Job(("sh", "-c", "id -u; echo x > made"), mount=Mount.WRITE)))
print(ran.exit_code, ran.output, os.stat(folder / "made").st_uid)
checks = asyncio.run(sandbox.probe())
print([check.name for check in checks if check.standing is Standing.FAILED], len(checks) > 60)
"""


@needs_root
def test_a_gateway_of_an_ordinary_user_has_every_wall() -> None:
    if shutil.which("setpriv") is None or not Path("/usr/bin/python3").exists():
        pytest.skip("setpriv or the system's Python is not here")
    repository = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # where another user may walk to
        os.chmod(name, 0o755)
        workspace, code = Path(name, "w"), Path(name, "code")
        workspace.mkdir()
        for part in ("carapax", "tests/attacks/sealing.py"):
            copied = code / part
            copied.parent.mkdir(parents=True, exist_ok=True)
            if part == "carapax":
                shutil.copytree(repository / part, copied, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(repository / part, copied)
        subprocess.run(["chmod", "-R", "a+rX", str(code)], check=True)
        os.chown(workspace, 12_345, 12_345)
        done = subprocess.run(
            [
                "setpriv",
                "--reuid=12345",
                "--regid=12345",
                "--clear-groups",
                "/usr/bin/python3",
                "-I",
                "-c",
                ORDINARY,
                str(code),
                str(workspace),
            ],
            env={"PATH": "/usr/bin:/bin", "HOME": name},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=100,
        )
    if "SyntaxError" in done.stderr or sys.version_info < (3, 11):
        pytest.skip("the system's Python is too old")
    assert done.stdout.splitlines() == ["0 b'1000\\n' 12345", "[] True"], done.stderr
