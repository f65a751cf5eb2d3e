"""A folder tree as a value: what is on disk at one moment, to compare before and after. For tests."""

from __future__ import annotations

import os
import stat
from pathlib import Path

Tree = dict[str, tuple[str, int, bytes]]


def tree_of(root: Path) -> Tree:
    """Every entry below the root: (kind, permission bits, bytes or link target)."""
    found: Tree = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            look = os.lstat(path)
            shown = os.path.relpath(path, root)
            if stat.S_ISLNK(look.st_mode):
                found[shown] = ("link", 0o777, os.fsencode(os.readlink(path)))
            elif stat.S_ISDIR(look.st_mode):
                found[shown] = ("folder", look.st_mode & 0o777, b"")
            elif stat.S_ISREG(look.st_mode):
                with open(path, "rb") as file:
                    found[shown] = ("file", look.st_mode & 0o777, file.read())
    return found
