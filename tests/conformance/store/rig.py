"""What the store suite runs on: every implementation, made in a folder, with a clock that always goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from carapax.adapters.store.sql_store import SqlStore
from carapax.ports.store import Store
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


MAKERS: dict[str, Callable[[Path, Ticks], Store]] = {"sqlite": _sqlite, "memory": _memory}
