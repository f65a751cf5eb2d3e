"""Alembic's entry: runs the revisions on the connection it is given, inside its transaction."""

from __future__ import annotations

from alembic import context

from carapax.adapters.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    transactional_ddl=True,
)
context.run_migrations()
