"""Link: one connection to the database, and the way a prepared statement runs on it.

Layer: adapters/store. Owns what a lane needs of any database (`Link`), and the SQLite file's pragmas (`FileLink`).
SQLAlchemy builds and compiles the statements ahead of time and the driver runs them (SQLAlchemy's own execute
costs about 50 µs a call more). A statement is named by its SQLite form; another database's link runs its own form of it.
Absent: when to begin and commit (see `lane`) and threads; a link is used by one thread at a time.
Source: sqlite.org/wal.html, /pragma.html.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Protocol

from carapax.adapters.store import faults
from carapax.adapters.store.prepared import Prepared, Value
from carapax.core.terms.error import CarapaxError, StoreUnavailable

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


class Link(Protocol):
    """A connection that runs prepared statements."""

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What its driver raises."""
        ...

    @property
    def batch(self) -> int:
        """How many pieces share a commit at most."""
        ...

    def write(self, statement: Prepared, **values: Value) -> int:
        """Run a write; returns the number of rows it touched."""
        ...

    def rows(self, statement: Prepared, **values: Value) -> list[Row]:
        """All rows of a read."""
        ...

    def row(self, statement: Prepared, **values: Value) -> Row | None:
        """The first row of a read, or None."""
        ...

    def begin(self) -> None:
        """Begin to write, alone among all who write to this database."""
        ...

    def mark(self) -> None:
        """Begin a piece inside the transaction."""
        ...

    def undo(self) -> None:
        """Take back everything since the mark."""
        ...

    def keep(self) -> None:
        """End the piece."""
        ...

    def commit(self) -> None:
        """When it returns, everything is durable; when it raises, nothing was written unless the error says otherwise."""
        ...

    def roll_back(self) -> None:
        """Take back everything; raises nothing."""
        ...

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        ...

    def revive(self) -> bool:
        """Connect again; whether that went well, so that a read may be repeated."""
        ...

    def spoils(self, error: BaseException | None) -> bool:
        """Whether the database itself failed, so that nothing else in the same transaction can be trusted."""
        ...

    def unavailable(self, error: Exception) -> StoreUnavailable:
        """What a failure of the driver means to a person."""
        ...

    def refused(self, error: Exception) -> CarapaxError:
        """What it means to a person that a piece failed."""
        ...

    def tidy(self) -> None:
        """After a deletion: let nothing of it stand in a journal."""
        ...

    def find_damage(self) -> tuple[str, str]:
        """The first fault of the whole database and what to do, or two empty texts."""
        ...

    def describe(self) -> str:
        """Which database, and its version."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class FileLink:
    """A connection to an SQLite file."""

    __slots__ = ("path", "raw")
    failures: tuple[type[Exception], ...] = faults.FAILURES
    batch = 256

    def __init__(self, raw: sqlite3.Connection, path: str) -> None:
        self.raw = raw
        self.path = path

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

    def begin(self) -> None:
        """Take the file's only write lock."""
        self.raw.execute("BEGIN IMMEDIATE")

    def mark(self) -> None:
        """Begin a piece."""
        self.raw.execute("SAVEPOINT piece")

    def undo(self) -> None:
        """Take a piece back."""
        self.raw.execute("ROLLBACK TO piece")

    def keep(self) -> None:
        """End a piece."""
        self.raw.execute("RELEASE piece")

    def commit(self) -> None:
        """Write it all down."""
        self.raw.execute("COMMIT")

    def roll_back(self) -> None:
        """Take it all back. SQLite may have done so by itself (full disk, I/O error); a second time would be an error."""
        if self.raw.in_transaction:
            try:
                self.raw.execute("ROLLBACK")
            except faults.FAILURES:
                return

    @property
    def lost(self) -> bool:
        """A file does not go away."""
        return False

    def revive(self) -> bool:
        """There is nothing to connect to."""
        return False

    def spoils(self, error: BaseException | None) -> bool:
        """See `faults`."""
        return faults.spoils(error)

    def unavailable(self, error: Exception) -> StoreUnavailable:
        """See `faults`."""
        return faults.unavailable(error, self.path)

    def refused(self, error: Exception) -> CarapaxError:
        """See `faults`."""
        return faults.refused(error, self.path)

    def tidy(self) -> None:
        """Move the journal into the file and cut it, so that deleted text stands in neither; a busy reader puts it off."""
        self.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def find_damage(self) -> tuple[str, str]:
        """The first fault that SQLite's own check of the whole file finds."""
        next_step = "Stop the gateway and put a backup in the file's place."
        found: Row | None = self.raw.execute("PRAGMA quick_check(1)").fetchone()
        if found is None or found[0] != "ok":
            return "no answer" if found is None else str(found[0])[:200], next_step
        orphan = self.raw.execute("PRAGMA foreign_key_check").fetchone()
        return ("", "") if orphan is None else (f"a row of {orphan[0]} belongs to no session", next_step)

    def describe(self) -> str:
        """SQLite's version and the file."""
        return f"SQLite {sqlite3.sqlite_version}, {self.path}"

    def close(self) -> None:
        """Close the connection."""
        self.raw.close()


def connect(path: str, *, read_only: bool = False) -> FileLink:
    """Connect to an existing file. Raises sqlite3.Error, or UnicodeDecodeError for a damaged one."""
    raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
    try:
        for pragma in _PRAGMAS:
            raw.execute(pragma)
        if read_only:
            raw.execute("PRAGMA query_only=ON")
    except faults.FAILURES:
        raw.close()
        raise
    return FileLink(raw, path)
