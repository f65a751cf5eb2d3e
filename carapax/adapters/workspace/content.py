"""Content: the files at and under some paths with the digests of their present bytes; a bounded look that changes nothing.

Layer: adapters/workspace. Uses the digests that the versions know while a file's stamp is theirs, and reads the rest.
A link is followed only to something inside the workspace; what lies outside, is too much, too big or cannot be read
is `blind`: the caller takes it for the worst. Synchronous.
Laws: a digest given is of bytes that stood at the path during the look; whatever was not seen is in `blind`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from carapax.adapters.workspace import beneath
from carapax.adapters.workspace.ceilings import Ceilings
from carapax.adapters.workspace.nodes import Stamp
from carapax.adapters.workspace.scan import scan_tree
from carapax.adapters.workspace.versions import Versions
from carapax.core.terms.ids import Digest

FILES = 2_000  # files looked at in one look
READ_BYTES = 64 << 20  # read in one look, where the versions do not know the digest
_SCANNED = Ceilings(entries=2 * FILES)  # folders and links count here too
_PIECE = 1 << 20


@dataclass(slots=True)
class Sight:
    """What a look saw. `files`: path → digest, None when the bytes were not read; `asked`: folders that were named."""

    files: dict[str, Digest | None] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    blind: set[str] = field(default_factory=set)


class Look:
    """One look; used once by one thread."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._root = versions.root
        self._left_bytes = READ_BYTES
        self._full = False
        self.sight = Sight()

    def see(self, paths: Sequence[str]) -> Sight:
        """Look at every path and everything under it."""
        for path in paths:
            self._follow(path, asked=True)
        return self.sight

    def digest(self, path: str) -> Digest | None:
        """The digest of one file's present bytes; None when there is no readable file or too little left to read."""
        try:
            found = beneath.look(self._root, path)
            return None if found is None or not stat.S_ISREG(found.st_mode) else self._digest(path, _stamp(found))
        except (OSError, ValueError):
            return None

    def _follow(self, path: str, *, asked: bool = False) -> None:
        inside = resolve(self._root, path)
        if inside is None:
            self.sight.blind.add(path)
            return
        try:
            self._enter(inside, asked)
        except (OSError, ValueError):  # not permitted, a name too long, or something else was put there meanwhile
            self.sight.blind.add(path)

    def _enter(self, path: str, asked: bool) -> None:
        found = beneath.look(self._root, path) if path else os.stat(self._root)
        if found is None:
            return
        if stat.S_ISREG(found.st_mode):
            self._file(path, _stamp(found))
        elif stat.S_ISDIR(found.st_mode):
            if asked:
                self.sight.asked.add(path)
            self._folder(path)
        else:  # a pipe, a socket, a device, or a link that was put there meanwhile
            self.sight.blind.add(path)

    def _folder(self, folder: str) -> None:
        if self._full or folder in self.sight.folders:
            return
        self.sight.folders.add(folder)
        scan = scan_tree(self._root / folder, _SCANNED, {})
        prefix = folder + "/" if folder else ""
        self.sight.blind.update(prefix + unseen for unseen in scan.unseen)
        links = []
        for name, stamp in scan.moved.items():
            if stat.S_ISREG(stamp.mode):
                self._file(prefix + name, stamp)
            elif stat.S_ISDIR(stamp.mode):
                self.sight.folders.add(prefix + name)
            else:
                links.append(prefix + name)
        for link in links:
            self._follow(link)

    def _file(self, path: str, stamp: Stamp) -> None:
        if path in self.sight.files:
            return
        if len(self.sight.files) >= FILES:
            self._full = True
            self.sight.blind.add("")
            return
        self.sight.files[path] = self._digest(path, stamp)

    def _digest(self, path: str, stamp: Stamp) -> Digest | None:
        known = self._versions.known_digest(path, stamp)
        if known is not None or stamp.size_bytes > self._left_bytes:
            return known
        try:
            return self._read(path, stamp)
        except OSError:
            return None

    def _read(self, path: str, stamp: Stamp) -> Digest | None:
        hasher, size = hashlib.sha256(), 0
        with open(beneath.open_file(self._root, path), "rb", buffering=0) as file:
            while size <= stamp.size_bytes and (piece := file.read(_PIECE)):
                hasher.update(piece)
                size += len(piece)
            still = _stamp(os.fstat(file.fileno())) == stamp
        self._left_bytes -= size
        return Digest(hasher.hexdigest()) if still and size == stamp.size_bytes else None


def resolve(root: Path, path: str) -> str | None:
    """A path with its links followed, relative to the root and "" for the root; None when it leads outside."""
    top = os.fspath(root)
    try:
        full = os.path.realpath(os.path.join(top, path))
    except ValueError:  # a NUL, or text that is no file name
        return None
    if full == top:
        return ""
    return full[len(top) + 1 :] if full.startswith(top + "/") else None


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
