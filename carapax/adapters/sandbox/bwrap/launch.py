"""Launch: one job behind every wall, from spawn until its last process is gone. Blocking; runs in a thread.

Layer: adapters/sandbox/bwrap. Owns descriptors, the start gate, the bounded reading of output and the end.
Absent: authority (the adapter checked it) and any path that starts a job with a wall left out.
Order: spawn bubblewrap held at its gate → read what it made → check the namespaces are new → put it under its
ceilings → open the gate. Any failure before the gate ends it: nothing of the job ran.
Laws: at most the ceiling of output is kept; when `launch` returns, no process of the job is alive.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.mechanism import Walls
from carapax.adapters.sandbox.bwrap.recipe import ETC, Handed, System, render_recipe
from carapax.adapters.sandbox.cgroup import Group
from carapax.adapters.sandbox.mark import own_mark
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Job, Ran

SETUP_WITHIN_MS = 10_000
GONE_WITHIN_MS = 10_000
_CHUNK_BYTES = 65_536
_MAX_STATUS_BYTES = 4_096
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "uts")
_NO_PROGRAM = 127
_REAPER = 1  # bubblewrap's own first process inside
# Kernels before 5.14 count a user's processes in all user namespaces together; later ones count each namespace.
_COUNTED_TOGETHER = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2]) < (5, 14)
_CLOSED_ENVIRONMENT: dict[str, str] = {}  # bubblewrap's own: readable inside as /proc/1/environ if it were not empty


@dataclass(frozen=True, slots=True)
class Plan:
    """What all jobs of one sandbox share."""

    walls: Walls
    system: System
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Errand:
    """One job on its way. `standing` is called when its walls stand, before the gate opens; raising keeps it shut."""

    job: Job
    workspace: Path
    cancelled: int  # a descriptor that turns readable when it must end early
    standing: Callable[[Group | None, int, int], None]  # group, first process inside, a descriptor of it
    over: Callable[[], None]  # called before any of these is given up


class _Descriptors:
    """Every descriptor of one launch. Each is closed once: another thread may already hold a number closed twice."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def own(self, descriptor: int) -> int:
        self._open.add(descriptor)
        return descriptor

    def pipe(self) -> tuple[int, int]:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        return self.own(reading), self.own(writing)

    def memory(self, name: str, content: bytes) -> int:
        """A sealed file in memory, read from its start."""
        descriptor = self.own(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        return descriptor

    def close(self, descriptor: int) -> None:
        self._open.remove(descriptor)
        os.close(descriptor)

    def close_all(self) -> None:
        while self._open:
            os.close(self._open.pop())


def launch(plan: Plan, errand: Errand) -> Ran:
    """Run a bounded job to its end.

    Raises SandboxUnavailable when a wall could not be built; nothing was started then.
    """
    began, job = time.monotonic(), errand.job
    with contextlib.ExitStack() as stack:
        group = None
        if plan.walls.tree is not None:
            group = plan.walls.tree.make(job.memory_bytes, job.processes)
            stack.callback(group.discard)
        descriptors = _Descriptors()
        stack.callback(descriptors.close_all)
        run = _start(descriptors, plan, errand)
        stack.callback(run.end)
        stack.callback(errand.over)
        run.admit(group, plan.bounds, errand)
        ended_by = run.follow(job, began + job.timeout_ms / 1000, errand.cancelled)
        run.end()
        run.drain()
        if ended_by == "" and group is not None and run.process.returncode != 0 and group.memory_ended():
            ended_by = "memory"
        if group is not None:
            _remove(group)
        return run.report(ended_by, int((time.monotonic() - began) * 1000))


def _remove(group: Group) -> None:
    try:
        group.remove()
    except OSError as error:
        raise SandboxUnavailable(
            "a process of the job could not be ended",
            kept="The job ran; what it did in the workspace is kept.",
            next_step="Restart the machine if a process named in its control group does not end.",
        ) from error


def _start(descriptors: _Descriptors, plan: Plan, errand: Errand) -> _Run:
    job = errand.job
    output, output_end = descriptors.pipe()
    status, status_end = descriptors.pipe()
    gate_end, gate = descriptors.pipe()
    handed = Handed(
        filter=descriptors.memory(own_mark(), plan.walls.filter),
        status=status_end,
        gate=gate_end,
        hold=descriptors.own(os.dup(gate)),
        etc=tuple((name, descriptors.memory(name, content)) for name, content in ETC.items()),
    )
    recipe = render_recipe(plan.system, plan.bounds, errand.workspace, job.mount, handed)
    words = descriptors.memory("recipe", b"".join(os.fsencode(word) + b"\0" for word in recipe))
    given = descriptors.memory("input", job.stdin) if job.stdin else subprocess.DEVNULL
    theirs = (words, handed.filter, handed.status, handed.gate, handed.hold, *(end for _, end in handed.etc))
    try:
        process = subprocess.Popen(  # noqa: S603 - the job's own words, behind the walls
            [plan.walls.bubblewrap, "--args", str(words), "--", *job.argv],
            env=_CLOSED_ENVIRONMENT,
            cwd="/",
            stdin=given,
            stdout=output_end,
            stderr=output_end,
            close_fds=True,
            pass_fds=theirs,
        )
    except OSError as error:
        raise SandboxUnavailable(f"bubblewrap did not start: {error}", next_step="Run `carapax doctor`.") from error
    for descriptor in (output_end, *theirs):
        descriptors.close(descriptor)
    os.set_blocking(output, False)
    os.set_blocking(status, False)
    return _Run(process, descriptors, _Ours(output, status, gate), job.output_bytes)


@dataclass(frozen=True, slots=True)
class _Ours:
    """The ends kept on our side."""

    output: int
    status: int
    gate: int


class _Run:
    """One spawned bubblewrap: watched through descriptors, never by name."""

    def __init__(self, process: subprocess.Popen[bytes], owner: _Descriptors, ours: _Ours, ceiling: int) -> None:
        self.process = process
        self._owner, self._ours = owner, ours
        self._ceiling = ceiling
        self._kept = bytearray()
        self._told = b""
        self._over = False
        self._inside: int | None = None  # pidfd of the namespace's first process
        self._outside = owner.own(os.pidfd_open(process.pid))

    def admit(self, group: Group | None, bounds: Bounds, errand: Errand) -> None:
        """Check and bound the waiting sandbox, then open its gate. Raises SandboxUnavailable."""
        made = self._read_made()
        try:
            self._watch(made["child-pid"])
            _verify_new_namespaces(made)
            self._bound(made["child-pid"], group, bounds, errand.job)
            errand.standing(group, made["child-pid"], self._held())
        except ProcessLookupError:  # it failed while it built; its own words say why
            raise self._failed() from None
        except OSError as error:
            raise SandboxUnavailable(
                f"the job's ceilings could not be set: {error}",
                next_step="See that the gateway may write its control group (systemd: `Delegate=yes`).",
            ) from error
        with contextlib.suppress(BrokenPipeError):  # bubblewrap has failed; `report` says how
            os.write(self._ours.gate, b"1")

    def _watch(self, first: int) -> None:
        inside = self._owner.own(os.pidfd_open(first))
        if _ready(self._outside, 0):  # bubblewrap is gone, so the number may be another process's by now
            raise ProcessLookupError
        self._inside = inside

    def _held(self) -> int:
        if self._inside is None:
            raise ProcessLookupError
        return self._inside

    def _bound(self, first: int, group: Group | None, bounds: Bounds, job: Job) -> None:
        if group is not None:
            group.add(self.process.pid)
            group.add(first)
        for name, value in _ceilings(bounds, job, alone=group is None):
            hard = resource.prlimit(first, name)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(first, name, (value, value))

    def _failed(self) -> SandboxUnavailable:
        self.end()
        self.drain()
        return _not_built(bytes(self._kept))

    def follow(self, job: Job, deadline: float, cancelled: int) -> str:
        """Read until it ends by itself ("") or meets a limit ("time", "output"). A cancelled job ends as "time"."""
        waiting = select.poll()
        for descriptor in (self._ours.output, self._outside, cancelled):
            waiting.register(descriptor, select.POLLIN)
        while (left_ms := (deadline - time.monotonic()) * 1000) > 0:
            ready = {descriptor for descriptor, _ in waiting.poll(left_ms)}
            if cancelled in ready:
                return "time"
            if self._ours.output in ready and not self._read_output():
                waiting.unregister(self._ours.output)
            if self._over:
                return "output"
            if self._outside in ready:
                return ""
        return "time"

    def end(self) -> None:
        """End every process of the job and wait until each is gone. Raises SandboxUnavailable if one will not go."""
        if self.process.returncode is not None:
            return
        if self._inside is None:
            self._end_unadmitted()
        else:
            # The namespace's first process dies last: the kernel ends and reaps all others before it.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._inside, signal.SIGKILL)
            if not _ready(self._inside, GONE_WITHIN_MS):
                raise SandboxUnavailable("the job could not be ended", kept="What it did in the workspace is kept.")
        if not _ready(self._outside, GONE_WITHIN_MS):
            self.process.kill()
        self.process.wait(GONE_WITHIN_MS / 1000)

    def _end_unadmitted(self) -> None:
        # Children first: one that outlived bubblewrap would wait at the gate for ever.
        with contextlib.suppress(OSError):
            pid = self.process.pid
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
        self.process.kill()

    def drain(self) -> None:
        """Take what was written before the end, up to the ceiling."""
        while not self._over and self._read_output():
            continue

    def report(self, ended_by: str, duration_ms: int) -> Ran:
        """What the run left. Raises SandboxUnavailable when bubblewrap failed before the program began."""
        output = bytes(self._kept)
        if self._over and not ended_by:
            ended_by = "output"
        if ended_by:
            return Ran(None, output, self._over, ended_by, duration_ms)
        code = self.process.returncode
        if self._exit_told() or code < 0:
            return Ran(code if code >= 0 else 128 - code, output, self._over, "", duration_ms)
        if output.startswith(b"bwrap: execvp "):
            return Ran(_NO_PROGRAM, output.removeprefix(b"bwrap: execvp "), self._over, "", duration_ms)
        raise _not_built(output)

    def _read_made(self) -> dict[str, int]:
        """Bubblewrap's first word: the first process and the namespaces it made."""
        give_up = time.monotonic() + SETUP_WITHIN_MS / 1000
        while b"\n" not in self._told and _ready(self._ours.status, (give_up - time.monotonic()) * 1000):
            piece = os.read(self._ours.status, _MAX_STATUS_BYTES)
            if not piece:
                break
            self._told += piece
        first, newline, _ = self._told.partition(b"\n")
        if not newline:
            raise self._failed()
        made: dict[str, int] = json.loads(first)
        return made

    def _exit_told(self) -> bool:
        for _ in range(16):
            try:
                piece = os.read(self._ours.status, _MAX_STATUS_BYTES)
            except BlockingIOError:
                break
            if not piece:
                break
            self._told += piece
        return b'"exit-code"' in self._told

    def _read_output(self) -> bool:
        """Take one piece; False at its end or when there is none now."""
        try:
            piece = os.read(self._ours.output, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        room = self._ceiling - len(self._kept)
        self._kept += piece[:room]
        self._over = self._over or len(piece) > room
        return bool(piece)


def _verify_new_namespaces(made: dict[str, int]) -> None:
    for name in _NAMESPACES:
        if made.get(f"{name}-namespace") in (None, os.stat(f"/proc/self/ns/{name}").st_ino):
            raise SandboxUnavailable(
                f"bubblewrap made no {name} namespace of the job's own", next_step="Run `carapax doctor`."
            )


def _ceilings(bounds: Bounds, job: Job, *, alone: bool) -> Iterator[tuple[int, int]]:
    yield resource.RLIMIT_CORE, 0  # a dump would go to a program of the host's
    yield resource.RLIMIT_FSIZE, bounds.file_bytes
    yield resource.RLIMIT_NOFILE, bounds.open_files
    if alone:
        yield resource.RLIMIT_AS, job.memory_bytes
        yield resource.RLIMIT_NPROC, job.processes + (_own_tasks() if _COUNTED_TOGETHER else _REAPER)


def _own_tasks() -> int:
    """How many tasks this user has now."""
    count, me = 0, os.getuid()
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == me:
                count += len(os.listdir(f"{entry.path}/task"))
    return count


def _ready(descriptor: int, within_ms: float) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(max(within_ms, 0)))


def _not_built(said: bytes) -> SandboxUnavailable:
    line = said.decode("utf-8", "replace").strip().partition("\n")[0]
    return SandboxUnavailable(
        f"bubblewrap could not build the sandbox: {line or 'it gave no reason'}",
        next_step=(
            "Allow user namespaces for this user (`sysctl user.max_user_namespaces`; on Ubuntu also the AppArmor "
            "setting `kernel.apparmor_restrict_unprivileged_userns`), then run `carapax doctor`."
        ),
    )
