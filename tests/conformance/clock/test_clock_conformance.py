"""Every clock: wall time in milliseconds, and a monotonic one that never goes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from carapax.app.clock import SystemClock, new_id, spoken_code
from carapax.ports.clock import Clock
from tests.fakes.ledger import ToldClock
from tests.unit.guard.rig import FakeClock

CLOCKS: list[Callable[[], Clock]] = [SystemClock, FakeClock, ToldClock]


@pytest.mark.parametrize("make", CLOCKS, ids=lambda make: make.__name__)
def test_a_clock(make: Callable[[], Clock]) -> None:
    clock = make()
    assert 1_500_000_000_000 < clock.now_ms() < 5_000_000_000_000
    looks = [clock.monotonic_ms() for _ in range(100)]
    assert looks == sorted(looks)


def test_ids_sort_by_time_and_differ() -> None:
    ids = [new_id(ms) for ms in (1, 2, 1_700_000_000_000, 1_800_000_000_000)]
    assert ids == sorted(ids)
    assert {len(i) for i in ids} == {26}
    assert len({new_id(5) for _ in range(1_000)}) == 1_000


def test_spoken_codes_have_no_letters_that_are_taken_for_others() -> None:
    letters = set("".join(spoken_code(50) for _ in range(50)))
    assert not letters & set("01OIL")
