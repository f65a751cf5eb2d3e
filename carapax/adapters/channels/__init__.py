"""Channels: one package for each messenger. What a package is stands in docs/channels.md."""
