"""Channels, the pure part: what is said there, who may be answered, and how words become answers. Layer: core."""
