"""gVisor sandbox: the strong tier, for code of third parties.

Layer: adapters/sandbox. Owns what one job of this tier is launched with; the order of a run is `tier`'s.
Absent: a network of its own (a way out is a relay to the proxy's socket) and devices. A socket file that lies in
the workspace can be reached only by a job with a way out.
Laws: a wall that is missing stops every job; no process of a job outlives `run`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from carapax.adapters.sandbox.admission import Admission
from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.recipe import find_system
from carapax.adapters.sandbox.gvisor.box import Attach, Plan, shape_of
from carapax.adapters.sandbox.gvisor.launch import Ahead, launch
from carapax.adapters.sandbox.gvisor.mechanism import find_runtime
from carapax.adapters.sandbox.gvisor.probe import probe_walls
from carapax.adapters.sandbox.place import find_interpreter, verify_same
from carapax.adapters.sandbox.relay import can_wait
from carapax.adapters.sandbox.running import RunningJobs
from carapax.adapters.sandbox.selftest import Online
from carapax.adapters.sandbox.tier import Errand, TierSandbox
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.clock import Clock
from carapax.ports.sandbox import Ran


class GvisorSandbox(TierSandbox):
    """Runs sealed jobs in gVisor."""

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
        super().__init__(
            workspace, key, clock, name="gvisor", forbidden=forbidden, bounds=bounds, jobs=jobs, admission=admission
        )
        self._attach = attach
        self._online = online
        self._plan: Plan | None = None
        self._ahead = Ahead()

    async def probe(self) -> Sequence[Check]:
        """Try every way out from inside, by the very bundle that `run` uses."""
        try:
            plan = await asyncio.to_thread(self._planned)
        except SandboxUnavailable as error:
            return (Check("the sandbox", Standing.FAILED, error.what, error.next_step),)
        return await probe_walls(plan, self._forbidden, self._try, self._online)

    def close(self) -> None:
        """End the box that is ready and let the idle threads go. No job may be running."""
        self._ahead.close()
        self._threads.shutdown(wait=True)

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
