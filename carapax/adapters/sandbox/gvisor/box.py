"""Box: one gVisor sandbox, built in a private folder, bounded by its control group, used once and taken away.

Layer: adapters/sandbox/gvisor. Owns the folder, the gate, the way's listener, the bounded reading and the end.
Order: control group → folder with bundle → a shell held at its gate → into the group → gate opened: it becomes
`runsc`, with the job itself or with a relay that waits to be told one → the way's listener handed to the proxy → named
among the running jobs → the job begins. A failure before that ran nothing of the job.
Laws: at most the ceiling of output is kept; a box whose gateway dies before the job began never begins it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.recipe import System
from carapax.adapters.sandbox.follow import Output, follow, wait_ready
from carapax.adapters.sandbox.gvisor.bundle import RELAY_INSIDE, Shown, environment, lay_root, render_config
from carapax.adapters.sandbox.gvisor.mechanism import FOLDER_MARK, INSTALL, Runtime
from carapax.adapters.sandbox.gvisor.pins import Pin, lay_pins, open_pins
from carapax.adapters.sandbox.mark import own_mark
from carapax.adapters.sandbox.relay import MAX_TOLD_BYTES, can_wait, lay_relay, lay_waiting, tell_program
from carapax.adapters.sandbox.running import Reach, Record, RunningJobs
from carapax.adapters.sandbox.tier import Errand
from carapax.core.terms.egress import Way
from carapax.core.terms.error import CarapaxError, SandboxUnavailable
from carapax.ports.sandbox import Job, Mount, Ran

Attach = Callable[[Way, int], None]

GONE_WITHIN_MS = 10_000
SETUP_WITHIN_MS = 20_000
KERNEL_BYTES = 96 << 20  # of the kernel in user space itself, beside the job's own memory
_KERNEL_TASKS = 64
_TASKS_EACH = 8  # threads of the host that one process inside may need
_BACKLOG = 64
_READY = b"R"
_MAX_LOG_BYTES = 65_536
_NO_PROGRAM = 127
_FAILED = 128  # runsc's own failure; a job may also exit so, which the log tells apart
_PROGRAM_FAULT = re.compile(r"(?:error finding executable|failed to load) .*?: ([a-z ]+)$")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_AS_ORDINARY = ("--user", "--map-root-user")
_UNSHARE = ("/usr/bin/unshare",)
_STAGE = (
    *("--mount", "--propagation", "private", "--"),
    *("/usr/bin/setpriv", "--pdeathsig", "KILL", "--"),  # a job does not outlive its gateway
    *("/bin/sh", "-c"),
)
# When the gateway dies first, `read` meets the end and nothing runs.
_GATED = 'read -r go && {pins}: > begun && unset PATH W PWD OLDPWD && exec "$@"'


@dataclass(frozen=True, slots=True)
class Plan:
    """What all boxes of one sandbox share."""

    runtime: Runtime
    system: System
    bounds: Bounds
    running: RunningJobs
    attach: Attach | None


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a job its box is built from; jobs of one shape may use each other's box, though never the same one."""

    workspace: Path
    mount: Mount
    memory_bytes: int
    processes: int
    library: bool
    led: bool  # has a way out


def shape_of(job: Job, workspace: Path) -> Shape:
    """The shape that this job needs."""
    return Shape(workspace, job.mount, job.memory_bytes, job.processes, job.library, job.way is not None)


def can_be_told(job: Job) -> bool:
    """May a waiting box be told this job? One with input of its own, or very long words, is built in."""
    size = sum(len(word) for pair in (job.argv, *job.variables) for word in pair) * 4
    return can_wait() and not job.stdin and size < MAX_TOLD_BYTES - 4_096


class Box:
    """Built and waiting when made. `begin` once, then `follow`, `end`, `report`; always `close`."""

    def __init__(self, plan: Plan, shape: Shape, job: Job | None) -> None:
        """With a job it is built in; without, the box waits to be told. Raises SandboxUnavailable; nothing is left."""
        self.shape = shape
        self._plan, self._job = plan, job
        self._name = f"carapax-{secrets.token_hex(16)}"  # also names a socket of the runtime's; not to be guessed
        self._listener: socket.socket | None = None
        self._stack = contextlib.ExitStack()
        memory, tasks = shape.memory_bytes + KERNEL_BYTES, shape.processes * _TASKS_EACH + _KERNEL_TASKS
        try:
            self._group = plan.runtime.tree.make(memory, tasks)
            self._stack.callback(self._group.discard)
            self._folder = Path(tempfile.mkdtemp(prefix=f"{own_mark()}{FOLDER_MARK}"))
            self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._lay()
            self._start()
            self._group.add(self.process.pid)
            if job is None:
                os.write(self._gate, b"go\n")
        except OSError as error:
            self.close()
            raise _not_built(str(error)) from error
        except BaseException:
            self.close()
            raise

    def _lay(self) -> None:
        """Everything on disk that the sandbox is made from."""
        shape, folder = self.shape, self._folder
        self._pins = open_pins(shape.workspace, self._stack) if shape.mount is Mount.WRITE else ()
        for name in ("pins", "state", "way"):
            (folder / name).mkdir(mode=0o755)
        self._gated = _GATED.format(pins=lay_pins(self._pins, folder / "pins"))
        pinned = tuple((str(folder / "pins" / pin.place), pin.name, pin.writable) for pin in self._pins)
        argv = self._lay_first(folder / "way")
        authority = folder / "authority.pem" if shape.led else None
        if authority is not None:
            authority.touch()
            self._listen(folder / "way")
        way = folder / "way" if shape.led or self._job is None else None
        ordinary = self._plan.runtime.ordinary
        shown = Shown(self._plan.system, self._plan.bounds, shape.workspace, way, authority, ordinary, pinned)
        pattern = self._job or Job((), mount=shape.mount, processes=shape.processes, library=shape.library)
        lay_root(folder / "rootfs", pattern, shown)
        config = render_config(pattern, argv, shown, uid=os.geteuid(), gid=os.getegid())
        (folder / "config.json").write_bytes(config)

    def _lay_first(self, way: Path) -> tuple[str, ...]:
        """The words of what runs first inside."""
        if self._job is None:
            return lay_waiting(way, RELAY_INSIDE, led=self.shape.led)
        before = lay_relay(way, RELAY_INSIDE, self._plan.system.path) if self.shape.led else ()
        return (*before, *self._job.argv)

    def _listen(self, folder: Path) -> None:
        if self._plan.attach is None or not self._plan.runtime.way_options:
            raise SandboxUnavailable("no way out can be given to a job of tier 2 here", next_step=INSTALL)
        self._listener = self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        # By its folder's descriptor, because a socket's whole path may not be longer than 107 bytes.
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._listener.bind(f"/proc/self/fd/{descriptor}/socket")
        finally:
            os.close(descriptor)
        self._listener.listen(_BACKLOG)

    def _start(self) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        self._stack.callback(os.close, reading)
        gate_end, self._gate = os.pipe2(os.O_CLOEXEC)
        self._stack.callback(self._shut_gate)
        # A waiting box is told its job where it read the gate's word; a built-in job has its own input.
        gated = self._gated if self._job is None else f'{self._gated} < "$0"'
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own words; the job's are in the bundle
                [
                    *_UNSHARE,
                    *_AS_ORDINARY[: 2 * self._plan.runtime.ordinary],
                    *_STAGE,
                    gated,
                    self._input(),
                    self._plan.runtime.program,
                    *self._words(),
                ],
                env={"PATH": _PATH, "W": str(self.shape.workspace)},
                cwd=self._folder,
                stdin=gate_end,
                stdout=writing,
                stderr=writing,
                close_fds=True,
            )
        finally:
            os.close(writing)
            os.close(gate_end)
        self._pidfd = os.pidfd_open(self.process.pid)
        self._stack.callback(os.close, self._pidfd)
        self._stack.callback(self._end_process)
        self._reading = reading

    def _words(self) -> tuple[str, ...]:
        runtime, folder = self._plan.runtime, self._folder
        options = (*runtime.options, *(runtime.way_options if self.shape.led else ()))
        return (f"--root={folder}/state", f"--log={folder}/log", *options, "run", f"--bundle={folder}", self._name)

    def _input(self) -> str:
        """The path that a built-in job's input is read from: always a file of its own, whose owner gVisor changes."""
        path = self._folder / "input"
        path.write_bytes(b"" if self._job is None else self._job.stdin)
        return str(path)

    def _shut_gate(self) -> None:
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1

    def is_fresh(self) -> bool:
        """Is it alive, and does it pin what would be pinned now?"""
        if wait_ready(self._pidfd, 0):
            return False
        with contextlib.ExitStack() as stack:
            try:
                now = open_pins(self.shape.workspace, stack) if self.shape.mount is Mount.WRITE else ()
            except OSError:
                return False
            return _identities(now) == _identities(self._pins)

    def begin(self, errand: Errand) -> None:
        """Open the job's way, name it among the running jobs, let it begin. Raises SandboxUnavailable."""
        job = errand.job
        if self._job is None:
            self._await_ready(errand.cancelled)
        self._output = Output(self._reading, job.output_bytes)
        if job.way is not None:
            self._attach(job.way)
        reach = Reach(self._group.freeze, self._group.thaw, self._kill)
        self._plan.running.add(errand.call, errand.session, reach, Record((self.process.pid,), self._group))
        told = b"go\n" if self._job is not None else tell_program(job.argv, environment(job, self._plan.system))
        with contextlib.suppress(BrokenPipeError):  # it is gone already; `report` says how
            os.write(self._gate, told)
        self._shut_gate()

    def _await_ready(self, cancelled: int) -> None:
        """Wait for the relay's word, so that a job's time begins with the job. Raises SandboxUnavailable."""
        waiting = select.poll()
        for descriptor in (self._reading, self._pidfd, cancelled):
            waiting.register(descriptor, select.POLLIN)
        said = b""
        ready = {descriptor for descriptor, _ in waiting.poll(SETUP_WITHIN_MS)}
        if cancelled in ready:
            raise _not_built("it was stopped meanwhile")
        if self._reading in ready and (said := os.read(self._reading, 1)) == _READY:
            return
        if not ready:
            raise _not_built(f"it was not ready within {SETUP_WITHIN_MS:,} ms")
        said += os.read(self._reading, _MAX_LOG_BYTES) if said else b""
        raise _not_built(read_log(self._folder / "log") or said.decode("utf-8", "replace"))

    def _attach(self, way: Way) -> None:
        if self._plan.attach is None or self._listener is None:
            raise SandboxUnavailable("no way out can be given to a job of tier 2 here", next_step=INSTALL)
        try:
            (self._folder / "authority.pem").write_bytes(way.authority)
            self._plan.attach(way, self._listener.fileno())
        except OSError as error:
            raise _not_built(str(error)) from error
        except CarapaxError as error:
            raise SandboxUnavailable(
                f"the way out could not be opened: {error.what}", next_step=error.next_step
            ) from error
        self._listener.close()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._group.kill()

    def follow(self, errand: Errand) -> str:
        """Read until it ends by itself ("") or meets a limit."""
        deadline = time.monotonic() + errand.job.timeout_ms / 1000
        return follow(self._output, self._pidfd, deadline, errand.cancelled)

    def end(self) -> None:
        """End every process of the job and wait until each is gone. Raises SandboxUnavailable if one will not go."""
        self._memory = self._group.memory_ended()
        try:
            self._group.remove()
        except OSError as error:
            raise SandboxUnavailable(
                "a process of the job could not be ended",
                kept="The job ran; what it did in the workspace is kept.",
                next_step="Restart the machine if a process named in its control group does not end.",
            ) from error
        self._end_process()
        self._output.drain()

    def _end_process(self) -> None:
        if self.process.returncode is None:
            if not wait_ready(self._pidfd, 0):
                with contextlib.suppress(OSError):
                    self._kill()
            self.process.wait(GONE_WITHIN_MS / 1000)

    def report(self, job: Job, ended_by: str, began: float) -> Ran:
        """What the run left. Raises SandboxUnavailable when the sandbox failed before the program began."""
        took_ms = int((time.monotonic() - began) * 1000)
        output, over = self._output.kept, self._output.over
        code = self.process.returncode
        if over and not ended_by:
            ended_by = "output"
        if ended_by == "" and self._memory and code != 0:
            ended_by = "memory"
        if ended_by:
            return Ran(None, output, over, ended_by, took_ms)
        if not (self._folder / "begun").exists():
            raise _not_built(output.decode("utf-8", "replace"))
        if code == _FAILED and (said := read_log(self._folder / "log")):
            if fault := _PROGRAM_FAULT.search(said):
                words = f"{job.argv[0]}: {fault[1]}\n".encode("utf-8", "surrogateescape")
                return Ran(_NO_PROGRAM, words[: job.output_bytes], False, "", took_ms)
            raise _not_built(said)
        return Ran(code if code >= 0 else 128 - code, output, over, "", took_ms)

    def close(self) -> None:
        """End what still runs and take everything away."""
        self._stack.close()


def _identities(pins: tuple[Pin, ...]) -> list[tuple[str, int, int]]:
    found = ((pin.name, os.fstat(pin.descriptor)) for pin in pins)
    return [(name, status.st_dev, status.st_ino) for name, status in found]


def read_log(path: Path) -> str:
    """The last error that the runtime wrote of itself, "" when there is none. The job cannot write there."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    said = ""
    for piece in text.replace("}{", "}\n{").splitlines():
        with contextlib.suppress(ValueError):
            told = json.loads(piece)
            if isinstance(told, dict) and told.get("level") == "error":
                said = str(told.get("msg", ""))
    return said


def _not_built(said: str) -> SandboxUnavailable:
    line = said.strip().partition("\n")[0][:400]
    return SandboxUnavailable(f"gVisor could not build the sandbox: {line or 'it gave no reason'}", next_step=INSTALL)
