"""Pure sandbox: a sealed computation `("expression", CODE)` in a fresh interpreter without files, processes, sockets.

Layer: adapters/sandbox. Owns the one worker kept ready, and which job has which worker.
What comes out: what the code printed, then the value of its last line. Absent: input, a workspace, a way out.
Laws: only code whose provenance is an expression is computed here; a worker is used once; at most JOBS compute at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from carapax.adapters.sandbox.admission import Admission
from carapax.adapters.sandbox.bounds import Bounds, decide_job
from carapax.adapters.sandbox.bwrap.mechanism import Walls, find_walls
from carapax.adapters.sandbox.pure.probe import probe_interpreter
from carapax.adapters.sandbox.pure.worker import Worker, find_program, sweep_workers
from carapax.adapters.sandbox.running import Reach, Record, RunningJobs
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import Malformed, SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.tier import Provenance
from carapax.ports.clock import Clock
from carapax.ports.sandbox import Job, Ran

WORD = "expression"
JOBS = 2
READY = 1
_TRIES = itertools.count(1)


class _Task:
    """One computation; `cancel` ends it whether or not it has begun."""

    def __init__(self, code: str, job: Job, call: CallId, session: SessionId) -> None:
        self.code, self.job, self.call, self.session = code, job, call, session
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._cancelled = False

    def begin(self, worker: Worker) -> None:
        with self._lock:
            self._worker = worker
            if self._cancelled:
                worker.kill()

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            if self._worker is not None:
                self._worker.kill()


class PureSandbox:
    """Computes sealed expressions."""

    def __init__(
        self,
        key: bytes,
        clock: Clock,
        *,
        bounds: Bounds | None = None,
        admission: Admission | None = None,
        jobs: RunningJobs | None = None,
        build: Path | None = None,
    ) -> None:
        """`build` is the folder in which the default tier keeps what it built; both stand behind the same mechanisms."""
        self._bounds = bounds or Bounds()
        self._admission = admission or Admission(key, clock)
        self._running = jobs or RunningJobs()
        self._build = build
        self._found: tuple[Walls, Path] | None = None
        self._ready: queue.Queue[Worker] = queue.Queue(READY)
        self._closed = False
        self._threads = ThreadPoolExecutor(JOBS, thread_name_prefix="pure")

    async def run(self, authorized: AuthorizedCall, job: Job) -> Ran:
        """Compute one expression for one sealed call, once.

        Raises AuthorityInvalid, SandboxUnavailable, Malformed; nothing was started then.
        """
        verified = self._admission.admit(authorized, job)
        code = _expression(job)
        bounded = decide_job(job, self._bounds, verified.call.manifest)
        call, session = verified.call.call, verified.call.session
        self._running.expect(call, session)
        try:
            return await self._compute(code, bounded, call, session)
        finally:
            self._running.remove(call)

    async def probe(self) -> Sequence[Check]:
        """Try what an expression must not be able to do."""
        try:
            walls, _ = await asyncio.to_thread(self._mechanisms)
        except SandboxUnavailable as error:
            return (Check("the interpreter", Standing.FAILED, error.what, error.next_step),)
        return (_standing(walls), *await probe_interpreter(self._try))

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Halt the running computations of a session (None: all)."""
        return self._running.freeze(session)

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Let them go on."""
        return self._running.thaw(session)

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        """End them."""
        return self._running.kill(session)

    def close(self) -> None:
        """End the worker that is ready and let the threads go. No job may be running."""
        self._closed = True
        self._threads.shutdown(wait=True)
        with contextlib.suppress(queue.Empty):
            while True:
                self._ready.get_nowait().close()

    async def _try(self, job: Job) -> Ran:
        call = CallId(f"self-test-0-{next(_TRIES)}")
        return await self._compute(_expression(job), job, call, SessionId("self-test"))

    async def _compute(self, code: str, job: Job, call: CallId, session: SessionId) -> Ran:
        task = _Task(code, job, call, session)
        computing = asyncio.get_running_loop().run_in_executor(self._threads, self._blocking, task)
        try:
            return await asyncio.shield(computing)
        except asyncio.CancelledError:
            task.cancel()
            with contextlib.suppress(SandboxUnavailable):  # the turn is over; the next job will name the fault
                await computing
            raise

    def _blocking(self, task: _Task) -> Ran:
        worker = self._take()
        try:
            reach = Reach(worker.freeze, worker.thaw, worker.kill)
            pid = worker.pid()
            self._running.add(task.call, task.session, reach, Record((pid,) if pid else (), worker.group))
            task.begin(worker)
            return worker.run(task.code, task.job.timeout_ms, task.job.output_bytes, task.job.memory_bytes)
        finally:
            self._running.remove(task.call)
            worker.close()
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                self._threads.submit(self._prepare)

    def _mechanisms(self) -> tuple[Walls, Path]:
        """Found on first use; a machine that is mended needs no restart."""
        if self._found is None:
            sweep_workers()
            self._found = (find_walls(self._build), find_program())
        return self._found

    def _take(self) -> Worker:
        try:
            return self._ready.get_nowait()
        except queue.Empty:
            return Worker(*self._mechanisms())

    def _prepare(self) -> None:
        """Have a fresh worker ready for the next job; one that cannot be made is told by the next job itself."""
        if self._closed or self._ready.full():
            return
        with contextlib.suppress(SandboxUnavailable):
            worker = Worker(*self._mechanisms())
            try:
                self._ready.put_nowait(worker)
            except queue.Full:
                worker.close()


def _standing(walls: Walls) -> Check:
    made = f"Monty {version('pydantic-monty')} behind {walls.version} and its system call filter"
    if os.geteuid() == 0:
        advice = "Run Carapax as an ordinary user: what breaks out of a wall then gains less."
        return Check("the interpreter", Standing.WARNING, f"{made}; the gateway runs as root", advice)
    return Check("the interpreter", Standing.OK, made)


def _expression(job: Job) -> str:
    if job.provenance is not Provenance.EXPRESSION:
        raise SandboxUnavailable(
            "tier 0 computes expressions and runs nothing else", next_step="This is a defect; report it."
        )
    if len(job.argv) != 2 or job.argv[0] != WORD:
        raise Malformed(f'a computation is written as ("{WORD}", CODE)')
    if job.stdin or job.way is not None or job.variables:
        raise Malformed("a computation has no input, no variables and no way out")
    return job.argv[1]
