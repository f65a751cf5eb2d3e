"""Bombs: jobs that take all there is of memory, processes, time, output or room, and must be stopped.

Layer: adapters/sandbox/selftest. Owns the jobs and what counts as stopped; `name` is what a tier may leave out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from carapax.adapters.sandbox.bounds import Bounds
from carapax.ports.sandbox import Job, Mount, Ran

_FORKS = """
import os, sys, time
made = 0
for _ in range(200):
    try:
        pid = os.fork()
    except OSError:
        break
    if pid == 0:
        time.sleep(30)
        os._exit(0)
    made += 1
print(made, flush=True)
os._exit(0)
"""
_FILL = """
import sys
with open("/tmp/full", "wb", buffering=0) as file:
    for _ in range(int(sys.argv[1]) // (1 << 20) + 2):
        file.write(bytes(1 << 20))
print("open")
"""
_WITHIN_MS = 10_000


@dataclass(frozen=True, slots=True)
class Bomb:
    """A job that must be stopped by one limit."""

    name: str
    words: str
    job: Job
    stopped: Callable[[Ran], bool]


def bombs(bounds: Bounds, interpreter: str) -> tuple[Bomb, ...]:
    """All of them, for a tier with these ceilings."""
    python = (interpreter, "-I", "-S", "-c")
    return (
        Bomb(
            "bomb-memory",
            "taking more memory than allowed",
            Job((*python, "print(len(bytearray(256 << 20)))"), memory_bytes=48 << 20, timeout_ms=_WITHIN_MS),
            lambda ran: ran.exit_code != 0 and b"268435456" not in ran.output,
        ),
        Bomb(
            "bomb-processes",
            "starting more processes than allowed",
            Job((*python, _FORKS), processes=16, timeout_ms=_WITHIN_MS),
            lambda ran: ran.output.strip().isdigit() and int(ran.output) <= 16,
        ),
        Bomb(
            "bomb-time",
            "running longer than allowed",
            Job(("/bin/sh", "-c", "sleep 60 & sleep 60"), timeout_ms=200),
            lambda ran: ran.ended_by == "time",
        ),
        Bomb(
            "bomb-output",
            "writing more output than allowed",
            Job(("/bin/sh", "-c", "while :; do echo overflow; done"), output_bytes=4_096, timeout_ms=_WITHIN_MS),
            lambda ran: ran.ended_by == "output" and len(ran.output) == 4_096,
        ),
        Bomb(
            "bomb-tmp",
            "filling the temporary folder",
            Job((*python, _FILL, str(bounds.tmp_bytes)), timeout_ms=_WITHIN_MS, memory_bytes=4 * bounds.tmp_bytes),
            lambda ran: ran.exit_code != 0 and b"open" not in ran.output,
        ),
        Bomb(
            "bomb-file",
            "writing a file larger than allowed",
            Job(
                ("/bin/sh", "-c", f"truncate -s {bounds.file_bytes + 1} carapax-large && echo open"),
                mount=Mount.WRITE,
                timeout_ms=_WITHIN_MS,
            ),
            lambda ran: ran.exit_code != 0 and b"open" not in ran.output,
        ),
    )
