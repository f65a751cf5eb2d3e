"""Ceilings of the workspace's versions: what is kept, and what is only listed.

Layer: adapters/workspace. Over a ceiling a change is still listed, with `kept=False`; only `ENTRIES` refuses.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Bounds of one workspace's versions; the defaults are the documented ones."""

    files: int = 20_000  # files whose bytes are kept
    file_bytes: int = 32 << 20  # of one file whose bytes are kept
    store_bytes: int = 2 << 30  # of all kept bytes
    entries: int = 200_000  # files and folders looked at; more is refused before an effect
    depth: int = 100  # folders below each other; deeper ones are not looked into
    changes: int = 200_000  # recorded changes that can be undone; the oldest are forgotten first
