"""Spawn to exit: a sandboxed job beside bare bubblewrap and a plain child process, in one run.

Run: `.venv/bin/python bench/sandbox/run.py [--json FILE] [--rounds N]`. The three are interleaved, so that noise of
the machine falls on all alike. Gateway CPU is this process's own time per job (children not counted).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from carapax.adapters.sandbox.bwrap import BwrapSandbox
from carapax.core.terms.action import CanonicalCall, Effect, ToolManifest
from carapax.core.terms.authority import AuthorizedCall, authority_bytes
from carapax.core.terms.ids import CallId, Digest, EntryIndex, SessionId, ToolName, TurnId
from carapax.core.terms.label import Integrity
from carapax.ports.sandbox import Job, Mount

KEY = os.urandom(32)
INTERPRETER = str(Path(sys.executable).resolve())
BARE = ("--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
MANIFEST = ToolManifest(ToolName("bench"), "", Effect.CODE, (), Integrity.EXTERNAL, True, True)


class WallClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


def sealed(number: int) -> AuthorizedCall:
    digest = Digest(hashlib.sha256(b"bench\0{}").hexdigest())
    call = CanonicalCall(CallId(f"c{number}"), SessionId("s"), TurnId("t"), MANIFEST, (), "{}", digest)
    until = WallClock().now_ms() + 60_000
    entry, policy = EntryIndex(0), Digest("0" * 64)
    return AuthorizedCall(
        call, entry, policy, until, hmac.digest(KEY, authority_bytes(call, entry, policy, until), "sha256")
    )


def cpu_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1000


async def plain(words: tuple[str, ...]) -> None:
    child = await asyncio.create_subprocess_exec(*words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    await child.communicate()
    assert child.returncode == 0


def row(times: list[float], cpu: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "median_ms": round(statistics.median(times), 2),
        "p95_ms": round(ordered[int(len(ordered) * 0.95)], 2),
        "gateway_cpu_ms": round(statistics.mean(cpu), 2),
    }


async def measure(rounds: int, workspace: Path) -> dict[str, dict[str, float]]:
    sandbox = BwrapSandbox(workspace, KEY, WallClock())
    count = 0

    def in_sandbox(words: tuple[str, ...]) -> Callable[[], Awaitable[object]]:
        async def once() -> None:
            nonlocal count
            count += 1
            ran = await sandbox.run(sealed(count), Job(words, mount=Mount.WRITE))
            assert ran.exit_code == 0, ran

        return once

    programs = {
        "true": ("/usr/bin/true",),
        "python3 -I -S -c pass": (INTERPRETER, "-I", "-S", "-c", "pass"),
    }
    ways: dict[str, Callable[[], Awaitable[object]]] = {}
    for name, words in programs.items():
        ways[f"plain child: {name}"] = lambda words=words: plain(words)  # type: ignore[misc]
        ways[f"bare bwrap: {name}"] = lambda words=words: plain(("bwrap", *BARE, "--", *words))  # type: ignore[misc]
        ways[f"sandbox: {name}"] = in_sandbox(words)
    times: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 3):
        for name, once in ways.items():
            used, began = cpu_ms(), time.perf_counter()
            await once()
            if turn >= 3:  # the first few fill caches
                times[name].append((time.perf_counter() - began) * 1000)
                cpu[name].append(cpu_ms() - used)
    began = time.perf_counter()
    await sandbox.probe()
    probe_ms = round((time.perf_counter() - began) * 1000, 1)
    sandbox.close()
    return {**{name: row(times[name], cpu[name]) for name in ways}, "probe": {"median_ms": probe_ms}}


def main() -> None:
    parser = argparse.ArgumentParser(description="Spawn-to-exit medians of a sandboxed job.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=100)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(chosen.rounds, Path(folder).resolve()))
    machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "load": [round(x, 2) for x in os.getloadavg()]}
    print(f"{machine}")
    for name, figures in found.items():
        print(f"{name:36}", "  ".join(f"{key} {value:8.2f}" for key, value in figures.items()))
    if chosen.json:
        chosen.json.write_text(
            json.dumps({"machine": machine, "rounds": chosen.rounds, "figures": found}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
