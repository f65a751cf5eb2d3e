"""Marks: which gateway a control group or a waiting bubblewrap belongs to, and whether that gateway still lives.

Layer: adapters/sandbox. Owns the marks and the sweep of what killed gateways left waiting at its gate.
Why: a gateway killed between spawning bubblewrap and opening its gate leaves it shut for ever; the job never
runs, but the process stays until the next gateway starts.
Law: only what carries the mark of a dead gateway is ended; a pid alone may have been given out again.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

PREFIX = "carapax-"


def started(pid: int) -> str:
    """The kernel's start mark of a live process, "" when there is none."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def own_mark() -> str:
    """This gateway's mark: its process namespace, pid and start."""
    return f"{PREFIX}{_namespace()}-{os.getpid()}-{started(os.getpid())}"


def is_abandoned(name: str) -> bool:
    """Does the name carry the mark of a gateway that is gone?

    One in another process namespace (another container on this machine) cannot be looked up, so it never counts.
    """
    fields = name.removeprefix(PREFIX).split("-")[:3]
    if not name.startswith(PREFIX) or len(fields) < 3 or not all(field.isdigit() for field in fields):
        return False
    namespace, pid, since = fields
    return int(namespace) == _namespace() and started(int(pid)) != since


def _namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino


def sweep_waiting() -> None:
    """End every bubblewrap that waits at the gate of a gateway that is gone."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                _end_if_abandoned(Path(entry.path))


def _end_if_abandoned(process: Path) -> None:
    if (process / "comm").read_text() != "bwrap\n":
        return
    pidfd = os.pidfd_open(int(process.name))  # held before looking, so that what is ended is what was looked at
    try:
        files = (os.readlink(link) for link in (process / "fd").iterdir())
        names = (
            text.removeprefix("/memfd:").removesuffix(" (deleted)") for text in files if text.startswith("/memfd:")
        )
        if any(is_abandoned(name) for name in names):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)
