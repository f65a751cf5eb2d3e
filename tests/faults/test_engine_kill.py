"""Engines under SIGKILL: nothing that was kept is lost, lanes stay in order, what ended is never run again."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.engine.subjects import dbos_database, dbos_file
from tests.fakes.postgres import PostgresServer, shared_server
from tests.faults.engine_child import pieces

PATIENCE_S = 60.0


def _child(*words: str) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.engine_child", *words], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _judge(said: list[list[str]], count: int) -> None:
    """The laws, over everything that every process said."""
    lanes = dict(pieces(count))
    begun: list[str] = []
    ended: list[str] = []
    over: set[str] = set()
    behind: dict[str, int] = {}  # the highest number that began in each lane
    for line in (line for process in said for line in process):
        match line.split():
            case ["begin", key, _]:
                assert key not in over, f"{key} ran again after it was done"
                number, lane = int(key[1:]), lanes[key]
                if lane:
                    assert number >= behind.get(lane, -1), f"{key} ran again after its successor in {lane} began"
                    assert number < 6 or f"p{number - 6}" in ended, f"{key} began before p{number - 6} ended"
                    behind[lane] = number
                begun.append(key)
            case ["end", key]:
                ended.append(key)
            case ["done", key]:
                over.add(key)
    assert over == set(lanes)
    assert set(ended) == set(lanes), f"lost: {sorted(set(lanes) - set(ended))}"
    assert all(begun.count(key) >= ended.count(key) for key in lanes)


@pytest.mark.parametrize(("engine", "kills", "count"), [("embedded", 30, 300), ("dbos", 8, 60)])
def test_nothing_is_lost_or_out_of_order_when_processes_are_killed(
    tmp_path: Path, engine: str, kills: int, count: int
) -> None:
    if engine == "dbos":
        dbos_file(tmp_path)
    said = _child("kill", engine, str(tmp_path), "7", str(kills), str(count))
    killed = [process for process in said if process[-1] == "killed"]
    assert len(killed) >= kills * 2 // 3, "most processes finished before their time"
    amid = [process for process in killed if any(line.startswith("begin") for line in process)]
    assert len(amid) >= kills // 2, "most processes were killed before they ran anything"
    assert said[-1][-1] == "ended 0", said[-1][-3:]
    _judge(said, count)


@pytest.mark.parametrize("engine", ["embedded", "dbos"])
def test_a_piece_that_ends_its_process_is_dead_after_its_tries(tmp_path: Path, engine: str) -> None:
    if engine == "dbos":
        dbos_file(tmp_path)
    said = _child("poison", engine, str(tmp_path))
    assert [process[:1] for process in said[:3]] == [[f"begin poison {n}"] for n in (1, 2, 3)]
    assert len(said) == 4
    assert said[3][0] == "begin next 1"
    assert said[3][1].startswith("dead poison 3 the process ended during try 3 of 3; it is not tried again")


def _answers(said: dict[str, Any], key: str) -> bool:
    return said.get("key") == key and said["word"] in ("kept", "refused")


class Worker:
    """A process that runs pieces of a PostgreSQL database."""

    def __init__(self, address: str, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.engine_child", "worker", address, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        self._out = self.process.stdout.fileno()
        self._rest = b""
        self.said: list[dict[str, Any]] = []

    def start(self, key: str, lane: str = "", body: str = "{}") -> bool:
        """Let it start a piece; whether it did."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([key, lane, body]).encode() + b"\n")
        self.process.stdin.flush()
        seen = len([said for said in self.said if _answers(said, key)])
        self.until(lambda _: len([said for said in self.said if _answers(said, key)]) > seen)
        return [said for said in self.said if _answers(said, key)][-1]["word"] == "kept"

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """What it said, once it said this."""
        deadline, looked = time.monotonic() + PATIENCE_S, 0
        while time.monotonic() < deadline:
            for said in self.said[looked:]:
                if wanted(said):
                    return said
            looked = len(self.said)
            self.read(0.1)
        raise AssertionError(f"it did not say so: {self.said}")

    def read(self, wait_s: float) -> None:
        """Take what it says."""
        if select.select([self._out], [], [], wait_s)[0] and (new := os.read(self._out, 65_536)):
            *lines, self._rest = (self._rest + new).split(b"\n")
            self.said += [json.loads(line) for line in lines]

    def end(self) -> None:
        """Let it close, or kill it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        if not self.process.stdin.closed:
            self.process.stdin.close()


@contextmanager
def _workers(address: str) -> Iterator[tuple[Worker, Worker]]:
    both = (Worker(address, "a"), Worker(address, "b"))
    try:
        for worker in both:
            worker.until(lambda said: said["word"] == "ready")
        yield both
    finally:
        for worker in both:
            worker.end()


def _held_by(both: tuple[Worker, Worker], key: str) -> tuple[Worker, Worker]:
    """Who holds a piece, and the other."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for mine, other in (both, both[::-1]):
            mine.read(0.05)
            if any(said["word"] == "begin" and said["key"] == key for said in mine.said):
                return mine, other
    raise AssertionError(f"nobody began {key}")


def test_the_work_of_a_killed_machine_runs_on_the_other_one(record_property: Callable[[str, object], None]) -> None:
    with _workers(dbos_database()) as both:
        both[0].start("held", "l", "hold")
        dying, living = _held_by(both, "held")
        living.start("behind", "l")
        dying.process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        again = living.until(lambda said: said["word"] == "begin" and said["key"] == "held")
        assert again["attempts"] == 2
        living.until(lambda said: said["word"] == "end" and said["key"] == "behind")
        order = [said["key"] for said in living.said if said["word"] == "end"]
        assert order == ["held", "behind"]
        record_property("take_over_s", round(again["at"] - killed, 3))


def test_a_lane_is_in_order_also_when_two_machines_start_and_run_it() -> None:
    with _workers(dbos_database()) as both:
        keys = [f"p{n}" for n in range(30)]
        for number, key in enumerate(keys):
            both[number % 2].start(key, "l")
        deadline, events = time.monotonic() + PATIENCE_S, []
        while time.monotonic() < deadline:
            for worker in both:
                worker.read(0.05)
            events = [s for worker in both for s in worker.said if s["word"] in ("begin", "end")]
            if len([s for s in events if s["word"] == "end"]) >= len(keys):
                break
        events.sort(key=lambda said: said["at"])
        assert [(s["word"], s["key"]) for s in events] == [(w, k) for k in keys for w in ("begin", "end")]


def test_a_machine_that_is_cut_off_stops_and_comes_back() -> None:
    address = dbos_database()
    name = address.split("/")[-1].split("?")[0]
    server: PostgresServer = shared_server()
    with _workers(address) as both:
        both[0].start("held", "l", "hold")
        cut, other = _held_by(both, "held")
        server.query(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
            f"WHERE locktype = 'advisory' AND objsubid = 1 AND datname = '{name}'"
        )
        cut.until(lambda said: said["word"] == "cut" and said["key"] == "held")
        deadline = time.monotonic() + PATIENCE_S
        while not (ends := [s for w in both for s in w.said if s["word"] == "end" and s["key"] == "held"]):
            assert time.monotonic() < deadline
            for worker in both:
                worker.read(0.05)
        assert len(ends) == 1
        for number, worker in enumerate((cut, other, cut, other)):
            worker.start(f"after{number}", f"l{number}")
        deadline = time.monotonic() + PATIENCE_S
        while len({s["key"] for w in both for s in w.said if s["word"] == "end"}) < 5:
            assert time.monotonic() < deadline
            for worker in both:
                worker.read(0.05)


def test_a_server_that_comes_back_finds_everything_as_it_was() -> None:
    server = PostgresServer(fsync=True).start()
    worker = None
    try:
        worker = Worker(server.database(), "a")
        worker.until(lambda said: said["word"] == "ready")
        assert worker.start("held", "l", "hold")
        worker.until(lambda said: said["word"] == "begin" and said["key"] == "held")
        assert worker.start("behind", "l")
        server.halt(crash=True)
        worker.until(lambda said: said["word"] == "cut" and said["key"] == "held")
        assert not worker.start("lost", "m")
        server.resume()
        deadline = time.monotonic() + PATIENCE_S
        while not worker.start("again", "m"):
            assert time.monotonic() < deadline
        worker.until(lambda said: said["word"] == "end" and said["key"] == "behind")
        worker.until(lambda said: said["word"] == "end" and said["key"] == "again")
        ends = [said["key"] for said in worker.said if said["word"] == "end"]
        assert sorted(ends) == ["again", "behind", "held"]
        assert ends.index("held") < ends.index("behind")
    finally:
        if worker is not None:
            worker.end()
        server.stop()
