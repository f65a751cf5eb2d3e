"""Disposable machine: the strongest tier, for untrusted binaries. One restored copy of a virtual machine per job.

Layer: adapters/sandbox. Owns what one job of this tier is launched with; the order of a run is `tier`'s.
Shown inside: the host's /usr, read-only and live; a copy of the workspace. What a job changed is written back after
the machine is gone, by the host, file by file. Absent: a network device, a disk, a display, and any live folder that
could be written. Laws: no machine outlives `run`; emulation is said, never hidden.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.admission import Admission
from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.mechanism import Walls, find_walls
from carapax.adapters.sandbox.bwrap.recipe import System, find_system
from carapax.adapters.sandbox.place import find_interpreter, verify_same
from carapax.adapters.sandbox.running import Record, RunningJobs, reach_group
from carapax.adapters.sandbox.selftest import Online
from carapax.adapters.sandbox.tier import Errand, TierSandbox
from carapax.adapters.sandbox.vm.launch import Launch, Plan, launch
from carapax.adapters.sandbox.vm.mux import Attach
from carapax.adapters.sandbox.vm.original import Needs, Original
from carapax.adapters.sandbox.vm.probe import probe_machine
from carapax.adapters.sandbox.vm.qemu import plan_shares
from carapax.adapters.sandbox.vm.spawn import Spawned
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.clock import Clock
from carapax.ports.sandbox import Job, Mount, Ran

PATIENCE = 3  # times as long as in other tiers for each attempt: emulation is slow
MACHINES = 2  # at once; further jobs wait
HOST = Path("/")


class VmSandbox(TierSandbox):
    """Runs sealed jobs in disposable machines.

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
        super().__init__(
            workspace, key, clock, name="machine", forbidden=forbidden, bounds=bounds, jobs=jobs, admission=admission,
            threads=MACHINES,
        )  # fmt: skip
        self._attach = attach
        self._online = online
        self._build = build
        self._host: _Host | None = None
        self._lock = threading.Lock()
        self._kernels = (*kernels, HOST)
        self.original = original or Original(self._needs)
        self._owns = original is None

    async def probe(self) -> Sequence[Check]:
        """Boot, restore, and try every way out from inside, as `run` would."""
        try:
            plan = await asyncio.to_thread(self._planned)
        except SandboxUnavailable as error:
            return (Check("tier 3: the machine", Standing.FAILED, error.what, error.next_step),)
        return await probe_machine(plan, self._try, self._forbidden, self._online)

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
        return await super()._try(dataclasses.replace(job, timeout_ms=job.timeout_ms * PATIENCE), workspace)

    def _blocking(self, errand: Errand) -> Ran:
        # The first run boots the original, which takes seconds and is not counted as the job's time.
        plan, running, call = self._planned(), self._running, errand.call
        verify_same(self._workspace)

        def standing(copy: Spawned) -> None:
            reach = reach_group(copy.group, copy.first, copy.inside)
            running.add(call, errand.session, reach, Record((copy.first,), copy.group))

        whole = Launch(errand.job, errand.workspace, errand.cancelled, standing, lambda: running.remove(call))
        return launch(plan, whole)

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
