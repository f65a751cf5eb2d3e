"""Disposable machine: the strongest tier, for untrusted binaries. One restored copy of a virtual machine per job.

Layer: adapters/sandbox. Owns the constructor, the threads, and the door to the parts.
Shown inside: the host's /usr, read-only and live; a copy of the workspace. What a job changed is written back after
the machine is gone, by the host, file by file. Absent: a network device, a disk, a display, and any live folder that
could be written. Laws: no authority, no start; no machine outlives `run`; emulation is said, never hidden.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.admission import Admission
from carapax.adapters.sandbox.bounds import Bounds, decide_job
from carapax.adapters.sandbox.bwrap.mechanism import Walls, find_walls
from carapax.adapters.sandbox.bwrap.recipe import System, find_system
from carapax.adapters.sandbox.place import find_interpreter, own_code, verify_same, verify_workspace
from carapax.adapters.sandbox.running import Record, RunningJobs, reach_group
from carapax.adapters.sandbox.selftest import Online
from carapax.adapters.sandbox.vm.launch import Errand, Plan, launch
from carapax.adapters.sandbox.vm.mux import Attach
from carapax.adapters.sandbox.vm.original import Needs, Original
from carapax.adapters.sandbox.vm.probe import probe_machine
from carapax.adapters.sandbox.vm.qemu import plan_shares
from carapax.adapters.sandbox.vm.spawn import Spawned
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.ports.clock import Clock
from carapax.ports.sandbox import Job, Mount, Ran

PATIENCE = 3  # times as long as in other tiers for each attempt: emulation is slow
MACHINES = 2  # at once; further jobs wait
HOST = Path("/")
_TRIES = itertools.count(1)


class VmSandbox:
    """Runs sealed jobs in disposable machines. Raises SandboxUnavailable when the workspace is unfit to be shown.

    `kernels` are folders laid out as a kernel package, looked at before this machine's own /boot.
    """

    def __init__(
        self,
        workspace: Path,
        key: bytes,
        clock: Clock,
        *,
        forbidden: tuple[Path, ...] = (),
        bounds: Bounds | None = None,
        jobs: RunningJobs | None = None,
        attach: Attach | None = None,
        build: Path | None = None,
        admission: Admission | None = None,
        kernels: tuple[Path, ...] = (),
        original: Original | None = None,
        online: Online | None = None,
    ) -> None:
        self._home = Path(os.path.expanduser("~"))
        self._workspace = verify_workspace(workspace, forbidden, self._home, own_code())
        self._forbidden = forbidden
        self._bounds = bounds or Bounds()
        self._running = jobs or RunningJobs()
        self._attach = attach
        self._online = online
        self._build = build
        self._host: _Host | None = None
        self._lock = threading.Lock()
        self._admission = admission or Admission(key, clock)
        self._kernels = (*kernels, HOST)
        self.original = original or Original(self._needs)
        self._owns = original is None
        self._threads = ThreadPoolExecutor(MACHINES, thread_name_prefix="machine")

    async def run(self, authorized: AuthorizedCall, job: Job) -> Ran:
        """Run one job for one sealed call, once; its ceilings are the least of job, manifest and bounds.

        The first run boots the original, which takes seconds and is not counted as the job's time.
        Raises AuthorityInvalid, SandboxUnavailable, Malformed; nothing was started then.
        """
        verified = self._admission.admit(authorized, job)
        call, session = verified.call.call, verified.call.session
        self._running.expect(call, session)
        try:
            bounded = decide_job(job, self._bounds, verified.call.manifest)
            return await self._launch(bounded, self._workspace.path, call, session)
        finally:
            self._running.remove(call)

    async def probe(self) -> Sequence[Check]:
        """Boot, restore, and try every way out from inside, as `run` would."""
        try:
            plan = await asyncio.to_thread(self._planned)
        except SandboxUnavailable as error:
            return (Check("tier 3: the machine", Standing.FAILED, error.what, error.next_step),)
        return await probe_machine(plan, self._try, self._forbidden, self._online)

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Halt the machines of the running jobs of a session (None: of all); returns their calls."""
        return self._running.freeze(session)

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Let halted machines go on."""
        return self._running.thaw(session)

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        """End the machines of the running jobs of a session (None: of all), halted or not."""
        return self._running.kill(session)

    async def time_restore(self) -> int:
        """Milliseconds from the order until the output of a program that does nothing is back, in a fresh copy."""
        await asyncio.to_thread(self._planned)
        began = time.monotonic_ns()
        ran = await self._try(Job(("/bin/true",), mount=Mount.NONE), self._workspace.path)
        if ran.exit_code != 0:
            raise SandboxUnavailable(
                "the restored machine did not run /bin/true", next_step="Run `carapax doctor --walls`."
            )
        return (time.monotonic_ns() - began) // 1_000_000

    def close(self) -> None:
        """Let the idle threads and the snapshot go. No job may be running."""
        self._threads.shutdown(wait=True)
        if self._owns:
            self.original.close()

    async def _try(self, job: Job, workspace: Path) -> Ran:
        """One attempt of the self-test: by the same launch, without a call of its own."""
        call = CallId(f"self-test-machine-{next(_TRIES)}")
        patient = dataclasses.replace(job, timeout_ms=job.timeout_ms * PATIENCE)
        return await self._launch(decide_job(patient, self._bounds, None), workspace, call, SessionId("self-test"))

    async def _launch(self, job: Job, workspace: Path, call: CallId, session: SessionId) -> Ran:
        cancelled = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

        def standing(copy: Spawned) -> None:
            reach = reach_group(copy.group, copy.first, copy.inside)
            self._running.add(call, session, reach, Record((copy.first,), copy.group))

        errand = Errand(job, workspace, cancelled, standing, lambda: self._running.remove(call))
        running = asyncio.get_running_loop().run_in_executor(self._threads, self._blocking, errand)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            os.eventfd_write(cancelled, 1)
            with contextlib.suppress(SandboxUnavailable):  # the turn is over; the next job will name the fault
                await running
            raise
        finally:
            os.close(cancelled)

    def _blocking(self, errand: Errand) -> Ran:
        plan = self._planned()
        verify_same(self._workspace)
        return launch(plan, errand)

    def _needs(self) -> Needs:
        host = self._looked_up()
        shares = plan_shares(host.interpreter, host.library)
        return Needs(host.walls.bubblewrap, host.walls.tree, host.system, shares, self._kernels)

    def _looked_up(self) -> _Host:
        with self._lock:
            if self._host is None:
                interpreter = find_interpreter(self._forbidden, self._home, self._workspace.path)
                self._host = _Host(find_walls(self._build), find_system(interpreter), interpreter, find_library())
            return self._host

    def _planned(self) -> Plan:
        """The plan; the first one boots the original. A machine that is mended needs no restart."""
        snapshot = self.original.get_snapshot()
        host = self._looked_up()
        return Plan(
            snapshot,
            host.walls.tree,
            host.system,
            host.walls.filter,
            self._bounds,
            str(host.interpreter or ""),
            str(host.library or ""),
            self._attach,
        )


@dataclass(frozen=True, slots=True)
class _Host:
    """What of this machine goes into every machine, found once."""

    walls: Walls
    system: System
    interpreter: Path | None
    library: Path | None


def find_library() -> Path | None:
    """The folder of the packages Carapax runs with, when it lies outside what every job sees."""
    path = Path(sys.prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages").resolve()
    return path if path.is_dir() and not path.is_relative_to("/usr") else None
