"""Tiered: each job goes to the tier of its origin and to no other, missing ones refuse, halting reaches all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from carapax.adapters.sandbox.admission import Admission
from carapax.adapters.sandbox.tiered import TieredSandbox
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.error import AuthorityInvalid, SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.tier import Provenance, WallTier
from carapax.ports.sandbox import Job, Ran
from tests.attacks.sealing import KEY, WallClock, mint


class Tier:
    """Records what reaches it."""

    def __init__(self, checks: Sequence[Check] = (), admission: Admission | None = None) -> None:
        self.jobs: list[Job] = []
        self.halted: list[tuple[str, SessionId | None]] = []
        self._checks, self._admission = checks, admission

    async def run(self, authorized: AuthorizedCall, job: Job) -> Ran:
        if self._admission is not None:
            self._admission.admit(authorized, job)
        self.jobs.append(job)
        return Ran(0, b"", False, "", 0)

    async def probe(self) -> Sequence[Check]:
        return self._checks

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._halt("freeze", session)

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._halt("thaw", session)

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        return self._halt("kill", session)

    def _halt(self, what: str, session: SessionId | None) -> tuple[CallId, ...]:
        self.halted.append((what, session))
        return (CallId("shared"), CallId(f"own-{id(self)}"))


def four() -> dict[WallTier, Tier]:
    return {tier: Tier() for tier in WallTier}


def job(provenance: Provenance) -> Job:
    return Job(("true",), provenance=provenance)


@pytest.mark.parametrize("provenance", Provenance)
def test_a_job_reaches_its_tier_and_no_other(provenance: Provenance) -> None:
    tiers = four()
    asyncio.run(TieredSandbox(tiers, dict).run(mint(), job(provenance)))
    expected = {"expression": 0, "ours": 1, "agent": 1, "approved": 1, "third_party": 2, "binary": 3}[provenance]
    assert {tier.value: len(found.jobs) for tier, found in tiers.items()} == {
        number: int(number == expected) for number in range(4)
    }


@pytest.mark.parametrize("missing", WallTier)
def test_a_missing_tier_refuses_and_none_stands_in(missing: WallTier) -> None:
    tiers = four()
    del tiers[missing]
    box = TieredSandbox(tiers, lambda: dict.fromkeys(Provenance, missing))
    lowest = [provenance for provenance in Provenance if missing > 0 or provenance is Provenance.EXPRESSION]
    for provenance in lowest:
        if (provenance is Provenance.THIRD_PARTY and missing < 2) or (provenance is Provenance.BINARY and missing < 3):
            continue
        with pytest.raises(SandboxUnavailable, match=f"needs tier {missing.value}") as caught:
            asyncio.run(box.run(mint(), job(provenance)))
        assert any(word in caught.value.next_step for word in ("apt install", "make setup"))
    assert all(found.jobs == [] for found in tiers.values())


def test_the_policy_is_asked_at_every_job() -> None:
    tiers, floor = four(), {Provenance.AGENT: WallTier.STRONG}
    box = TieredSandbox(tiers, lambda: floor)
    asyncio.run(box.run(mint(), job(Provenance.AGENT)))
    floor.clear()
    asyncio.run(box.run(mint(), job(Provenance.AGENT)))
    assert (len(tiers[WallTier.STRONG].jobs), len(tiers[WallTier.DEFAULT].jobs)) == (1, 1)


def test_a_call_used_in_one_tier_is_used_in_all() -> None:
    admission = Admission(KEY, WallClock())
    tiers = {tier: Tier(admission=admission) for tier in WallTier}
    box = TieredSandbox(tiers, dict)
    sealed = mint()
    asyncio.run(box.run(sealed, job(Provenance.AGENT)))
    with pytest.raises(AuthorityInvalid, match="already used"):
        asyncio.run(box.run(sealed, job(Provenance.THIRD_PARTY)))
    assert tiers[WallTier.STRONG].jobs == []


def test_halting_reaches_every_tier_and_names_each_call_once() -> None:
    tiers = four()
    box = TieredSandbox(tiers, dict)
    for act in (box.freeze, box.thaw, box.kill):
        named = act(SessionId("s"))
        assert len(named) == len(set(named)) == 5
    assert all(found.halted == [(what, "s") for what in ("freeze", "thaw", "kill")] for found in tiers.values())


def test_checks_carry_their_tiers_number_and_faults_stay_faults() -> None:
    bad, good = Check("a wall", Standing.FAILED, "open", "mend"), Check("a wall", Standing.OK, "shut")
    tiers = {WallTier.DEFAULT: Tier((good,)), WallTier.STRONG: Tier((good, bad))}
    checks = asyncio.run(TieredSandbox(tiers, dict).probe())
    assert [(check.name, check.standing) for check in checks] == [
        ("tier 0: the sandbox", Standing.WARNING),
        ("tier 1: a wall", Standing.OK),
        ("tier 2: a wall", Standing.OK),
        ("tier 2: a wall", Standing.FAILED),
        ("tier 3: the sandbox", Standing.WARNING),
    ]
    assert all(check.next_step for check in checks if check.standing is not Standing.OK)


def test_a_stronger_tier_that_runs_nothing_is_a_warning_but_never_the_default_one() -> None:
    gone = Check("the sandbox", Standing.FAILED, "not installed", "install it")
    tiers = {WallTier.DEFAULT: Tier((gone,)), WallTier.STRONG: Tier((gone,))}
    checks = {check.name: check for check in asyncio.run(TieredSandbox(tiers, dict).probe())}
    assert checks["tier 1: the sandbox"].standing is Standing.FAILED
    assert checks["tier 2: the sandbox"].standing is Standing.WARNING
    assert "runs nothing" in checks["tier 2: the sandbox"].found
    without = asyncio.run(TieredSandbox({}, dict).probe())
    assert [check.standing for check in without][1] is Standing.FAILED
