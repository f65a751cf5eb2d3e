"""Store adapters: sessions, turns, parts, calls, approvals, tokens and usage in an SQL database."""
