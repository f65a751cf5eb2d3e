"""Stopping everything: from a separate process, within a second, also while the gateway's loop is stuck.

Layer: app; light to import. `stop_everything` is what `carapax stop --all` does: the file `run/stopped` first (nothing
runs while it lies there), then every recorded job, then the egress proxy, then the gateway is asked through
`run/stop.sock` (`stop_door` is its end).
Laws: each step is bounded; none depends on the one before; a process is ended only while its start mark is the recorded one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carapax.adapters.sandbox.mark import started

ANSWER_MS = 300
"""How long the gateway has to answer; over it, that is said and nothing is waited for."""

MAX_WORD_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Stopped:
    """What stopping everything came to. `answered` is False when a gateway runs and did not answer in time."""

    jobs: int  # that were running
    proxy: bool  # the egress proxy was ended
    gateway: bool  # one was there
    answered: bool
    turns: int  # stopped by the gateway; -1 when its loop is stuck
    recorded: bool  # in the ledger
    took_ms: int


# the process that stops


def stop_everything(run: Path, kill_recorded: Callable[[Path], int], now_ms: int) -> Stopped:
    """Stop everything of the home whose `run` folder this is. Raises OSError when not even the file can be written."""
    began = time.monotonic()
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark_stopped(run / "stopped", now_ms)
    jobs = kill_recorded(run / "jobs")
    proxy = end_recorded(run / "proxy.json")
    told = _ask_gateway(run)
    jobs += kill_recorded(run / "jobs")  # what began before the file was there
    return Stopped(
        jobs=max(jobs, int(told.get("jobs", 0))),  # mostly the same ones, seen from both sides
        proxy=proxy,
        gateway=bool(told),
        answered=told.get("answered", False) is True,
        turns=int(told.get("turns", -1)),
        recorded=told.get("recorded", False) is True,
        took_ms=int((time.monotonic() - began) * 1000),
    )


def mark_stopped(path: Path, now_ms: int) -> None:
    """Write the file that keeps everything stopped. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:
        json.dump({"stopped_ms": now_ms}, file)
        file.flush()
        os.fsync(file.fileno())


def end_recorded(path: Path) -> bool:
    """End the process that a file names by pid and start mark; False when it is not that process any more."""
    try:
        told = json.loads(path.read_bytes()[:MAX_WORD_BYTES])
        pid, since = int(told["pid"]), str(told["started"])
        if pid <= 1:
            return False
        pidfd = os.pidfd_open(pid)
        try:
            if not since or started(pid) != since:  # held now: what is ended is what was looked at
                return False
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def sweep_left(run: Path, kill_recorded: Callable[[Path], int]) -> None:
    """End what a killed gateway left, and forget its records; for the one gateway that has the home."""
    kill_recorded(run / "jobs")
    end_recorded(run / "proxy.json")
    with contextlib.suppress(OSError):
        (run / "proxy.json").unlink(missing_ok=True)


def _ask_gateway(run: Path) -> Mapping[str, Any]:
    """What the gateway says, {} when there is none, `answered` False when it does not answer in time."""
    try:
        with short_path(run) as place, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(ANSWER_MS / 1000)
            asking.connect(f"{place}/stop.sock")
            asking.sendall(b"stop\n")
            said = asking.recv(MAX_WORD_BYTES)
        told = json.loads(said)
        return {**told, "answered": True} if isinstance(told, dict) else {"answered": False}
    except (FileNotFoundError, ConnectionRefusedError):
        return {}
    except (OSError, ValueError):
        return {"answered": False}


@contextlib.contextmanager
def short_path(run: Path) -> Iterator[str]:
    """The folder by a short path, because a socket's own may be no longer than 107 bytes."""
    descriptor = os.open(run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
