"""Store under faults: kill -9, a full disk, a damaged file, a lock held by somebody else."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from carapax.adapters.store import link as links
from carapax.adapters.store.sql_store import SqlStore
from carapax.core.terms.channel import Place
from carapax.core.terms.check import Standing
from carapax.core.terms.conversation import TurnState
from carapax.core.terms.error import CarapaxError, StoreUnavailable
from carapax.core.terms.ids import SessionId, TurnId
from carapax.core.terms.label import OWNER
from carapax.core.terms.limit import Usage
from carapax.core.terms.work import Work, WorkState
from carapax.ports.store import Account, KnownPlace, NewPart
from tests.faults.store_child import LABEL, PartKind, Still, turn

SEEDS = 20
S1 = SessionId("s1")


def _child(*words: str) -> list[object]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.store_child", *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _with(path: Path, scene: Callable[[SqlStore], Awaitable[None]]) -> None:
    async def whole() -> None:
        store = SqlStore.open(str(path), Still())
        try:
            await scene(store)
        finally:
            await store.close()

    asyncio.run(whole())


def _part(text: str) -> NewPart:
    return NewPart(PartKind.USER, text, LABEL)


async def _begin(store: SqlStore, count: int = 3) -> None:
    await store.open_session(S1, OWNER, "", 1)
    for number in range(count):
        await store.accept_turn(turn(f"t{number}", "s1"), [_part(f"words {number}")])


def _raw(store: SqlStore) -> sqlite3.Connection:
    return store._writer._link.raw  # the only way to make the disk "full" for one connection


# kill -9


def test_whatever_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    folders = [tmp_path / str(n) for n in range(SEEDS)]
    for folder in folders:
        folder.mkdir()
    acknowledged = _child("kill", "7", *map(str, folders))
    assert len(acknowledged) == SEEDS
    for folder, lines in zip(folders, acknowledged, strict=True):
        assert isinstance(lines, list)
        assert lines
        _with(folder / "a.db", lambda store, seen=lines: _holds(store, seen))  # type: ignore[misc]


async def _holds(store: SqlStore, lines: list[str]) -> None:
    assert (await store.check()).standing is Standing.OK
    for line in lines:
        word, _, id = line.partition(" ")
        kept = await store.find_turn(TurnId(id))
        assert kept is not None, line
        assert word == "accepted" or kept.state is TurnState.DONE, line
    turns = spent = 0
    for session in await store.list_sessions(OWNER):
        own = await store.list_turns(session.id, limit=1_000)
        assert [t.number for t in reversed(own)] == list(range(1, session.turns + 1))
        done = sum(t.state is TurnState.DONE for t in own)
        parts = await store.parts(session.id, limit=10_000)
        assert [p.seq for p in parts] == list(range(1, 2 * len(own) + done + 1))  # whole commits, never half ones
        assert session.usage == Usage(tokens=done)
        turns, spent = turns + len(own), spent + done
    assert (await store.counts())["turns"] == turns
    assert await store.day_usage("d") == Usage(tokens=spent)
    again = await store.accept_turn(turn("after", "w0"), [])
    assert again.number >= 1


# a full disk


def test_a_full_disk_refuses_the_write_and_keeps_the_rest(tmp_path: Path) -> None:
    async def scene(store: SqlStore) -> None:
        await _begin(store)
        pages = _raw(store).execute("PRAGMA page_count").fetchone()[0]
        _raw(store).execute(f"PRAGMA max_page_count={pages + 3}")
        small = [store.accept_turn(turn(f"small{n}", "s1"), [_part("small")]) for n in range(2)]
        giant = store.accept_turn(turn("giant", "s1"), [_part("x" * 200_000)])
        first, error, second = await asyncio.gather(small[0], giant, small[1], return_exceptions=True)
        assert isinstance(error, StoreUnavailable)
        assert "full" in error.what
        assert "space" in error.next_step
        assert error.kept == "Nothing was changed."
        assert (getattr(first, "number", None), getattr(second, "number", None)) == (4, 5)
        assert await store.find_turn(TurnId("giant")) is None
        assert [p.text for p in await store.parts(S1, limit=9)][-2:] == ["small", "small"]
        _raw(store).execute("PRAGMA max_page_count=1000000")
        assert (await store.accept_turn(turn("giant", "s1"), [_part("x" * 200_000)])).number == 6
        assert (await store.check()).standing is Standing.OK

    _with(tmp_path / "a.db", scene)


def test_a_file_size_limit_refuses_the_write_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    found = _child("fill", str(path), "600000")[0]
    assert isinstance(found, dict)
    kept, refused = found["kept"], found["refused"]
    assert len(kept) > 5
    assert refused
    for name, what, left, next_step in refused:
        assert name == "StoreUnavailable"
        assert "disk" in what
        assert left == "Nothing was changed."
        assert next_step

    async def scene(store: SqlStore) -> None:
        assert [t.id for t in reversed(await store.list_turns(SessionId("s"), limit=500))] == kept
        assert (await store.check()).standing is Standing.OK

    _with(path, scene)


# damage


def _spoil(path: Path, spoil: Callable[[bytearray], bytearray]) -> None:
    _with(path, lambda store: _begin(store, 200))
    path.write_bytes(spoil(bytearray(path.read_bytes())))


def _header(raw: bytearray) -> bytearray:
    raw[0:16] = b"not a database!!"
    return raw


def _schema_page(raw: bytearray) -> bytearray:
    raw[100:400] = b"\xff" * 300
    return raw


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (_header, "is not a database"),
        (_schema_page, "damaged"),
        (lambda raw: raw[:5000], "damaged"),
        (lambda raw: bytearray(b"\0" * 50_000), "is not a database"),
        (lambda raw: bytearray(b"hello, I am a text file\n" * 100), "is not a database"),
    ],
)
def test_a_damaged_file_is_named_and_left_as_it_is(
    tmp_path: Path, spoil: Callable[[bytearray], bytearray], word: str
) -> None:
    path = tmp_path / "a.db"
    _spoil(path, spoil)
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable) as caught:
        SqlStore.open(str(path), Still())
    assert str(path) in caught.value.what
    assert word in caught.value.what
    assert "backup" in caught.value.next_step
    assert path.read_bytes() == before


@pytest.mark.parametrize("seed", range(15))
def test_damage_inside_is_found_by_the_check_and_never_a_traceback(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "a.db"
    dice = random.Random(seed)

    def spoil(raw: bytearray) -> bytearray:
        for _ in range(20):
            at = dice.randrange(4096, len(raw) - 512)
            raw[at : at + 512] = dice.randbytes(512)
        return raw

    _spoil(path, spoil)

    async def scene(store: SqlStore) -> None:
        found = await store.check()
        assert found.standing is Standing.FAILED
        assert found.next_step
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: store.find_session(S1),
            lambda: store.list_sessions(OWNER),
            lambda: store.list_sessions(OWNER, query="words"),
            lambda: store.list_turns(S1),
            lambda: store.parts(S1, limit=500),
            lambda: store.unfinished_turns(),
            lambda: store.counts(),
            lambda: store.accept_turn(turn("new", "s1"), [_part("x")]),
            lambda: store.set_turn(TurnId("t5"), TurnState.DONE),
            lambda: store.delete_session(S1),
        ]
        for call in calls:
            try:
                await call()
            except CarapaxError as error:
                assert error.what
                assert error.next_step

    try:
        _with(path, scene)
    except StoreUnavailable as error:
        assert "damaged" in error.what


def test_a_row_that_somebody_edited_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    _with(path, _begin)
    edit = sqlite3.connect(path)
    edit.execute("UPDATE parts SET label = replace(label, 'owner', 'everyone\"') WHERE seq = 2")
    edit.commit()
    edit.close()

    async def scene(store: SqlStore) -> None:
        with pytest.raises(StoreUnavailable, match="part 2 of session s1"):
            await store.parts(S1, limit=9)
        assert [p.seq for p in await store.parts(S1, limit=1)] == [3]

    _with(path, scene)


# a lock, and what deletion leaves


def test_a_lock_of_another_process_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    monkeypatch.setattr(links, "BUSY_MS", 30)
    _with(path, _begin)
    other = sqlite3.connect(path, isolation_level=None)

    async def scene(store: SqlStore) -> None:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process") as caught:
            await store.accept_turn(turn("new", "s1"), [])
        assert "End the other process" in caught.value.next_step
        assert await store.find_turn(TurnId("new")) is None
        assert len(await store.list_turns(S1)) == 3
        other.execute("ROLLBACK")
        assert (await store.accept_turn(turn("new", "s1"), [])).number == 4

    _with(path, scene)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("UPDATE counters SET count = count")
    with pytest.raises(StoreUnavailable, match="another process"):
        SqlStore.open(str(path), Still())
    other.execute("ROLLBACK")
    other.close()


def test_deleted_words_stand_in_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    secret = "the words that were to be forgotten " * 300

    def found() -> list[str]:
        return [f.name for f in tmp_path.iterdir() if b"to be forgotten" in f.read_bytes()]

    async def scene(store: SqlStore) -> None:
        await _begin(store)
        for number in range(3):
            await store.set_turn(TurnId(f"t{number}"), TurnState.DONE, parts=[_part(secret)], reply=secret)
        assert found()
        await store.delete_session(S1)
        assert found() == []

    _with(path, scene)
    assert found() == []


def test_the_keys_of_a_removed_channel_stand_in_no_file(tmp_path: Path) -> None:
    def found() -> list[str]:
        return [f.name for f in tmp_path.iterdir() if b"to be forgotten" in f.read_bytes()]

    async def scene(store: SqlStore) -> None:
        await store.write_note("matrix", "keys", b"keys to be forgotten " * 5_000)
        await store.put_account(Account("matrix", "to be forgotten", OWNER, "x", 1, "code:owner"))
        await store.put_place(KnownPlace(OWNER, Place("matrix", "to be forgotten"), 1))
        assert found()
        await store.drop_notes("matrix")
        assert found() == []

    _with(tmp_path / "a.db", scene)
    assert found() == []


def test_work_that_is_done_leaves_none_of_its_words(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    work = Work("turn", "t", "s1", '"words to be forgotten"' * 500, 1)

    async def scene(store: SqlStore) -> None:
        await store.put_work(work)
        await store.set_work(replace(work, state=WorkState.DONE, ended_ms=2))

    _with(path, scene)
    assert [f.name for f in tmp_path.iterdir()] == ["a.db"]  # closing moved the journal into the file
    assert b"to be forgotten" not in path.read_bytes()
