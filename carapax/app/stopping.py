"""Stopping everything: from a separate process, within a second, also while the gateway's loop is stuck.

Layer: app. `stop_everything` is what `carapax stop --all` does, in its own process: the file `run/stopped` first (nothing
runs while it lies there), then every recorded job, then the egress proxy, then the gateway is asked through `run/stop.sock`.
`StopDoor` is the gateway's end of that socket: a thread of its own, so that no stuck task can keep it from acting.
Laws: each step is bounded; none depends on the one before; a process is ended only while its start mark is the recorded one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import TimeoutError as LateError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carapax.adapters.sandbox.mark import started

ANSWER_MS = 300
"""How long the gateway has to answer; over it, that is said and nothing is waited for."""

LOOP_MS = 200
"""How long the gateway's thread waits for its loop to record and stop the turns."""

MAX_WORD_BYTES = 4_096

LOG = logging.getLogger("carapax.stopping")


@dataclass(frozen=True, slots=True)
class Stopped:
    """What stopping everything came to. `answered` is False when a gateway runs and did not answer in time."""

    jobs: int  # ended by this process
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
        jobs=jobs + int(told.get("jobs", 0)),
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
        if pid <= 1 or not since or started(pid) != since:
            return False
        pidfd = os.pidfd_open(pid)
        try:
            if started(pid) != since:  # held now: what is ended is what was looked at
                return False
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _ask_gateway(run: Path) -> Mapping[str, Any]:
    """What the gateway says, {} when there is none, `answered` False when it does not answer in time."""
    try:
        with _folder(run) as place, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
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
def _folder(run: Path) -> Iterator[str]:
    """A short path to the folder: a socket's own may be no longer than 107 bytes."""
    descriptor = os.open(run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


# the gateway that is stopped


class StopDoor:
    """Waits at `run/stop.sock` in a thread. `halt` is called there; `settle` in the loop, when it still turns."""

    def __init__(self, run: Path, halt: Callable[[], int], settle: Callable[[], Any]) -> None:
        self._run, self._halt, self._settle = run, halt, settle
        self._loop = asyncio.get_running_loop()
        self._listening: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Listen. Raises OSError."""
        door = self._run / "stop.sock"
        door.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _folder(self._run) as place:
            listening.bind(f"{place}/stop.sock")  # the folder is its owner's alone
        listening.listen(4)
        self._listening = listening
        self._thread = threading.Thread(target=self._wait, args=(listening,), name="stop door", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        if self._listening is None or self._thread is None:
            return
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._listening.close()
        self._thread.join(2.0)
        (self._run / "stop.sock").unlink(missing_ok=True)

    def _wait(self, listening: socket.socket) -> None:
        while True:
            try:
                asking, _ = listening.accept()
            except OSError:
                return
            with asking:
                try:
                    asking.settimeout(1.0)
                    if asking.recv(16) == b"stop\n":
                        asking.sendall(json.dumps(self._stop()).encode())
                except OSError as error:
                    LOG.warning("the stop door: %s", error.strerror)

    def _stop(self) -> dict[str, Any]:
        try:
            jobs = self._halt()
        except Exception:  # broad: whatever fails in halting, the turns are still to be stopped and it is said
            LOG.exception("halting everything")
            jobs = 0
        settling = asyncio.run_coroutine_threadsafe(self._settle(), self._loop)
        try:
            turns, recorded = settling.result(LOOP_MS / 1000)
        except LateError:  # it stays queued: a loop that comes back does it then
            turns, recorded = -1, False
        except Exception:  # broad: a settling that fails is answered, not left hanging
            LOG.exception("stopping the turns")
            turns, recorded = -1, False
        return {"jobs": jobs, "turns": turns, "recorded": recorded}
