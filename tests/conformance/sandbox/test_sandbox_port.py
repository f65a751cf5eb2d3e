"""The sandbox port's suite: whatever implements it, driven through the port only."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bwrap import BwrapSandbox
from carapax.adapters.sandbox.gvisor import GvisorSandbox
from carapax.adapters.sandbox.vm import VmSandbox
from carapax.core.terms.check import Standing
from carapax.core.terms.error import AuthorityInvalid, Malformed
from carapax.core.terms.ids import SessionId
from carapax.ports.sandbox import Job, Mount, Ran, Sandbox
from tests.attacks.machine import machine
from tests.attacks.sealing import KEY, Inside, WallClock, mint

MAKERS: dict[str, Callable[[Path], Sandbox]] = {
    "bwrap": lambda workspace: BwrapSandbox(workspace, KEY, WallClock()),
    "gvisor": lambda workspace: GvisorSandbox(workspace, KEY, WallClock()),
    "machine": machine,
}


@pytest.fixture(params=sorted(MAKERS))
def inside(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Inside]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    sandbox = MAKERS[request.param](workspace)
    yield Inside(sandbox, workspace)
    if isinstance(sandbox, BwrapSandbox | GvisorSandbox | VmSandbox):
        sandbox.close()


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_programs(inside: Inside, code: int) -> None:
    ran = inside.shell(f"exit {code}")
    assert (ran.exit_code, ran.ended_by, ran.truncated, ran.output) == (code, "", False, b"")
    assert ran.duration_ms >= 0


def test_an_end_by_signal_is_128_and_its_number(inside: Inside) -> None:
    assert inside.shell("kill -9 $$").exit_code == 137
    assert inside.shell("kill -TERM $$").exit_code == 143


def test_a_program_that_is_not_there_says_so(inside: Inside) -> None:
    ran = inside.run("no-such-program")
    assert ran.exit_code == 127
    assert b"no-such-program" in ran.output


def test_a_program_that_speaks_like_the_wall_is_only_a_program(inside: Inside) -> None:
    ran = inside.shell("echo 'bwrap: execvp x: No such file'; exit 1")
    assert (ran.exit_code, ran.output) == (1, b"bwrap: execvp x: No such file\n")


def test_both_outputs_come_in_the_order_written(inside: Inside) -> None:
    assert inside.shell("echo 1; echo 2 >&2; echo 3; echo 4 >&2").output == b"1\n2\n3\n4\n"


def test_bytes_pass_unchanged(inside: Inside) -> None:
    given = bytes(range(256)) * 240
    assert inside.run("cat", stdin=given, output_bytes=100_000).output == given
    assert inside.run("cat").output == b""
    assert inside.run("printf", "%s", "é \u2028 ' $x `y` \\").output.decode() == "é \u2028 ' $x `y` \\"


def test_words_are_words_and_never_options_of_the_wall(inside: Inside) -> None:
    assert inside.run("echo", "--bind", "/", "/", "--").output == b"--bind / / --\n"
    assert inside.run("--bind", "/", "/").exit_code == 127


def test_ceilings_are_said(inside: Inside) -> None:
    assert inside.run("sleep", "60", timeout_ms=50).ended_by == "time"
    flooded = inside.run("yes", output_bytes=100)
    assert (flooded.ended_by, flooded.truncated, len(flooded.output)) == ("output", True, 100)


def test_the_workspace_is_where_a_job_begins(inside: Inside) -> None:
    (inside.workspace / "given").write_text("seen")
    assert inside.shell("pwd; cat given").output == b"/workspace\nseen"
    assert inside.shell("echo made > new; mkdir d; mv new d/", mount=Mount.WRITE).exit_code == 0
    assert (inside.workspace / "d" / "new").read_text() == "made\n"


@pytest.mark.parametrize("job", [Job(()), Job(("",)), Job(("a\0b",)), Job(("true",), timeout_ms=0)])
def test_a_job_that_cannot_be_is_malformed(inside: Inside, job: Job) -> None:
    with pytest.raises(Malformed):
        asyncio.run(inside.sandbox.run(mint(), job))


def test_authority_is_checked_and_used_once(inside: Inside) -> None:
    sealed = mint()
    asyncio.run(inside.sandbox.run(sealed, Job(("true",))))
    for bad in (sealed, mint(key=b"x" * 32), mint(deadline_ms=0)):
        with pytest.raises(AuthorityInvalid):
            asyncio.run(inside.sandbox.run(bad, Job(("true",))))


def test_many_jobs_run_at_once_and_keep_apart(inside: Inside) -> None:
    async def rush() -> list[bytes]:
        jobs = (Job(("/bin/sh", "-c", f"echo {n}; sleep 0.05; echo {n}")) for n in range(many))
        return [ran.output for ran in await asyncio.gather(*(inside.sandbox.run(mint(), job) for job in jobs))]

    many = 4 if isinstance(inside.sandbox, VmSandbox) else 24
    assert asyncio.run(rush()) == [f"{n}\n{n}\n".encode() for n in range(many)]


COUNT = "echo begun > begun; n=0; while :; do n=$((n+1)); echo $n > count; done"


async def appears(path: Path) -> bool:
    """Wait until a job has written the file; bounded by tries."""
    for _ in range(4_000):
        if await asyncio.to_thread(path.exists):
            return True
        await asyncio.sleep(0.005)
    return False


def live(inside: Inside) -> None:
    """For tests that watch a running job's folder: a machine works on a copy, and its own tests halt it."""
    if isinstance(inside.sandbox, VmSandbox):
        pytest.skip("a machine's workspace is a copy until its job has ended")


def test_a_halted_job_stands_goes_on_and_ends(inside: Inside) -> None:
    live(inside)
    count = inside.workspace / "count"

    async def play() -> Ran:
        running = asyncio.create_task(
            inside.sandbox.run(mint(call="halted"), Job(("sh", "-c", COUNT), mount=Mount.WRITE))
        )
        assert await appears(count)
        assert inside.sandbox.freeze(SessionId("another")) == ()
        assert inside.sandbox.freeze(SessionId("s")) == ("halted",)
        stood = count.read_bytes(), count.stat().st_mtime_ns
        await asyncio.sleep(0.05)
        assert (count.read_bytes(), count.stat().st_mtime_ns) == stood
        assert inside.sandbox.thaw(SessionId("s")) == ("halted",)
        count.unlink()
        assert await appears(count)
        inside.sandbox.freeze(None)
        assert inside.sandbox.kill(SessionId("s")) == ("halted",)  # halted or not
        return await asyncio.wait_for(running, 20)

    ran = asyncio.run(play())
    assert ran.exit_code in (137, None)
    assert inside.sandbox.thaw(None) == inside.sandbox.kill(None) == ()


@pytest.mark.parametrize("end", ["time", "cancel"])
def test_a_halted_jobs_time_goes_on_and_its_end_is_certain(inside: Inside, end: str) -> None:
    live(inside)

    async def play() -> Ran | None:
        job = Job(("sh", "-c", "touch begun; sleep 600 & sleep 600"), mount=Mount.WRITE, timeout_ms=1_500)
        running = asyncio.create_task(inside.sandbox.run(mint(call="halted"), job))
        assert await appears(inside.workspace / "begun")
        assert inside.sandbox.freeze(None) == ("halted",)
        if end == "cancel":
            running.cancel()
        done, _ = await asyncio.wait((running,), timeout=9)  # far below the bound at which ending is given up
        assert done
        return None if running.cancelled() else await running

    ran = asyncio.run(play())
    assert ran is None if end == "cancel" else ran is not None and ran.ended_by == "time"
    inside.sandbox.thaw(None)


def test_the_probe_tries_everything_and_every_fault_has_a_next_step(inside: Inside) -> None:
    checks = asyncio.run(inside.sandbox.probe())
    assert len(checks) > 40
    assert [check for check in checks if check.standing is Standing.FAILED] == []
    assert len({check.name for check in checks}) == len(checks)
    assert all(check.next_step for check in checks if check.standing is not Standing.OK)


PYTHON = """
import asyncio, concurrent.futures, json, multiprocessing, sqlite3, ssl, subprocess, tempfile, threading, zoneinfo
async def ticks():
    process = await asyncio.create_subprocess_exec("echo", "hi", stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0]
def square(n):
    return n * n
if __name__ == "__main__":
    assert asyncio.run(ticks()) == b"hi\\n"
    assert subprocess.run(["echo", "x"], capture_output=True).stdout == b"x\\n"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(square, range(4))) == [0, 1, 4, 9]
    for way in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(way).Pool(2) as pool:
            assert pool.map(square, range(3)) == [0, 1, 4]
    base = sqlite3.connect("/tmp/base.db")
    base.execute("create table t (x)")
    base.execute("insert into t values (1)")
    base.commit()
    assert base.execute("select x from t").fetchall() == [(1,)]
    server = __import__("socket").create_server(("127.0.0.1", 0))
    assert tempfile.gettempdir() == "/tmp"
    print("all")
"""


def test_python_works(inside: Inside) -> None:
    (inside.workspace / "work.py").write_text(PYTHON)
    ran = inside.run("python3", "work.py")
    assert ran.output == b"all\n", ran.output.decode()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_works(inside: Inside) -> None:
    script = """
    set -e
    git init -q . && git config user.name a && git config user.email a@example.invalid
    echo one > f && git add f && git commit -qm first && git log --oneline | wc -l && git status --short
    """
    ran = inside.shell(script, mount=Mount.WRITE)
    assert (ran.exit_code, ran.output.strip()) == (0, b"1"), ran.output.decode()


@pytest.mark.skipif(shutil.which("node", path="/usr/bin:/usr/local/bin") is None, reason="node is not installed")
def test_node_works(inside: Inside) -> None:
    script = "const fs=require('fs');fs.readFile('/etc/passwd',()=>setTimeout(()=>console.log(1+1),1))"
    ran = inside.run("node", "-e", script)
    assert (ran.exit_code, ran.output) == (0, b"2\n"), ran.output.decode()


def test_tar_and_the_shell_work(inside: Inside) -> None:
    script = """
    set -e
    mkdir d && echo x > d/f && chmod 640 d/f && ln -s f d/l
    tar czf a.tgz d && rm -r d && tar xzf a.tgz && cat d/l
    seq 5 | sort -r | head -1 && id -un && date -d @0 +%Y && cat <(echo y) <<< z
    """
    ran = inside.shell(script, mount=Mount.WRITE)
    assert (ran.exit_code, ran.output) == (0, b"x\n5\nagent\n1970\ny\n"), ran.output.decode()
