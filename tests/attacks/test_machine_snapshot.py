"""Attacks on what disposable machines share: one job tries to be found by the next, or to know what it will draw."""

from __future__ import annotations

import asyncio
import fcntl
import mmap
import os
import time
from pathlib import Path

import pytest

from carapax.ports.sandbox import Job, Mount
from tests.attacks.machine import inside_machine, original
from tests.attacks.sealing import Inside, mint

DRAW = "od -An -v -N32 -tx1 /dev/urandom | tr -d ' \\n'; echo; cat /proc/sys/kernel/random/boot_id; python3 -I -S -c 'print(id(object()))'"


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    return inside_machine(tmp_path)


def test_two_copies_of_one_snapshot_draw_different_random_numbers(inside: Inside) -> None:
    drawn = [inside.shell(DRAW, mount=Mount.NONE).output.split() for _ in range(3)]
    assert [len(words) for words in drawn] == [3, 3, 3]
    assert len({words[0] for words in drawn}) == 3, "the kernel's random numbers repeat"
    assert len({words[1] for words in drawn}) == 3, "the machine's identity repeats"
    assert len({words[2] for words in drawn}) > 1, "addresses repeat"


def test_a_job_leaves_nothing_for_the_next_one(inside: Inside) -> None:
    left = """
    echo left > /tmp/left; echo left > /dev/shm/left; nohup sleep 1000 >/dev/null 2>&1 &
    python3 -I -S -c "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('\\0left'); print('bound')"
    """
    assert b"bound" in inside.shell(left).output
    found = inside.shell(
        "ls -A /tmp /dev/shm; cat /proc/net/unix | grep -c left; ls /proc | grep -c '^[0-9]'; uptime -p"
    )
    words = found.output.split()
    assert b"left" not in words
    assert words[:3] == [b"/dev/shm:", b"/tmp:", b"0"] or words[:3] == [b"/tmp:", b"/dev/shm:", b"0"]


def test_the_snapshot_cannot_be_changed_by_who_holds_it() -> None:
    snapshot = original().get_snapshot()
    for descriptor in (snapshot.memory, snapshot.state):
        assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & (fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK) == (
            fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK
        )
        again = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)  # as a machine's own process can
        try:
            with pytest.raises(PermissionError):
                os.pwrite(again, b"evil", 0)
            with pytest.raises(PermissionError):
                os.ftruncate(again, 0)
            with pytest.raises(PermissionError):
                mmap.mmap(again, 4096, mmap.MAP_SHARED, mmap.PROT_WRITE)
        finally:
            os.close(again)


def test_the_clock_inside_is_the_hosts(inside: Inside) -> None:
    before = time.time()
    told = float(inside.run("date", "+%s.%N", mount=Mount.NONE).output)
    assert before - 1 <= told <= time.time() + 1


def test_many_copies_at_once_keep_apart(inside: Inside) -> None:
    async def rush() -> list[bytes]:
        jobs = (Job(("/bin/sh", "-c", f"echo {n} > /tmp/n; cat /tmp/n")) for n in range(4))
        return [ran.output for ran in await asyncio.gather(*(inside.sandbox.run(mint(), job) for job in jobs))]

    assert asyncio.run(rush()) == [f"{n}\n".encode() for n in range(4)]
