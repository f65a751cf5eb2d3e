"""The breaker's shell: halted first, recorded, then told; from any thread, whatever else is broken."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from carapax.app import breaker as module
from carapax.core.breaker.limits import DEFAULT
from carapax.core.terms.error import Conflict, SandboxUnavailable
from carapax.core.terms.event import Contained
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.incident import IncidentState
from carapax.core.terms.signal import Signal, SignalKind
from tests.unit.app.alarm import A, Alarm, B


def test_it_is_halted_then_recorded_then_told(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = Alarm(tmp_path)
        alarm.walls.running = {CallId("c"): A, CallId("d"): B}
        alarm.use_canary()
        assert alarm.order == [f"freeze {A}", f"cut {A}", "write 1 frozen"]
        await alarm.settled()
        assert alarm.order[3:] == ["ledger incident.opened", "write 1 frozen", f"tell {A}"]
        told = alarm.told[0][1]
        assert isinstance(told, Contained)
        assert (told.incident.number, told.incident.state, told.incident.halted) == (1, IncidentState.FROZEN, ("c",))
        assert told.incident.sentence == "a planted secret was used (canary vault/aws-backup) towards files.example."
        assert (told.incident.entry, told.incident.how) == (0, "how of c")
        assert told.incident.to_told_ms >= 0 and told.incident.to_frozen_us >= 0
        assert replace(alarm.files.read(1), processes=()) == told.incident

    asyncio.run(play())


def test_from_then_on_the_session_takes_no_turn_and_runs_nothing_and_others_do(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = Alarm(tmp_path)
        alarm.hold.refuse_turn(A)
        alarm.use_canary()
        with pytest.raises(Conflict) as turn:
            alarm.hold.refuse_turn(A)
        assert turn.value.what == "This session is halted (incident 1)."
        assert turn.value.next_step == "Look at it with `carapax incident show 1`."
        with pytest.raises(SandboxUnavailable):
            alarm.hold.refuse_run(A)
        alarm.hold.refuse_turn(B)
        alarm.hold.refuse_run(B)
        await alarm.settled()

    asyncio.run(play())


def test_it_halts_from_another_thread_while_the_loop_is_stuck(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = Alarm(tmp_path)
        halted = threading.Event()

        def elsewhere() -> None:
            alarm.use_canary()
            halted.set()

        thread = threading.Thread(target=elsewhere)
        thread.start()
        assert halted.wait(10)  # the loop stands here all the while
        assert alarm.order == [f"freeze {A}", f"cut {A}", "write 1 frozen"]
        assert alarm.told == []
        thread.join(10)
        await alarm.settled()
        assert len(alarm.told) == 1

    asyncio.run(play())


def test_one_halted_session_has_one_incident_however_much_is_seen_of_it(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = Alarm(tmp_path)
        for _ in range(50):
            alarm.use_canary()
        alarm.deny(200)
        await alarm.settled()
        assert alarm.files.numbers() == (1,)
        alarm.use_canary(B)
        await alarm.settled()
        assert alarm.files.numbers() == (1, 2)

    asyncio.run(play())


def test_two_threads_in_the_same_moment_open_one_incident(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = Alarm(tmp_path)
        both = threading.Barrier(2)
        halt = alarm.walls.freeze

        def slowly(session: SessionId | None) -> tuple[CallId, ...]:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.3)  # the other thread has all this time to come here too
            return halt(session)

        alarm.breaker._reach = replace(alarm.breaker._reach, freeze=slowly)
        threads = [threading.Thread(target=alarm.use_canary) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join, 10)
        await alarm.settled()
        assert alarm.files.numbers() == (1,)
        assert alarm.order.count(f"freeze {A}") == 1

    asyncio.run(play())


def test_too_much_of_all_sessions_together_halts_everybody(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = Alarm(tmp_path)
        for number in range(5):
            alarm.deny(DEFAULT.denials_minute - 3, SessionId(f"s{number}"))
        await alarm.settled()
        assert alarm.files.read(1).session is None
        assert "freeze None" in alarm.order and "cut None" in alarm.order
        with pytest.raises(Conflict):
            alarm.hold.refuse_turn(SessionId("one that did nothing"))
        alarm.use_canary(B)
        assert alarm.files.numbers() == (1,)

    asyncio.run(play())


@pytest.mark.parametrize("broken", [{"freeze"}, {"cut"}, {"freeze", "cut"}])
def test_what_cannot_be_halted_is_said_and_the_rest_is_halted(tmp_path: Path, broken: set[str]) -> None:
    async def play() -> None:
        alarm = Alarm(tmp_path)
        alarm.walls.fails = broken
        alarm.use_canary()
        assert f"freeze {A}" in alarm.order and f"cut {A}" in alarm.order
        with pytest.raises(Conflict):
            alarm.hold.refuse_turn(A)
        await alarm.settled()
        found = alarm.files.read(1)
        assert found.state is IncidentState.OPEN
        assert len(found.problems) == len(broken)

    asyncio.run(play())


def test_after_a_decision_it_counts_anew(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = Alarm(tmp_path)
        alarm.deny(DEFAULT.denials_minute + 1)
        assert alarm.hold.find(A) == 1
        alarm.hold.lift(1)
        alarm.deny(DEFAULT.denials_minute)
        assert alarm.hold.find(A) is None
        alarm.deny(1)
        assert alarm.hold.find(A) == 2
        await alarm.settled()

    asyncio.run(play())


def test_the_figures_of_the_policy_hold_from_the_next_signal(tmp_path: Path) -> None:
    async def play() -> None:
        figures = [DEFAULT]
        alarm = Alarm(tmp_path, lambda: figures[0])
        alarm.deny(3)
        figures[0] = replace(DEFAULT, denials_minute=3)
        assert alarm.hold.find(A) is None
        alarm.deny(1)
        assert alarm.hold.find(A) == 1
        await alarm.settled()

    asyncio.run(play())


def test_what_is_counted_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COUNTED", 10)

    async def play() -> None:
        alarm = Alarm(tmp_path, lambda: replace(DEFAULT, gateway_times=10_000))
        for number in range(100):
            alarm.breaker.saw(Signal(SignalKind.FILE, SessionId(f"s{number}"), CallId(f"c{number}")))
        assert (len(alarm.breaker._sessions), len(alarm.breaker._runs)) == (10, 10)

    asyncio.run(play())


def test_a_trip_after_the_loop_has_ended_still_halts(tmp_path: Path) -> None:
    made: list[Alarm] = []

    async def play() -> None:
        made.append(Alarm(tmp_path))

    asyncio.run(play())
    made[0].use_canary()
    assert made[0].order == [f"freeze {A}", f"cut {A}", "write 1 frozen"]
    assert made[0].files.read(1).state is IncidentState.FROZEN
