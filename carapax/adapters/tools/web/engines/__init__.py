"""Search engines: each says what to ask, and reads the answer. Pure; the asking is the family's adapter's."""
