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
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.mechanism import Walls
from carapax.adapters.sandbox.bwrap.recipe import ETC, NO_PORT, Handed, System, View, render_inside, render_recipe
from carapax.adapters.sandbox.bwrap.sources import place_sources, render_outside
from carapax.adapters.sandbox.cgroup import Group
from carapax.adapters.sandbox.mark import own_mark
from carapax.adapters.sandbox.pins import Pin
from carapax.adapters.sandbox.way import CA_INSIDE, WAY_PORT, way_variables
from carapax.core.terms.egress import Way
from carapax.core.terms.error import EgressUnavailable, SandboxUnavailable
from carapax.ports.sandbox import Job, Ran

SETUP_WITHIN_MS = 10_000
GONE_WITHIN_MS = 10_000
_CHUNK_BYTES = 65_536
_MAX_STATUS_BYTES = 4_096
_NAMESPACES = ("cgroup", "ipc", "mnt", "pid", "uts")
_BY_SIGNAL = 128
_HOLDS = b"ok"
_DOCTOR = "Run `carapax doctor`."
_ALLOW = (
    "Allow user namespaces for this user (`sysctl user.max_user_namespaces`; on Ubuntu also the AppArmor "
    "setting `kernel.apparmor_restrict_unprivileged_userns`), then run `carapax doctor`."
)
_MOVE = "Put the workspace on ext4, xfs, btrfs or tmpfs, or run Carapax as the ordinary user who owns it."
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
    user: int | None  # the host user jobs run as when the gateway is root; None: the gateway's own
    attach: Callable[[Way, int], None] | None = None  # hands the proxy a listener


@dataclass(frozen=True, slots=True)
class Launch:
    """One job on its way. `standing` is called when its walls stand, before the gate opens; raising keeps it shut."""

    job: Job
    workspace: Path
    library: tuple[str, ...]  # folders shown read-only at their own paths
    cancelled: int  # a descriptor that turns readable when it must end early
    standing: Callable[[Group | None, int, int], None]  # group, first process inside, a descriptor of it
    over: Callable[[], None]  # called before any of these is given up
    pins: tuple[Pin, ...] = ()


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

    def sockets(self) -> tuple[int, int]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return self.own(ours.detach()), self.own(theirs.detach())

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


def launch(plan: Plan, errand: Launch) -> Ran:
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
        run = _start(descriptors, plan, errand, group)
        stack.callback(run.end)
        stack.callback(errand.over)
        run.admit(group, plan, errand)
        ended_by = run.follow(job, time.monotonic() + job.timeout_ms / 1000, errand.cancelled)
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


def _start(descriptors: _Descriptors, plan: Plan, errand: Launch, group: Group | None) -> _Run:
    job, launcher = errand.job, plan.walls.launcher
    output, output_end = descriptors.pipe()
    status, status_end = descriptors.pipe()
    verdict, verdict_end = descriptors.pipe()
    gate_end, gate = descriptors.pipe()
    handed = Handed(
        filter=descriptors.memory(own_mark(), plan.walls.filter),
        status=status_end,
        gate=gate_end,
        hold=descriptors.own(os.dup(gate)),
        etc=tuple((name, descriptors.memory(name, content)) for name, content in _etc(job.way)),
        launcher=descriptors.own(os.open(f"/proc/self/fd/{launcher.descriptor}", os.O_RDONLY | os.O_CLOEXEC)),
        interpreter=launcher.interpreter,
        verdict=verdict_end,
    )
    door, door_end = descriptors.sockets() if job.way is not None else (-1, -1)
    placing = place_sources(plan.system, errand, plan.user)
    view = View(
        *(errand.workspace, job.mount, errand.pins, errand.library),
        variables=(*way_variables(job.way), *job.variables),
        placed=placing.placed,
    )
    recipe = render_recipe(plan.system, plan.bounds, view, handed)
    words = descriptors.memory("recipe", b"".join(os.fsencode(word) + b"\0" for word in recipe))
    given = descriptors.memory("input", job.stdin) if job.stdin else subprocess.DEVNULL
    ends = [words, handed.filter, handed.status, handed.gate, handed.hold, handed.launcher, handed.verdict]
    theirs = (*ends, *(end for _, end in handed.etc), *((door_end,) if door_end >= 0 else ()))
    port = WAY_PORT if job.way is not None else NO_PORT
    command = (
        *render_outside(launcher, plan.bounds, group, placing, door_end),
        *(plan.walls.bubblewrap, "--args", str(words), "--"),
        *(*render_inside(plan.system, plan.bounds, view, handed, port), "--", *job.argv),
    )
    process = _spawn(command, given, output_end, (*theirs, launcher.descriptor))
    for descriptor in (output_end, *theirs):
        descriptors.close(descriptor)
    for descriptor in (output, status, verdict):
        os.set_blocking(descriptor, False)
    return _Run(process, descriptors, _Ours(output, status, gate, verdict, door), job.output_bytes)


def _etc(way: Way | None) -> Iterator[tuple[str, bytes]]:
    yield from ETC.items()
    if way is not None and way.authority:
        yield Path(CA_INSIDE).name, way.authority


def _spawn(command: tuple[str, ...], given: int, output: int, theirs: tuple[int, ...]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - the job's own words, behind the walls
            command,
            env=_CLOSED_ENVIRONMENT,
            cwd="/",
            stdin=given,
            stdout=output,
            stderr=output,
            close_fds=True,
            pass_fds=theirs,
        )
    except OSError as error:
        raise SandboxUnavailable(f"the launcher did not start: {error}", next_step="Run `carapax doctor`.") from error


@dataclass(frozen=True, slots=True)
class _Ours:
    """The ends kept on our side."""

    output: int
    status: int
    gate: int
    verdict: int
    door: int  # -1 without a way


class _Run:
    """One spawned bubblewrap: watched through descriptors, never by name."""

    def __init__(self, process: subprocess.Popen[bytes], owner: _Descriptors, ours: _Ours, ceiling: int) -> None:
        self.process = process
        self._owner, self._ours = owner, ours
        self._ceiling = ceiling
        self._kept = bytearray()
        self._told = b""
        self._said = b""
        self._over = False
        self._group: Group | None = None  # once the job is in it
        self._inside: int | None = None  # pidfd of the namespace's first process
        self._outside = owner.own(os.pidfd_open(process.pid))

    def admit(self, group: Group | None, plan: Plan, errand: Launch) -> None:
        """Check and bound the waiting sandbox, then open its gate. Raises SandboxUnavailable."""
        made = self._read_made()
        try:
            self._watch(made["child-pid"])
            _verify_new_namespaces(made)
            self._bound(made["child-pid"], group, errand.job)
            if errand.job.way is not None:
                self._attach(plan.attach, errand.job.way)
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

    def _bound(self, first: int, group: Group | None, job: Job) -> None:
        if group is not None and not group.holds(first):
            raise OSError("the job is not in its control group")
        self._group = group
        for name, value in _ceilings_alone(job) if group is None else ():
            hard = resource.prlimit(first, name)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(first, name, (value, value))

    def _attach(self, attach: Callable[[Way, int], None] | None, way: Way) -> None:
        """Hand the listener that the launcher made inside to the proxy; the gate is still shut."""
        if attach is None:
            raise SandboxUnavailable("there is no proxy for the job's way out", next_step="Run `carapax doctor`.")
        if not _ready(self._ours.door, SETUP_WITHIN_MS):
            raise SandboxUnavailable("the job's way out was not opened", next_step="Run `carapax doctor`.")
        with socket.socket(fileno=os.dup(self._ours.door)) as door:
            _, listeners, _, _ = socket.recv_fds(door, 1, 1)
        if not listeners:
            raise SandboxUnavailable("the job's way out was not opened", next_step="Run `carapax doctor`.")
        listener = self._owner.own(listeners[0])
        try:
            attach(way, listener)
        except EgressUnavailable as error:
            raise SandboxUnavailable(error.what, next_step=error.next_step) from error
        self._owner.close(listener)

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
            if self._group is not None and not _ready(self._inside, 0):
                with contextlib.suppress(OSError):  # a halted one hears nothing until its group ends it
                    self._group.kill()
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
        if self._verdict() != _HOLDS and code < _BY_SIGNAL and code >= 0:
            raise self._refused(output)
        return Ran(code if code >= 0 else _BY_SIGNAL - code, output, self._over, "", duration_ms)

    def _refused(self, output: bytes) -> SandboxUnavailable:
        if not self._exit_told():
            return _not_built(output)
        why = self._verdict().decode("utf-8", "replace").strip() or "it gave no verdict"
        return SandboxUnavailable(f"a wall does not hold inside the sandbox: {why}", next_step=_DOCTOR)

    def _verdict(self) -> bytes:
        """What the second stage said before the job began; b"" when it was ended earlier."""
        with contextlib.suppress(BlockingIOError):
            self._said += os.read(self._ours.verdict, _MAX_STATUS_BYTES)
        return self._said

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
    # The launcher makes the network before bubblewrap begins, so bubblewrap does not tell of it.
    made = made | {"net-namespace": os.stat(f"/proc/{made['child-pid']}/ns/net").st_ino}
    for name in (*_NAMESPACES, "net"):
        if made.get(f"{name}-namespace") in (None, os.stat(f"/proc/self/ns/{name}").st_ino):
            raise SandboxUnavailable(
                f"there is no {name} namespace of the job's own", next_step="Run `carapax doctor`."
            )


def _ceilings_alone(job: Job) -> Iterator[tuple[int, int]]:
    """What stands in for a control group: ceilings per process, which count only from the sandbox on."""
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
    what = f"the sandbox could not be built: {line or 'it gave no reason'}"
    return SandboxUnavailable(what, next_step=_MOVE if "id-mapped" in line else _ALLOW)
