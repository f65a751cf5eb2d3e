"""Accounts, pairings and places of people, notes of channels, and work that outlives its process."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; nothing of the older ones is touched but for one more index."""
    op.create_index("ix_approvals_call_row", "approvals", ["call", "row"])
    _people()
    _notes()
    _works()


def _row() -> sa.Column[int]:
    return sa.Column("row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def _people() -> None:
    op.create_table(
        "accounts",
        _row(),
        *_texts("channel", "sender", "person", "name"),
        *_numbers("since_ms"),
        *_texts("by"),
        sa.PrimaryKeyConstraint("row", name="pk_accounts"),
        sa.UniqueConstraint("channel", "sender", name="uq_accounts_channel_sender"),
    )
    op.create_index("ix_accounts_channel_person_row", "accounts", ["channel", "person", "row"])
    op.create_table(
        "pairings",
        _row(),
        *_texts("hash", "channel", "sender", "name", "person"),
        *_numbers("made_ms", "expires_ms", "tries"),
        sa.PrimaryKeyConstraint("row", name="pk_pairings"),
        sa.UniqueConstraint("hash", name="uq_pairings_hash"),
    )
    op.create_index("ix_pairings_expires_ms", "pairings", ["expires_ms"])
    op.create_table(
        "places",
        _row(),
        *_texts("person", "channel", "chat", "thread"),
        sa.Column("private", sa.Boolean(), nullable=False),
        *_numbers("last_ms"),
        sa.PrimaryKeyConstraint("row", name="pk_places"),
        sa.UniqueConstraint("person", "channel", "chat", "thread", name="uq_places_person_channel_chat_thread"),
    )
    op.create_index("ix_places_person_last_ms_row", "places", ["person", "last_ms", "row"])
    op.create_index("ix_places_channel", "places", ["channel"])


def _notes() -> None:
    op.create_table(
        "notes",
        *_texts("channel", "name"),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "name", name="pk_notes"),
    )


def _works() -> None:
    op.create_table(
        "works",
        _row(),
        *_texts("kind", "key", "lane", "body"),
        *_numbers("started_ms"),
        *_texts("state"),
        *_numbers("attempts", "due_ms"),
        *_texts("error"),
        sa.Column("ended_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("row", name="pk_works"),
        sa.UniqueConstraint("kind", "key", name="uq_works_kind_key"),
    )
    standing, done = sa.text("state <> 'done'"), sa.text("state = 'done'")
    op.create_index("ix_works_standing", "works", ["row"], sqlite_where=standing, postgresql_where=standing)
    op.create_index("ix_works_done", "works", ["ended_ms"], sqlite_where=done, postgresql_where=done)
