"""Halting without control groups: SIGSTOP to every process of one process namespace.

Layer: adapters/sandbox. Owns the passes over /proc. Used where no freezer can be had (an ordinary user without
delegated groups). Weaker than a group: a process may be seen stopped by its own parent.
Law: passes are repeated until one finds nobody running, within MAX_PASSES; a process forked meanwhile is caught.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

MAX_PASSES = 20
_STANDING = ("T", "t", "Z", "X")


def namespace_of(pid: int) -> int:
    """The inode of a process's process namespace. Raises OSError."""
    return os.stat(f"/proc/{pid}/ns/pid").st_ino


def stop_namespace(namespace: int) -> None:
    """Halt every process in it. Raises TimeoutError when new ones keep appearing."""
    for _ in range(MAX_PASSES):
        running = [pid for pid in _members(namespace) if _state(pid) not in _STANDING]
        if not running:
            return
        _signal(running, signal.SIGSTOP)
    raise TimeoutError("processes of the job do not halt")


def continue_namespace(namespace: int) -> None:
    """Let every process in it go on."""
    _signal(_members(namespace), signal.SIGCONT)


def _members(namespace: int) -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if namespace_of(int(entry.name)) == namespace:
                    yield int(entry.name)


def _state(pid: int) -> str:
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "X"


def _signal(pids: Iterator[int] | list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
