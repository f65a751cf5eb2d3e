"""Lane: shared commits, answers after them, and one caller's fault stays that caller's."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.store import faults, sqlite_text
from carapax.adapters.store.lane import Lane
from carapax.adapters.store.link import FileLink, Link, connect
from carapax.adapters.store.versions import ensure
from carapax.core.terms.error import Conflict, StoreUnavailable

Scene = Callable[[Lane, Link, "Held"], Coroutine[Any, Any, None]]


class Held:
    """Keeps the lane's thread busy until it is let go, so that what comes meanwhile shares a commit."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._go = threading.Event()
        self._inside = threading.Event()

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._lane.run(self._wait))
        assert await asyncio.to_thread(self._inside.wait, 10)

    def _wait(self, link: Link) -> None:
        self._inside.set()
        assert self._go.wait(10)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)  # the tasks made inside put their work in the queue
        self._go.set()
        await self._task


def add(name: str) -> Callable[[Link], str]:
    def work(link: Link) -> str:
        link.write(sqlite_text.insert_counter, name=name, count=1)
        return name

    return work


def names(path: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(path)) as other:
        return {name for (name,) in other.execute("SELECT name FROM counters")} - {"sessions", "turns"}


def play(path: Path, scene: Callable[[Lane, list[str]], Coroutine[Any, Any, None]]) -> None:
    ensure(str(path))
    link = connect(str(path))
    trace: list[str] = []
    link.raw.set_trace_callback(trace.append)
    lane = Lane("test", link, writes=True)
    try:
        asyncio.run(scene(lane, trace))
    finally:
        lane.close()


def test_what_waits_together_is_committed_together(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    async def scene(lane: Lane, trace: list[str]) -> None:
        async with Held(lane):
            tasks = [asyncio.create_task(lane.run(add(f"n{n}"))) for n in range(40)]
        assert await asyncio.gather(*tasks) == [f"n{n}" for n in range(40)]
        assert trace.count("COMMIT") == 2  # the held one and the forty
        assert len(names(path)) == 40

    play(path, scene)


def test_no_more_than_a_batch_shares_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileLink, "batch", 10)

    async def scene(lane: Lane, trace: list[str]) -> None:
        async with Held(lane):
            tasks = [asyncio.create_task(lane.run(add(f"n{n}"))) for n in range(40)]
        assert await asyncio.gather(*tasks) == [f"n{n}" for n in range(40)]
        assert trace.count("COMMIT") == 5  # the held one and four times ten

    play(tmp_path / "a.db", scene)


def test_a_lone_write_is_one_commit_without_savepoints(tmp_path: Path) -> None:
    async def scene(lane: Lane, trace: list[str]) -> None:
        await lane.run(add("a"))
        assert [t for t in trace if not t.startswith("INSERT")] == ["BEGIN IMMEDIATE", "COMMIT"]

    play(tmp_path / "a.db", scene)


def test_the_answer_comes_after_the_commit(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    async def scene(lane: Lane, trace: list[str]) -> None:
        for number in range(20):
            name = await lane.run(add(f"n{number}"))
            assert name in names(path)

        async def one(name: str) -> None:
            await lane.run(add(name))
            assert name in names(path)

        await asyncio.gather(*[one(f"m{n}") for n in range(20)])

    play(path, scene)


def refuse(link: Link) -> None:
    add("refused")(link)
    raise Conflict("no")


def defect(link: Link) -> None:
    add("defect")(link)
    raise ZeroDivisionError("a defect of ours")


def broken(link: Link) -> None:
    add("broken")(link)
    link.raw.execute("SELECT * FROM no_such_table")


@pytest.mark.parametrize(
    ("work", "error"),
    [(refuse, Conflict), (defect, ZeroDivisionError), (broken, StoreUnavailable), (add("good0"), Conflict)],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_that_fails_leaves_nothing_and_spoils_no_other(
    tmp_path: Path, work: Callable[[Link], Any], error: type[Exception], place: int
) -> None:
    path = tmp_path / "a.db"

    async def scene(lane: Lane, trace: list[str]) -> None:
        await lane.run(add("good0"))
        order: list[Callable[[Link], Any]] = [add("good1"), add("good2")]
        order.insert(place, work)
        async with Held(lane):
            tasks = [asyncio.create_task(lane.run(w)) for w in order]
        got = await asyncio.gather(*tasks, return_exceptions=True)
        assert type(got.pop(place)) is error
        assert got == ["good1", "good2"]
        with pytest.raises(error):
            await lane.run(work)
        assert names(path) == {"good0", "good1", "good2"}
        assert await lane.run(add("good3")) == "good3"

    play(path, scene)


def test_a_commit_that_fails_fails_all_that_shared_it(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    def orphan(link: Link) -> None:
        link.raw.execute("PRAGMA defer_foreign_keys=ON")
        link.write(
            sqlite_text.insert_call,
            id="c", session="none", turn="t", tool="", summary="", entry=1, outcome=None, receipt_entry=None, changes=None,
        )  # fmt: skip

    async def scene(lane: Lane, trace: list[str]) -> None:
        async with Held(lane):
            tasks = [asyncio.create_task(lane.run(w)) for w in (add("a"), orphan, refuse)]
        got = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(g) for g in got] == [StoreUnavailable, StoreUnavailable, Conflict]
        assert names(path) == set()
        assert await lane.run(add("b")) == "b"

    play(path, scene)


def test_a_caller_who_left_disturbs_nobody_and_the_write_stands(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    async def scene(lane: Lane, trace: list[str]) -> None:
        async with Held(lane):
            gone, stays = asyncio.create_task(lane.run(add("gone"))), asyncio.create_task(lane.run(add("stays")))
            await asyncio.sleep(0)
            gone.cancel()
        assert await stays == "stays"
        assert gone.cancelled()
        assert names(path) == {"gone", "stays"}

    play(path, scene)


def test_closing_finishes_what_was_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    async def scene(lane: Lane, trace: list[str]) -> None:
        held = Held(lane)
        async with held:
            tasks = [asyncio.create_task(lane.run(add(f"n{n}"))) for n in range(300)]
            await asyncio.sleep(0)
            closing = asyncio.create_task(asyncio.to_thread(lane.close))
            await asyncio.sleep(0)
        await closing
        assert len(await asyncio.gather(*tasks)) == 300
        assert len(names(path)) == 300
        with pytest.raises(StoreUnavailable, match="closed"):
            await lane.run(add("late"))

    play(path, scene)


def test_a_loop_that_ended_does_not_end_the_lane(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    ensure(str(path))
    lane = Lane("test", connect(str(path)), writes=True)
    go = threading.Event()

    async def leaves() -> None:
        task = asyncio.create_task(lane.run(lambda link: go.wait(10)))
        await asyncio.sleep(0)
        task.cancel()

    async def stays() -> None:
        assert await lane.run(add("b")) == "b"

    asyncio.run(leaves())
    go.set()
    asyncio.run(stays())
    lane.close()
    lane.close()


def test_a_message_that_is_no_text_means_a_damaged_file() -> None:
    garbled = UnicodeDecodeError("utf-8", b"near \xb7", 5, 6, "invalid start byte")
    assert "damaged" in faults.unavailable(garbled, "a.db").what
    assert "damaged" in str(faults.refused(garbled, "a.db"))
    assert faults.spoils(garbled)
