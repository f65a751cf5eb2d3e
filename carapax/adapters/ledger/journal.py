"""The open files of one ledger: a group of entries becomes durable, then signed, or nothing of it stays.

Layer: adapters/ledger. Synchronous and used by one thread at a time; owns descriptors and ends of files.
Order of a group: entries written → fdatasync → leaf hashes and the signed checkpoint written → group done. Only the entries are
synced for every group: a checkpoint can never be durable before what it covers, and one that a power loss takes is signed again.
Laws: what `commit` returned for is durable; a commit that raised left the files as before, or the journal refuses everything after.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.ledger.layout import Layout
from carapax.core.ledger.checkpoint import Checkpoint, Sign, sign_checkpoint
from carapax.core.ledger.entry import render_line
from carapax.core.ledger.merkle import SEGMENT_ENTRIES, Tree, leaf_hash
from carapax.core.terms.error import LedgerUnavailable

GROUP_ENTRIES = 256
_SYNC_EVERY = 256  # groups between two syncs of the checkpoints under steady load
_REOPEN = "Look at the disk, then restart Carapax: it checks the ledger's end and continues."


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry that has no index yet."""

    time_ms: int
    kind: str
    body: bytes  # canonical, from render_body


class _AppendFile:
    """One append-only file and the end of what is committed in it."""

    __slots__ = ("end", "fd")

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.end = os.fstat(self.fd).st_size

    def write(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self.fd, view) :]

    def settle(self, written: int) -> None:
        self.end += written

    def restore(self) -> None:
        os.ftruncate(self.fd, self.end)


class Journal:
    """Files opened for appending at a verified end."""

    def __init__(self, layout: Layout, origin: str, public_key: bytes, sign: Sign, tree: Tree, note: str) -> None:
        self._layout, self._origin, self._public_key, self._sign = layout, origin, public_key, sign
        self._tree = tree
        self.note = note
        self.failure = ""  # why nothing more may be appended
        self.unsynced = 0  # groups whose checkpoint is not synced
        self._checkpoints = _AppendFile(layout.checkpoints)
        self._leaves = _AppendFile(layout.leaves)
        self._roots = _AppendFile(layout.roots)
        self._sync_derived()  # a kill left them unsynced; the segment opened next may be a new one
        self._segment = tree.segments.size
        self._entries = _AppendFile(layout.segment(self._segment))
        sync_directory(layout.directory)

    @property
    def size(self) -> int:
        return self._tree.size

    def room(self) -> int:
        """Entries that may go in the next group: it never crosses a segment's end."""
        return min(GROUP_ENTRIES, SEGMENT_ENTRIES - self._tree.open.size)

    def commit(self, drafts: Sequence[Draft]) -> int:
        """Make at most `room()` entries durable and signed; returns the first one's index. Raises LedgerUnavailable."""
        if self.failure:
            raise LedgerUnavailable(self.failure, next_step=_REOPEN)
        tree, first = self._tree.copy(), self._tree.size
        lines, leaves, root = [], [], b""
        for index, draft in enumerate(drafts, first):
            line = render_line(index, draft.time_ms, draft.kind, draft.body)
            leaf = leaf_hash(line)
            lines.append(line)
            leaves.append(leaf)
            root = tree.append(leaf) or b""
        note = sign_checkpoint(Checkpoint(self._origin, tree.size, tree.root()), self._public_key, self._sign)
        parts = (b"\n".join(lines) + b"\n", b"".join(leaves), root, note.encode())
        try:
            self._roll()
            self._write(*parts)
        except OSError as error:
            raise self._restore(error) from error
        for file, part in zip((self._entries, self._leaves, self._roots, self._checkpoints), parts, strict=True):
            file.settle(len(part))
        self._tree, self.note = tree, note
        self.unsynced += 1
        if self.unsynced >= _SYNC_EVERY:
            self.sync()
        return first

    def sync(self) -> None:
        """Make checkpoints and leaf hashes durable too; a failure stops the journal but takes back nothing."""
        try:
            self._sync_derived()
        except OSError as error:
            self.failure = self._sentence("syncing the checkpoints failed", error)

    def close(self) -> None:
        """Sync what is not, release the files."""
        if not self.failure:
            self.sync()
        for file in (self._entries, self._leaves, self._roots, self._checkpoints):
            os.close(file.fd)

    def _write(self, entries: bytes, leaves: bytes, root: bytes, note: bytes) -> None:
        self._entries.write(entries)
        try:
            os.fdatasync(self._entries.fd)
        except OSError as error:
            # The kernel may have dropped the pages and call them clean: nothing read back now proves anything.
            self.failure = self._sentence("the disk did not confirm a write", error)
            raise
        self._leaves.write(leaves)
        if root:
            self._roots.write(root)
        self._checkpoints.write(note)

    def _roll(self) -> None:
        """Begin the next segment's file when the tree says so; all checkpoints before it are durable first."""
        if self._segment == self._tree.segments.size:
            return
        self._sync_derived()
        segment = _AppendFile(self._layout.segment(self._tree.segments.size))
        sync_directory(self._layout.directory)
        os.close(self._entries.fd)
        self._entries, self._segment = segment, self._tree.segments.size

    def _sync_derived(self) -> None:
        for file in (self._leaves, self._roots, self._checkpoints):
            os.fdatasync(file.fd)
        self.unsynced = 0

    def _restore(self, cause: OSError) -> LedgerUnavailable:
        """Take a failed group back out of the files; when that fails too, refuse everything until reopened."""
        if self.failure:
            return LedgerUnavailable(self.failure, next_step=_REOPEN)
        try:
            for file in (self._checkpoints, self._roots, self._leaves, self._entries):
                file.restore()
            os.fdatasync(self._entries.fd)
        except OSError as error:
            self.failure = self._sentence("a failed write could not be taken back", error)
            return LedgerUnavailable(self.failure, next_step=_REOPEN)
        return LedgerUnavailable(
            self._sentence("it cannot be written", cause), next_step="Free space or repair the disk, then try again."
        )

    def _sentence(self, what: str, error: OSError) -> str:
        return f"the ledger takes no entry: {what} ({error.strerror or error})"


def sync_directory(directory: Path) -> None:
    """Make new and renamed names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
