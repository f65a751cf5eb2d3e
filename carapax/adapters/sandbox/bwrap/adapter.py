"""Bubblewrap sandbox: the default tier, for the shell, files and skills that were approved.

Layer: adapters/sandbox. Owns the order of admission, launch and end, and the thread each job runs in.
Absent: the walls themselves (`recipe`, `launcher`, `filter`), and any network but the way out that a job is given.
Laws: no authority, no start; a wall that is missing stops every job; no process of a job outlives `run`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from carapax.adapters.sandbox.admission import Admission
from carapax.adapters.sandbox.bounds import Bounds, decide_job
from carapax.adapters.sandbox.bwrap.launch import Errand, Plan, launch
from carapax.adapters.sandbox.bwrap.mechanism import find_walls
from carapax.adapters.sandbox.bwrap.probe import probe_walls
from carapax.adapters.sandbox.bwrap.recipe import find_system
from carapax.adapters.sandbox.bwrap.sources import UNPRIVILEGED_USER
from carapax.adapters.sandbox.cgroup import Group
from carapax.adapters.sandbox.pins import pin_workspace
from carapax.adapters.sandbox.place import find_interpreter, own_code, own_library, verify_same, verify_workspace
from carapax.adapters.sandbox.running import Record, RunningJobs, reach_group
from carapax.adapters.sandbox.selftest import Online, Tried
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.egress import Way
from carapax.core.terms.error import SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.ports.clock import Clock
from carapax.ports.sandbox import Job, Mount, Ran

_TRIES = itertools.count(1)


class BwrapSandbox:
    """Runs sealed jobs in bubblewrap. Raises SandboxUnavailable when the workspace is unfit to be shown."""

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
        self._home = Path(os.path.expanduser("~"))
        self._workspace = verify_workspace(workspace, forbidden, self._home, own_code())
        self._forbidden = forbidden
        self._bounds = bounds or Bounds()
        self._admission = admission or Admission(key, clock)
        self._attach = attach
        self._online = online
        self._build = build
        self._plan: Plan | None = None
        self._planning = threading.Lock()
        self._running = jobs or RunningJobs()
        self._threads = ThreadPoolExecutor(self._bounds.jobs, thread_name_prefix="sandbox")

    async def run(self, authorized: AuthorizedCall, job: Job) -> Ran:
        """Run one job for one sealed call, once; its ceilings are the least of job, manifest and bounds.

        Raises AuthorityInvalid, SandboxUnavailable, Malformed; nothing was started then.
        """
        verified = self._admission.admit(authorized, job)
        manifest = verified.call.manifest
        call, session = verified.call.call, verified.call.session
        self._running.expect(call, session)
        try:
            return await self._launch(decide_job(job, self._bounds, manifest), self._workspace.path, call, session)
        finally:
            self._running.remove(call)

    async def probe(self) -> Sequence[Check]:
        """Try every way out from inside, by the very recipe that `run` uses."""
        try:
            plan = await asyncio.to_thread(self._planned)
        except SandboxUnavailable as error:
            return (Check("the sandbox", Standing.FAILED, error.what, error.next_step),)
        tried = Tried(self._try, self._bounds, self._forbidden, online=self._online)
        return await probe_walls(plan, tried)

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Halt every process of the running jobs of a session (None: of all); returns their calls."""
        return self._running.freeze(session)

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Let halted jobs go on."""
        return self._running.thaw(session)

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        """End every process of the running jobs of a session (None: of all), halted or not."""
        return self._running.kill(session)

    def close(self) -> None:
        """Let the idle threads go. No job may be running."""
        self._threads.shutdown(wait=False)

    async def _try(self, job: Job, workspace: Path) -> Ran:
        """One attempt of the self-test: by the same launch, without a call of its own."""
        call = CallId(f"self-test-{next(_TRIES)}")
        return await self._launch(decide_job(job, self._bounds, None), workspace, call, SessionId("self-test"))

    async def _launch(self, job: Job, workspace: Path, call: CallId, session: SessionId) -> Ran:
        cancelled = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

        def standing(group: Group | None, first: int, held: int) -> None:
            self._running.add(call, session, reach_group(group, first, held), Record((first,), group))

        library = own_library() if job.library else ()
        errand = Errand(job, workspace, library, cancelled, standing, lambda: self._running.remove(call))
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
        if errand.job.mount is Mount.WRITE:
            errand = dataclasses.replace(errand, pins=pin_workspace(errand.workspace))
        return launch(plan, errand)

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
