"""Store adapters: sessions, turns, parts, calls, approvals, labels of content, tallies, tokens and usage in an SQL database."""
