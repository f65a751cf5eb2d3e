"""Attack from the strong tier: take all there is of processes, memory, output, time, or room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bounds import Bounds
from carapax.ports.sandbox import Mount
from tests.attacks.sealing import Inside
from tests.attacks.strong import strong

MIB = 1 << 20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Inside]:
    bounds = Bounds(tmp_bytes=4 * MIB, shm_bytes=2 * MIB, file_bytes=8 * MIB, memory_bytes=256 * MIB, processes=12)
    with strong(tmp_path, bounds=bounds) as inside:
        yield inside


def test_forks_and_threads_stay_within_their_ceiling(small: Inside) -> None:
    code = """
    import threading, time
    made = 0
    try:
        for _ in range(200):
            if not os.fork():
                time.sleep(60)
                os._exit(0)
            made += 1
    except OSError as refused:
        print(errno.errorcode[refused.errno], made, flush=True)
    os._exit(0)
    """
    name, made = small.python(code, processes=400).output.split()
    assert name == b"EAGAIN"
    assert int(made) <= 12


def test_memory_is_counted_over_all_processes_together(small: Inside) -> None:
    code = """
    import time
    for _ in range(10):
        if not os.fork():
            x = bytearray(64 << 20)
            time.sleep(60)
            os._exit(0)
    time.sleep(20)
    print("open", flush=True)
    os._exit(0)
    """
    ran = small.python(code, timeout_ms=15_000)
    assert ran.ended_by == "memory"
    assert b"open" not in ran.output


def test_temporary_folders_fill_up_and_other_places_cannot_be_filled(small: Inside) -> None:
    code = """
    def fill(folder):
        written = 0
        try:
            for n in range(64):
                with open(f"{folder}/{n}", "wb", buffering=0) as file:
                    for _ in range(16):
                        written += file.write(bytes(1 << 16))
        except OSError as refused:
            return errno.errorcode[refused.errno], written
        return "open", written
    for folder in ("/tmp", "/dev/shm", "/", "/dev", "/etc", "/run", "/sys", "/proc"):
        name, written = fill(folder)
        print(folder, name, written)
    """
    rows = [line.split() for line in small.python(code).output.decode().splitlines()]
    met = {folder: (name, int(written)) for folder, name, written in rows}
    for folder, ceiling in (("/tmp", 4 * MIB), ("/dev/shm", 2 * MIB)):
        name, written = met.pop(folder)
        assert (name, written <= ceiling) == ("ENOSPC", True), folder
    assert len(met) == 6
    assert all(name in ("EROFS", "EACCES", "ENOENT", "EPERM") and written == 0 for name, written in met.values()), met


def test_one_file_in_the_workspace_has_a_ceiling(small: Inside) -> None:
    ran = small.shell("head -c 16M /dev/zero > /workspace/full && echo open", mount=Mount.WRITE)
    assert b"open" not in ran.output
    assert (small.workspace / "full").stat().st_size <= 8 * MIB


def test_output_and_time_are_bounded(small: Inside) -> None:
    flooded = small.run("yes", output_bytes=10_000, timeout_ms=30_000)
    assert (flooded.ended_by, flooded.truncated, len(flooded.output), flooded.exit_code) == (
        "output",
        True,
        10_000,
        None,
    )
    script = "trap '' TERM INT HUP; exec >&- 2>&-; while :; do :; done"
    assert small.shell(script, timeout_ms=1_000).ended_by == "time"
