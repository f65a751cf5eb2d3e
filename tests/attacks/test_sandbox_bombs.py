"""Attack: take all there is of processes, memory, output, time, or room in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bwrap import Bounds, BwrapSandbox
from carapax.ports.sandbox import Mount
from tests.attacks.sealing import KEY, Inside, WallClock

MIB = 1 << 20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Inside]:
    workspace = tmp_path / "small"
    workspace.mkdir()
    bounds = Bounds(tmp_bytes=4 * MIB, shm_bytes=2 * MIB, file_bytes=8 * MIB, memory_bytes=512 * MIB, processes=40)
    sandbox = BwrapSandbox(workspace, KEY, WallClock(), bounds=bounds)
    yield Inside(sandbox, workspace)
    sandbox.close()


def test_a_fork_bomb_stays_within_its_ceiling(inside: Inside) -> None:
    code = """
    import time
    made = 0
    for _ in range(500):
        try:
            child = os.fork()
        except OSError as refused:
            print(errno.errorcode[refused.errno], made, flush=True)
            break
        if not child:
            time.sleep(60)
            os._exit(0)
        made += 1
    """
    name, made = inside.python(code, processes=12).output.split()
    assert name == b"EAGAIN"
    assert int(made) <= 12


def test_threads_count_too(inside: Inside) -> None:
    code = """
    import threading
    stop = threading.Event()
    try:
        for made in range(500):
            threading.Thread(target=stop.wait, daemon=True).start()
    except RuntimeError:
        print(made, flush=True)
    os._exit(0)
    """
    assert int(inside.python(code, processes=12).output) <= 12


def test_a_job_cannot_ask_for_more_than_the_sandbox_gives(small: Inside) -> None:
    code = """
    import time
    made = 0
    try:
        for made in range(500):
            if not os.fork():
                time.sleep(60)
                os._exit(0)
    except OSError:
        print(made, flush=True)
    """
    assert int(small.python(code, processes=400).output) <= 40


def test_a_memory_bomb_is_ended(grouped: Inside) -> None:
    ran = grouped.python("x = bytearray(512 << 20); print('open')", memory_bytes=48 * MIB)
    assert b"open" not in ran.output
    assert ran.ended_by == "memory"
    assert ran.exit_code is None


def test_memory_is_counted_over_all_processes_together(grouped: Inside) -> None:
    code = """
    import time
    for _ in range(8):
        if not os.fork():
            x = bytearray(16 << 20)
            time.sleep(60)
    print("first end:", os.waitstatus_to_exitcode(os.waitpid(-1, 0)[1]), flush=True)
    os._exit(0)
    """
    ran = grouped.python(code, memory_bytes=64 * MIB, timeout_ms=5_000)
    assert ran.ended_by in ("", "memory")
    assert b"first end: -9" in ran.output or ran.ended_by == "memory"


def test_a_flood_of_output_is_cut_and_ended(inside: Inside) -> None:
    ran = inside.run("yes", output_bytes=10_000)
    assert (ran.ended_by, ran.truncated, len(ran.output), ran.exit_code) == ("output", True, 10_000, None)


def test_output_of_exactly_the_ceiling_is_whole(inside: Inside) -> None:
    ran = inside.shell("head -c 10000 /dev/zero", output_bytes=10_000)
    assert (ran.ended_by, ran.truncated, len(ran.output), ran.exit_code) == ("", False, 10_000, 0)


def test_an_endless_job_is_ended(inside: Inside) -> None:
    ran = inside.shell("trap '' TERM INT HUP; while :; do sleep 1; done", timeout_ms=150)
    assert (ran.ended_by, ran.exit_code) == ("time", None)


def test_an_endless_job_that_closed_its_output_is_ended(inside: Inside) -> None:
    assert inside.shell("exec >&- 2>&-; while :; do :; done", timeout_ms=150).ended_by == "time"


@pytest.mark.parametrize(("folder", "ceiling"), [("/tmp", 4 * MIB), ("/dev/shm", 2 * MIB)])
def test_a_temporary_folder_fills_up(small: Inside, folder: str, ceiling: int) -> None:
    code = f"""
    written = 0
    try:
        for n in range(64):
            with open(f"{folder}/{{n}}", "wb", buffering=0) as file:
                written += file.write(bytes(1 << 20))
    except OSError as refused:
        print(errno.errorcode[refused.errno], written)
    """
    name, written = small.python(code).output.split()
    assert name == b"ENOSPC"
    assert int(written) <= ceiling


def test_a_temporary_folder_counts_as_the_jobs_memory(grouped: Inside) -> None:
    ran = grouped.shell("head -c 200M /dev/zero > /tmp/full && echo open", memory_bytes=32 * MIB)
    assert b"open" not in ran.output


def test_one_file_in_the_workspace_has_a_ceiling(small: Inside) -> None:
    ran = small.shell("head -c 16M /dev/zero > /workspace/full && echo open", mount=Mount.WRITE)
    assert b"open" not in ran.output
    assert (small.workspace / "full").stat().st_size <= 8 * MIB


def test_a_crash_leaves_no_dump(inside: Inside) -> None:
    ran = inside.shell("ulimit -c; ulimit -Hc; kill -SEGV $$", mount=Mount.WRITE)
    assert ran.output == b"0\n0\n"
    assert ran.exit_code == 128 + 11
    assert list(inside.workspace.iterdir()) == []
