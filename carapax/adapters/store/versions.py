"""Versions: a new file gets today's tables, an older one is migrated, a newer one is refused.

Layer: adapters/store. Owns the list of schema versions as a constant, because importing alembic costs half a
second: it (and SQLAlchemy) is imported only when a file is older. A test holds the list equal to the revisions in `migrations/`
and the tables they make equal to `schema`.
Law: before a migration a whole copy stands beside the file; a migration that fails changes nothing.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from carapax.adapters.store import sqlite_text
from carapax.adapters.store.faults import FAILURES, unavailable
from carapax.adapters.store.link import FileLink, connect
from carapax.core.terms.error import StoreUnavailable

VERSIONS: tuple[str, ...] = ("0001", "0002", "0003")  # oldest first; the last is what this release writes
SCRIPTS = Path(__file__).parent / "migrations"
COUNTERS = ("sessions", "turns")
COPIES = 100  # ceiling of copies kept beside one file
VERSION_TABLE = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def ensure(path: str) -> None:
    """Bring the file to the newest version. Raises StoreUnavailable."""
    try:
        link = connect(path)
        try:
            version = _find_version(link, path) or _create(link, path)
        finally:
            link.close()
    except FAILURES as error:
        raise unavailable(error, path) from error
    if version == VERSIONS[-1]:
        return
    if version not in VERSIONS:
        raise newer(f"the database {path}", version)
    _migrate(path, version)


def newer(what: str, version: str) -> StoreUnavailable:
    """The error for a database that a newer release wrote."""
    return StoreUnavailable(
        f"{what} was written by a newer release (schema {version}; this one knows {VERSIONS[-1]})",
        next_step="Install that release again, or put back the copy that was made before it.",
    )


def _find_version(link: FileLink, path: str) -> str | None:
    """The version of the file, or None when it is empty."""
    tables = {name for (name,) in link.raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    rows = link.raw.execute("SELECT version_num FROM alembic_version").fetchall() if "alembic_version" in tables else []
    if len(rows) != 1 or not isinstance(rows[0][0], str):
        raise StoreUnavailable(
            f"{path} is a database, but not one that Carapax made",
            next_step="Name another path in the settings; this file was left as it is.",
        )
    return str(rows[0][0])


def _create(link: FileLink, path: str) -> str:
    link.raw.execute("BEGIN IMMEDIATE")
    try:
        version = _find_version(link, path)  # another process may have been first
        if version is None:
            for sql in sqlite_text.create_all:
                link.raw.execute(sql)
            for name in COUNTERS:
                link.write(sqlite_text.insert_counter, name=name, count=0)
            link.raw.execute(VERSION_TABLE)
            version = VERSIONS[-1]
            link.raw.execute("INSERT INTO alembic_version VALUES (?)", (version,))
        link.raw.execute("COMMIT")
    finally:
        if link.raw.in_transaction:
            link.raw.execute("ROLLBACK")
    return version


def _migrate(path: str, version: str) -> None:
    copy = keep_copy(path, version)
    # Imported here: alembic costs half a second, and most starts never need it.
    from carapax.adapters.store.upgrade import upgrade

    upgrade(path, SCRIPTS, VERSIONS[-1], copy)


def keep_copy(path: str, version: str) -> str:
    """Copy the whole database to a new file beside it, mode 0600; returns the copy's path. Raises StoreUnavailable."""
    for number in range(1, COPIES + 1):
        copy = f"{path}.schema-{version}.{number}"
        try:
            os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            continue
        except OSError as error:
            raise StoreUnavailable(f"no copy could be made beside {path}: {os.strerror(error.errno or 0)}") from error
        _copy(path, copy)
        return copy
    raise StoreUnavailable(
        f"{COPIES} copies stand beside {path} already", next_step="Move the older copies elsewhere, then start again."
    )


def _copy(path: str, copy: str) -> None:
    source, target = sqlite3.connect(path), sqlite3.connect(copy)
    try:
        source.backup(target)
    except FAILURES as error:
        os.unlink(copy)
        raise unavailable(error, path) from error
    finally:
        source.close()
        target.close()
