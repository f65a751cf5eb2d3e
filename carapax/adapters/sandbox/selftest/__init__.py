"""The self-test of the sandbox tiers: the same attempts to get out, run inside each of them and judged alike.

Layer: adapters/sandbox; shared by all tiers. `judge.try_walls` is its door.
"""

from carapax.adapters.sandbox.selftest.expected import EXPECTED, Attempt
from carapax.adapters.sandbox.selftest.judge import Tried, judge, try_walls

__all__ = ("EXPECTED", "Attempt", "Tried", "judge", "try_walls")
