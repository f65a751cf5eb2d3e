"""Spawn: one machine as a process, from its cell's first word until it is gone. Blocking.

Layer: adapters/sandbox/vm. Owns the descriptors that cross over, the unprivileged user, the control group and the end.
Absent: what is said to the machine (`original`, `launch`).
Order: bubblewrap is held at its gate → its processes go into the control group → the gate opens.
Laws: qemu starts with an empty environment and none of the gateway's descriptors; where the gateway is root, it is
another user than every other machine's; when `end` returns, no process of the machine is alive.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from carapax.adapters.sandbox.cgroup import Group, Tree
from carapax.adapters.sandbox.follow import wait_ready
from carapax.adapters.sandbox.vm.qemu import MEMORY_BYTES, Ends, Machine, render_machine
from carapax.core.terms.error import SandboxUnavailable

FIRST_UID = 64_300  # to the 64 after it: one machine's user each
MAX_MACHINES = 64
OVERHEAD_BYTES = 512 << 20  # of qemu itself, beside the guest's memory
THREADS = 128
SETUP_WITHIN_MS = 10_000
GONE_WITHIN_MS = 10_000
_MAX_STATUS_BYTES = 4_096
_EMPTY: dict[str, str] = {}


class Users:
    """Gives each machine a user of its own, while it lives; None where the gateway cannot change users."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[int] = set()

    @contextlib.contextmanager
    def one(self) -> Iterator[int | None]:
        """A user that no other machine has. Raises SandboxUnavailable when there are too many machines."""
        if os.geteuid() != 0:
            yield None
            return
        with self._lock:
            uid = next((n for n in range(FIRST_UID, FIRST_UID + MAX_MACHINES) if n not in self._taken), None)
            if uid is None:
                raise SandboxUnavailable("too many machines run at once", next_step="Wait until one has ended.")
            self._taken.add(uid)
        try:
            yield uid
        finally:
            with self._lock:
                self._taken.discard(uid)


USERS = Users()


@dataclass(frozen=True, slots=True)
class Inner:
    """What goes into a machine by descriptor. A copy has `state`; the first machine `kernel` and `initial`."""

    memory: int
    state: int = -1
    kernel: int = -1
    initial: int = -1


class Spawned:
    """One machine. `control`, `way` and `monitor` are our ends of its ports."""

    def __init__(self, machine: Machine, inner: Inner, tree: Tree | None, owner: contextlib.ExitStack) -> None:
        self.group: Group | None = None
        if tree is not None:
            self.group = tree.make(MEMORY_BYTES + OVERHEAD_BYTES, THREADS)
            owner.callback(self.group.discard)
        uid = owner.enter_context(USERS.one())
        theirs = owner.enter_context(contextlib.ExitStack())  # the ends that only the machine keeps
        self.monitor, monitor = _pair(owner, theirs)
        self.control, control = _pair(owner, theirs)
        self.way, way = _pair(owner, theirs)
        self._status, status = _pipe(owner, theirs)
        gate, self._gate = _pipe(theirs, owner)
        self._errors, errors = _pipe(owner, theirs)
        os.set_blocking(self._errors, False)
        hold = theirs.enter_context(_closing(os.dup(self._gate)))
        self.ends = Ends(
            monitor=monitor.fileno(),
            control=control.fileno(),
            way=way.fileno(),
            memory=inner.memory,
            status=status,
            gate=gate,
            hold=hold,
            state=inner.state,
            kernel=inner.kernel,
            initial=inner.initial,
        )
        self.outside = self.inside = -1
        self.process = _start(render_machine(machine, self.ends, uid), self.ends.all(), errors)
        owner.callback(self._let_go)
        theirs.close()
        self.outside = os.pidfd_open(self.process.pid)
        self.first = self._read_first()
        self.inside = os.pidfd_open(self.first)
        if wait_ready(self.outside, 0):  # it is gone, so the number may be another process's by now
            raise _failed()
        self._bound()

    def open(self) -> None:
        """Let it begin."""
        with contextlib.suppress(BrokenPipeError):  # it has failed or was killed; whoever listens to it will see
            os.write(self._gate, b"1")

    def _bound(self) -> None:
        if self.group is None:
            return
        try:
            self.group.add(self.process.pid)
            self.group.add(self.first)
        except OSError as error:
            raise SandboxUnavailable(
                f"the machine's ceilings could not be set: {error}",
                next_step="See that the gateway may write its control group (systemd: `Delegate=yes`).",
            ) from error

    def end(self) -> None:
        """End it and wait until it is gone. Raises SandboxUnavailable when it will not go."""
        if self.process.returncode is not None:
            return
        if self.inside >= 0:
            with contextlib.suppress(ProcessLookupError):  # the cell's first process takes all others along
                signal.pidfd_send_signal(self.inside, signal.SIGKILL)
        if self.group is not None:  # a halted machine ends only once it is let go on, which this does
            with contextlib.suppress(OSError):
                self.group.kill()
        if self.inside >= 0 and not wait_ready(self.inside, GONE_WITHIN_MS):
            raise SandboxUnavailable("the machine could not be ended", next_step="Restart this machine.")
        self.process.kill()
        try:
            self.process.wait(GONE_WITHIN_MS / 1000)
        except subprocess.TimeoutExpired as error:
            raise SandboxUnavailable("the machine could not be ended", next_step="Restart this machine.") from error

    def said(self) -> str:
        """The first line that qemu or its cell complained with."""
        try:
            return os.read(self._errors, _MAX_STATUS_BYTES).decode("utf-8", "replace").strip().partition("\n")[0]
        except BlockingIOError:
            return ""

    def _let_go(self) -> None:
        try:
            self.end()
        finally:
            for descriptor in (self.outside, self.inside):
                if descriptor >= 0:
                    os.close(descriptor)
            self.outside = self.inside = -1

    def _read_first(self) -> int:
        """The pid of the cell's first process, as bubblewrap tells it."""
        told, give_up = b"", time.monotonic() + SETUP_WITHIN_MS / 1000
        while b"\n" not in told and wait_ready(self._status, (give_up - time.monotonic()) * 1000):
            piece = os.read(self._status, _MAX_STATUS_BYTES)
            if not piece:
                raise _failed()
            told += piece
        try:
            return int(json.loads(told.partition(b"\n")[0])["child-pid"])
        except (ValueError, KeyError) as error:
            raise _failed() from error


def _failed() -> SandboxUnavailable:
    return SandboxUnavailable(
        "bubblewrap could not build the machine's cell",
        next_step="Run `carapax doctor --walls`: the default tier's check says what is missing.",
    )


def _start(words: tuple[str, ...], handed: tuple[int, ...], errors: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - our own words
            words,
            env=_EMPTY,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=handed,
        )
    except OSError as error:
        raise SandboxUnavailable(f"the machine did not start: {error}", next_step="Run `carapax doctor`.") from error


def _pair(owner: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    ours, other = socket.socketpair()
    owner.callback(ours.close)
    theirs.callback(other.close)
    return ours, other


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    reader.callback(os.close, reading)
    writer.callback(os.close, writing)
    return reading, writing


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
