"""The parts of the DBOS engine: its database, its bell, the forms it keeps, and its life in the process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.engine.dbos import rows
from carapax.adapters.engine.dbos.adapter import DbosEngine
from carapax.adapters.engine.dbos.bell import Bell
from carapax.adapters.engine.dbos.database import open_database, unix_epoch
from carapax.adapters.engine.dbos.envelope import (
    Try,
    lane_key,
    parse_inputs,
    parse_piece,
    parse_try,
    render_begin,
    render_end,
    render_inputs,
    work_id,
)
from carapax.adapters.engine.dbos.watch import lock_number, make_executor
from carapax.adapters.engine.rules import REMEMBERED_MS, Outcome
from carapax.core.terms.error import Malformed, StoreUnavailable
from carapax.core.terms.work import Work, WorkState
from tests.conformance.engine.subjects import (
    Dbos,
    Diary,
    Wall,
    dbos_file,
    until_counts,
    until_state,
)
from tests.fakes.postgres import shared_server


def _scene(work: object) -> None:
    asyncio.run(asyncio.wait_for(work, 60))  # type: ignore[arg-type]


def test_a_file_is_opened_for_durable_work_by_one_process(tmp_path: Path) -> None:
    path = tmp_path / "work.db"
    database = open_database(str(path))
    with database.engine.connect() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
        assert found == ["wal", 2, 1, 30_000]
        now = connection.exec_driver_sql("SELECT unixepoch('subsec')").scalar()
        assert isinstance(now, float)
        assert abs(now - time.time()) < 60
        assert isinstance(connection.exec_driver_sql("SELECT unixepoch()").scalar(), int)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(StoreUnavailable, match="another process"):
        open_database(str(path))
    database.close()
    database.close()
    open_database(str(path)).close()
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        open_database(str(tmp_path / "nowhere" / "work.db"))


def test_the_moment_that_old_sqlite_does_not_know() -> None:
    assert unix_epoch() == unix_epoch("now") == int(time.time())
    assert isinstance(unix_epoch("now", "subsec"), float)
    assert unix_epoch("2001-01-01") is None


@pytest.mark.parametrize("address", ["postgresql://u:pw@/d?host=%2Ftmp", "postgresql://u@/d?host=%2Ftmp&password=pw"])
def test_an_address_holds_no_password(address: str) -> None:
    with pytest.raises(StoreUnavailable, match="holds a password") as raised:
        open_database(address)
    assert "PGPASSFILE" in raised.value.next_step
    with pytest.raises(StoreUnavailable, match="does not parse"):
        open_database("postgresql://u@localhost:port/d")


def test_a_server_that_is_away_is_said(tmp_path: Path) -> None:
    file = dbos_file(tmp_path)

    async def work() -> None:
        with pytest.raises(StoreUnavailable):
            await DbosEngine.open(f"postgresql://u@/d?host={tmp_path}", Wall())
        await (await DbosEngine.open(file, Wall())).close(0)

    _scene(work())


def test_a_bell_wakes_pauses_and_stops() -> None:
    bell, heard = Bell(), []

    def listen() -> None:
        while not bell.wait(30):
            heard.append(1)
            rung.set()

    rung = threading.Event()
    thread = threading.Thread(target=listen)
    thread.start()
    bell.ring()
    assert rung.wait(10)
    bell.pause(True)
    rung.clear()
    bell.ring()
    assert not rung.wait(0.05)
    bell.pause(False)
    assert rung.wait(10)
    assert not bell.is_set()
    bell.pause(True)
    bell.set()
    thread.join(10)
    assert bell.is_set()
    assert bell.wait(30)


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
TIMES = st.integers(0, 1 << 50)


@given(TEXT, TEXT, TEXT, TEXT, TIMES, TIMES)
def test_a_piece_survives_its_form(kind: str, key: str, lane: str, body: str, started: int, due: int) -> None:
    work = Work(kind, key, lane, body, started, due_ms=due)
    assert parse_inputs(render_inputs(work)) == work
    assert (work_id(kind, key) == work_id("a", "b")) is ((kind, key) == ("a", "b"))


@given(st.integers(0, 9), TEXT, st.sampled_from(list(WorkState)), TIMES, TIMES)
def test_a_try_survives_its_form(attempts: int, text: str, state: WorkState, due_ms: int, at_ms: int) -> None:
    outcome = Outcome(state, attempts, text, due_ms)
    assert parse_try(render_end(outcome, at_ms)) == Try(attempts, outcome=outcome, at_ms=at_ms)
    assert parse_try(render_begin(attempts, text)) == Try(attempts, text)


def test_what_is_no_piece_is_refused() -> None:
    for text in ("", "[]", "{}", '{"positionalArgs":[]}', '{"positionalArgs":[{"form":1}]}', '{"positionalArgs":[7]}'):
        with pytest.raises(Malformed):
            parse_inputs(text)
    with pytest.raises(Malformed, match="later release"):
        parse_piece({"form": 2})
    for step in (None, {}, {"attempts": 1}, {"attempts": 1, "state": "odd", "error": "", "due_ms": 0, "at_ms": 0}):
        with pytest.raises(Malformed):
            parse_try(step)


def test_pieces_without_a_lane_share_none() -> None:
    alone = {lane_key(Work("k", key, "", "", 1)) for key in "ab"}
    assert len(alone | {lane_key(Work("k", "a", next(iter(alone)), "", 1))}) == 3


def test_an_executor_is_known_by_its_lock() -> None:
    one = make_executor()
    number = lock_number(one)
    assert number is not None
    assert 0 <= number < 1 << 62
    assert one != make_executor()
    assert lock_number("local") is lock_number("carapax-zz") is None


def _raw(file: str, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement, values)


# A piece as the first release with durable work kept it. Never change it: add the forms of later releases.
FIRST_STATUS = {
    "workflow_uuid": "wfcff4c6ae75f68a70ba5a54c6a0a97a7ba09dca1b1cb8d2da0ca8ac5cbcf0c3c",
    "status": "PENDING",
    "name": "carapax.work",
    "application_id": "turn",
    "application_version": "carapax-work",
    "application_name": "carapax",
    "executor_id": "local",
    "queue_name": "carapax",
    "queue_partition_key": "lane:s",
    "priority": 0,
    "recovery_attempts": 1,
    "serialization": "portable_json",
    "created_at": 1_700_000_000_000,
    "updated_at": 1_700_000_000_000,
}
FIRST_INPUTS = (
    '{"namedArgs":{},"positionalArgs":[{"form":1,"kind":"turn","key":"old","lane":"s","body":"{}",'
    '"started_ms":1700000000000,"due_ms":0}]}'
)
FIRST_BEGIN = '{"attempts":1,"by":"0123456789abcdef0123456789abcdef"}'


def test_work_of_the_previous_release_is_taken_up(tmp_path: Path) -> None:
    file = dbos_file(tmp_path)
    id = work_id("turn", "old")
    columns = FIRST_STATUS | {"workflow_uuid": id}
    _raw(
        file,
        f"INSERT INTO workflow_status ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        *columns.values(),
    )
    _raw(
        file,
        "INSERT INTO workflow_input (workflow_uuid, inputs, retention_timestamp) VALUES (?, ?, 1)",
        id,
        FIRST_INPUTS,
    )
    step = "(workflow_uuid, function_id, function_name, output, serialization, retention_timestamp)"
    _raw(
        file,
        f"INSERT INTO operation_outputs {step} VALUES (?, 1, 'begin', ?, 'portable_json', 1)",
        id,
        FIRST_BEGIN,
    )
    later = json.loads(FIRST_INPUTS)
    later["positionalArgs"][0]["form"] = 9
    columns |= {"workflow_uuid": "wlater", "status": "ENQUEUED", "queue_partition_key": "alone:wlater"}
    _raw(
        file,
        f"INSERT INTO workflow_status ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        *columns.values(),
    )
    _raw(
        file,
        "INSERT INTO workflow_input (workflow_uuid, inputs, retention_timestamp) VALUES ('wlater', ?, 1)",
        json.dumps(later),
    )

    async def work() -> None:
        diary = Diary()
        async with Dbos(file).process() as engine:
            engine.register("turn", diary.note)
            await engine.start("turn", "new", "{}", lane="s")
            await engine.launch()
            await diary.until(2)
            assert [(w.key, w.attempts) for w in diary.ran] == [("old", 2), ("new", 1)]
            await until_counts(engine, {"turn.dead": 1})
            (dead,) = await engine.dead()
            assert "later release" in dead.error

    _scene(work())


def test_one_engine_at_a_time_and_nothing_left_behind(tmp_path: Path) -> None:
    file, before = dbos_file(tmp_path), set(threading.enumerate())

    async def work() -> None:
        for number in range(3):
            diary = Diary()
            engine = await DbosEngine.open(file, Wall())
            with pytest.raises(StoreUnavailable, match="another engine"):
                await DbosEngine.open(str(tmp_path / "other.db"), Wall())
            engine.register("turn", diary.note)
            await engine.launch()
            await engine.start("turn", f"t{number}", "{}")
            await diary.until(1)
            await engine.close(1)
            with pytest.raises(StoreUnavailable):
                await engine.find("turn", "t0")

    _scene(work())
    left = [t for t in threading.enumerate() if t not in before and not t.daemon]
    for thread in left:
        thread.join(10)
    assert not [t.name for t in left if t.is_alive()]


def test_what_ended_a_week_ago_is_forgotten_what_died_is_not(tmp_path: Path) -> None:
    file = dbos_file(tmp_path)

    async def work() -> None:
        diary = Diary()

        async def run(work: Work) -> None:
            await diary.note(work)
            if work.key == "dead":
                raise OSError

        async with Dbos(file).process() as engine:
            engine.register("turn", run, tries=1)
            await engine.launch()
            for key in ("old", "young", "dead"):
                await engine.start("turn", key, f"long body of {key}" * 500)
            await until_state(engine, "turn", "old", "done")
            await until_state(engine, "turn", "young", "done")
            await until_state(engine, "turn", "dead", "dead")
        for key in ("old", "dead"):
            _raw(
                file,
                "UPDATE workflow_status SET completed_at = completed_at - ? WHERE workflow_uuid = ?",
                REMEMBERED_MS + 5_000,
                work_id("turn", key),
            )
        async with Dbos(file).process() as engine:
            engine.register("turn", run)
            await engine.launch()
            for _ in range(1_000):
                if await engine.find("turn", "old") is None:
                    break
                await asyncio.sleep(0.01)
            assert await engine.find("turn", "old") is None
            assert await engine.find("turn", "young") is not None
            assert await engine.find("turn", "dead") is not None
            assert await engine.start("turn", "old", "{}")
            dead = await engine.find("turn", "dead")
            assert dead is not None
            assert dead.body == "long body of dead" * 500

    _scene(work())
    with contextlib.closing(sqlite3.connect(file)) as connection:
        for table in ("workflow_input", "workflow_output", "operation_outputs"):
            orphans = (
                f"SELECT count(*) FROM {table} WHERE workflow_uuid NOT IN (SELECT workflow_uuid FROM workflow_status)"
            )
            assert connection.execute(orphans).fetchone() == (0,)
        bodies = [
            text for (text,) in connection.execute("SELECT inputs FROM workflow_input WHERE inputs LIKE '%long%'")
        ]
        assert [parse_inputs(text).key for text in bodies] == ["dead"]


def test_a_lone_piece_that_is_due_much_later_waits_in_the_database_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = dbos_file(tmp_path)
    monkeypatch.setattr(rows, "DELAYED_MS", 100)

    async def work() -> None:
        diary = Diary()
        async with Dbos(file).process() as engine:
            engine.register("turn", diary.note)
            await engine.launch()
            due_ms = Wall().now_ms() + 700
            await engine.start("turn", "later", "{}", due_ms=due_ms)
            with contextlib.closing(sqlite3.connect(file)) as connection:
                assert connection.execute("SELECT status FROM workflow_status").fetchall() == [("DELAYED",)]
            later = await engine.find("turn", "later")
            assert later is not None
            assert (later.state, later.due_ms) == (WorkState.WAITING, due_ms)
            await diary.until(1)
            assert Wall().now_ms() >= due_ms

    _scene(work())


def test_importing_the_engines_loads_no_heavy_library() -> None:
    program = (
        "import sys, carapax.adapters.engine.dbos.adapter, carapax.adapters.engine.embedded.adapter\n"
        "print(sorted({'dbos', 'sqlalchemy', 'psycopg', 'websockets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


OPEN = """
import asyncio, sys
from carapax.adapters.engine.dbos import rows
from carapax.adapters.engine.dbos.adapter import DbosEngine
from tests.conformance.engine.subjects import Wall
async def main():
    engine = await DbosEngine.open(sys.argv[1], Wall())
    await engine.start("turn", sys.argv[2], "{}")
    await engine.close(0)
asyncio.run(asyncio.wait_for(main(), 50))
"""


def test_two_processes_make_one_new_postgres_database() -> None:
    address = shared_server().database()
    both = [subprocess.Popen([sys.executable, "-c", OPEN, address, key]) for key in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]

    async def work() -> None:
        async with Dbos(address).process() as engine:
            assert await engine.find("turn", "a") is not None
            assert await engine.find("turn", "b") is not None

    _scene(work())
