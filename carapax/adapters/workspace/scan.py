"""Looking at the whole workspace without reading it: one stamp per file, link and folder.

Layer: adapters/workspace. Folders are opened relative to each other with O_NOFOLLOW, so a link is an entry and never
a way. Sockets, pipes and devices are passed over. The cost is one stat per entry.
Laws: bounded by `Ceilings.entries` and `depth`; what could not be seen is named in `unseen`, never taken for deleted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from carapax.adapters.workspace.ceilings import Ceilings
from carapax.adapters.workspace.nodes import Stamp

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_VERSIONED = frozenset({stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK})


@dataclass(slots=True)
class Scan:
    """What is there, and what of it moved. `unseen`: folders ("" for the root) whose contents were not fully seen."""

    paths: set[str] = field(default_factory=set)
    moved: dict[str, Stamp] = field(default_factory=dict)  # not as the caller knew it
    unseen: list[str] = field(default_factory=list)
    over: bool = False  # there are more entries than the ceiling

    def hides(self, path: str) -> bool:
        """Whether a path that was not found may still exist, in a folder that could not be seen."""
        return any(folder == "" or path.startswith(folder + "/") for folder in self.unseen)


def scan_tree(root: Path, ceilings: Ceilings, known: Mapping[str, Stamp]) -> Scan:
    """Look at everything below the root and compare with what is known. Raises OSError when the root cannot be opened."""
    found = Scan()
    fd = os.open(root, _FOLDER)
    try:
        _scan_folder(fd, "", ceilings.depth, ceilings.entries, known, found)
    finally:
        os.close(fd)
    return found


def _scan_folder(fd: int, prefix: str, depth: int, entries: int, known: Mapping[str, Stamp], found: Scan) -> None:
    paths, folders = found.paths, []
    with os.scandir(fd) as listing:
        for entry in listing:
            try:
                look = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone between the listing and the look
            except OSError:  # a folder that may be listed but not entered
                found.unseen.append(prefix[:-1])
                return
            mode = look.st_mode
            if (mode & 0o170000) not in _VERSIONED:
                continue
            if len(paths) >= entries:
                found.over = True
                found.unseen.append("")
                return
            path = prefix + entry.name
            paths.add(path)
            # A plain tuple equals the named one and costs half: this line runs for every entry of every look.
            stamp = (mode, look.st_size, look.st_mtime_ns, look.st_ctime_ns, look.st_ino)
            if known.get(path) != stamp:
                found.moved[path] = Stamp(*stamp)
            if (mode & 0o170000) == stat.S_IFDIR:
                folders.append(entry.name)
    for name in folders:
        _enter(fd, name, prefix + name, depth, entries, known, found)
        if found.over:
            return


def _enter(fd: int, name: str, path: str, depth: int, entries: int, known: Mapping[str, Stamp], found: Scan) -> None:
    if depth <= 0:
        found.unseen.append(path)
        return
    try:
        below = os.open(name, _FOLDER, dir_fd=fd)
    except OSError:  # not permitted, or replaced since the listing
        found.unseen.append(path)
        return
    try:
        _scan_folder(below, path + "/", depth - 1, entries, known, found)
    finally:
        os.close(below)
