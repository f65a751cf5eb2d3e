"""Walls proven before use: no tool runs until this machine's sandbox has refused every attempt to get out.

Layer: app; wraps a ports.sandbox.Sandbox. A sandbox that was configured but never applied is the field's commonest
failure, so the attempts are really made at every start. Law: a failed or unfinished proof means nothing runs.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from carapax.adapters.egress.keeper import Keeper
from carapax.adapters.providers.catalogue import SECRET_VARIABLES
from carapax.adapters.sandbox.admission import Admission
from carapax.adapters.sandbox.bwrap.adapter import BwrapSandbox
from carapax.adapters.sandbox.running import RunningJobs
from carapax.adapters.sandbox.selftest import Online
from carapax.adapters.sandbox.tiered import TieredSandbox
from carapax.app.home import Home
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.tier import Provenance, WallTier
from carapax.ports.clock import Clock
from carapax.ports.egress import Gate
from carapax.ports.sandbox import Job, Ran, Sandbox


class ProvenSandbox:
    """Implements Sandbox. The proof starts with `prove`, or with the first run."""

    def __init__(self, inner: Sandbox, refuse: Callable[[SessionId], None] | None = None) -> None:
        self._inner = inner
        self._refuse = refuse  # raises SandboxUnavailable while the session, or everything, is halted
        self._proof: asyncio.Task[Sequence[Check]] | None = None

    def prove(self) -> asyncio.Task[Sequence[Check]]:
        """Start the attempts once; the same task for everybody."""
        if self._proof is None:
            self._proof = asyncio.create_task(self._attempt(), name="walls")
        return self._proof

    async def run(self, authorized: AuthorizedCall, job: Job) -> Ran:
        checks = await asyncio.shield(self.prove())
        failed = next((check for check in checks if check.standing is Standing.FAILED), None)
        if failed is not None:
            self._proof = None  # tried anew at the next call: the owner may have mended it
            raise SandboxUnavailable(
                f"A wall does not hold: {failed.name}: {failed.found}.", next_step=failed.next_step
            )
        if self._refuse is not None:
            self._refuse(authorized.call.session)
        return await self._inner.run(authorized, job)

    async def probe(self) -> Sequence[Check]:
        return await self._inner.probe()

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._inner.freeze(session)

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._inner.thaw(session)

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._inner.kill(session)

    async def _attempt(self) -> Sequence[Check]:
        try:
            return await self._inner.probe()
        except SandboxUnavailable as error:
            return (Check("sandbox", Standing.FAILED, error.what, error.next_step),)


class ClosedSandbox(Sandbox, Protocol):
    """A sandbox that holds something until it is closed."""

    def close(self) -> None: ...


class LateSandbox:
    """Implements Sandbox by one that is made when it is first needed: most gateways never need the stronger tiers."""

    def __init__(self, make: Callable[[], ClosedSandbox]) -> None:
        self._make = make
        self._made: ClosedSandbox | None = None

    def _sandbox(self) -> ClosedSandbox:
        if self._made is None:
            self._made = self._make()
        return self._made

    async def run(self, authorized: AuthorizedCall, job: Job) -> Ran:
        return await self._sandbox().run(authorized, job)

    async def probe(self) -> Sequence[Check]:
        return await self._sandbox().probe()

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        return () if self._made is None else self._made.freeze(session)

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        return () if self._made is None else self._made.thaw(session)

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        return () if self._made is None else self._made.kill(session)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the walls stand: the home that keeps their records, the workspace, the seal's key, and what no job may see."""

    home: Home
    workspace: Path
    key: bytes
    clock: Clock
    hidden: Path


@dataclass(frozen=True, slots=True)
class Walls:
    """The tiers of one gateway. `first` is the one that every start proves; the others are proven before their first job."""

    sandbox: TieredSandbox
    first: ProvenSandbox
    closing: tuple[Callable[[], None], ...] = ()

    def prove(self) -> asyncio.Task[Sequence[Check]]:
        """Start the proof of the default tier once; the same task for everybody."""
        return self.first.prove()

    def close(self) -> None:
        """Let go of idle threads, warm sandboxes and the machine's snapshot. No job may be running. Blocking, bounded."""
        for close in self.closing:
            close()


def build_walls(
    place: Place,
    keeper: Keeper | None,
    floor: Callable[[], Mapping[Provenance, WallTier]],
    refuse: Callable[[SessionId], None] | None = None,
    online: Online | None = None,
) -> Walls:
    """Every tier of this machine, each proven by itself. Raises SandboxUnavailable when the workspace is unfit.

    `online` gives ways out to the self-test, which then tries what works through them.
    """
    admission = Admission(place.key, place.clock)  # one for all tiers: a sealed call runs once, wherever
    jobs = RunningJobs(place.home.jobs)
    forbidden = (place.hidden,)
    attach = keeper.attach if keeper is not None else None
    default = BwrapSandbox(
        place.workspace, place.key, place.clock,
        forbidden=forbidden, jobs=jobs, attach=attach, build=place.home.build, admission=admission,
        online=online,
    )  # fmt: skip

    def strong() -> ClosedSandbox:
        from carapax.adapters.sandbox.gvisor.adapter import GvisorSandbox

        return GvisorSandbox(
            place.workspace, place.key, place.clock,
            forbidden=forbidden, jobs=jobs, attach=attach, admission=admission, online=online,
        )  # fmt: skip

    def disposable() -> ClosedSandbox:
        from carapax.adapters.sandbox.vm.adapter import VmSandbox

        return VmSandbox(
            place.workspace, place.key, place.clock,
            forbidden=forbidden, jobs=jobs, attach=attach, admission=admission, kernels=(Home(place.hidden).guest,),
            online=online,
        )  # fmt: skip

    def pure() -> ClosedSandbox:
        from carapax.adapters.sandbox.pure.adapter import PureSandbox

        return PureSandbox(place.key, place.clock, admission=admission, jobs=jobs, build=place.home.build)

    tiers: dict[WallTier, ClosedSandbox] = {
        WallTier.PURE: LateSandbox(pure),
        WallTier.DEFAULT: default,
        WallTier.STRONG: LateSandbox(strong),
        WallTier.DISPOSABLE: LateSandbox(disposable),
    }
    proven = {tier: ProvenSandbox(sandbox, refuse) for tier, sandbox in tiers.items()}
    return Walls(TieredSandbox(proven, floor), proven[WallTier.DEFAULT], tuple(t.close for t in tiers.values()))


def open_keeper(home: Home, environ: Mapping[str, str], gate: Gate, trust: str = "") -> Keeper:
    """The way to the egress proxy, whose process starts when it is first needed. `trust`: a file of further authorities."""
    argv = [sys.executable, "-I", "-m", "carapax.app.proxy", "--home", str(home.root)]
    if trust:
        argv += ["--trust", str(Path(trust).expanduser().absolute())]
    passed = {
        name: environ[name] for name in (*SECRET_VARIABLES.values(), "CREDENTIALS_DIRECTORY") if environ.get(name)
    }
    return Keeper(argv, gate, environment=passed, record=home.run / "proxy.json")
