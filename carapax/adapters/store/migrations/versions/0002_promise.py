"""Approvals that are typed, picked, seconded or shared; labels of content; tallies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Older approvals get what a plain card has: nothing to fill, one person, one call."""
    _approvals()
    op.create_table(
        "content_labels",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_content_labels"),
    )
    op.create_table(
        "tallies",
        sa.Column("row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("row", name="pk_tallies"),
    )
    op.create_index("ix_tallies_at_ms", "tallies", ["at_ms"])
    op.create_index("ix_tallies_kind_at_ms", "tallies", ["kind", "at_ms", "amount"])


def _approvals() -> None:
    for column in (
        _text("blanks", "[]"),
        _text("choices", "[]"),
        _text("choices_source", ""),
        sa.Column("factor", sa.Boolean(), nullable=False, server_default=sa.false()),
        _number("people"),
        _text("agreed", "[]"),
        _text("exact", ""),
        _text("hidden", "[]"),
        _text("hint", ""),
        _number("calls"),
        _text("typed", "[]"),
        _text("picked", "[]"),
    ):
        op.add_column("approvals", column)


def _text(name: str, default: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default=default)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("1"))
