"""The database of the DBOS engine: one address, SQLite or PostgreSQL, opened the way durable work needs it.

Layer: adapters/engine/dbos. Owns the connections: write-ahead log, full syncs and foreign keys on SQLite, one process
per file; no passwords in addresses on PostgreSQL. Absent: tables and statements (`rows`, and the library's own).
SQLAlchemy is imported here when the first database is opened.
"""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carapax.core.terms.error import StoreUnavailable

POSTGRES = "postgresql://"
POOL = 8
BUSY_MS = 30_000
CONNECT_S = 10
SILENCE_MS = 3_000  # a server that acknowledges nothing for so long is away


@dataclass(slots=True)
class Database:
    """An open engine of SQLAlchemy's. `url` names it for DBOS; `close` may be called twice."""

    engine: Any
    url: str
    postgres: bool
    lock: int | None = None

    def close(self) -> None:
        """Close the connections and let another process have the file."""
        self.engine.dispose()
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def open_database(address: str) -> Database:
    """Open `postgresql://…`, or else a SQLite file at this path. Raises StoreUnavailable."""
    return _open_postgres(address) if address.startswith(POSTGRES) else _open_sqlite(Path(address))


def _open_sqlite(path: Path) -> Database:
    import sqlalchemy as sa

    lock = _lock(path)
    url = sa.URL.create("sqlite", database=str(path))
    engine = sa.create_engine(
        url, poolclass=sa.pool.QueuePool, pool_size=POOL, max_overflow=0, connect_args={"timeout": BUSY_MS / 1_000}
    )
    sa.event.listen(engine, "connect", _prepare)
    return Database(engine, url.render_as_string(), postgres=False, lock=lock)


def _lock(path: Path) -> int:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"the work file {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreUnavailable(
            f"another process uses the work file {path}",
            next_step="Stop the other gateway, or let both use PostgreSQL (`database` in the settings).",
        ) from error
    return lock


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    # DBOS asks SQLite for `unixepoch('subsec')`, which versions before 3.42 do not know.
    if connection.execute("SELECT typeof(unixepoch('subsec'))").fetchone() != ("real",):
        connection.create_function("unixepoch", -1, unix_epoch)


def unix_epoch(*words: str) -> float | int | None:
    """What newer versions of SQLite answer for the present moment; None for anything else."""
    match words:
        case () | ("now",):
            return int(time.time())
        case ("subsec",) | ("now", "subsec"):
            return time.time()
        case _:
            return None


def _open_postgres(address: str) -> Database:
    import sqlalchemy as sa

    try:
        url = sa.make_url(address).set(drivername="postgresql+psycopg")
    except (sa.exc.ArgumentError, ValueError) as error:
        raise StoreUnavailable("the address of the database does not parse") from error
    if url.password is not None or "password" in url.query:
        raise StoreUnavailable(
            "the address of the database holds a password",
            next_step="Take it out of the address: use PGPASSFILE, peer authentication or a service file.",
        )
    engine = sa.create_engine(
        url,
        pool_size=POOL,
        max_overflow=2,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_S,
            "application_name": "carapax",
            "tcp_user_timeout": SILENCE_MS,
            "keepalives_idle": 5,
        },
    )
    return Database(engine, url.render_as_string(), postgres=True)
