"""The proxy's process as the gateway holds it: started when first needed, watched, ended.

Layer: adapters/egress. Owns the link's gateway end: a thread that reads, orders with numbers, the process's record.
Absent: what the orders mean (`keeper`). A thread, because ways must be cut while the gateway's event loop is stuck.
Laws: when the link ends the process is killed and everything waiting fails; an order is never sent twice.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from carapax.adapters.egress.link import BadFrame, Frame, Frames, ancillary, receive, render_frame
from carapax.core.terms.error import CarapaxError, EgressUnavailable, Malformed, Refused, StoreUnavailable, VaultLocked

SEND_MS = 5_000
STOP_MS = 2_000
_ERRORS: dict[str, type[CarapaxError]] = {
    kind.code: kind for kind in (EgressUnavailable, VaultLocked, StoreUnavailable, Malformed, Refused)
}


class ProxyProcess:
    """One running process. `heard` gets what it asks and reports; `ended` is called once when it is gone."""

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        heard: Callable[[ProxyProcess, Frame], None],
        ended: Callable[[ProxyProcess], None],
        record: Path | None = None,
    ) -> None:
        """Start it. Raises EgressUnavailable."""
        self._heard = heard
        self._ended = ended
        self._record = record
        self._lock = threading.Lock()
        self._waiting: dict[int, concurrent.futures.Future[Any]] = {}
        self._number = 0
        self._ready = threading.Event()
        self.alive = True
        mine, theirs = socket.socketpair()
        try:
            self._child = subprocess.Popen(  # noqa: S603 - a program of our own
                [*argv, str(theirs.fileno())],
                env=dict(environment),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            mine.close()
            raise EgressUnavailable(f"The egress proxy cannot be started: {error.strerror}.") from error
        finally:
            theirs.close()
        self._sock = mine
        # A process that reads nothing any more must not hold up the gateway.
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, (SEND_MS // 1000).to_bytes(8, "little") + bytes(8))
        self._write_record()
        threading.Thread(target=self._read, name="egress-link", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_ready(self, most_ms: int) -> None:
        """Wait until it serves (or is gone, which the next order tells). Blocking; an event loop is not to call it."""
        self._ready.wait(most_ms / 1000)

    def order(self, frame: Frame, descriptors: Sequence[int] = ()) -> concurrent.futures.Future[Any]:
        """Send an order; its answer comes in the future, or a CarapaxError. From any thread."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        with self._lock:
            if not self.alive:
                future.set_exception(_gone())
                return future
            self._number += 1
            self._waiting[self._number] = future
            content = render_frame(frame | {"id": self._number, "fds": len(descriptors)})
            try:
                self._send(content, descriptors)
            except OSError:
                self._child.kill()
        return future

    def tell(self, frame: Frame) -> None:
        """Send without an answer. Silent when the process is gone."""
        with self._lock, contextlib.suppress(OSError):
            if self.alive:
                self._send(render_frame(frame), ())

    def kill(self) -> None:
        """End it at once. From any thread."""
        self._child.kill()

    def stop(self) -> None:
        """Close the link, which ends it, and wait a little; then kill it."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        try:
            self._child.wait(STOP_MS / 1000)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _send(self, content: bytes, descriptors: Sequence[int]) -> None:
        sent = self._sock.sendmsg([content], ancillary(descriptors))
        if sent < len(content):
            self._sock.sendall(content[sent:])

    def _read(self) -> None:
        frames = Frames()
        try:
            while True:
                content, strays = receive(self._sock)
                for stray in strays:
                    os.close(stray)
                if not content:
                    break
                for frame in frames.feed(content):
                    self._arrived(frame)
        except (OSError, BadFrame):
            pass
        finally:
            self._bury()

    def _arrived(self, frame: Frame) -> None:
        if "ready" in frame:
            self._ready.set()
            return
        if "ok" not in frame and "error" not in frame:
            self._heard(self, frame)
            return
        with self._lock:
            future = self._waiting.pop(frame.get("id", 0), None)
        if future is None:
            return
        if "error" in frame:
            code, what, kept, next_step = frame["error"]
            future.set_exception(_ERRORS.get(code, EgressUnavailable)(what, kept=kept, next_step=next_step))
        else:
            future.set_result(frame["ok"])

    def _bury(self) -> None:
        self._child.kill()
        self._child.wait()
        with self._lock:
            self.alive = False
            waiting, self._waiting = self._waiting, {}
        self._ready.set()
        self._sock.close()
        self._drop_record()
        for future in waiting.values():
            future.set_exception(_gone())
        self._ended(self)

    def _write_record(self) -> None:
        # For `carapax stop --all`, which ends the process while the gateway is stuck.
        if self._record is None:
            return
        text = json.dumps({"pid": self.pid, "started": start_mark(self.pid)})
        beside = self._record.with_name(f".{self._record.name}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        beside.replace(self._record)

    def _drop_record(self) -> None:
        if self._record is None:
            return
        with contextlib.suppress(OSError, ValueError):
            if json.loads(self._record.read_text("utf-8")).get("pid") == self.pid:
                self._record.unlink()


def start_mark(pid: int) -> str:
    """The kernel's start mark of a live process, "" when there is none."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _gone() -> EgressUnavailable:
    return EgressUnavailable("The egress proxy has ended.", next_step="Try again; it is started anew.")
