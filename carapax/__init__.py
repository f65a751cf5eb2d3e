"""Carapax: an AI agent that acts, inside a shell that holds."""

__version__ = "0.1.0"
