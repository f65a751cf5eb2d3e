"""Attack from the strong tier: go on when the gateway is gone, or when it hangs and somebody stops everything."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from carapax.adapters.sandbox.gvisor import GvisorSandbox
from carapax.adapters.sandbox.gvisor.mechanism import FOLDER_MARK, find_runtime
from carapax.adapters.sandbox.mark import own_mark, started
from carapax.adapters.sandbox.running import RunningJobs, kill_recorded
from carapax.ports.sandbox import Job, Mount, Ran
from tests.attacks.sealing import KEY, WallClock, mint

GATEWAY = """
import asyncio, sys
from pathlib import Path
from carapax.adapters.sandbox.gvisor import GvisorSandbox
from carapax.ports.sandbox import Job, Mount
from tests.attacks.sealing import KEY, WallClock, mint
box = GvisorSandbox(Path(sys.argv[1]), KEY, WallClock())
job = Job(("/bin/sh", "-c", "setsid sleep 600 & touch begun; sleep 600"), mount=Mount.WRITE, timeout_ms=600_000)
asyncio.run(box.run(mint(), job))
"""
ROOT = Path(__file__).resolve().parents[2]


def standing_in(mark: str) -> list[int]:
    """Processes in the control groups of the gateway with this mark."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"/{mark}-" in Path(entry.path, "cgroup").read_text():
                    found.append(int(entry.name))
    return found


def test_a_job_does_not_outlive_a_gateway_that_was_killed(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    gateway = subprocess.Popen([sys.executable, "-c", GATEWAY, str(workspace)], cwd=ROOT)
    mark = own_mark().rsplit("-", 2)[0] + f"-{gateway.pid}-{started(gateway.pid)}"
    try:
        for _ in range(6_000):
            if (workspace / "begun").exists() or gateway.poll() is not None:
                break
            time.sleep(0.01)
        assert standing_in(mark)
    finally:
        gateway.kill()
        gateway.wait(20)
    for _ in range(2_000):
        if not standing_in(mark):
            break
        time.sleep(0.01)
    assert standing_in(mark) == []
    assert list(Path(tempfile.gettempdir()).glob(f"{mark}{FOLDER_MARK}*"))
    find_runtime()  # what the next gateway does first
    assert list(Path(tempfile.gettempdir()).glob(f"{mark}{FOLDER_MARK}*")) == []


def test_another_process_can_end_it_by_its_record(tmp_path: Path) -> None:
    workspace, records = tmp_path / "workspace", tmp_path / "records"
    workspace.mkdir()
    jobs = RunningJobs(records)
    box = GvisorSandbox(workspace, KEY, WallClock(), jobs=jobs)

    async def act() -> tuple[int, Ran]:
        job = Job(("/bin/sh", "-c", "touch begun; sleep 600"), mount=Mount.WRITE, timeout_ms=600_000)
        task = asyncio.create_task(box.run(mint(), job))
        for _ in range(6_000):
            if (workspace / "begun").exists() or task.done():
                break
            await asyncio.sleep(0.01)
        script = "import sys; from pathlib import Path; from carapax.adapters.sandbox.running import kill_recorded; "
        script += "print(kill_recorded(Path(sys.argv[1])))"
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(records), cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await other.communicate()
        return int(said), await asyncio.wait_for(task, 30)

    ended, ran = asyncio.run(act())
    box.close()
    assert (ended, ran.exit_code) == (1, 137)
    assert standing_in(own_mark()) == []
    assert kill_recorded(records) == 0
