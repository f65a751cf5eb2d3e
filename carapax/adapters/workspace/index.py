"""The memory of the versions: what each path was when last seen, open marks, a journal since them, recorded changes.

Layer: adapters/workspace. One SQLite file in WAL mode; every step is one transaction, so a killed gateway leaves the
state before or after it. Owns the rows; `versions` owns what they mean.
Absent: kept bytes (see `blobs`).
Law: while a mark is open, the journal holds every difference seen since it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from carapax.adapters.workspace.nodes import Node, Stamp, node_text, parse_node
from carapax.core.terms.error import NotFound, StoreUnavailable

SCHEMA_VERSION = 1
_ROWS_PER_PATH = 1_000  # recorded changes looked at for one path
_SCHEMA = """
CREATE TABLE entries(path BLOB PRIMARY KEY, mode INTEGER, size INTEGER, mtime INTEGER, ctime INTEGER, inode INTEGER,
  node TEXT NOT NULL, settled INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE blobs(digest TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE marks(mark INTEGER PRIMARY KEY AUTOINCREMENT, call TEXT NOT NULL, seq INTEGER NOT NULL);
CREATE TABLE journal(seq INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL);
CREATE TABLE changes(seq INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL);
CREATE INDEX changes_by_path ON changes(path, seq);
"""


class Entry(NamedTuple):
    """One path as last seen. Not settled: read so soon after a write that a second write could look the same."""

    stamp: Stamp
    node: Node
    settled: bool


class Difference(NamedTuple):
    path: str
    before: Node | None
    after: Node | None


class OpenMark(NamedTuple):
    mark: int
    call: str
    seq: int  # of the journal when it was made


class Index:
    """The rows. Used by one thread at a time. Raises StoreUnavailable for a file that cannot be used."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._translated():
            self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=10.0)
        try:
            with self._translated():
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        os.chmod(self._file, 0o600)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version={SCHEMA_VERSION};COMMIT;")
        elif version != SCHEMA_VERSION:
            raise StoreUnavailable(
                f"{self._file} has format {version}, this Carapax reads {SCHEMA_VERSION}",
                next_step="Use the Carapax version that wrote it, or move the file away to start without versions.",
            )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(
                f"The versions of the workspace cannot be recorded in {self._file}: {error}",
                next_step="Free disk space or repair its permissions; a damaged file can be moved away (older turns can then not be undone).",
            ) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        with self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    def version(self) -> int:
        """A number that moves when another process wrote."""
        with self._translated():
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def load_entries(self) -> dict[str, Entry]:
        with self._translated():
            rows = self._db.execute("SELECT path, mode, size, mtime, ctime, inode, node, settled FROM entries")
            return {os.fsdecode(r[0]): Entry(Stamp(*r[1:6]), _node(r[6]), bool(r[7])) for r in rows}

    def load_blobs(self) -> dict[str, int]:
        with self._translated():
            return dict(self._db.execute("SELECT digest, size FROM blobs").fetchall())

    def put_entries(self, entries: Mapping[str, Entry | None]) -> None:
        gone = [(os.fsencode(path),) for path, entry in entries.items() if entry is None]
        rows = [
            (os.fsencode(path), *entry.stamp, node_text(entry.node), entry.settled)
            for path, entry in entries.items()
            if entry is not None
        ]
        self._db.executemany("DELETE FROM entries WHERE path=?", gone)
        self._db.executemany("INSERT OR REPLACE INTO entries VALUES(?,?,?,?,?,?,?,?)", rows)

    def put_blobs(self, blobs: Mapping[str, int]) -> None:
        self._db.executemany("INSERT OR IGNORE INTO blobs VALUES(?,?)", blobs.items())

    def drop_blobs(self, digests: Iterable[str]) -> None:
        self._db.executemany("DELETE FROM blobs WHERE digest=?", [(d,) for d in digests])

    # marks and the journal since them
    def open_mark(self, call: str) -> int:
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name='journal'").fetchone()
        made = self._db.execute("INSERT INTO marks(call, seq) VALUES(?,?)", (call, row[0] if row else 0))
        return int(made.lastrowid or 0)

    def open_marks(self) -> list[OpenMark]:
        with self._translated():
            return [OpenMark(*row) for row in self._db.execute("SELECT mark, call, seq FROM marks ORDER BY mark")]

    def get_mark(self, mark: int) -> OpenMark:
        """Raises NotFound for one that is closed or never was."""
        row = self._db.execute("SELECT mark, call, seq FROM marks WHERE mark=?", (mark,)).fetchone()
        if row is None:
            raise NotFound("This mark of the workspace is not open.")
        return OpenMark(*row)

    def close_mark(self, mark: int) -> None:
        """Close it and forget the journal that no other mark needs."""
        self._db.execute("DELETE FROM marks WHERE mark=?", (mark,))
        self._db.execute("DELETE FROM journal WHERE seq <= COALESCE((SELECT MIN(seq) FROM marks), 9223372036854775807)")

    def journal(self, differences: Sequence[Difference]) -> None:
        """Note differences, when any mark is open."""
        if differences and self._db.execute("SELECT 1 FROM marks LIMIT 1").fetchone():
            self._db.executemany(
                "INSERT INTO journal(path, before, after) VALUES(?,?,?)", map(_difference_row, differences)
            )

    def since(self, seq: int) -> Iterator[Difference]:
        """The journal after a place, oldest first."""
        rows = self._db.execute("SELECT path, before, after FROM journal WHERE seq>? ORDER BY seq", (seq,))
        return (_difference(row) for row in rows)

    # recorded changes
    def record(self, differences: Iterable[Difference]) -> None:
        self._db.executemany(
            "INSERT INTO changes(path, before, after) VALUES(?,?,?)", map(_difference_row, differences)
        )

    def recorded(self, path: str) -> list[Difference]:
        """The newest recorded changes of one path, newest first."""
        query = "SELECT path, before, after FROM changes WHERE path=? ORDER BY seq DESC LIMIT ?"
        return [_difference(row) for row in self._db.execute(query, (os.fsencode(path), _ROWS_PER_PATH))]

    def all_recorded(self) -> Iterator[tuple[int, Difference]]:
        """Every recorded change with its place, newest first."""
        rows = self._db.execute("SELECT seq, path, before, after FROM changes ORDER BY seq DESC")
        return ((row[0], _difference(row[1:])) for row in rows)

    def forget_changes(self, upto: int) -> None:
        """Forget recorded changes up to and including a place; they can no longer be undone."""
        self._db.execute("DELETE FROM changes WHERE seq<=?", (upto,))

    def close(self) -> None:
        self._db.close()


def _node(text: str) -> Node:
    node = parse_node(text)
    if node is None:
        raise sqlite3.DataError("an entry without a node")
    return node


def _difference_row(difference: Difference) -> tuple[bytes, str, str]:
    return os.fsencode(difference.path), node_text(difference.before), node_text(difference.after)


def _difference(row: tuple[bytes, str, str]) -> Difference:
    return Difference(os.fsdecode(row[0]), parse_node(row[1]), parse_node(row[2]))
