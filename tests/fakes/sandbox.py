"""UnwalledSandbox: the sandbox port without walls, for tests where namespaces are not the subject.

It really runs the job, in a folder of the test, with an empty environment, and keeps the port's word on time, output and
leftover processes. Absent: every wall. The mount's kind is only noted, memory and process ceilings are not applied.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from carapax.core.terms.authority import AuthorizedCall, verify_call
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import AuthorityInvalid, SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.ports.sandbox import Job, Mount, Ran

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}


class UnwalledSandbox:
    """Runs jobs in `root` as the test's own user. Without a key, seals are not checked, only used once."""

    def __init__(self, root: Path, key: bytes | None = None, now_ms: Callable[[], int] = lambda: 0) -> None:
        self.root = root
        self.jobs: list[Job] = []
        self._key = key
        self._now_ms = now_ms
        self._used: set[bytes] = set()
        self._running: dict[CallId, tuple[SessionId, int]] = {}

    async def run(self, authorized: AuthorizedCall, job: Job) -> Ran:
        self._admit(authorized)
        self.jobs.append(job)
        started = time.monotonic()
        argv = (sys.executable, *job.argv[1:]) if job.argv[0].startswith("python3") else job.argv
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                cwd="/" if job.mount is Mount.NONE else self.root,
                env=ENVIRONMENT,
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxUnavailable(f"{argv[0]} cannot be started: {error.strerror}") from error
        self._running[authorized.call.call] = (authorized.call.session, process.pid)
        try:
            output, ended_by = await _converse(process, job)
        finally:
            del self._running[authorized.call.call]
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = await process.wait()
        return Ran(
            exit_code=None if ended_by else (code if code >= 0 else 128 - code),
            output=output[: job.output_bytes],
            truncated=len(output) > job.output_bytes,
            ended_by=ended_by,
            duration_ms=round((time.monotonic() - started) * 1000),
        )

    async def probe(self) -> Sequence[Check]:
        return (Check("sandbox", Standing.WARNING, "no walls: a fake for tests", "Never use it outside tests."),)

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._signal(session, signal.SIGSTOP)

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._signal(session, signal.SIGCONT)

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._signal(session, signal.SIGKILL)

    def _signal(self, session: SessionId | None, number: signal.Signals) -> tuple[CallId, ...]:
        reached = [(call, pid) for call, (of, pid) in self._running.items() if session in (None, of)]
        for _, pid in reached:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)
        return tuple(call for call, _ in reached)

    def _admit(self, authorized: AuthorizedCall) -> None:
        if self._key is not None:
            verify_call(authorized, self._key, self._now_ms())
        used = authorized.mac + authorized.call.call.encode()
        if used in self._used:
            raise AuthorityInvalid("the call was used before")
        self._used.add(used)


async def _converse(process: asyncio.subprocess.Process, job: Job) -> tuple[bytes, str]:
    """Feed the input and read the output until it ends or passes a limit: (output, the limit that ended it)."""
    assert process.stdin is not None
    assert process.stdout is not None
    output = bytearray()

    async def feed(pipe: asyncio.StreamWriter) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            pipe.write(job.stdin)
            await pipe.drain()
            pipe.close()
            await pipe.wait_closed()

    feeding = asyncio.create_task(feed(process.stdin))
    try:
        async with asyncio.timeout(job.timeout_ms / 1000):
            while piece := await process.stdout.read(65_536):
                output += piece
                if len(output) > job.output_bytes:
                    return bytes(output), "output"
            await process.wait()
    except TimeoutError:
        return bytes(output), "time"
    finally:
        feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await feeding
    return bytes(output), ""
