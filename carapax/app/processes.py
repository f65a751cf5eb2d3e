"""The processes of halted jobs as they stand: who started whom, with which command, with which files open.

Layer: app. Reads /proc for the process groups that the running jobs' files name (`run/jobs`). Names only, cut.
Laws: bounded whatever runs; a process that goes away meanwhile is left out; never raises.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from carapax.core.terms.ids import SessionId
from carapax.core.terms.incident import HaltedProcess

MAX_PROCESSES = 200
MAX_FILES = 40
MAX_WORDS = 40
WORD_CHARS = 200
MAX_JOBS = 256


def look_at(jobs: Path, session: SessionId | None) -> tuple[HaltedProcess, ...]:
    """The processes of a session's jobs (None: of all)."""
    pids = sorted({pid for paths in _groups(jobs, session) for pid in _members(paths)})[:MAX_PROCESSES]
    return tuple(found for pid in pids if (found := _look(pid)) is not None)


def _groups(jobs: Path, session: SessionId | None) -> Iterator[list[str]]:
    try:
        records = sorted(jobs.glob("*.json"))[:MAX_JOBS]
    except OSError:
        return
    for record in records:
        try:
            told = json.loads(record.read_bytes()[:8_192])
            if session is None or told["session"] == session:
                yield [str(path) for path in told["groups"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _members(paths: list[str]) -> Iterator[int]:
    for path in paths:
        try:
            yield from (int(line) for line in (Path(path) / "cgroup.procs").read_text().split())
        except (OSError, ValueError):
            continue


def _look(pid: int) -> HaltedProcess | None:
    place = Path("/proc", str(pid))
    try:
        stat = (place / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        words = (place / "cmdline").read_bytes()[: MAX_WORDS * WORD_CHARS].split(b"\0")
    except OSError:
        return None
    command = tuple(word.decode("utf-8", "replace")[:WORD_CHARS] for word in words[:MAX_WORDS] if word)
    return HaltedProcess(pid, int(stat[1]) if len(stat) > 1 else 0, command, tuple(_files(place / "fd")))


def _files(place: Path) -> Iterator[str]:
    try:
        for entry in sorted(os.listdir(place), key=int)[:MAX_FILES]:
            yield os.readlink(place / entry)[:WORD_CHARS]
    except (OSError, ValueError):
        return
