"""The tables: one description for SQLite and PostgreSQL.

Layer: adapters/store. Owns names, types and indexes; `migrations/` brings an older file to this state,
and a test holds the two equal. Portable types only: BIGINT times in ms, TEXT for JSON (canonical bytes).
`row` is the order in which things were stored: unlike a clock it never goes back.
Law: every read of the port is served by one of these indexes; nothing is counted over history.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import TEXT as SERVER_TEXT

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMES)
# On PostgreSQL texts are compared by their bytes: a newer collation of the system never spoils an index.
TEXT = Text().with_variant(SERVER_TEXT(collation="C"), "postgresql")


def _row() -> Column[int]:
    return Column("row", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True)


def _text(name: str) -> Column[str]:
    return Column(name, TEXT, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _later(name: str, default: str) -> Column[str]:
    """A text that rows of an earlier schema did not have."""
    return Column(name, TEXT, nullable=False, server_default=default)


def _later_number(name: str, default: int) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text(str(default)))


def _usage() -> list[Column[int]]:
    return [_number("tokens"), _number("usd_micro"), _number("tool_calls"), _number("wall_ms")]


def _session() -> Column[str]:
    return Column("session", TEXT, ForeignKey("sessions.id"), nullable=False)


sessions = Table(
    "sessions",
    metadata,
    _row(),
    _text("id"),
    _text("name"),
    _text("name_folded"),
    _text("owner"),
    Column("conversation", TEXT),
    _number("created_ms"),
    _number("updated_ms"),
    _number("turns"),
    _number("parts"),
    *_usage(),
    UniqueConstraint("id"),
    UniqueConstraint("owner", "conversation"),
    Index(None, "owner", "updated_ms", "row"),
)

turns = Table(
    "turns",
    metadata,
    _row(),
    _text("id"),
    _session(),
    _number("number"),
    _text("state"),
    _text("principal"),
    _text("channel"),
    _text("text"),
    _text("reply"),
    _number("started_ms"),
    Column("ended_ms", BigInteger),
    *_usage(),
    Column("key", TEXT),
    Column("undoable", Boolean, nullable=False),
    UniqueConstraint("id"),
    UniqueConstraint("session", "number"),
    UniqueConstraint("session", "key"),
    Index(None, "state", "row"),
)
Index("ix_turns_undoable", turns.c.row, sqlite_where=turns.c.undoable == true(), postgresql_where=turns.c.undoable)
Index(
    "ix_turns_undoable_session",
    turns.c.session,
    turns.c.row,
    sqlite_where=turns.c.undoable == true(),
    postgresql_where=turns.c.undoable,
)

parts = Table(
    "parts",
    metadata,
    _row(),
    _session(),
    _text("turn"),
    _number("seq"),
    _text("kind"),
    _text("text"),
    Column("folded", TEXT),  # only where folding does more than ASCII lower case
    _text("label"),
    _number("created_ms"),
    _text("tool"),
    Column("call", TEXT),
    UniqueConstraint("session", "seq"),
)

calls = Table(
    "calls",
    metadata,
    _row(),
    _text("id"),
    _session(),
    _text("turn"),
    _text("tool"),
    _text("summary"),
    _number("entry"),
    Column("outcome", TEXT),
    Column("receipt_entry", BigInteger),
    Column("changes", TEXT),
    UniqueConstraint("id"),
    Index(None, "session"),
    Index(None, "turn"),
)
Index("ix_calls_open", calls.c.row, sqlite_where=calls.c.outcome.is_(None), postgresql_where=calls.c.outcome.is_(None))

approvals = Table(
    "approvals",
    metadata,
    _row(),
    _text("id"),
    _session(),
    _text("turn"),
    _text("call"),
    _text("digest"),
    _text("title"),
    _text("lines"),
    _text("rule"),
    _text("reason"),
    _text("taint"),
    _number("asked_ms"),
    _number("deadline_ms"),
    _text("state"),
    Column("answered_by", TEXT),
    Column("answered_ms", BigInteger),
    _later("blanks", "[]"),
    _later("choices", "[]"),
    _later("choices_source", ""),
    Column("factor", Boolean, nullable=False, server_default=false()),
    _later_number("people", 1),
    _later("agreed", "[]"),
    _later("exact", ""),
    _later("hidden", "[]"),
    _later("hint", ""),
    _later_number("calls", 1),
    _later("typed", "[]"),
    _later("picked", "[]"),
    UniqueConstraint("id"),
    Index(None, "session"),
    Index(None, "call", "row"),
    Index(None, "state", "row"),
)

tokens = Table(
    "tokens",
    metadata,
    _row(),
    _text("id"),
    _text("hash"),
    _text("name"),
    _text("scopes"),
    _number("created_ms"),
    _number("expires_ms"),
    Column("revoked", Boolean, nullable=False),
    Column("last_used_ms", BigInteger),
    UniqueConstraint("id"),
    UniqueConstraint("hash"),
)

days = Table("days", metadata, Column("day", TEXT, primary_key=True), *_usage())

counters = Table("counters", metadata, Column("name", TEXT, primary_key=True), _number("count"))

# What protects outlives a session: neither of these belongs to one.
content_labels = Table("content_labels", metadata, Column("digest", TEXT, primary_key=True), _text("label"))

tallies = Table(
    "tallies",
    metadata,
    _row(),
    _text("kind"),
    _number("at_ms"),
    _number("amount"),
    _text("session"),
    Index("ix_tallies_kind_at_ms", "kind", "at_ms", "amount"),  # with the amount, so that a sum reads the index only
    Index(None, "at_ms"),
)

# people and where they are
accounts = Table(
    "accounts",
    metadata,
    _row(),
    _text("channel"),
    _text("sender"),
    _text("person"),
    _text("name"),
    _number("since_ms"),
    _text("by"),
    UniqueConstraint("channel", "sender"),
    Index(None, "channel", "person", "row"),
)

pairings = Table(
    "pairings",
    metadata,
    _row(),
    _text("hash"),
    _text("channel"),
    _text("sender"),
    _text("name"),
    _text("person"),
    _number("made_ms"),
    _number("expires_ms"),
    _number("tries"),
    UniqueConstraint("hash"),
    Index(None, "expires_ms"),
)

places = Table(
    "places",
    metadata,
    _row(),
    _text("person"),
    _text("channel"),
    _text("chat"),
    _text("thread"),
    Column("private", Boolean, nullable=False),
    _number("last_ms"),
    UniqueConstraint("person", "channel", "chat", "thread"),
    Index(None, "person", "last_ms", "row"),
    Index(None, "channel"),
)

notes = Table(
    "notes",
    metadata,
    Column("channel", TEXT, primary_key=True),
    Column("name", TEXT, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

# work: what is finished even when the process that took it dies
STANDING_WORK = text("state <> 'done'")  # what is listed; a piece that is done is only ever looked up or forgotten
DONE_WORK = text("state = 'done'")

works = Table(
    "works",
    metadata,
    _row(),
    _text("kind"),
    _text("key"),
    _text("lane"),
    _text("body"),
    _number("started_ms"),
    _text("state"),
    _number("attempts"),
    _number("due_ms"),
    _text("error"),
    Column("ended_ms", BigInteger),
    UniqueConstraint("kind", "key"),
)
Index("ix_works_standing", works.c.row, sqlite_where=STANDING_WORK, postgresql_where=STANDING_WORK)
Index("ix_works_done", works.c.ended_ms, sqlite_where=DONE_WORK, postgresql_where=DONE_WORK)
