"""Link: one connection to the SQLite file, and the way a prepared statement runs on it.

Layer: adapters/store. Owns the pragmas. SQLAlchemy builds and compiles the statements ahead of time and the
driver runs them (SQLAlchemy's own execute costs about 50 µs a call more).
Absent: transactions' meaning (see `lane`) and threads; a link is used by one thread at a time.
Source: sqlite.org/wal.html, /pragma.html.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from carapax.adapters.store.faults import FAILURES
from carapax.adapters.store.prepared import Prepared, Value

Row = tuple[Any, ...]

BUSY_MS = 2_000  # how long a lock of another process is waited for
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # an acknowledged write survives a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # what a person deletes is overwritten, not only unlinked
    "PRAGMA journal_size_limit=16777216",
    "PRAGMA trusted_schema=OFF",
)


class Link:
    """A connection that runs prepared statements."""

    __slots__ = ("raw",)

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw

    def write(self, statement: Prepared, **values: Value) -> int:
        """Run a write; returns the number of rows it touched."""
        return self.raw.execute(statement.sql, statement.ordered(values)).rowcount

    def rows(self, statement: Prepared, **values: Value) -> list[Row]:
        """All rows of a read."""
        return self.raw.execute(statement.sql, statement.ordered(values)).fetchall()

    def row(self, statement: Prepared, **values: Value) -> Row | None:
        """The first row of a read, or None."""
        found: Row | None = self.raw.execute(statement.sql, statement.ordered(values)).fetchone()
        return found

    def close(self) -> None:
        """Close the connection."""
        self.raw.close()


def connect(path: str, *, read_only: bool = False) -> Link:
    """Connect to an existing file. Raises sqlite3.Error, or UnicodeDecodeError for a damaged one."""
    raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
    try:
        for pragma in _PRAGMAS:
            raw.execute(pragma)
        if read_only:
            raw.execute("PRAGMA query_only=ON")
    except FAILURES:
        raw.close()
        raise
    return Link(raw)
