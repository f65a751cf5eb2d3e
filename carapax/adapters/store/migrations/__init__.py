"""Alembic's tree: one revision per schema version, for every kind of database."""
