"""gVisor sandbox: the strong tier, for code of third parties.

Layer: adapters/sandbox. Owns the thread each job runs in; the seal is checked by `admission`.
Absent: a network of its own (a way out is a relay to the proxy's socket) and devices. A socket file that lies in
the workspace can be reached only by a job with a way out.
Laws: no authority, no start; a wall that is missing stops every job; no process of a job outlives `run`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from carapax.adapters.sandbox.admission import Admission
from carapax.adapters.sandbox.bounds import Bounds, decide_job
from carapax.adapters.sandbox.bwrap.recipe import find_system
from carapax.adapters.sandbox.gvisor.box import Attach, Errand, Plan, shape_of
from carapax.adapters.sandbox.gvisor.launch import Ahead, launch
from carapax.adapters.sandbox.gvisor.mechanism import find_runtime
from carapax.adapters.sandbox.gvisor.probe import probe_walls
from carapax.adapters.sandbox.place import find_interpreter, own_code, verify_same, verify_workspace
from carapax.adapters.sandbox.relay import can_wait
from carapax.adapters.sandbox.running import RunningJobs
from carapax.adapters.sandbox.selftest import Online
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.ports.clock import Clock
from carapax.ports.sandbox import Job, Ran

_TRIES = itertools.count(1)


class GvisorSandbox:
    """Runs sealed jobs in gVisor. Raises SandboxUnavailable when the workspace is unfit to be shown."""

    def __init__(
        self,
        workspace: Path,
        key: bytes,
        clock: Clock,
        *,
        forbidden: tuple[Path, ...] = (),
        bounds: Bounds | None = None,
        attach: Attach | None = None,
        admission: Admission | None = None,
        jobs: RunningJobs | None = None,
        online: Online | None = None,
    ) -> None:
        self._home = Path(os.path.expanduser("~"))
        self._workspace = verify_workspace(workspace, forbidden, self._home, own_code())
        self._forbidden = forbidden
        self._bounds = bounds or Bounds()
        self._attach = attach
        self._online = online
        self._admission = admission or Admission(key, clock)
        self._running = jobs or RunningJobs()
        self._plan: Plan | None = None
        self._ahead = Ahead()
        self._threads = ThreadPoolExecutor(self._bounds.jobs, thread_name_prefix="gvisor")

    async def run(self, authorized: AuthorizedCall, job: Job) -> Ran:
        """Run one job for one sealed call, once; its ceilings are the least of job, manifest and bounds.

        Raises AuthorityInvalid, SandboxUnavailable, Malformed; nothing was started then.
        """
        verified = self._admission.admit(authorized, job)
        bounded = decide_job(job, self._bounds, verified.call.manifest)
        call, session = verified.call.call, verified.call.session
        self._running.expect(call, session)
        try:
            return await self._launch(bounded, self._workspace.path, call, session)
        finally:
            self._running.remove(call)

    async def probe(self) -> Sequence[Check]:
        """Try every way out from inside, by the very bundle that `run` uses."""
        try:
            plan = await asyncio.to_thread(self._planned)
        except SandboxUnavailable as error:
            return (Check("the sandbox", Standing.FAILED, error.what, error.next_step),)
        return await probe_walls(plan, self._forbidden, self._try, self._online)

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Halt the running jobs of a session (None: all)."""
        return self._running.freeze(session)

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Let them go on."""
        return self._running.thaw(session)

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        """End them."""
        return self._running.kill(session)

    def close(self) -> None:
        """End the box that is ready and let the idle threads go. No job may be running."""
        self._ahead.close()
        self._threads.shutdown(wait=True)

    async def _try(self, job: Job, workspace: Path) -> Ran:
        """One attempt of the self-test: by the same launch, without a call of its own."""
        call = CallId(f"self-test-2-{next(_TRIES)}")
        return await self._launch(decide_job(job, self._bounds, None), workspace, call, SessionId("self-test"))

    async def _launch(self, job: Job, workspace: Path, call: CallId, session: SessionId) -> Ran:
        cancelled = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        errand = Errand(job, workspace, call, session, cancelled)
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
        if errand.workspace != self._workspace.path:  # an attempt of the self-test
            return launch(plan, errand, None)
        try:
            return launch(plan, errand, self._ahead)
        finally:
            if can_wait():
                with contextlib.suppress(RuntimeError):  # closed meanwhile
                    self._threads.submit(self._ahead.prepare, plan, shape_of(errand.job, errand.workspace))

    def _planned(self) -> Plan:
        """The plan, made on first use; a machine that is mended needs no restart."""
        if self._plan is None:
            interpreter = find_interpreter(self._forbidden, self._home, self._workspace.path)
            self._plan = Plan(
                find_runtime(),
                find_system(interpreter),
                self._bounds,
                self._running,
                self._attach,
            )
        return self._plan
