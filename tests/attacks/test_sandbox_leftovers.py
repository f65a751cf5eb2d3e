"""Attack: leave a process behind that outlives the run."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from carapax.adapters.sandbox.mark import own_mark
from carapax.ports.sandbox import Job
from tests.attacks.sealing import Inside, mint

DAEMON = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
for descriptor in range(64):
    try:
        os.close(descriptor)
    except OSError:
        pass
time.sleep(600)
"""


def alive(mark: str) -> list[int]:
    """Processes on this machine with the mark among their words, this test's own excepted."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def awaited(mark: str, *, there: bool) -> bool:
    give_up = time.monotonic() + 20
    while bool(alive(mark)) is not there and time.monotonic() < give_up:
        time.sleep(0.01)
    return bool(alive(mark)) is there


@pytest.fixture
def mark() -> str:
    return f"carapax-mark-{secrets.token_hex(8)}"


@pytest.mark.parametrize(
    "script",
    [
        "setsid sleep 600 {mark} &",
        "nohup bash -c 'sleep 600' {mark} >/dev/null 2>&1 & disown",
        "(bash -c 'sleep 600; :' {mark} & )",
        'python3 -c "$DAEMON" {mark}; sleep 0.05',
        "bash -c 'trap \"\" TERM HUP INT; sleep 600; :' {mark} & exit 3",
    ],
)
@pytest.mark.parametrize("end", ["itself", "time", "output"])
def test_nothing_is_left(inside: Inside, mark: str, script: str, end: str) -> None:
    lasts = {"itself": "sleep 0.05", "time": "sleep 600", "output": "sleep 0.05; yes"}[end]
    words = script.replace("& exit 3", "&" if end != "itself" else "& sleep 0.05; exit 3").format(mark=f"{mark}")
    ran = inside.shell(f"DAEMON='{DAEMON}'\n{words}\n{lasts}", timeout_ms=600, output_bytes=4096)
    assert ran.ended_by == ("" if end == "itself" else end)
    assert alive(mark) == []  # at once: `run` returns after the last one is gone


def test_the_mark_is_seen_while_a_job_runs(inside: Inside, mark: str) -> None:
    async def scenario() -> None:
        running = asyncio.create_task(inside.sandbox.run(mint(), Job(("bash", "-c", "sleep 600; :", mark))))
        assert await asyncio.to_thread(awaited, mark, there=True)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert alive(mark) == []  # a cancelled turn ends its job before it lets go

    asyncio.run(scenario())


GATEWAY = """
import asyncio, os, signal, sys
from pathlib import Path
from carapax.adapters.sandbox.bwrap import BwrapSandbox, launch
from carapax.adapters.sandbox.mark import own_mark
from carapax.ports.sandbox import Job, Mount
from tests.attacks.sealing import KEY, WallClock, mint
if sys.argv[3] == "early":
    launch._Run._watch = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sandbox = BwrapSandbox(Path(sys.argv[1]), KEY, WallClock())
words = ("bash", "-c", "touch began; setsid sleep 600 & sleep 600; :", sys.argv[2][::-1])
asyncio.run(sandbox.run(mint(), Job(words, mount=Mount.WRITE)))
"""


def gateway(inside: Inside, mark: str, when: str) -> subprocess.Popen[bytes]:
    """A gateway of its own with one job; its own words carry the mark backwards only."""
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen([sys.executable, "-c", GATEWAY, str(inside.workspace), mark[::-1], when], cwd=root)


def test_a_killed_gateway_takes_its_jobs_along(inside: Inside, mark: str) -> None:
    killed = gateway(inside, mark, "running")
    try:
        give_up = time.monotonic() + 20
        while not (inside.workspace / "began").exists() and time.monotonic() < give_up:
            time.sleep(0.01)
        assert alive(mark)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
    assert awaited(mark, there=False)


def test_a_gateway_killed_before_the_gate_starts_nothing_and_the_next_clears_up(inside: Inside, mark: str) -> None:
    killed = gateway(inside, mark, "early")
    assert killed.wait(20) == -signal.SIGKILL
    inside.run("true")  # the next gateway's first job
    assert awaited(mark, there=False)
    assert not (inside.workspace / "began").exists()


def test_no_control_group_is_left(grouped: Inside) -> None:
    grouped.run("true")
    bases = grouped.sandbox._plan.walls.tree.bases  # type: ignore[attr-defined]
    assert [path for base in bases for path in base.glob(f"{own_mark()}-*")] == []
