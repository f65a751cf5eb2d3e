"""IRC: one connection, channels and private words."""
