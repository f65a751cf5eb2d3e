"""What every tier that starts processes does alike: admission, bounds, a thread for each job, reach while it runs.

Layer: adapters/sandbox. Owns the order of one run and the names of the self-test's calls. A tier says in `_blocking` how
one job is launched. Absent: every wall.
Laws: no authority, no start; a cancelled job is ended before `run` returns; what runs can be halted and ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.admission import Admission
from carapax.adapters.sandbox.bounds import Bounds, decide_job
from carapax.adapters.sandbox.place import own_code, verify_workspace
from carapax.adapters.sandbox.running import RunningJobs
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.error import SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.ports.clock import Clock
from carapax.ports.sandbox import Job, Ran

SELF_TEST = SessionId("self-test")


@dataclass(frozen=True, slots=True)
class Errand:
    """One job, bounded, and who it runs for. `cancelled` turns readable when it must end early."""

    job: Job
    workspace: Path
    call: CallId
    session: SessionId
    cancelled: int


class TierSandbox(ABC):
    """A tier over one workspace. Raises SandboxUnavailable when that is unfit to be shown."""

    def __init__(
        self,
        workspace: Path,
        key: bytes,
        clock: Clock,
        *,
        name: str,
        forbidden: tuple[Path, ...],
        bounds: Bounds | None,
        jobs: RunningJobs | None,
        admission: Admission | None,
        threads: int = 0,
    ) -> None:
        self._home = Path(os.path.expanduser("~"))
        self._workspace = verify_workspace(workspace, forbidden, self._home, own_code())
        self._forbidden = forbidden
        self._bounds = bounds or Bounds()
        self._admission = admission or Admission(key, clock)
        self._running = jobs or RunningJobs()
        self._name = name
        self._tries = itertools.count(1)
        self._threads = ThreadPoolExecutor(threads or self._bounds.jobs, thread_name_prefix=name)

    async def run(self, authorized: AuthorizedCall, job: Job) -> Ran:
        """Run one job for one sealed call, once; its ceilings are the least of job, manifest and bounds.

        Raises AuthorityInvalid, SandboxUnavailable, Malformed; nothing was started then.
        """
        verified = self._admission.admit(authorized, job)
        call, session = verified.call.call, verified.call.session
        bounded = decide_job(job, self._bounds, verified.call.manifest)
        self._running.expect(call, session)
        try:
            return await self._launch(bounded, self._workspace.path, call, session)
        finally:
            self._running.remove(call)

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Halt every process of the running jobs of a session (None: of all); returns their calls."""
        return self._running.freeze(session)

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Let halted jobs go on."""
        return self._running.thaw(session)

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        """End every process of the running jobs of a session (None: of all), halted or not."""
        return self._running.kill(session)

    async def _try(self, job: Job, workspace: Path) -> Ran:
        """One attempt of the self-test: by the same launch, without a call of its own."""
        call = CallId(f"self-test-{self._name}-{next(self._tries)}")
        return await self._launch(decide_job(job, self._bounds, None), workspace, call, SELF_TEST)

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

    @abstractmethod
    def _blocking(self, errand: Errand) -> Ran:
        """Launch one job and follow it to its end, in a thread. Raises SandboxUnavailable."""
