"""The engines that the suite drives, each with a way to be the next process over what the last one kept."""

from __future__ import annotations

import asyncio
import functools
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from carapax.adapters.engine.dbos.adapter import DbosEngine
from carapax.adapters.engine.embedded.adapter import EmbeddedEngine
from carapax.adapters.store.sql_store import SqlStore
from carapax.core.terms.work import Work
from carapax.ports.engine import Engine
from tests.fakes.engine import MemoryEngine
from tests.fakes.postgres import shared_server
from tests.fakes.store import MemoryStore

PATIENCE_S = 20.0


class Wall:
    """The real clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class Subject(Protocol):
    """One place where pieces are kept."""

    def process(self, *, grace_s: float = 5.0) -> Process: ...


class Process(Protocol):
    """`async with` gives an engine that is not launched; leaving closes it with the grace."""

    async def __aenter__(self) -> Engine: ...

    async def __aexit__(self, *words: object) -> object: ...


class InMemory:
    def __init__(self, folder: Path) -> None:
        self.kept: dict[tuple[str, str], Work] = {}

    @asynccontextmanager
    async def process(self, *, grace_s: float = 5.0) -> AsyncIterator[Engine]:
        engine = MemoryEngine(Wall(), self.kept)
        try:
            yield engine
        finally:
            await engine.close(grace_s)


class OverMemory:
    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore(Wall())

    @asynccontextmanager
    async def process(self, *, grace_s: float = 5.0) -> AsyncIterator[Engine]:
        engine = EmbeddedEngine(self.store, Wall())
        try:
            yield engine
        finally:
            await engine.close(grace_s)


class OverSqlite:
    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "carapax.db")

    @asynccontextmanager
    async def process(self, *, grace_s: float = 5.0) -> AsyncIterator[Engine]:
        store = SqlStore.open(self.path, Wall())
        engine = EmbeddedEngine(store, Wall())
        try:
            yield engine
        finally:
            await engine.close(grace_s)
            await store.close()


class Dbos:
    def __init__(self, address: str) -> None:
        self.address = address

    @asynccontextmanager
    async def process(self, *, grace_s: float = 5.0) -> AsyncIterator[Engine]:
        engine = await DbosEngine.open(self.address, Wall())
        try:
            yield engine
        finally:
            await engine.close(grace_s)


async def _migrate(address: str) -> None:
    async with Dbos(address).process():
        pass


@functools.cache
def _template() -> bytes:
    folder = Path(tempfile.mkdtemp())
    try:
        asyncio.run(_migrate(str(folder / "work.db")))
        return (folder / "work.db").read_bytes()
    finally:
        shutil.rmtree(folder)


def dbos_file(folder: Path) -> str:
    """A SQLite file with the library's tables and nothing in them."""
    path = folder / "work.db"
    path.write_bytes(_template())
    return str(path)


@functools.cache
def _postgres_template() -> str:
    server = shared_server()
    asyncio.run(_migrate(server.database("work_template")))
    return "work_template"


def dbos_database() -> str:
    """The address of a PostgreSQL database with the library's tables and nothing in them."""
    server, template = shared_server(), _postgres_template()
    name = f"work_{time.monotonic_ns()}"
    server.query(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return server.address(name)


SUBJECTS: dict[str, Callable[[Path], Subject]] = {
    "fake": InMemory,
    "embedded, in memory": OverMemory,
    "embedded, SQLite": OverSqlite,
    "DBOS, SQLite": lambda folder: Dbos(dbos_file(folder)),
    "DBOS, PostgreSQL": lambda folder: Dbos(dbos_database()),
}


class Diary:
    """What the runs did, and a way to wait for it."""

    def __init__(self) -> None:
        self.ran: list[Work] = []
        self._changed = asyncio.Condition()

    @property
    def keys(self) -> list[str]:
        return [work.key for work in self.ran]

    async def note(self, work: Work) -> None:
        async with self._changed:
            self.ran.append(work)
            self._changed.notify_all()

    async def until(self, count: int) -> list[str]:
        """The keys that ran, once there are this many."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: len(self.ran) >= count)
        return self.keys


async def until_state(engine: Engine, kind: str, key: str, *states: str) -> Work:
    """The piece, once it is in one of these states."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        work = await engine.find(kind, key)
        if work is not None and work.state in states:
            return work
        await asyncio.sleep(0.01)
    raise AssertionError(f"{kind} {key} did not become {states}: {work}")


async def until_counts(engine: Engine, expected: dict[str, int]) -> None:
    """Wait until the engine counts this."""
    for _ in range(2_000):
        if engine.counts() == expected:
            break
        await asyncio.sleep(0.01)
    assert engine.counts() == expected
