"""ServerLink: one connection to a PostgreSQL server.

Layer: adapters/store; imported for PostgreSQL only. Owns the gate (an advisory lock: of all gateways on one schema one
writes at a time, so that batches of many sessions never deadlock), reconnection, and what became of a commit whose
answer was lost. Rows that are read to be written are locked besides, and every rule of uniqueness is a constraint.
Texts: PostgreSQL takes no NUL; it is written as U+FDD0 "0", and U+FDD0 itself as U+FDD0 "1".
Absent: overwriting what is deleted; here only the server's VACUUM and the age of its journal and backups remove it.
Source: postgresql.org/docs/current/explicit-locking.html, /functions-info.html (pg_xact_status).
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from carapax.adapters.store import postgres_faults, postgres_text, sqlite_text
from carapax.adapters.store.link import Row
from carapax.adapters.store.postgres_place import Server
from carapax.adapters.store.prepared import Prepared, Value
from carapax.core.terms.error import CarapaxError, StoreUnavailable

LOCK_MS = 10_000  # how long another gateway's writes are waited for
IDLE_MS = 30_000  # a gateway that stops in the middle of a write is put out after so long
STATEMENT_MS = 60_000
OUTCOME_S, OUTCOME_PAUSE_S = 10.0, 0.2  # how long a lost commit is asked after
GATE = 0x43525058
_ESCAPE = "\ufdd0"
_BEGIN = f"BEGIN; SELECT pg_advisory_xact_lock({GATE}, hashtext(current_schema())), pg_current_xact_id()::text".encode()
_SETTINGS = (
    "SET TimeZone TO 'UTC'; SET statement_timeout TO {statement}; SET lock_timeout TO {lock};"
    " SET idle_in_transaction_session_timeout TO {idle}; SET default_transaction_read_only TO {read_only};"
    # an acknowledged write survives a power cut; whoever waits for standbys too keeps that
    " SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)

_OWN: dict[Prepared, tuple[bytes, Prepared]] = {
    vars(sqlite_text)[name]: (found.sql.encode(), found)
    for name, found in vars(postgres_text).items()
    if isinstance(found, Prepared)
}


def _bound(value: Value) -> Value:
    if type(value) is str and ("\0" in value or _ESCAPE in value):
        return value.replace(_ESCAPE, _ESCAPE + "1").replace("\0", _ESCAPE + "0")
    return value


def _read(row: Row) -> Row:
    if any(type(value) is str and _ESCAPE in value for value in row):
        return tuple(_plain(value) if type(value) is str else value for value in row)
    return row


def _plain(value: str) -> str:
    return value.replace(_ESCAPE + "0", "\0").replace(_ESCAPE + "1", _ESCAPE)


class ServerLink:
    """A connection that is made again when it was lost and nothing depends on it."""

    __slots__ = ("_raw", "_read_only", "_server", "_xact")
    failures: tuple[type[Exception], ...] = postgres_faults.FAILURES
    batch = 64  # the server keeps so many savepoints of a transaction at hand; with more, everybody's reads get slower

    def __init__(self, server: Server, *, read_only: bool = False) -> None:
        """Connect. Raises psycopg.Error."""
        self._server = server
        self._read_only = read_only
        self._xact = ""
        self._raw = self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        raw = psycopg.connect(self._server.words, autocommit=True)
        read_only = "on" if self._read_only else "off"
        settings = _SETTINGS.format(statement=STATEMENT_MS, lock=LOCK_MS, idle=IDLE_MS, read_only=read_only)
        try:
            raw.execute(settings.encode())
        except psycopg.Error:
            raw.close()
            raise
        return raw

    @property
    def raw(self) -> psycopg.Connection[Any]:
        """The driver's connection as it is at this moment."""
        return self._raw

    def _execute(self, statement: Prepared, values: dict[str, Value]) -> psycopg.Cursor[Any]:
        sql, own = _OWN[statement]
        return self._raw.execute(sql, [_bound(value) for value in own.ordered(values)])

    def write(self, statement: Prepared, **values: Value) -> int:
        """Run a write; returns the number of rows it touched."""
        return self._execute(statement, values).rowcount

    def rows(self, statement: Prepared, **values: Value) -> list[Row]:
        """All rows of a read."""
        return [_read(row) for row in self._execute(statement, values).fetchall()]

    def row(self, statement: Prepared, **values: Value) -> Row | None:
        """The first row of a read, or None."""
        found: Row | None = self._execute(statement, values).fetchone()
        return None if found is None else _read(found)

    def begin(self) -> None:
        """Pass the gate. A connection that was lost meanwhile is made again: nothing had been sent on it."""
        try:
            self._pass_gate()
        except psycopg.Error:
            if not self._raw.closed:
                raise
            self._raw = self._connect()
            self._pass_gate()

    def _pass_gate(self) -> None:
        try:
            self._send_begin()
        except psycopg.Error:
            self.roll_back()
            raise

    def _send_begin(self) -> None:
        cursor = self._raw.execute(_BEGIN)
        cursor.nextset()
        found = cursor.fetchone()
        self._xact = str(found[1]) if found else ""

    def mark(self) -> None:
        """Begin a piece."""
        self._raw.execute(b"SAVEPOINT piece")

    def undo(self) -> None:
        """Take a piece back."""
        self._raw.execute(b"ROLLBACK TO piece")

    def keep(self) -> None:
        """End a piece."""
        self._raw.execute(b"RELEASE piece")

    def commit(self) -> None:
        """Write it all down; when the answer is lost, ask the server what became of it. Raises CommitUnknown."""
        if self._raw.info.transaction_status != TransactionStatus.INTRANS:
            # COMMIT would answer without an error that everything was taken back.
            raise psycopg.errors.InFailedSqlTransaction("the transaction had failed")
        try:
            self._raw.execute(b"COMMIT")
        except psycopg.Error:
            if not self._raw.closed:
                raise
            if not self._was_committed():
                raise

    def _was_committed(self) -> bool:
        until = time.monotonic() + OUTCOME_S
        while True:
            status = self._ask_outcome()
            if status in ("committed", "aborted"):
                return status == "committed"
            if time.monotonic() > until:
                raise postgres_faults.CommitUnknown("the outcome of a commit is not known")
            time.sleep(OUTCOME_PAUSE_S)

    def _ask_outcome(self) -> str:
        """ "committed", "aborted", or anything else while it is not known."""
        try:
            if self._raw.closed:
                self._raw = self._connect()
            found = self._raw.execute(b"SELECT pg_xact_status(%s::xid8)", [self._xact]).fetchone()
        except psycopg.Error:
            return ""
        return str(found[0]) if found else ""

    def roll_back(self) -> None:
        """Take it all back; a lost connection has done so."""
        try:
            if not self._raw.closed and self._raw.info.transaction_status != TransactionStatus.IDLE:
                self._raw.execute(b"ROLLBACK")
        except psycopg.Error:
            self._raw.close()

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return self._raw.closed

    def revive(self) -> bool:
        """Connect again."""
        try:
            self._raw = self._connect()
        except psycopg.Error:
            return False
        return True

    def spoils(self, error: BaseException | None) -> bool:
        """See `postgres_faults`."""
        return postgres_faults.spoils(error)

    def unavailable(self, error: Exception) -> StoreUnavailable:
        """See `postgres_faults`."""
        return postgres_faults.unavailable(error, self._server.name)

    def refused(self, error: Exception) -> CarapaxError:
        """See `postgres_faults`."""
        return postgres_faults.refused(error, self._server.name)

    def tidy(self) -> None:
        """Nothing: the journal is the server's."""

    def find_damage(self) -> tuple[str, str]:
        """Whether every row can be read, and acknowledged writes survive a power cut."""
        asked = "SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('full_page_writes')"
        found = self._raw.execute(asked.encode()).fetchone()
        standby, *durable = found or (True,)
        if standby:
            return "the server is a standby and takes no writes", "Name the primary server in the settings."
        if durable != ["on", "on"]:
            what = "the server runs with fsync or full_page_writes off: a power cut can lose what was acknowledged"
            return what, "Set both to on in postgresql.conf and restart the server."
        with self._raw.transaction():
            self._raw.execute(b"SET LOCAL statement_timeout TO 0")
            for table in postgres_text.tables:
                whole = f'SELECT sum(octet_length(t::text)) FROM "{table}" t'  # noqa: S608 - the names are ours
                self._raw.execute(whole.encode()).fetchone()
        return "", ""

    def describe(self) -> str:
        """The server's version and the database."""
        version = self._raw.info.server_version
        return f"PostgreSQL {version // 10_000}.{version % 10_000}, {self._server.name}"

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()
