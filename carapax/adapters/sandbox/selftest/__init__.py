"""The self-test of the sandbox tiers: the same attempts to get out, run inside each of them and judged alike.

Layer: adapters/sandbox; shared by all tiers. `judge.try_walls` is its door, `online.try_online` that of what works
through the way out.
"""

from carapax.adapters.sandbox.selftest.expected import EXPECTED, Attempt
from carapax.adapters.sandbox.selftest.judge import Online, Tried, judge, try_walls
from carapax.adapters.sandbox.selftest.online import try_online

__all__ = ("EXPECTED", "Attempt", "Online", "Tried", "judge", "try_online", "try_walls")
