"""Tiered sandbox: sends each job to the tier that its origin needs, and to no other.

Layer: adapters/sandbox. Owns the words for a tier that is not there. Absent: proving walls (`app` wraps each tier) and
the choice itself (`core/policy/walls`).
Law: a job is never run in a lower tier than chosen; when that tier is missing, nothing runs.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from carapax.core.policy.walls import choose_tier
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.tier import Provenance, WallTier
from carapax.ports.sandbox import Job, Ran, Sandbox

Floor = Callable[[], Mapping[Provenance, WallTier]]

_MADE_OF: Mapping[WallTier, tuple[str, str]] = {
    WallTier.PURE: ("an interpreter without system access (Monty)", "Run `make setup` again (pydantic-monty)."),
    WallTier.DEFAULT: ("bubblewrap", "Install it (Debian, Ubuntu: `apt install bubblewrap`)."),
    WallTier.STRONG: ("gVisor", "Install it (Debian, Ubuntu: `apt install runsc`)."),
    WallTier.DISPOSABLE: ("a virtual machine (QEMU)", "Install it (Debian, Ubuntu: `apt install qemu-system-x86`)."),
}


class TieredSandbox:
    """Implements Sandbox over one sandbox per tier; `floor` is asked at every job what the policy wants at least."""

    def __init__(self, tiers: Mapping[WallTier, Sandbox], floor: Floor) -> None:
        self._tiers = dict(tiers)
        self._floor = floor

    async def run(self, authorized: AuthorizedCall, job: Job) -> Ran:
        """Run the job in its tier. Raises SandboxUnavailable when that one is missing, whatever others are there."""
        tier = choose_tier(job.provenance, self._floor())
        sandbox = self._tiers.get(tier)
        if sandbox is None:
            made_of, remedy = _MADE_OF[tier]
            raise SandboxUnavailable(
                f"code of this kind ({job.provenance.value}) needs tier {tier.value}, {made_of}, which is not set up "
                "here; no weaker tier stands in for it",
                next_step=f"{remedy} Then restart Carapax and run `carapax doctor --walls`.",
            )
        return await sandbox.run(authorized, job)

    async def probe(self) -> Sequence[Check]:
        """Every tier's checks, under its number. A stronger tier that cannot start at all is a warning, as it runs nothing."""
        found: list[Check] = []
        for tier in sorted(WallTier):
            sandbox = self._tiers.get(tier)
            found += [_missing(tier)] if sandbox is None else _named(tier, await sandbox.probe())
            await asyncio.sleep(0)
        return tuple(found)

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Halt the running jobs of a session (None: all), in every tier."""
        return _once(sandbox.freeze(session) for sandbox in self._tiers.values())

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Let them go on."""
        return _once(sandbox.thaw(session) for sandbox in self._tiers.values())

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        """End them."""
        return _once(sandbox.kill(session) for sandbox in self._tiers.values())


def _once(found: Iterable[tuple[CallId, ...]]) -> tuple[CallId, ...]:
    # Tiers may share one registry of running jobs, and then each names them all.
    return tuple(dict.fromkeys(call for calls in found for call in calls))


def _named(tier: WallTier, checks: Sequence[Check]) -> list[Check]:
    if len(checks) == 1 and checks[0].standing is Standing.FAILED and tier is not WallTier.DEFAULT:
        only = dataclasses.replace(checks[0], standing=Standing.WARNING, found=f"{checks[0].found}; it runs nothing")
        checks = (only,)
    return [dataclasses.replace(check, name=f"tier {tier.value}: {check.name}") for check in checks]


def _missing(tier: WallTier) -> Check:
    made_of, remedy = _MADE_OF[tier]
    standing = Standing.FAILED if tier is WallTier.DEFAULT else Standing.WARNING
    found = f"{made_of} is not set up; what needs this tier is refused"
    return Check(f"tier {tier.value}: the sandbox", standing, found, remedy)
