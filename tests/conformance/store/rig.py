"""What the store suite runs on: every implementation, made in a folder, with a clock that always goes on."""

from __future__ import annotations

import atexit
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg

from carapax.adapters.store import postgres_text, postgres_versions
from carapax.adapters.store.postgres_place import find_server
from carapax.adapters.store.sql_store import SqlStore
from carapax.ports.store import Store
from tests.fakes.postgres import shared_server
from tests.fakes.store import MemoryStore


class Ticks:
    """A clock that goes on by one at each look, or wherever it is put."""

    def __init__(self) -> None:
        self.at = 1_000

    def now_ms(self) -> int:
        self.at += 1
        return self.at

    def monotonic_ms(self) -> int:
        return self.now_ms()


Scene = Callable[[Store, Ticks], Awaitable[None]]
Drive = Callable[[Scene], None]


def _sqlite(folder: Path, clock: Ticks) -> Store:
    return SqlStore.open(str(folder / "carapax.db"), clock)


def _memory(folder: Path, clock: Ticks) -> Store:
    return MemoryStore(clock)


@functools.cache
def _server_database() -> psycopg.Connection[Any]:
    """One database for the whole suite: emptying it takes a tenth of the time that making one takes."""
    address = shared_server().database("conformance")
    postgres_versions.ensure(find_server(address))
    connection = psycopg.connect(address, autocommit=True)
    atexit.register(connection.close)
    return connection


def _postgres(folder: Path, clock: Ticks) -> Store:
    statements = [f"DELETE FROM {name}" for name in reversed(postgres_text.tables) if name != "counters"]
    _server_database().execute("; ".join([*statements, "UPDATE counters SET count = 0"]).encode())
    return SqlStore.open(shared_server().address("conformance"), clock)


MAKERS: dict[str, Callable[[Path, Ticks], Store]] = {
    "sqlite": _sqlite,
    "memory": _memory,
    "postgres": _postgres,
}
