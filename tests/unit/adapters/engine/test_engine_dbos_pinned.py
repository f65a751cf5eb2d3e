"""A database that somebody wrote into runs no code: every value that asks to be unpickled is refused, in every table."""

from __future__ import annotations

import ast
import asyncio
import base64
import importlib.metadata
import json
import logging
import os
import pickle
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.engine.dbos import pinned
from carapax.adapters.engine.dbos.adapter import DbosEngine
from carapax.adapters.engine.dbos.envelope import render_inputs, work_id
from carapax.adapters.engine.dbos.pinned import EXAMINED, UnpickleRefused, load_dbos
from carapax.core.terms.error import StoreUnavailable
from carapax.core.terms.work import Work, WorkState
from tests.conformance.engine.subjects import Dbos, Diary, Wall, dbos_file, until_state


class Strike:
    """Writes a file wherever it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


def _pickled(path: Path) -> str:
    return base64.b64encode(pickle.dumps(Strike(path))).decode()


def _insert(file: str, table: str, **values: object) -> None:
    with sqlite3.connect(file) as connection:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))
    connection.close()


def _plant_workflow(file: str, id: str, status: str, *, lane: str, created: int = 1, **more: object) -> None:
    columns = {
        "workflow_uuid": id,
        "status": status,
        "name": "carapax.work",
        "application_id": "turn",
        "application_version": "carapax-work",
        "application_name": "carapax",
        "executor_id": "local",
        "queue_name": "carapax",
        "queue_partition_key": lane,
        "priority": 0,
        "recovery_attempts": 0,
        "serialization": "py_pickle",
        "created_at": created,
        "updated_at": created,
    }
    _insert(file, "workflow_status", **(columns | more))


def test_the_planted_value_would_strike_where_it_is_unpickled(tmp_path: Path) -> None:
    pickle.loads(base64.b64decode(_pickled(tmp_path / "struck")))
    assert (tmp_path / "struck").exists()


def test_a_pickled_piece_is_given_up_unread_and_its_lane_goes_on(tmp_path: Path) -> None:
    file, struck = dbos_file(tmp_path), tmp_path / "struck"
    for number, status in enumerate(("ENQUEUED", "PENDING")):
        id = f"planted{number}"
        _plant_workflow(file, id, status, lane="lane:s", created=number + 1)
        _insert(file, "workflow_input", workflow_uuid=id, inputs=_pickled(struck), retention_timestamp=1)
    # A true piece whose recorded steps were replaced by pickles.
    work = Work("turn", "stepped", "t", "{}", 1)
    id = work_id("turn", "stepped")
    _plant_workflow(file, id, "ENQUEUED", lane="lane:t", serialization="portable_json")
    _insert(file, "workflow_input", workflow_uuid=id, inputs=render_inputs(work), retention_timestamp=1)
    step = {"workflow_uuid": id, "function_id": 1, "function_name": "begin", "serialization": "py_pickle"}
    _insert(file, "operation_outputs", **step, output=_pickled(struck), retention_timestamp=1)

    async def scene() -> None:
        diary = Diary()
        async with Dbos(file).process() as engine:
            engine.register("turn", diary.note)
            await engine.start("turn", "true", "{}", lane="s")
            await engine.launch()
            await diary.until(1)
            assert diary.keys == ["true"]
            await until_state(engine, "turn", "stepped", "dead")
            dead = {work.key: work for work in await engine.dead()}
            assert dead.keys() == {"planted0", "planted1", "stepped"}
            assert all("could run code" in work.error for work in dead.values()), dead

    asyncio.run(asyncio.wait_for(scene(), 60))
    assert not struck.exists()


def test_no_table_is_unpickled_by_any_way_that_reads_it(tmp_path: Path) -> None:
    file, struck = dbos_file(tmp_path), tmp_path / "struck"
    evil = _pickled(struck)
    for id, status in (("done", "SUCCESS"), ("failed", "ERROR")):
        _plant_workflow(file, id, status, lane="lane:s", completed_at=1)
        _insert(file, "workflow_input", workflow_uuid=id, inputs=evil, retention_timestamp=1)
        _insert(file, "workflow_output", workflow_uuid=id, output=evil, error=evil, retention_timestamp=1)
        step = {"workflow_uuid": id, "function_id": 1, "function_name": "s", "serialization": "py_pickle"}
        _insert(file, "operation_outputs", **step, output=evil, error=evil, retention_timestamp=1)
        row = {"workflow_uuid": id, "key": "k", "value": evil, "serialization": "py_pickle"}
        _insert(file, "workflow_events", **row)
        _insert(file, "workflow_events_history", **row, function_id=1)
        _insert(file, "streams", **row, offset=0, function_id=1)
        _insert(
            file,
            "notifications",
            destination_uuid=id,
            topic="t",
            message=evil,
            message_uuid=f"m-{id}",
            serialization="py_pickle",
            created_at_epoch_ms=1,
        )
    schedule = {"schedule_id": "s", "schedule_name": "s", "workflow_name": "carapax.work", "schedule": "* * * * * *"}
    _insert(file, "workflow_schedules", **schedule, status="ACTIVE", context=evil)
    read: list[str] = []

    def read_all(engine: DbosEngine) -> None:
        package = load_dbos()
        inner = package._dbos._get_dbos_instance()
        system = inner._sys_db
        for id in ("done", "failed"):
            ways = {
                "list": lambda id=id: system.list_workflows(workflow_ids=[id], load_input=True, load_output=True),
                "steps": lambda id=id: system.list_workflow_steps(id, load_output=True),
                "result": lambda id=id: system.check_workflow_result(id),
                "events": lambda id=id: system.get_all_events(id),
                "event": lambda id=id: system.get_event_consume(id, "k", 0),
                "stream": lambda id=id: list(system.read_stream_values(id, "k", 0)),
                "recorded": lambda id=id: system._replay_recorded(system.check_operation_execution(id, 1, "s"), "s"),
                "message": lambda id=id: system.recv_consume(id, 7, "t", 0),
                "schedules": lambda: package.DBOS.list_schedules(),
            }
            for name, way in ways.items():
                try:
                    way()
                except UnpickleRefused:
                    read.append(f"{name} refused")
                except Exception as error:  # noqa: BLE001 - broad: each way has errors of its own
                    read.append(f"{name} {type(error).__name__} {error}")
                else:
                    read.append(f"{name} left unread")

    async def scene() -> None:
        async with Dbos(file).process() as engine:
            assert isinstance(engine, DbosEngine)
            engine.register("turn", Diary().note)
            await engine.launch()
            await asyncio.to_thread(read_all, engine)
            (dead,) = await engine.dead()
            assert (dead.state, dead.error) == (WorkState.DEAD, "it cannot be read")

    asyncio.run(asyncio.wait_for(scene(), 60))
    assert not struck.exists()
    assert {"result refused", "event refused", "recorded refused", "message refused"} <= set(read), read
    assert len(read) == 18, read


def test_no_other_module_of_the_library_reads_foreign_code() -> None:
    spec = Path(str(importlib.metadata.distribution("dbos").locate_file("dbos")))
    found: dict[str, set[str]] = {}
    files = sorted(spec.glob("*.py"))
    for path in files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = [node.func.id]
            for name in names:
                if name.split(".")[0] in {"pickle", "marshal", "shelve", "dill", "cloudpickle", "eval", "exec"}:
                    found.setdefault(path.name, set()).add(name)
    assert len(files) > 30
    assert found == {"_serialization.py": {"pickle"}}


def test_only_the_examined_version_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert importlib.metadata.version("dbos") == EXAMINED
    monkeypatch.setattr(pinned, "_version", lambda: "3.4.1")

    async def scene() -> None:
        with pytest.raises(StoreUnavailable, match=r"3\.4\.1") as raised:
            await DbosEngine.open(str(tmp_path / "work.db"), Wall())
        assert "embedded" in raised.value.next_step
        monkeypatch.undo()
        await (await DbosEngine.open(dbos_file(tmp_path), Wall())).close(0)

    asyncio.run(scene())


def test_what_the_library_writes_of_a_refused_row_is_json() -> None:
    serialization = load_dbos()._serialization
    written, form = serialization.serialize_exception(UnpickleRefused(), "py_pickle", serialization.DBOSPortableJSON)
    assert form == "py_pickle"
    assert json.loads(written)["name"] == "UnpickleRefused"
    with pytest.raises(UnpickleRefused):
        serialization.DBOSDefaultSerializer.deserialize(written)
    with pytest.raises(UnpickleRefused):
        serialization.pickle.loads(b"")


QUIET = """
import asyncio, sys
from carapax.adapters.engine.dbos.adapter import DbosEngine
from tests.conformance.engine.subjects import Wall
async def main():
    engine = await DbosEngine.open(sys.argv[1], Wall())
    async def run(work):
        raise OSError("loud")
    engine.register("turn", run, tries=1)
    await engine.launch()
    await engine.start("turn", "t", "{}")
    while not await engine.dead():
        await asyncio.sleep(0.01)
    await engine.close(0)
asyncio.run(asyncio.wait_for(main(), 30))
"""


def test_the_library_stays_off_the_console_and_the_network(tmp_path: Path) -> None:
    cloud = {"DBOS__CLOUD": "true", "DBOS__CONDUCTOR_KEY": "k", "DBOS__CONDUCTOR_APP_NAME": "a"}
    cloud |= {"DBOS__CONDUCTOR_URL": "ws://127.0.0.1:9/", "DBOS__VMID": "elsewhere"}
    traced = "import sys; sys.addaudithook(lambda e, a: e == 'socket.connect' and sys.exit(f'dialled {a}'))\n" + QUIET
    done = subprocess.run(
        [sys.executable, "-c", traced, dbos_file(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | cloud,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert logging.getLogger("dbos").propagate is False
