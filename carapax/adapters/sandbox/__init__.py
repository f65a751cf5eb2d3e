"""Adapters of the sandbox port, one package per kind of wall."""
