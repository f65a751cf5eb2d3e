"""Versions on PostgreSQL: a new database gets today's tables, an older one is migrated, a newer one is refused.

Layer: adapters/store; imported for PostgreSQL only. All of it happens under one advisory lock and in one transaction,
so that of two gateways which start at once one makes the tables and the other finds them.
Absent: a copy beside it, as a file gets: a failed migration is taken back by the server, and backups are its operator's.
"""

from __future__ import annotations

import psycopg

from carapax.adapters.store import postgres_text, sqlite_text
from carapax.adapters.store.postgres_faults import unavailable
from carapax.adapters.store.postgres_link import GATE, ServerLink
from carapax.adapters.store.postgres_place import Server
from carapax.adapters.store.versions import COUNTERS, SCRIPTS, VERSION_TABLE, VERSIONS, newer
from carapax.core.terms.error import StoreUnavailable

_OURS = frozenset((*postgres_text.tables, "alembic_version"))


def ensure(server: Server) -> None:
    """Bring the database to the newest version. Raises StoreUnavailable."""
    try:
        link = ServerLink(server)
    except psycopg.Error as error:
        raise unavailable(error, server.name) from error
    try:
        version = _find_or_create(link, server.name)
    except psycopg.Error as error:
        raise unavailable(error, server.name) from error
    finally:
        link.close()
    if version == VERSIONS[-1]:
        return
    if version not in VERSIONS:
        raise newer(f"the database {server.name}", version)
    # Imported here: alembic costs half a second, and most starts never need it.
    from carapax.adapters.store.upgrade import upgrade_server

    upgrade_server(server.words, server.name, GATE, SCRIPTS, VERSIONS[-1])


def _find_or_create(link: ServerLink, name: str) -> str:
    link.begin()
    try:
        version = _find_version(link, name)
        if version is None:
            version = _create(link)
        link.commit()
    finally:
        link.roll_back()
    return version


def _find_version(link: ServerLink, name: str) -> str | None:
    """The version of the tables in the connection's own schema, or None when there are none."""
    asked = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    tables = {str(row[0]) for row in link.raw.execute(asked.encode()).fetchall()}
    if not tables:
        return None
    rows = []
    if {"alembic_version", "sessions", "counters"} <= tables <= _OURS:
        rows = link.raw.execute(b"SELECT version_num FROM alembic_version").fetchall()
    if len(rows) != 1:
        raise StoreUnavailable(
            f"the database {name} holds tables that Carapax did not make",
            next_step="Give Carapax a database of its own, or a schema (`?options=-csearch_path%3DSCHEMA`).",
        )
    return str(rows[0][0])


def _create(link: ServerLink) -> str:
    for sql in postgres_text.create_all:
        link.raw.execute(sql.encode())
    for name in COUNTERS:
        link.write(sqlite_text.insert_counter, name=name, count=0)
    link.raw.execute(VERSION_TABLE.encode())
    link.raw.execute(b"INSERT INTO alembic_version VALUES (%s)", [VERSIONS[-1]])
    return VERSIONS[-1]
