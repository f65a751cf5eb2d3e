"""The stop door: the gateway's end of `carapax stop --all`, in a thread of its own.

Layer: app. Owns `run/stop.sock`. `halt` is called in the thread, so that no stuck task can keep it from acting; `settle`
in the loop, when it still turns; when not, that is answered and it is done as soon as the loop comes back.
Law: whatever fails here, the door answers and stays open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as LateError
from pathlib import Path
from typing import Any

from carapax.app.stopping import short_path

LOOP_MS = 200
"""How long the gateway's thread waits for its loop to record and stop the turns."""

LOG = logging.getLogger("carapax.stopping")


class StopDoor:
    """Waits at `run/stop.sock` in a thread. `halt` is called there; `settle` in the loop, when it still turns."""

    def __init__(
        self, run: Path, halt: Callable[[], int], settle: Callable[[], Coroutine[Any, Any, tuple[int, bool]]]
    ) -> None:
        self._run, self._halt, self._settle = run, halt, settle
        self._loop = asyncio.get_running_loop()
        self._listening: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Listen. Raises OSError."""
        door = self._run / "stop.sock"
        door.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short_path(self._run) as place:
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
