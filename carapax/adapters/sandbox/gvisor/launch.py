"""Launch: one job in a gVisor sandbox of its own, from bundle until its last process is gone. Blocking, in a thread.

Layer: adapters/sandbox/gvisor. Owns the job's private folder, its gate, its bounded reading and its end.
Absent: authority (the adapter checked it) and any path that starts a job with a wall left out.
Order: control group → folder with bundle → way's listener handed to the proxy → a shell held at its gate → into the
group → named among the running jobs → gate opened: the shell becomes `runsc`. A failure before that ran nothing.
Laws: at most the ceiling of output is kept; when `launch` returns, no process of the job is alive.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.recipe import System
from carapax.adapters.sandbox.cgroup import Group
from carapax.adapters.sandbox.follow import Output, follow, wait_ready
from carapax.adapters.sandbox.gvisor.bundle import RELAY_INSIDE, Shown, lay_root, render_config
from carapax.adapters.sandbox.gvisor.mechanism import FOLDER_MARK, INSTALL, Runtime
from carapax.adapters.sandbox.gvisor.pins import lay_pins, open_pins
from carapax.adapters.sandbox.mark import own_mark
from carapax.adapters.sandbox.relay import lay_relay
from carapax.adapters.sandbox.running import Reach, Record, RunningJobs
from carapax.core.terms.egress import Way
from carapax.core.terms.error import CarapaxError, SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.ports.sandbox import Job, Mount, Ran

Attach = Callable[[Way, int], None]

GONE_WITHIN_MS = 10_000
KERNEL_BYTES = 96 << 20  # of the kernel in user space itself, beside the job's own memory
_KERNEL_TASKS = 64
_TASKS_EACH = 8  # threads of the host that one process inside may need
_BACKLOG = 64
_MAX_LOG_BYTES = 65_536
_NO_PROGRAM = 127
_FAILED = 128  # runsc's own failure; a job may also exit so, which the log tells apart
_PROGRAM_FAULT = re.compile(r"(?:error finding executable|failed to load) .*?: ([a-z ]+)$")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_STAGE = ("unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c")
# Opened by us alone: when the gateway dies first, `read` meets the end and nothing runs.
_GATED = 'read -r go && {pins}: > begun && unset PATH W PWD OLDPWD && exec "$@" < "$0"'


@dataclass(frozen=True, slots=True)
class Plan:
    """What all jobs of one sandbox share."""

    runtime: Runtime
    system: System
    bounds: Bounds
    running: RunningJobs
    attach: Attach | None


@dataclass(frozen=True, slots=True)
class Errand:
    """One job, bounded, and who it runs for. `cancelled` turns readable when it must end early."""

    job: Job
    workspace: Path
    call: CallId
    session: SessionId
    cancelled: int


def launch(plan: Plan, errand: Errand) -> Ran:
    """Run one job to its end. Raises SandboxUnavailable when a wall could not be built; nothing was started then."""
    began = time.monotonic()
    job = errand.job
    with contextlib.ExitStack() as stack:
        stack.callback(plan.running.remove, errand.call)
        memory, tasks = job.memory_bytes + KERNEL_BYTES, job.processes * _TASKS_EACH + _KERNEL_TASKS
        group = plan.runtime.tree.make(memory, tasks)
        stack.callback(group.discard)
        folder = stack.enter_context(_private_folder())
        run = _Run(plan, errand, group, folder, stack)
        run.admit(errand)
        ended_by = run.follow(errand.cancelled)
        run.end()
        return run.report(ended_by, began)


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{own_mark()}{FOLDER_MARK}"))
    except OSError as error:
        raise _not_built(str(error)) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _listening(folder: Path) -> Iterator[socket.socket]:
    # By its folder's descriptor, because a socket's whole path may not be longer than 107 bytes.
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(f"/proc/self/fd/{descriptor}/socket")
            listener.listen(_BACKLOG)
            yield listener
    finally:
        os.close(descriptor)


class _Run:
    """One sandbox: built in its folder, watched through descriptors, ended by its control group."""

    def __init__(self, plan: Plan, errand: Errand, group: Group, folder: Path, stack: contextlib.ExitStack) -> None:
        self._plan, self._group, self._folder, self._stack = plan, group, folder, stack
        self._job, self._workspace = errand.job, errand.workspace
        self._name = f"carapax-{secrets.token_hex(16)}"  # also names a socket of the runtime's; not to be guessed
        try:
            self._lay()
            self._start()
        except OSError as error:
            raise _not_built(str(error)) from error

    def _lay(self) -> None:
        """Everything on disk that the sandbox is made from."""
        job, folder = self._job, self._folder
        way = authority = None
        argv = job.argv
        if job.way is not None:
            way, authority = folder / "way", folder / "authority.pem"
            authority.write_bytes(job.way.authority)
            way.mkdir(mode=0o755)
            argv = (*lay_relay(way, RELAY_INSIDE, self._plan.system.path), *argv)
            self._attach(job.way, way)
        pins = open_pins(self._workspace, self._stack) if job.mount is Mount.WRITE else ()
        (folder / "pins").mkdir()
        self._gated = _GATED.format(pins=lay_pins(pins, folder / "pins"))
        pinned = tuple((str(folder / "pins" / pin.place), pin.name, pin.writable) for pin in pins)
        shown = Shown(self._plan.system, self._plan.bounds, self._workspace, way, authority, pinned)
        lay_root(folder / "rootfs", job, shown)
        config = render_config(job, argv, shown, uid=os.geteuid(), gid=os.getegid())
        (folder / "config.json").write_bytes(config)
        (folder / "state").mkdir()

    def _attach(self, way: Way, folder: Path) -> None:
        if self._plan.attach is None or not self._plan.runtime.way_options:
            raise SandboxUnavailable("no way out can be given to a job of tier 2 here", next_step=INSTALL)
        with _listening(folder) as listener:
            try:
                self._plan.attach(way, listener.fileno())
            except CarapaxError as error:
                raise SandboxUnavailable(
                    f"the way out could not be opened: {error.what}", next_step=error.next_step
                ) from error

    def _start(self) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        self._stack.callback(os.close, reading)
        gate_end, self._gate = os.pipe2(os.O_CLOEXEC)
        self._stack.callback(os.close, self._gate)
        given = self._input()
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own words; the job's are in the bundle
                [*_STAGE, self._gated, given, self._plan.runtime.program, *self._words()],
                env={"PATH": _PATH, "W": str(self._workspace)},
                cwd=self._folder,
                stdin=gate_end,
                stdout=writing,
                stderr=writing,
                close_fds=True,
            )
        finally:
            os.close(writing)
            os.close(gate_end)
        self._stack.callback(self._end_process)
        self._pidfd = os.pidfd_open(self.process.pid)
        self._stack.callback(os.close, self._pidfd)
        self._output = Output(reading, self._job.output_bytes)

    def _words(self) -> tuple[str, ...]:
        runtime, folder = self._plan.runtime, self._folder
        options = (*runtime.options, *(runtime.way_options if self._job.way is not None else ()))
        return (f"--root={folder}/state", f"--log={folder}/log", *options, "run", f"--bundle={folder}", self._name)

    def _input(self) -> str:
        """The path that the job's input is read from."""
        if not self._job.stdin:
            return os.devnull
        descriptor = os.memfd_create("input", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._stack.callback(os.close, descriptor)
        view = memoryview(self._job.stdin)
        while view:
            view = view[os.write(descriptor, view) :]
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        return f"/proc/{os.getpid()}/fd/{descriptor}"

    def admit(self, errand: Errand) -> None:
        """Bound the waiting shell, name it among the running jobs, then open its gate. Raises SandboxUnavailable."""
        try:
            self._group.add(self.process.pid)
        except OSError as error:
            raise SandboxUnavailable(
                f"the job's ceilings could not be set: {error}",
                next_step="See that the gateway may write its control group (systemd: `Delegate=yes`).",
            ) from error
        reach = Reach(self._group.freeze, self._group.thaw, self._kill)
        self._plan.running.add(errand.call, errand.session, reach, Record((self.process.pid,), self._group))
        with contextlib.suppress(BrokenPipeError):  # it is gone already; `report` says how
            os.write(self._gate, b"go\n")

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._group.kill()

    def follow(self, cancelled: int) -> str:
        """Read until it ends by itself ("") or meets a limit."""
        return follow(self._output, self._pidfd, time.monotonic() + self._job.timeout_ms / 1000, cancelled)

    def end(self) -> None:
        """End every process of the job and wait until each is gone. Raises SandboxUnavailable if one will not go."""
        self.memory = self._group.memory_ended()
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
                self.process.kill()
            self.process.wait(GONE_WITHIN_MS / 1000)

    def report(self, ended_by: str, began: float) -> Ran:
        """What the run left. Raises SandboxUnavailable when the sandbox failed before the program began."""
        took_ms = int((time.monotonic() - began) * 1000)
        output, over = self._output.kept, self._output.over
        code = self.process.returncode
        if over and not ended_by:
            ended_by = "output"
        if ended_by == "" and self.memory and code != 0:
            ended_by = "memory"
        if ended_by:
            return Ran(None, output, over, ended_by, took_ms)
        if not (self._folder / "begun").exists():
            raise _not_built(output.decode("utf-8", "replace"))
        if code == _FAILED and (said := read_log(self._folder / "log")):
            if fault := _PROGRAM_FAULT.search(said):
                words = f"{self._job.argv[0]}: {fault[1]}\n".encode("utf-8", "surrogateescape")
                return Ran(_NO_PROGRAM, words[: self._job.output_bytes], False, "", took_ms)
            raise _not_built(said)
        return Ran(code if code >= 0 else 128 - code, output, over, "", took_ms)


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
