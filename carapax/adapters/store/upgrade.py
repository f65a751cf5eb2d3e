"""Upgrade: run alembic's revisions on an older database, all of them in one transaction.

Layer: adapters/store. The only module that imports alembic; `versions` imports it only when it is needed.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from carapax.adapters.store.link import BUSY_MS
from carapax.core.terms.error import StoreUnavailable


def configuration(scripts: Path) -> Config:
    """Alembic's configuration for a folder of revisions; the caller adds the connection."""
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(path: str, scripts: Path, head: str, copy: str) -> None:
    """Bring the file to `head`, or leave it as it is and raise StoreUnavailable that names the copy."""
    engine = create_engine(
        URL.create("sqlite", database=path),
        poolclass=NullPool,
        connect_args={"isolation_level": None, "timeout": BUSY_MS / 1000},
    )
    event.listen(engine, "begin", _begin)
    config = configuration(scripts)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, head)
    except (SQLAlchemyError, CommandError, sqlite3.Error, OSError) as error:
        raise StoreUnavailable(
            f"the database {path} could not be brought to schema {head} ({type(error).__name__})",
            kept=f"The database is as it was; a copy is kept as {copy}.",
            next_step="Install the release you had before, and report this.",
        ) from error


def upgrade_server(words: str, name: str, gate: int, scripts: Path, head: str) -> None:
    """Bring a PostgreSQL database to `head` while nobody else writes; on an error it is as it was. Raises StoreUnavailable."""
    import psycopg

    engine = create_engine("postgresql+psycopg://", poolclass=NullPool, creator=lambda: psycopg.connect(words))
    config = configuration(scripts)
    try:
        with engine.begin() as connection:
            # Whoever waited here finds the head reached; alembic then does nothing.
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({gate}, hashtext(current_schema()))")
            config.attributes["connection"] = connection
            command.upgrade(config, head)
    except (SQLAlchemyError, CommandError, psycopg.Error, OSError) as error:
        raise StoreUnavailable(
            f"the database {name} could not be brought to schema {head} ({type(error).__name__})",
            kept="The database is as it was.",
            next_step="Install the release you had before, and report this.",
        ) from error


def _begin(connection: Connection) -> None:
    # The driver would commit before each DDL statement; with its own transactions off, ours holds them all.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
