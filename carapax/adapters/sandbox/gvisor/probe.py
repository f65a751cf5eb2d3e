"""Probe: the strong tier's self-test, by the bundle every job runs with, and what its walls are made of.

Layer: adapters/sandbox/gvisor. Owns the answers that differ from the default tier's: here a kernel of the job's own
answers, so that an attempt on the kernel meets that one, and one on its own first process meets itself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from carapax.adapters.sandbox.gvisor.launch import Plan
from carapax.adapters.sandbox.relay.build import build_relay
from carapax.adapters.sandbox.selftest import Tried, try_walls
from carapax.core.terms.check import Check, Standing

EXPECTED: dict[str, tuple[str, ...]] = {}
WITHOUT: frozenset[str] = frozenset()


async def probe_walls(plan: Plan, tried: Tried) -> Sequence[Check]:
    """What the walls are made of, one check per attempt, and what is not promised."""
    return (*_standing(plan), *await try_walls(tried))


def _standing(plan: Plan) -> tuple[Check, ...]:
    return (Check("the sandbox", Standing.OK, plan.runtime.version),)
