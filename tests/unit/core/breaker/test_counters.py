"""The breaker's counting: each limit trips one over its figure, a busy honest day never does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carapax.core.breaker.counters import MAX_HOSTS, SLOT_MS, SLOTS, Counters, Minute, Scope, Trip, step
from carapax.core.breaker.limits import DEFAULT, Limits
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.signal import Signal, SignalKind

ME, CALL = SessionId("s1"), CallId("c1")
NOW = 1_000_000


def signal(kind: SignalKind, amount: int = 1, detail: str = "") -> Signal:
    return Signal(kind, ME, CALL, amount, detail)


def feed(
    scope: Scope, signals: list[tuple[int, Signal]], limits: Limits = DEFAULT, counters: Counters | None = None
) -> tuple[Counters, list[Trip]]:
    counters = counters or Counters(scope)
    trips = []
    for at, each in signals:
        counters, trip = step(counters, each, at, limits)
        if trip is not None:
            trips.append(trip)
    return counters, trips


MINUTES = [
    (SignalKind.DENIED, DEFAULT.denials_minute, "breaker.denials"),
    (SignalKind.MESSAGE, DEFAULT.messages_minute, "breaker.messages"),
    (SignalKind.FILE, DEFAULT.files_minute, "breaker.files"),
    (SignalKind.UPLOADED, DEFAULT.upload_minute_bytes, "breaker.upload"),
    (SignalKind.MISMATCH, DEFAULT.mismatches_minute, "breaker.mismatch"),
    (SignalKind.SCRUBBED, DEFAULT.scrubbed_minute, "breaker.scrubbed"),
    (SignalKind.SPENT, DEFAULT.spend_minute_usd_micro, "breaker.spend"),
]


@pytest.mark.parametrize(("kind", "limit", "rule"), MINUTES)
def test_a_session_trips_one_over_the_figure_and_not_at_it(kind: SignalKind, limit: int, rule: str) -> None:
    counters, trips = feed(Scope.SESSION, [(NOW, signal(kind, limit))])
    assert trips == []
    _, trips = feed(Scope.SESSION, [(NOW + 50_000, signal(kind))], counters=counters)
    assert [(t.rule, t.count, t.limit, t.session, t.call) for t in trips] == [(rule, limit + 1, limit, ME, CALL)]
    assert f"{limit:,} is the most" in trips[0].sentence


@pytest.mark.parametrize(("kind", "limit", "rule"), MINUTES)
def test_the_gateway_trips_at_its_multiple_and_then_halts_everybody(kind: SignalKind, limit: int, rule: str) -> None:
    most = limit * DEFAULT.gateway_times
    counters, trips = feed(Scope.GATEWAY, [(NOW, signal(kind, most))])
    assert trips == []
    _, trips = feed(Scope.GATEWAY, [(NOW, signal(kind))], counters=counters)
    assert [(t.rule, t.limit, t.session) for t in trips] == [(rule, most, None)]


@pytest.mark.parametrize(("kind", "limit", "rule"), MINUTES)
def test_what_is_over_a_minute_old_no_longer_counts(kind: SignalKind, limit: int, rule: str) -> None:
    later = NOW + SLOT_MS * SLOTS
    assert feed(Scope.SESSION, [(NOW, signal(kind, limit)), (later, signal(kind, limit))])[1] == []


def test_one_run_is_bounded_in_all_however_slowly_it_goes() -> None:
    each = DEFAULT.upload_run_bytes // 4
    slow = [(NOW + n * 3_600_000, signal(SignalKind.UPLOADED, each)) for n in range(5)]
    _, trips = feed(Scope.RUN, slow)
    assert [(t.rule, t.scope) for t in trips] == [("breaker.upload", Scope.RUN)]


def test_hosts_are_counted_once_each() -> None:
    same = [(NOW, signal(SignalKind.HOST, detail="pypi.org"))] * 500
    counters, trips = feed(Scope.SESSION, same)
    assert trips == []
    others = [(NOW, signal(SignalKind.HOST, detail=f"h{n}.example")) for n in range(DEFAULT.hosts_minute)]
    _, trips = feed(Scope.SESSION, others, counters=counters)
    assert [t.rule for t in trips] == ["breaker.hosts"]


def test_a_host_that_left_the_window_counts_again() -> None:
    counters, _ = feed(Scope.SESSION, [(NOW, signal(SignalKind.HOST, detail="a.example"))])
    later, _ = feed(
        Scope.SESSION, [(NOW + SLOT_MS * SLOTS, signal(SignalKind.HOST, detail="a.example"))], counters=counters
    )
    assert later.totals[SignalKind.HOST] == 2


def test_a_run_remembers_its_hosts_for_good() -> None:
    wide = [(NOW + n * 600_000, signal(SignalKind.HOST, detail=f"h{n % 30}.example")) for n in range(90)]
    counters, trips = feed(Scope.RUN, wide)
    assert (trips, counters.totals[SignalKind.HOST]) == ([], 30)


def test_the_hosts_kept_are_bounded() -> None:
    many = [(NOW, signal(SignalKind.HOST, detail=f"h{n}.example")) for n in range(MAX_HOSTS + 50)]
    counters, trips = feed(Scope.SESSION, many)
    assert len(counters.hosts) == MAX_HOSTS
    assert trips[-1].count == MAX_HOSTS + 50


def test_a_used_canary_trips_at_once_and_names_itself_and_where_to() -> None:
    used = signal(SignalKind.CANARY_USED, detail="vault/aws-backup -> files.example")
    _, trips = feed(Scope.SESSION, [(NOW, used)])
    assert [t.rule for t in trips] == ["breaker.canary"]
    assert trips[0].sentence == "a planted secret was used (canary vault/aws-backup) towards files.example."


def test_no_limit_lets_a_used_canary_pass() -> None:
    wide = Limits(*([10**15] * 12))
    assert feed(Scope.SESSION, [(NOW, signal(SignalKind.CANARY_USED))], wide)[1] != []


def test_reading_every_canary_does_not_trip() -> None:
    assert feed(Scope.SESSION, [(NOW, signal(SignalKind.CANARY_READ))] * 50)[1] == []


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        (SignalKind.DENIED, DEFAULT.denials_minute),
        (SignalKind.MESSAGE, DEFAULT.messages_minute),
        (SignalKind.MISMATCH, 2),
    ],
)
def test_after_a_canary_was_read_half_is_too_much(kind: SignalKind, limit: int) -> None:
    wary, _ = feed(Scope.SESSION, [(NOW, signal(SignalKind.CANARY_READ))])
    _, trips = feed(Scope.SESSION, [(NOW, signal(kind, limit // 2)), (NOW, signal(kind))], counters=wary)
    assert len(trips) == 1
    assert "because a planted secret was read before" in trips[0].sentence


def test_after_a_canary_was_read_work_inside_goes_on() -> None:
    wary, _ = feed(Scope.SESSION, [(NOW, signal(SignalKind.CANARY_READ))])
    assert feed(Scope.SESSION, [(NOW, signal(SignalKind.FILE, DEFAULT.files_minute))], counters=wary)[1] == []


def test_amounts_below_nothing_take_nothing_back() -> None:
    counters, _ = feed(Scope.SESSION, [(NOW, signal(SignalKind.DENIED, 20)), (NOW, signal(SignalKind.DENIED, -1_000))])
    assert counters.minutes[SignalKind.DENIED].count == 20


def test_kinds_do_not_mix() -> None:
    full = [
        (NOW, signal(kind, limit - 1)) for kind, limit, _ in MINUTES
    ]  # each just below its own; together they would be far over the lowest
    assert feed(Scope.SESSION, full)[1] == []


def test_a_busy_honest_day_does_not_trip() -> None:
    """Eight hours of reading, installing, mailing and being refused now and then, at a pace no person keeps up."""
    day: list[tuple[int, Signal]] = []
    for minute in range(480):
        at = NOW + minute * 60_000
        day += [(at + n * 300, signal(SignalKind.FILE)) for n in range(150)]
        day += [
            (at + n * 900, signal(SignalKind.HOST, detail=f"site{(minute * 7 + n) % 200}.example")) for n in range(20)
        ]
        day += [(at + n * 4_000, signal(SignalKind.MESSAGE)) for n in range(8)]
        day += [(at + n * 5_000, signal(SignalKind.DENIED)) for n in range(6)]
        day += [(at, signal(SignalKind.UPLOADED, 8 << 20)), (at, signal(SignalKind.SPENT, 3_000_000))]
    for scope in (Scope.SESSION, Scope.GATEWAY):
        assert feed(scope, sorted(day, key=lambda pair: pair[0]))[1] == []


def test_time_that_goes_back_forgets_nothing_and_does_not_stick() -> None:
    counters, trips = feed(Scope.SESSION, [(NOW, signal(SignalKind.DENIED, 20)), (0, signal(SignalKind.DENIED))])
    assert [t.rule for t in trips] == ["breaker.denials"]
    _, trips = feed(Scope.SESSION, [(SLOT_MS * SLOTS, signal(SignalKind.DENIED))], counters=counters)
    assert trips == []


def test_an_unmoved_minute_is_itself() -> None:
    minute = Minute(5, (1, 2, 3, 4, 5, 6, 7))
    assert minute.moved(5 * SLOT_MS) == minute
    assert minute.moved(7 * SLOT_MS).slots == (0, 0, 1, 2, 3, 4, 5)
    assert minute.moved(50 * SLOT_MS).count == 0


def test_a_policys_own_figure_counts() -> None:
    tight = replace(DEFAULT, denials_minute=1)
    assert feed(Scope.SESSION, [(NOW, signal(SignalKind.DENIED, 2))], tight)[1][0].limit == 1
