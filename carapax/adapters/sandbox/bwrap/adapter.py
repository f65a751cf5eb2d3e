"""Bubblewrap sandbox: the default tier, for the shell, files and skills that were approved.

Layer: adapters/sandbox. Owns what one job of this tier is launched with. Absent: the walls themselves (`recipe`,
`launcher`, `filter`), the order of a run (`tier`), and any network but the way out that a job is given.
Laws: a wall that is missing stops every job; no process of a job outlives `run`.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from carapax.adapters.sandbox.admission import Admission
from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.launch import Launch, Plan, launch
from carapax.adapters.sandbox.bwrap.mechanism import find_walls
from carapax.adapters.sandbox.bwrap.probe import probe_walls
from carapax.adapters.sandbox.bwrap.recipe import find_system
from carapax.adapters.sandbox.bwrap.sources import UNPRIVILEGED_USER
from carapax.adapters.sandbox.cgroup import Group
from carapax.adapters.sandbox.pins import pin_workspace
from carapax.adapters.sandbox.place import find_interpreter, own_library, verify_same
from carapax.adapters.sandbox.running import Record, RunningJobs, reach_group
from carapax.adapters.sandbox.selftest import Online, Tried
from carapax.adapters.sandbox.tier import Errand, TierSandbox
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.egress import Way
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.clock import Clock
from carapax.ports.sandbox import Mount, Ran


class BwrapSandbox(TierSandbox):
    """Runs sealed jobs in bubblewrap."""

    def __init__(
        self,
        workspace: Path,
        key: bytes,
        clock: Clock,
        *,
        forbidden: tuple[Path, ...] = (),
        bounds: Bounds | None = None,
        jobs: RunningJobs | None = None,
        attach: Callable[[Way, int], None] | None = None,
        build: Path | None = None,
        admission: Admission | None = None,
        online: Online | None = None,
    ) -> None:
        super().__init__(
            workspace, key, clock, name="sandbox", forbidden=forbidden, bounds=bounds, jobs=jobs, admission=admission
        )
        self._attach = attach
        self._online = online
        self._build = build
        self._plan: Plan | None = None
        self._planning = threading.Lock()

    async def probe(self) -> Sequence[Check]:
        """Try every way out from inside, by the very recipe that `run` uses."""
        try:
            plan = await asyncio.to_thread(self._planned)
        except SandboxUnavailable as error:
            return (Check("the sandbox", Standing.FAILED, error.what, error.next_step),)
        tried = Tried(self._try, self._bounds, self._forbidden, online=self._online)
        return await probe_walls(plan, tried)

    def close(self) -> None:
        """Let the idle threads go. No job may be running."""
        self._threads.shutdown(wait=False)

    def _blocking(self, errand: Errand) -> Ran:
        plan, job, running, call = self._planned(), errand.job, self._running, errand.call
        verify_same(self._workspace)

        def standing(group: Group | None, first: int, held: int) -> None:
            running.add(call, errand.session, reach_group(group, first, held), Record((first,), group))

        library = own_library() if job.library else ()
        pins = pin_workspace(errand.workspace) if job.mount is Mount.WRITE else ()
        whole = Launch(job, errand.workspace, library, errand.cancelled, standing, lambda: running.remove(call), pins)
        return launch(plan, whole)

    def _planned(self) -> Plan:
        """The plan, made on first use; a machine that is mended needs no restart."""
        with self._planning:
            if self._plan is None:
                self._plan = self._found()
            return self._plan

    def _found(self) -> Plan:
        interpreter = find_interpreter(self._forbidden, self._home, self._workspace.path)
        user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
        walls = find_walls(self._build)
        system = replace(find_system(interpreter), named=walls.names)
        return Plan(walls, system, self._bounds, user, self._attach)
