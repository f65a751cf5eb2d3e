"""A person's decision about an incident: who may, in which order it happens, and what a restart finds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from carapax.app.incidents import RESTARTED
from carapax.core.terms.error import CarapaxError, Conflict, LedgerUnavailable, NotFound, Refused
from carapax.core.terms.event import Contained
from carapax.core.terms.ids import PrincipalId, SessionId
from carapax.core.terms.incident import Act, IncidentState
from carapax.core.terms.label import OWNER
from carapax.core.terms.principal import Principal, Role, Scope
from tests.unit.app.alarm import A, Alarm, B

ME = Principal(OWNER, Role.OWNER, frozenset({Scope.APPROVE}), "cli")


async def opened(place: Path, *sessions: SessionId) -> Alarm:
    alarm = Alarm(place)
    for session in sessions or (A,):
        alarm.use_canary(session)
        await alarm.settled()
    alarm.order.clear()
    alarm.told.clear()
    return alarm


def test_resuming_is_in_the_ledger_and_on_disk_before_anything_goes_on(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = await opened(tmp_path)
        waits = asyncio.create_task(alarm.hold.passed(A))
        await asyncio.sleep(0)
        assert not waits.done()
        decided = await alarm.incidents.decide(ME, 1, Act.RESUME)
        assert alarm.order == ["ledger incident.resumed", "write 1 resumed", f"thaw {A}", f"tell {A}"]
        assert (decided.state, decided.decided_by) == (IncidentState.RESUMED, "cli")
        async with asyncio.timeout(10):
            await waits
        alarm.hold.refuse_turn(A)

    asyncio.run(play())


def test_killing_ends_processes_and_turns_and_keeps_the_session_closed(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = await opened(tmp_path)
        await alarm.incidents.decide(ME, 1, Act.KILL)
        assert alarm.order == ["ledger incident.killed", f"kill {A}", f"end {A}", "write 1 killed", f"tell {A}"]
        with pytest.raises(Conflict):
            alarm.hold.refuse_turn(A)
        await alarm.incidents.decide(ME, 1, Act.RESUME)  # a person may open it again
        alarm.hold.refuse_turn(A)

    asyncio.run(play())


def test_keeping_changes_nothing_but_the_record(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = await opened(tmp_path)
        await alarm.incidents.decide(ME, 1, Act.KEEP)
        assert alarm.order == ["ledger incident.kept", "write 1 kept", f"tell {A}"]
        assert alarm.hold.find(A) == 1
        assert alarm.incidents.undecided() == ()

    asyncio.run(play())


@pytest.mark.parametrize(
    "who",
    [
        replace(ME, scopes=frozenset({Scope.CHAT, Scope.READ})),
        replace(ME, scopes=frozenset()),
        Principal(PrincipalId("guest"), Role.GUEST, frozenset(Scope), "x"),
        Principal(PrincipalId("member"), Role.MEMBER, frozenset(Scope), "x"),
    ],
)
@pytest.mark.parametrize("act", list(Act))
def test_nobody_else_decides(tmp_path: Path, who: Principal, act: Act) -> None:
    async def play() -> None:
        alarm = await opened(tmp_path)
        with pytest.raises(Refused):
            await alarm.incidents.decide(who, 1, act)
        assert alarm.order == []
        assert alarm.hold.find(A) == 1

    asyncio.run(play())


def test_without_a_ledger_nothing_is_let_go_but_it_can_be_ended(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = await opened(tmp_path)
        alarm.ledger.break_with("the disk is full")
        with pytest.raises(LedgerUnavailable):
            await alarm.incidents.decide(ME, 1, Act.RESUME)
        assert f"thaw {A}" not in alarm.order
        assert alarm.hold.find(A) == 1
        killed = await alarm.incidents.decide(ME, 1, Act.KILL)
        assert f"kill {A}" in alarm.order
        assert "the disk is full" in killed.problems[-1]

    asyncio.run(play())


@pytest.mark.parametrize(
    ("first", "second"), [(Act.RESUME, Act.KILL), (Act.RESUME, Act.RESUME), (Act.KEEP, Act.KEEP), (Act.KILL, Act.KILL)]
)
def test_what_is_decided_is_not_decided_again(tmp_path: Path, first: Act, second: Act) -> None:
    async def play() -> None:
        alarm = await opened(tmp_path)
        await alarm.incidents.decide(ME, 1, first)
        with pytest.raises(Conflict):
            await alarm.incidents.decide(ME, 1, second)
        with pytest.raises(NotFound):
            await alarm.incidents.decide(ME, 2, second)

    asyncio.run(play())


def test_a_kept_one_can_still_be_resumed_or_killed(tmp_path: Path) -> None:
    async def play() -> None:
        for number, act in enumerate((Act.RESUME, Act.KILL)):
            alarm = await opened(tmp_path / str(number))
            await alarm.incidents.decide(ME, 1, Act.KEEP)
            assert (await alarm.incidents.decide(ME, 1, act)).state is not IncidentState.KEPT

    asyncio.run(play())


def test_letting_everything_go_leaves_what_another_incident_holds(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = await opened(tmp_path, A)
        alarm.hold.hold(9, None)
        alarm.files.write(replace(alarm.files.read(1), number=9, session=None))
        alarm.order.clear()
        await alarm.incidents.decide(ME, 9, Act.RESUME)
        assert alarm.order[-3:-1] == ["thaw None", f"freeze {A}"]
        assert (alarm.hold.find(A), alarm.hold.find(B)) == (1, None)

    asyncio.run(play())


def test_a_session_that_two_hold_goes_on_after_both(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = await opened(tmp_path)
        alarm.hold.hold(2, None)
        alarm.files.write(replace(alarm.files.read(1), number=2, session=None))
        waits = asyncio.create_task(alarm.hold.passed(A))
        await asyncio.sleep(0)
        await alarm.incidents.decide(ME, 1, Act.RESUME)
        assert f"thaw {A}" not in alarm.order
        await asyncio.sleep(0)
        assert not waits.done()
        await alarm.incidents.decide(ME, 2, Act.RESUME)
        async with asyncio.timeout(10):
            await waits

    asyncio.run(play())


@pytest.mark.parametrize(("act", "held"), [(None, True), (Act.KEEP, True), (Act.KILL, True), (Act.RESUME, False)])
def test_a_restart_finds_what_was_decided(tmp_path: Path, act: Act | None, held: bool) -> None:
    async def first() -> None:
        alarm = await opened(tmp_path)
        if act is not None:
            await alarm.incidents.decide(ME, 1, act)

    async def second() -> None:
        alarm = Alarm(tmp_path)
        assert alarm.incidents.load() == int(held)
        assert alarm.hold.find(A) == (1 if held else None)
        assert (RESTARTED in alarm.files.read(1).notes) is held
        alarm.incidents.load()
        assert alarm.files.read(1).notes.count(RESTARTED) == int(held)

    asyncio.run(first())
    asyncio.run(second())


def test_everybody_who_follows_is_told_of_opening_and_deciding(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = Alarm(tmp_path)
        news = alarm.incidents.follow()
        alarm.use_canary()
        await alarm.settled()
        await alarm.incidents.decide(ME, 1, Act.RESUME)
        async with asyncio.timeout(10):
            seen = [await anext(news), await anext(news)]
        states = [event.incident.state.value for event in seen if isinstance(event, Contained)]
        assert states == ["frozen", "resumed"]

    asyncio.run(play())


def test_who_does_not_read_holds_nobody_up_and_too_many_are_refused(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = Alarm(tmp_path)
        news = [alarm.incidents.follow() for _ in range(64)]
        with pytest.raises(CarapaxError):
            alarm.incidents.follow()
        alarm.use_canary()
        await alarm.settled()
        incident = alarm.files.read(1)
        for _ in range(1_000):
            alarm.incidents.tell(incident)
        async with asyncio.timeout(10):
            assert isinstance(await anext(news[0]), Contained)

    asyncio.run(play())
