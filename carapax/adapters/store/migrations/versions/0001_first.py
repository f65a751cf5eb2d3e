"""The first tables. Spelled out, not taken from `schema`: that one moves on, this one stays."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _row() -> sa.Column[int]:
    return sa.Column("row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def _usage() -> list[sa.Column[int]]:
    return _numbers("tokens", "usd_micro", "tool_calls", "wall_ms")


def _owned(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=f"fk_{table}_session")


def upgrade() -> None:
    """Make every table and index."""
    _sessions()
    _turns()
    _parts()
    _calls()
    _approvals()
    _the_rest()


def _sessions() -> None:
    op.create_table(
        "sessions",
        _row(),
        *_texts("id", "name", "name_folded", "owner"),
        sa.Column("conversation", sa.Text()),
        *_numbers("created_ms", "updated_ms", "turns", "parts"),
        *_usage(),
        sa.PrimaryKeyConstraint("row", name="pk_sessions"),
        sa.UniqueConstraint("id", name="uq_sessions_id"),
        sa.UniqueConstraint("owner", "conversation", name="uq_sessions_owner_conversation"),
    )
    op.create_index("ix_sessions_owner_updated_ms_row", "sessions", ["owner", "updated_ms", "row"])


def _turns() -> None:
    op.create_table(
        "turns",
        _row(),
        *_texts("id", "session"),
        *_numbers("number"),
        *_texts("state", "principal", "channel", "text", "reply"),
        *_numbers("started_ms"),
        sa.Column("ended_ms", sa.BigInteger()),
        *_usage(),
        sa.Column("key", sa.Text()),
        sa.Column("undoable", sa.Boolean(), nullable=False),
        _owned("turns"),
        sa.PrimaryKeyConstraint("row", name="pk_turns"),
        sa.UniqueConstraint("id", name="uq_turns_id"),
        sa.UniqueConstraint("session", "number", name="uq_turns_session_number"),
        sa.UniqueConstraint("session", "key", name="uq_turns_session_key"),
    )
    op.create_index("ix_turns_state_row", "turns", ["state", "row"])
    lite, post = sa.text("undoable = 1"), sa.text("undoable")
    op.create_index("ix_turns_undoable", "turns", ["row"], sqlite_where=lite, postgresql_where=post)
    op.create_index("ix_turns_undoable_session", "turns", ["session", "row"], sqlite_where=lite, postgresql_where=post)


def _parts() -> None:
    op.create_table(
        "parts",
        _row(),
        *_texts("session", "turn"),
        *_numbers("seq"),
        *_texts("kind", "text"),
        sa.Column("folded", sa.Text()),
        *_texts("label"),
        *_numbers("created_ms"),
        *_texts("tool"),
        sa.Column("call", sa.Text()),
        _owned("parts"),
        sa.PrimaryKeyConstraint("row", name="pk_parts"),
        sa.UniqueConstraint("session", "seq", name="uq_parts_session_seq"),
    )


def _calls() -> None:
    op.create_table(
        "calls",
        _row(),
        *_texts("id", "session", "turn", "tool", "summary"),
        *_numbers("entry"),
        sa.Column("outcome", sa.Text()),
        sa.Column("receipt_entry", sa.BigInteger()),
        sa.Column("changes", sa.Text()),
        _owned("calls"),
        sa.PrimaryKeyConstraint("row", name="pk_calls"),
        sa.UniqueConstraint("id", name="uq_calls_id"),
    )
    op.create_index("ix_calls_session", "calls", ["session"])
    op.create_index("ix_calls_turn", "calls", ["turn"])
    still_open = sa.text("outcome IS NULL")
    op.create_index("ix_calls_open", "calls", ["row"], sqlite_where=still_open, postgresql_where=still_open)


def _approvals() -> None:
    op.create_table(
        "approvals",
        _row(),
        *_texts("id", "session", "turn", "call", "digest", "title", "lines", "rule", "reason", "taint"),
        *_numbers("asked_ms", "deadline_ms"),
        *_texts("state"),
        sa.Column("answered_by", sa.Text()),
        sa.Column("answered_ms", sa.BigInteger()),
        _owned("approvals"),
        sa.PrimaryKeyConstraint("row", name="pk_approvals"),
        sa.UniqueConstraint("id", name="uq_approvals_id"),
    )
    op.create_index("ix_approvals_session", "approvals", ["session"])
    op.create_index("ix_approvals_state_row", "approvals", ["state", "row"])


def _the_rest() -> None:
    op.create_table(
        "tokens",
        _row(),
        *_texts("id", "hash", "name", "scopes"),
        *_numbers("created_ms", "expires_ms"),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.Column("last_used_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("row", name="pk_tokens"),
        sa.UniqueConstraint("id", name="uq_tokens_id"),
        sa.UniqueConstraint("hash", name="uq_tokens_hash"),
    )
    op.create_table("days", *_texts("day"), *_usage(), sa.PrimaryKeyConstraint("day", name="pk_days"))
    counters = op.create_table(
        "counters", *_texts("name"), *_numbers("count"), sa.PrimaryKeyConstraint("name", name="pk_counters")
    )
    op.bulk_insert(counters, [{"name": "sessions", "count": 0}, {"name": "turns", "count": 0}])
