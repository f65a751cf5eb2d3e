"""Faults of the breaker: the ledger is gone, the disk is full, the gateway is killed in the middle; it is halted all the same."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from carapax.app.incident_files import IncidentFiles
from carapax.core.terms.error import Conflict
from carapax.core.terms.event import Contained
from carapax.core.terms.incident import IncidentState
from tests.unit.app.alarm import A, Alarm, B


def test_without_a_ledger_it_is_halted_and_told_and_says_that_it_is_not_recorded(tmp_path: Path) -> None:
    async def play() -> None:
        alarm = Alarm(tmp_path)
        alarm.ledger.break_with("the disk is full")
        alarm.use_canary()
        await alarm.settled()
        assert alarm.order == [
            f"freeze {A}", f"cut {A}", "write 1 frozen", "ledger incident.opened", "write 1 frozen", f"tell {A}",
        ]  # fmt: skip
        found = alarm.files.read(1)
        assert (found.state, found.entry) == (IncidentState.FROZEN, -1)
        assert found.problems == ("Not in the ledger: the disk is full",)
        with pytest.raises(Conflict):
            alarm.hold.refuse_turn(A)

    asyncio.run(play())


def test_without_a_disk_it_is_halted_recorded_and_told(tmp_path: Path) -> None:
    (tmp_path / "incidents").write_text("in the way")

    async def play() -> None:
        alarm = Alarm(tmp_path)
        alarm.use_canary()
        await alarm.settled()
        assert alarm.order[:2] == [f"freeze {A}", f"cut {A}"]
        assert [entry.kind for entry in alarm.ledger.entries] == ["incident.opened"]
        told = alarm.told[0][1]
        assert isinstance(told, Contained)
        assert any("cannot be" in problem for problem in told.incident.problems)
        with pytest.raises(Conflict):
            alarm.hold.refuse_turn(A)

    asyncio.run(play())


def test_two_incidents_without_a_disk_have_two_numbers(tmp_path: Path) -> None:
    (tmp_path / "incidents").write_text("in the way")

    async def play() -> None:
        alarm = Alarm(tmp_path)
        alarm.use_canary(A)
        alarm.use_canary(B)
        await alarm.settled()
        assert {alarm.hold.find(A), alarm.hold.find(B)} == {1, 2}

    asyncio.run(play())


def test_with_everything_broken_the_session_is_held(tmp_path: Path) -> None:
    (tmp_path / "incidents").write_text("in the way")

    async def play() -> None:
        alarm = Alarm(tmp_path)
        alarm.walls.fails = {"freeze", "cut"}
        alarm.ledger.break_with("gone")
        alarm.use_canary()
        await alarm.settled()
        with pytest.raises(Conflict):
            alarm.hold.refuse_turn(A)
        alarm.hold.refuse_turn(B)

    asyncio.run(play())


CHILD = """if True:
    import asyncio, os, sys
    from pathlib import Path
    from tests.unit.app.alarm import Alarm

    async def main():
        alarm = Alarm(Path(sys.argv[1]))
        async def never(kind, body):
            os.write(1, b"halted\\n")
            await asyncio.sleep(60)
        alarm.ledger.append = never
        alarm.use_canary()
        await asyncio.sleep(60)

    asyncio.run(main())
"""


def test_a_gateway_that_is_killed_before_anybody_was_told_still_holds_after_the_restart(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"halted\n"
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=10)

    async def play() -> None:
        alarm = Alarm(tmp_path)
        assert alarm.incidents.load() == 1
        with pytest.raises(Conflict):
            alarm.hold.refuse_turn(A)
        found = alarm.files.read(1)
        assert (found.state, found.entry, found.to_told_ms) == (IncidentState.FROZEN, -1, -1)
        assert "processes are gone" in found.notes[0]

    asyncio.run(play())


@pytest.mark.parametrize("size", [0, 1, 40, 200])
def test_a_file_that_a_power_cut_left_half_written_holds_everybody(tmp_path: Path, size: int) -> None:
    async def first() -> None:
        alarm = Alarm(tmp_path)
        alarm.use_canary()
        await alarm.settled()

    async def second() -> None:
        alarm = Alarm(tmp_path)
        alarm.incidents.load()
        with pytest.raises(Conflict, match="incident 1"):
            alarm.hold.refuse_turn(B)

    asyncio.run(first())
    path = tmp_path / "incidents" / "1.json"
    path.write_bytes(path.read_bytes()[:size])
    asyncio.run(second())


def test_a_half_file_beside_it_is_not_an_incident(tmp_path: Path) -> None:
    (tmp_path / "incidents").mkdir()
    (tmp_path / "incidents" / "1.new").write_text(json.dumps({"format": "carapax-incident/1"})[:10])
    assert IncidentFiles(tmp_path / "incidents").all() == ()
