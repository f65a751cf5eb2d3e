"""What each tier adds to a plain child process, and fifty sandboxes of the default tier at once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.walls.figures import KEY, Figure, Missing, WallClock, at_most, median, sealed, told
from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap import BwrapSandbox
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Job, Mount, Sandbox

ROUNDS = 60
STRONG_ROUNDS = 8
READY_S = 2
MACHINE_ROUNDS = 5
AT_ONCE = 50
UP_S = 60
TRUE = "/usr/bin/true"


async def plain() -> None:
    """The same program without walls."""
    child = await asyncio.create_subprocess_exec(TRUE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    await child.communicate()
    if child.returncode != 0:
        raise Missing(f"{TRUE} cannot be run here")


def walled(sandbox: Sandbox) -> Callable[[], Awaitable[None]]:
    """The program in a sandbox, its workspace writable."""

    async def once() -> None:
        ran = await sandbox.run(sealed(), Job((TRUE,), mount=Mount.WRITE))
        if ran.exit_code != 0:
            raise Missing(f"{TRUE} did not run in the sandbox: {ran}")

    return once


async def interleaved(ways: dict[str, Callable[[], Awaitable[None]]], rounds: int) -> dict[str, list[float]]:
    """Every way in turn, so that the machine's noise falls on all alike."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 2):
        for name, once in ways.items():
            began = time.perf_counter()
            await once()
            if turn >= 2:  # the first fill caches
                times[name].append(time.perf_counter() - began)
    return times


async def measure_default(folder: Path) -> list[Figure]:
    """Tier 1: its overhead over a plain child process, spawn to exit."""
    sandbox = BwrapSandbox(folder, KEY, WallClock())
    try:
        times = await interleaved({"plain": plain, "walled": walled(sandbox)}, ROUNDS)
    except SandboxUnavailable as error:
        raise Missing(error.what) from error
    finally:
        sandbox.close()
    bare, inside = median(times["plain"]), median(times["walled"])
    return [
        told("a plain child process", bare, "ms"),
        told("tier 1, spawn to exit", inside, "ms"),
        at_most("tier 1, over a plain child", inside - bare, "ms", 15),
    ]


async def measure_strong(folder: Path) -> list[Figure]:
    """Tier 2: the first job of a sandbox, and one that finds a box ready."""
    try:
        from carapax.adapters.sandbox.gvisor.adapter import GvisorSandbox
    except ImportError as error:
        raise Missing("tier 2 is not in this tree") from error
    cold: list[float] = []
    warm: list[float] = []
    try:
        for _ in range(STRONG_ROUNDS):
            sandbox = GvisorSandbox(folder, KEY, WallClock())
            once = walled(sandbox)
            try:
                for times, pause_s in ((cold, 0), (warm, READY_S)):
                    await asyncio.sleep(pause_s)  # as between two steps of a turn: a box is made ready meanwhile
                    began = time.perf_counter()
                    await once()
                    times.append(time.perf_counter() - began)
            finally:
                sandbox.close()
    except SandboxUnavailable as error:
        raise Missing(error.what) from error
    return [
        told("tier 2, the first job", median(cold), "ms"),
        told(f"tier 2, a job {READY_S} s later", median(warm), "ms"),
    ]


async def measure_machine(folder: Path) -> list[Figure]:
    """Tier 3: a machine restored for one program."""
    try:
        from carapax.adapters.sandbox.vm import VmSandbox
        from tests.attacks.machine import KERNELS
    except ImportError as error:
        raise Missing("tier 3 is not in this tree") from error
    sandbox = VmSandbox(folder, KEY, WallClock(), kernels=(KERNELS,))
    try:
        await sandbox.time_restore()  # boots the original
        times = [await sandbox.time_restore() / 1000 for _ in range(MACHINE_ROUNDS)]
    except SandboxUnavailable as error:
        raise Missing(error.what) from error
    finally:
        await asyncio.to_thread(sandbox.close)
    return [told("tier 3, restore and run", median(times), "ms")]


async def measure_many(folder: Path) -> list[Figure]:
    """Fifty sandboxes at once: each waits until all are up, so that none can finish before the last has begun."""
    sandbox = BwrapSandbox(folder, KEY, WallClock(), bounds=Bounds(jobs=AT_ONCE))
    script = "touch here-{n}; i=0; while [ ! -e go ] && [ $i -lt 90 ]; do sleep 1; i=$((i+1)); done; [ -e go ]"
    jobs = [Job(("sh", "-c", script.format(n=n)), mount=Mount.WRITE, timeout_ms=120_000) for n in range(AT_ONCE)]
    try:
        await walled(sandbox)()  # builds the launcher, once
        began = time.perf_counter()
        running = [asyncio.ensure_future(sandbox.run(sealed(), job)) for job in jobs]
        up_ms = 0.0
        for _ in range(UP_S * 50):
            if len(os.listdir(folder)) >= AT_ONCE or all(one.done() for one in running):
                up_ms = (time.perf_counter() - began) * 1000
                break
            await asyncio.sleep(0.02)
        os.close(os.open(folder / "go", os.O_CREAT | os.O_WRONLY, 0o644))
        ran = await asyncio.gather(*running, return_exceptions=True)
    finally:
        sandbox.close()
    failed = [one for one in ran if isinstance(one, BaseException) or one.exit_code != 0]
    for one in failed[:3]:
        print(f"one of {AT_ONCE} failed: {one}", file=sys.stderr)
    if not up_ms:
        raise Missing(f"{AT_ONCE} sandboxes were not up at once within {UP_S} s; {len(failed)} failed")
    return [
        at_most(f"of {AT_ONCE} sandboxes at once, failed", len(failed), "", 0),
        told(f"{AT_ONCE} sandboxes, until all are up at once", up_ms, "ms"),
    ]
