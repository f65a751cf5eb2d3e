"""The engine over DBOS: a SQLite file of its own, or a PostgreSQL database that several machines share."""
