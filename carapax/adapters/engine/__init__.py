"""Durable work, kept in the store of one machine or by DBOS in a database that several machines share."""
