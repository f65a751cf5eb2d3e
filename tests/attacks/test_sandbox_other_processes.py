"""Attack: see, trace, read or signal a process that is not the job's."""

from __future__ import annotations

import os

from tests.attacks.sealing import Inside


def test_tracing_and_reading_memory_are_refused(inside: Inside) -> None:
    code = """
    tried(lambda: raw(101, 117, 16, 1, 0, 0))
    tried(lambda: raw(101, 117, 0, 0, 0, 0))
    tried(lambda: raw(310, 270, os.getpid(), 0, 0, 0, 0, 0))
    tried(lambda: raw(311, 271, os.getpid(), 0, 0, 0, 0, 0))
    tried(lambda: raw(438, 438, -1, 0, 0))
    tried(lambda: raw(440, 440, -1, 0, 0, 0, 0))
    tried(lambda: raw(312, 272, os.getpid(), os.getpid(), 0, 0, 0))
    """
    assert inside.met(code) == ["EPERM"] * 7


def test_no_process_of_the_host_is_seen_or_signalled(inside: Inside) -> None:
    me = os.getpid()
    assert inside.met(f"tried(lambda: os.kill({me}, 0)); tried(lambda: open('/proc/{me}/status'))") == [
        "ESRCH",
        "ENOENT",
    ]
    assert inside.shell("ls -d /proc/[0-9]* | wc -l").output.strip() in (b"2", b"3", b"4")


def test_killing_everything_reaches_only_the_job(inside: Inside) -> None:
    ran = inside.shell("kill -9 -1; kill -9 1; echo still here")
    assert ran.exit_code == 0
    assert os.getpid() > 0


def test_shared_memory_of_the_host_is_not_seen(inside: Inside) -> None:
    assert len(inside.run("cat", "/proc/sysvipc/shm").output.splitlines()) == 1
