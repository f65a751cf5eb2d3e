"""Follow: bounded reading of one pipe, and the four ends of a job."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from carapax.adapters.sandbox.follow import Output, follow, wait_ready


@contextlib.contextmanager
def started(script: str, ceiling: int = 1000) -> Iterator[tuple[Output, int]]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    process = subprocess.Popen(["/bin/sh", "-c", script], stdout=writing, env={})
    os.close(writing)
    pidfd = os.pidfd_open(process.pid)
    try:
        yield Output(reading, ceiling), pidfd
    finally:
        process.kill()
        process.wait()
        os.close(pidfd)
        os.close(reading)


@pytest.fixture
def cancelled() -> Iterator[int]:
    descriptor = os.eventfd(0, os.EFD_CLOEXEC)
    yield descriptor
    os.close(descriptor)


def test_its_own_end(cancelled: int) -> None:
    with started("echo one; echo two") as (output, pidfd):
        assert follow(output, pidfd, time.monotonic() + 30, cancelled) == ""
        output.drain()
        assert (output.kept, output.over) == (b"one\ntwo\n", False)


def test_a_flood_ends_at_its_ceiling(cancelled: int) -> None:
    with started("while :; do echo flood; done", ceiling=100) as (output, pidfd):
        assert follow(output, pidfd, time.monotonic() + 30, cancelled) == "output"
        assert (len(output.kept), output.over) == (100, True)


def test_exactly_the_ceiling_is_not_over(cancelled: int) -> None:
    with started("printf 12345", ceiling=5) as (output, pidfd):
        assert follow(output, pidfd, time.monotonic() + 30, cancelled) == ""
        output.drain()
        assert (output.kept, output.over) == (b"12345", False)


def test_a_deadline(cancelled: int) -> None:
    with started("exec sleep 60") as (output, pidfd):
        assert follow(output, pidfd, time.monotonic() + 0.05, cancelled) == "time"


def test_a_deadline_holds_when_the_pipe_is_closed_early(cancelled: int) -> None:
    with started("exec >&-; exec sleep 60") as (output, pidfd):
        assert follow(output, pidfd, time.monotonic() + 0.05, cancelled) == "time"


def test_a_cancelled_job_ends_as_time(cancelled: int) -> None:
    os.eventfd_write(cancelled, 1)
    with started("exec sleep 60") as (output, pidfd):
        assert follow(output, pidfd, time.monotonic() + 30, cancelled) == "time"
        assert not wait_ready(pidfd, 0)
