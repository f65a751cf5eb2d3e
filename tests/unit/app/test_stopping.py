"""Stopping everything from a separate process: with no gateway, beside one that turns, and beside one that is stuck."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carapax.adapters.sandbox.mark import started
from carapax.app import stop_door, stopping
from carapax.app.hold import Hold
from carapax.app.stop_door import StopDoor
from carapax.app.stopping import end_recorded, mark_stopped, stop_everything, sweep_left
from carapax.core.terms.error import Conflict, SandboxUnavailable
from carapax.core.terms.ids import SessionId

A = SessionId("a")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may answer late; that is not the subject."""
    monkeypatch.setattr(stopping, "ANSWER_MS", 20_000)


class Killer:
    """Stands for the recorded jobs; notes whether the file lay there first."""

    def __init__(self, run: Path, alive: int) -> None:
        self.run, self.alive = run, alive
        self.found: list[bool] = []

    def __call__(self, folder: Path) -> int:
        assert folder == self.run / "jobs"
        self.found.append((self.run / "stopped").exists())
        alive, self.alive = self.alive, 0
        return alive


@contextmanager
def beside(run: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """A gateway's process with its stop door, that turns or is stuck."""
    run.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.app.stuck_gateway", str(run), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def test_without_a_gateway_the_file_lies_there_and_recorded_jobs_are_ended(tmp_path: Path) -> None:
    killer = Killer(tmp_path / "run", 4)
    done = stop_everything(tmp_path / "run", killer, 77)
    assert (done.jobs, done.gateway, done.answered, done.proxy) == (4, False, False, False)
    assert killer.found == [True, True]  # first the file, so that nothing begins meanwhile; then again, for what began
    assert json.loads((tmp_path / "run" / "stopped").read_text()) == {"stopped_ms": 77}
    assert stat.S_IMODE((tmp_path / "run" / "stopped").stat().st_mode) == 0o600


def test_a_gateway_that_turns_halts_records_and_stops_its_turns(tmp_path: Path, patient: None) -> None:
    with beside(tmp_path, "turning"):
        done = stop_everything(tmp_path, Killer(tmp_path, 1), 0)
    assert (done.jobs, done.gateway, done.answered, done.turns, done.recorded) == (3, True, True, 2, True)
    assert (tmp_path / "halted").read_text() == "all"


def test_a_gateway_whose_loop_is_stuck_halts_all_the_same_and_that_is_said(tmp_path: Path, patient: None) -> None:
    with beside(tmp_path, "stuck") as process:
        done = stop_everything(tmp_path, Killer(tmp_path, 1), 0)
        assert process.poll() is None  # it is still stuck
    assert (tmp_path / "halted").read_text() == "all"
    assert (done.jobs, done.gateway, done.answered, done.turns, done.recorded) == (3, True, True, -1, False)


def test_a_gateway_that_is_stopped_itself_is_not_waited_for(tmp_path: Path) -> None:
    with beside(tmp_path, "turning") as process:
        os.kill(process.pid, 19)  # SIGSTOP: no thread of it moves
        done = stop_everything(tmp_path, Killer(tmp_path, 1), 0)
        os.kill(process.pid, 18)
    assert (done.gateway, done.answered, done.turns, done.jobs) == (True, False, -1, 1)


def test_a_door_that_a_dead_gateway_left_is_no_gateway(tmp_path: Path) -> None:
    with beside(tmp_path, "turning"):
        pass
    assert (tmp_path / "stop.sock").exists()
    assert not stop_everything(tmp_path, Killer(tmp_path, 0), 0).gateway


def test_the_egress_proxy_is_ended_by_its_record(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "proxy.json").write_text(json.dumps({"pid": process.pid, "started": started(process.pid)}))
        assert stop_everything(tmp_path, Killer(tmp_path, 0), 0).proxy
        assert process.wait(10) == -9
    finally:
        process.kill()
        process.wait(10)


def test_a_start_ends_what_a_killed_gateway_left_and_forgets_it(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        told = {"pid": process.pid, "started": started(process.pid)}
        (tmp_path / "proxy.json").write_text(json.dumps(told))
        killer = Killer(tmp_path, 1)
        sweep_left(tmp_path, killer)
        assert process.wait(10) == -9
        assert killer.found == [False]
        assert not (tmp_path / "proxy.json").exists()
        sweep_left(tmp_path, killer)  # there is nothing any more
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.parametrize(
    "record",
    [
        '{"pid": PID, "started": "1"}',
        '{"pid": PID}',
        '{"pid": 1, "started": "0"}',
        "{",
        "[]",
        '{"pid": -1, "started": "x"}',
        '{"pid": "x", "started": ""}',
    ],
)
def test_no_other_process_is_ended(tmp_path: Path, record: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "proxy.json").write_text(record.replace("PID", str(process.pid)))
        assert not end_recorded(tmp_path / "proxy.json")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(10)


def test_the_mark_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "stopped").symlink_to(victim)
    with pytest.raises(OSError):
        mark_stopped(tmp_path / "stopped", 0)
    assert victim.read_text() == "precious"
    assert Hold(tmp_path / "stopped").stopped  # and the link alone keeps everything stopped


def test_while_it_lies_there_nothing_runs_and_no_message_is_taken(tmp_path: Path) -> None:
    hold = Hold(tmp_path / "stopped")
    hold.refuse_run(A)
    mark_stopped(tmp_path / "stopped", 0)
    with pytest.raises(SandboxUnavailable, match="stop --all"):
        hold.refuse_run(A)
    with pytest.raises(Conflict, match="stop --all") as refused:
        hold.refuse_turn(A)
    assert refused.value.next_step == "`carapax resume --all` lets it go on."
    with pytest.raises(Conflict):
        asyncio.run(hold.passed(A))
    hold.lift_stop()
    hold.lift_stop()
    hold.refuse_run(A)


def test_the_door_is_found_below_a_very_long_path(tmp_path: Path, patient: None) -> None:
    run = tmp_path / ("n" * 100) / ("m" * 100)
    with beside(run, "turning"):
        assert stop_everything(run, Killer(run, 0), 0).answered


@pytest.mark.parametrize("word", [b"", b"halt\n", b"stop", b"\x00" * 16])
def test_other_words_at_the_door_do_nothing(tmp_path: Path, word: bytes) -> None:
    with beside(tmp_path, "turning"), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(10)
        asking.connect(str(tmp_path / "stop.sock"))
        asking.sendall(word)
        asking.shutdown(socket.SHUT_WR)
        assert asking.recv(100) == b""
        assert not (tmp_path / "halted").exists()


def test_a_halt_that_fails_still_stops_the_turns(
    tmp_path: Path, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_door, "LOOP_MS", 10_000)

    async def play() -> None:
        def halt() -> int:
            raise RuntimeError("no")

        async def settle() -> tuple[int, bool]:
            return 5, True

        door = StopDoor(tmp_path, halt, settle)
        door.open()
        done = await asyncio.to_thread(stop_everything, tmp_path, Killer(tmp_path, 0), 0)
        assert (done.jobs, done.turns, done.recorded) == (0, 5, True)
        await asyncio.to_thread(door.close)
        assert not (tmp_path / "stop.sock").exists()

    asyncio.run(play())


def test_what_is_waited_for_stays_within_a_second() -> None:
    assert stop_door.LOOP_MS < stopping.ANSWER_MS < 500
