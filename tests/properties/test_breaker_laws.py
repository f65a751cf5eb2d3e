"""The laws of the breaker's counting, for any order of signals and any clock."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.core.breaker.counters import SLOT_MS, SLOTS, Counters, Scope, step
from carapax.core.breaker.limits import DEFAULT
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.signal import Signal, SignalKind

KINDS = st.sampled_from(list(SignalKind))
SIGNALS = st.builds(
    Signal,
    KINDS,
    st.just(SessionId("s")),
    st.one_of(st.none(), st.just(CallId("c"))),
    st.integers(-5, 10**9),
    st.text(max_size=20),
)
TIMES = st.integers(-(10**12), 10**15)


@given(st.lists(st.tuples(TIMES, SIGNALS), max_size=40), st.sampled_from(list(Scope)))
@settings(max_examples=200, deadline=None)
def test_counting_is_total_and_repeatable_and_never_below_nothing(
    steps: list[tuple[int, Signal]], scope: Scope
) -> None:
    first = second = Counters(scope)
    for at, signal in steps:
        first, trip = step(first, signal, at, DEFAULT)
        second, again = step(second, signal, at, DEFAULT)
        assert (first, trip) == (second, again)
        assert all(minute.count >= 0 and len(minute.slots) == SLOTS for minute in first.minutes.values())
        assert trip is None or trip.count > trip.limit


@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=80))
@settings(max_examples=200, deadline=None)
def test_the_window_holds_the_last_minute_and_at_most_ten_seconds_more(moments: list[int]) -> None:
    moments.sort()
    counters = Counters(Scope.SESSION)
    for seen, now in enumerate(moments, 1):
        counters, _ = step(counters, Signal(SignalKind.DENIED, SessionId("s")), now, DEFAULT)
        count = counters.minutes[SignalKind.DENIED].count
        past = moments[:seen]
        assert sum(now - at <= 60_000 for at in past) <= count <= sum(now - at < SLOT_MS * SLOTS for at in past)


@given(st.lists(st.integers(-(10**9), 10**9), min_size=2, max_size=60))
@settings(max_examples=200, deadline=None)
def test_going_back_in_time_never_makes_the_count_smaller(moments: list[int]) -> None:
    counters = Counters(Scope.SESSION)
    before, last = 0, None
    for now in moments:
        counters, _ = step(counters, Signal(SignalKind.DENIED, SessionId("s")), now, DEFAULT)
        count = counters.minutes[SignalKind.DENIED].count
        if last is not None and now <= last:
            assert count == before + 1
        before, last = count, now


@given(st.permutations([SignalKind.DENIED] * 12 + [SignalKind.MESSAGE] * 12 + [SignalKind.CANARY_READ] * 2))
@settings(max_examples=60, deadline=None)
def test_within_a_slot_the_order_changes_no_count(kinds: list[SignalKind]) -> None:
    counters = Counters(Scope.SESSION)
    for kind in kinds:
        counters, _ = step(counters, Signal(kind, SessionId("s")), 0, DEFAULT)
    assert counters.totals == {SignalKind.DENIED: 12, SignalKind.MESSAGE: 12, SignalKind.CANARY_READ: 2}
