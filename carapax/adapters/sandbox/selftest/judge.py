"""Judge: runs the attempts inside a tier, demands the expected refusal of each, and that ordinary work still works.

Layer: adapters/sandbox/selftest. Owns the passes and the judgement; `Tried` is what a tier gives to be judged.
Law: an attempt that answers anything but what is expected, or does not answer, is a failed check.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.selftest.bait import Bait, laid_bait, read_planted
from carapax.adapters.sandbox.selftest.bombs import Bomb, bombs
from carapax.adapters.sandbox.selftest.expected import EXPECTED, JUDGED_OUTSIDE, READ_ONLY_PASS
from carapax.adapters.sandbox.selftest.work import Work, works
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.egress import Traffic, Way
from carapax.core.terms.error import SandboxUnavailable
from carapax.core.terms.ids import CallId
from carapax.ports.sandbox import Job, Mount, Ran

ATTEMPTS = Path(__file__).with_name("attempts.py")
REPAIR = "Do not run tools on this machine; update bubblewrap, libseccomp and the kernel, then run `carapax doctor`."
_WITHIN_MS = 20_000


class Online(Protocol):
    """Ways out for the self-test's own jobs, and the service on this machine's loopback that they lead to."""

    @property
    def base(self) -> str:
        """Where the service is: `https://host:port`, a name that only the self-test's proxy knows."""
        ...

    @property
    def port(self) -> int: ...

    async def open_trial(self, call: CallId) -> Way:
        """A way that lets nothing out but to the service. Raises CarapaxError."""
        ...

    async def close_way(self, way: Way) -> Traffic: ...


@dataclass(frozen=True, slots=True)
class Tried:
    """One tier to be tried. `start` runs a job without a seal, with the given folder as its workspace."""

    start: Callable[[Job, Path], Awaitable[Ran]]
    bounds: Bounds
    forbidden: tuple[Path, ...] = ()  # Carapax's own folders
    interpreter: str = field(default_factory=lambda: str(Path(sys.executable).resolve()))  # as seen inside
    expected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # answers of this tier's own
    without: frozenset[str] = frozenset()  # attempts this tier does not promise to stop; it must say so elsewhere
    prefix: str = ""  # of the checks' names, to tell tiers apart
    online: Online | None = None  # None: nothing is tried through a way out


async def try_walls(tier: Tried) -> tuple[Check, ...]:
    """One check per attempt, per bomb and per kind of work."""
    with laid_bait(tier.forbidden) as bait:
        others = [name for name in EXPECTED if name not in READ_ONLY_PASS]
        found = await asyncio.gather(
            _attempt(tier, bait, Mount.WRITE, bait.workspace, others),
            _attempt(tier, bait, Mount.READ, bait.shared, list(READ_ONLY_PASS)),
            *(_try_bomb(tier, bait, bomb) for bomb in bombs(tier.bounds, tier.interpreter)),
            *(_try_work(tier, bait, work) for work in works(tier.interpreter)),
        )
    return tuple(check for checks in found for check in checks)


def judge(name: str, met: str | None, took_ms: int = 0, tier: Tried | None = None) -> Check:
    """The check of one attempt from what it met: anything but the expected refusal fails."""
    row = EXPECTED[name]
    expected = row.expected if tier is None else tier.expected.get(name, row.expected)
    words = row.words if tier is None else tier.prefix + row.words
    if met in expected:
        return Check(words, Standing.OK, "refused" if met == "none" else f"refused ({met})", duration_ms=took_ms)
    found = "no answer" if met is None else "it was possible" if met == "open" else f"an unexpected answer ({met})"
    return Check(words, Standing.FAILED, found, REPAIR, took_ms)


async def _attempt(tier: Tried, bait: Bait, mount: Mount, folder: Path, names: list[str]) -> tuple[Check, ...]:
    names = [name for name in names if name not in tier.without]
    began = time.monotonic()
    told = {
        **bait.words,
        "tmp": str(tier.bounds.tmp_bytes),
        "shm": str(tier.bounds.shm_bytes),
        "only": ",".join(JUDGED_OUTSIDE.get(name, name) for name in names),
    }
    words = (f"{name}={value}" for name, value in told.items())
    job = Job((tier.interpreter, "-I", "-S", "-c", ATTEMPTS.read_text(), *words), mount=mount, timeout_ms=_WITHIN_MS)
    try:
        ran = await tier.start(job, folder)
    except SandboxUnavailable as error:
        return (Check(f"{tier.prefix}starting a job ({mount})", Standing.FAILED, error.what, error.next_step),)
    took_ms = int((time.monotonic() - began) * 1000)
    met = dict(line.split("\t", 1) for line in ran.output.decode("utf-8", "replace").splitlines() if "\t" in line)
    if "planted-link" in names and met.get("plant-link") == "open":
        met["planted-link"] = read_planted(bait)
    return tuple(judge(name, met.get(name), took_ms, tier) for name in names)


async def _try_bomb(tier: Tried, bait: Bait, bomb: Bomb) -> tuple[Check, ...]:
    if bomb.name in tier.without:
        return ()
    words = tier.prefix + bomb.words
    try:
        ran = await tier.start(bomb.job, bait.workspace)
    except SandboxUnavailable as error:
        return (Check(words, Standing.FAILED, error.what, error.next_step),)
    if bomb.stopped(ran):
        return (Check(words, Standing.OK, "stopped", duration_ms=ran.duration_ms),)
    return (Check(words, Standing.FAILED, "it was not stopped", REPAIR, ran.duration_ms),)


async def _try_work(tier: Tried, bait: Bait, work: Work) -> tuple[Check, ...]:
    if work.name in tier.without:
        return ()
    words = f"{tier.prefix}{work.name} works inside"
    try:
        ran = await tier.start(work.job, bait.shared)
    except SandboxUnavailable as error:
        return (Check(words, Standing.FAILED, error.what, error.next_step),)
    if ran.exit_code == 0 and ran.output.strip() == work.says:
        return (Check(words, Standing.OK, "it does", duration_ms=ran.duration_ms),)
    said = ran.output[-200:].decode("utf-8", "replace").strip().replace("\n", "; ")
    advice = "Nothing gets out, but tools will fail; run `carapax doctor` after mending it."
    return (Check(words, Standing.WARNING, f"it does not: {said or ran.ended_by}", advice, ran.duration_ms),)
