"""Tool families. Each package: manifest.toml (what it may do), wire.py (pure), adapter.py, README.md.

Layer: adapters/tools. `manifest` reads the manifests of all; families are strangers to each other.
"""
