"""Probe: the default tier's self-test, by the recipe every job runs with, and what its walls are made of.

Layer: adapters/sandbox/bwrap. Owns the words for this tier's standing; attempts and judgement are `selftest`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from carapax.adapters.sandbox.bwrap.launch import Plan
from carapax.adapters.sandbox.launcher.build import INSTALL
from carapax.adapters.sandbox.selftest import Tried, try_online, try_walls
from carapax.core.terms.check import Check, Standing

LATER = (
    "not promised by this tier: faults of the kernel itself, a service that opens its socket in the workspace while a "
    "job runs, and a git repository that a job makes where there was none"
)


async def probe_walls(plan: Plan, tried: Tried) -> Sequence[Check]:
    """What the walls are made of, one check per attempt, and what is not promised."""
    return (*_standing(plan), *await try_walls(tried), *await try_online(tried), _later())


def _standing(plan: Plan) -> tuple[Check, ...]:
    lacks = plan.walls.launcher.lacks
    launcher = f"launcher in Python ({lacks})" if lacks else "launcher"
    made = (
        f"{plan.walls.version}, {launcher}, Landlock {plan.walls.landlock}, system call filter, {plan.walls.ceilings}"
    )
    if plan.walls.tree is None:
        advice = "For one ceiling over all processes of a job, run Carapax under systemd with `Delegate=yes`."
        return (Check("the sandbox", Standing.WARNING, made, advice),)
    if lacks:
        return (Check("the sandbox", Standing.WARNING, made, INSTALL),)
    if os.geteuid() == 0:
        advice = "Run Carapax as an ordinary user: what breaks out of a wall then gains less."
        return (Check("the sandbox", Standing.WARNING, f"{made}; the gateway runs as root", advice),)
    return (Check("the sandbox", Standing.OK, made),)


def _later() -> Check:
    return Check("what the sandbox does not stop", Standing.OK, LATER)
