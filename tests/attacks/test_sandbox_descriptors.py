"""Attack: use a file that the gateway has open."""

from __future__ import annotations

import os
from pathlib import Path

from tests.attacks.sealing import Inside


def test_an_inheritable_file_is_not_inherited(inside: Inside, state: Path) -> None:
    descriptor = os.open(state / "secret", os.O_RDONLY)
    high = os.dup2(descriptor, 200, inheritable=True)
    os.set_inheritable(descriptor, True)
    try:
        code = f"tried(lambda: os.read({descriptor}, 100)); tried(lambda: os.read(200, 100))"
        assert set(inside.met(code)) <= {"EBADF"}
    finally:
        os.close(descriptor)
        os.close(high)


def test_only_the_three_standard_files_are_open(inside: Inside) -> None:
    listed = inside.shell("ls -l /proc/self/fd/").output.decode().splitlines()[1:]
    open_files = {line.split(" -> ")[0].split()[-1]: line.split(" -> ")[1] for line in listed}
    assert open_files.keys() == {"0", "1", "2", "3"}  # 3 is the folder being listed
    assert open_files["0"] == "/dev/null"
    assert open_files["1"] == open_files["2"]
    assert open_files["1"].startswith("pipe:")
    assert open_files["3"].startswith("/proc/")


def test_nor_does_the_gateway_lose_one(inside: Inside) -> None:
    inside.run("true")
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        inside.run("true")
        inside.run("sleep", "60", timeout_ms=30)
        inside.run("no-such-program")
    assert len(os.listdir("/proc/self/fd")) <= len(before)
