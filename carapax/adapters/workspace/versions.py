"""Versions of the workspace: look, keep what is new, tell what differs since a mark, put back.

Layer: adapters/workspace. Joins scan, blobs and index; synchronous, one thread at a time. A look compares stamps, reads
only what moved, and writes index, journal and marks in one transaction.
A file read within 50 ms of its last write is read again at the next look: a second write in the same clock tick could
leave the same stamp.
Laws: bytes are in the store before the index names them; a kill at any point leaves marks that `unfinished` finds.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from carapax.adapters.workspace import beneath
from carapax.adapters.workspace.blobs import BlobStore, digest_of
from carapax.adapters.workspace.ceilings import Ceilings
from carapax.adapters.workspace.index import Difference, Entry, Index
from carapax.adapters.workspace.nodes import FILE, FOLDER, LINK, Node, Stamp, bare_node, make_change, same_node
from carapax.adapters.workspace.plan import Plan, decide_plan
from carapax.adapters.workspace.restore import apply_steps
from carapax.adapters.workspace.scan import scan_tree
from carapax.core.terms.action import Change
from carapax.core.terms.error import SettingsInvalid, StoreUnavailable
from carapax.core.terms.ids import CallId, Digest
from carapax.ports.workspace import Mark, Reverted

RACY_NS = 50_000_000
COLLECT_EVERY_MARKS = 1_000


@dataclass(slots=True)
class _Look:
    """What one look found that differs from the index, not yet written."""

    entries: dict[str, Entry | None] = field(default_factory=dict)  # None: gone
    blobs: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    files_kept: int = 0
    new_bytes: int = 0  # of the blobs


class Versions:
    """Raises StoreUnavailable when versions cannot be kept, SettingsInvalid for folders that cannot work."""

    def __init__(self, root: Path, state: Path, ceilings: Ceilings | None = None) -> None:
        self.root = root.resolve()
        state = state.resolve()
        if state == self.root or self.root in state.parents:
            raise SettingsInvalid(f"the state folder {state} lies inside the workspace {self.root}")
        if not self.root.is_dir():
            raise SettingsInvalid(f"the workspace {self.root} is not a folder")
        self._ceilings = ceilings or Ceilings()
        self._crowded_bytes = self._ceilings.store_bytes * 9 // 10
        self._lock = threading.Lock()
        try:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._blobs = BlobStore(state / "objects")
        except OSError as error:
            raise StoreUnavailable(f"The folder for versions, {state}, cannot be used: {error}") from error
        self._index = Index(state / "versions.sqlite3")
        self._load()

    def _load(self) -> None:
        self._seen_version = self._index.version()
        self._entries = self._index.load_entries()
        self._quiet = {path: entry.stamp for path, entry in self._entries.items() if entry.settled}
        self._known = self._index.load_blobs()
        self._stored_bytes = sum(self._known.values())
        self._files_kept = sum(1 for e in self._entries.values() if e.node.kind == FILE and e.node.kept)

    # the four doors of the port
    def before(self, call: CallId) -> Mark:
        with self._lock:
            look = self._look(strict=True)
            with self._index.transaction():
                self._write(look)
                mark = self._index.open_mark(call)
            self._adopt(look)
            if self._stored_bytes > self._crowded_bytes or mark % COLLECT_EVERY_MARKS == 0:
                self._collect()
            return Mark(mark)

    def after(self, mark: Mark) -> tuple[Change, ...]:
        with self._lock:
            look = self._look(strict=False)
            with self._index.transaction():
                self._write(look)
                net = self._since(mark)
                self._index.record(net)
            self._adopt(look)
            return _changes(net)

    def settle(self, mark: Mark) -> None:
        with self._lock, self._index.transaction():
            self._index.get_mark(mark)
            self._index.close_mark(mark)

    def unfinished(self) -> tuple[tuple[CallId, tuple[Change, ...]], ...]:
        with self._lock:
            marks = self._index.open_marks()
            if not marks:
                return ()
            look = self._look(strict=False)
            with self._index.transaction():
                self._write(look)
                found = tuple((CallId(mark.call), _changes(self._close(Mark(mark.mark)))) for mark in marks)
            self._adopt(look)
            return found

    def revert(self, changes: Sequence[Change]) -> Reverted:
        with self._lock:
            self._commit(self._look(strict=True))
            present = {path: entry.node for path, entry in self._entries.items()}
            plan = decide_plan(changes, self._index.recorded, present, self._blobs.has)
            conflicts, lost = apply_steps(self.root, plan.steps, self._blobs.find)
            look = self._look(strict=False)
            mine = [d for d in look.differences if d.path in _touched(plan)]
            with self._index.transaction():
                self._write(look)
                self._index.record(mine)
            self._adopt(look)
            return Reverted(_changes(mine), plan.conflicts + tuple(conflicts), plan.lost + tuple(lost))

    # for labels
    def known_digest(self, path: str, stamp: Stamp) -> Digest | None:
        """The digest of a file that is as it was last read; None when it moved since or its bytes were not read.

        Takes no lock: one look-up in a dictionary, and the stamp tells whether it still holds.
        """
        entry = self._entries.get(path)
        return entry.node.digest if entry is not None and entry.settled and entry.stamp == stamp else None

    def holders(self, digests: Collection[Digest]) -> list[tuple[str, Digest]]:
        """The paths where the last look saw these bytes."""
        with self._lock:
            return [(p, e.node.digest) for p, e in self._entries.items() if e.node.digest and e.node.digest in digests]

    def close(self) -> None:
        with self._lock:
            self._index.close()

    # looking
    def _look(self, *, strict: bool) -> _Look:
        """Compare the tree with the index. Strict (before an effect): refuse rather than see or keep too little."""
        if self._index.version() != self._seen_version:
            self._load()
        try:
            scan = scan_tree(self.root, self._ceilings, self._quiet)
        except OSError as error:
            raise StoreUnavailable(f"The workspace {self.root} cannot be read: {error.strerror}") from error
        if scan.over and strict:
            raise StoreUnavailable(
                f"The workspace holds more than {self._ceilings.entries:,} files and folders, too many to keep versions of.",
                next_step="Move what is not needed out of the workspace.",
            )
        look = _Look(files_kept=self._files_kept)
        entries = self._entries
        for path, stamp in scan.moved.items():
            self._meet(look, path, stamp, entries.get(path), strict)
        for path in entries.keys() - scan.paths:
            if not scan.hides(path):
                self._note(look, path, entries[path], None)
        return look

    def _meet(self, look: _Look, path: str, stamp: Stamp, old: Entry | None, strict: bool) -> None:
        try:
            new = self._read(look, path, stamp, old)
        except FileNotFoundError:
            return  # gone since the scan: the next look tells
        except StoreUnavailable:
            if strict:
                raise
            new = Entry(stamp, bare_node(stamp), settled=False)
        if new != old:
            self._note(look, path, old, new)

    def _note(self, look: _Look, path: str, old: Entry | None, new: Entry | None) -> None:
        before, after = old.node if old else None, new.node if new else None
        look.entries[path] = new
        look.files_kept += _is_kept_file(after) - _is_kept_file(before)
        if not same_node(before, after):
            look.differences.append(Difference(path, before, after))

    def _read(self, look: _Look, path: str, stamp: Stamp, old: Entry | None) -> Entry:
        node = bare_node(stamp)
        if node.kind == FOLDER:
            return Entry(stamp, node, settled=True)
        try:
            if node.kind == LINK:
                target = beneath.read_link(self.root, path)
                return Entry(stamp, bare_node(stamp, *self._keep(look, target)), settled=True)
            if stamp.size_bytes > self._ceilings.file_bytes:
                return Entry(stamp, node, settled=True)
            if not self._room(look, stamp.size_bytes, old):
                return Entry(stamp, node, settled=False)
            return self._read_file(look, path, stamp)
        except FileNotFoundError:
            raise
        except OSError:  # not permitted, or something else now: listed without its bytes
            return Entry(stamp, node, settled=False)

    def _read_file(self, look: _Look, path: str, stamp: Stamp) -> Entry:
        with open(beneath.open_file(self.root, path), "rb", buffering=0) as file:
            content = bytearray()
            while len(content) <= self._ceilings.file_bytes and (piece := file.read(1 << 20)):
                content += piece
            found = os.fstat(file.fileno())
        now = Stamp(found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        if len(content) > self._ceilings.file_bytes:
            return Entry(now, bare_node(now), settled=True)
        quiet = now == stamp and time.time_ns() - now.ctime_ns > RACY_NS
        return Entry(now, bare_node(now, *self._keep(look, bytes(content))), settled=quiet)

    def _room(self, look: _Look, size_bytes: int, old: Entry | None) -> bool:
        files = look.files_kept - (1 if old and _is_kept_file(old.node) else 0)
        held = self._stored_bytes + look.new_bytes
        return files < self._ceilings.files and held + size_bytes <= self._ceilings.store_bytes

    def _keep(self, look: _Look, content: bytes) -> tuple[Digest, bool]:
        digest = digest_of(content)
        if digest not in self._known and digest not in look.blobs:
            try:
                self._blobs.put(digest, content)
            except OSError as error:
                raise StoreUnavailable(
                    f"The present files of the workspace cannot be kept: {error.strerror}",
                    next_step="Free disk space where Carapax keeps its state, then try again.",
                ) from error
            look.blobs[digest] = len(content)
            look.new_bytes += len(content)
        return digest, True

    # writing
    def _write(self, look: _Look) -> None:
        self._index.put_blobs(look.blobs)
        self._index.put_entries(look.entries)
        self._index.journal(look.differences)

    def _adopt(self, look: _Look) -> None:
        for path, entry in look.entries.items():
            self._quiet.pop(path, None)
            if entry is None:
                self._entries.pop(path, None)
            else:
                self._entries[path] = entry
                if entry.settled:
                    self._quiet[path] = entry.stamp
        self._known.update(look.blobs)
        self._stored_bytes += look.new_bytes
        self._files_kept = look.files_kept

    def _commit(self, look: _Look) -> None:
        with self._index.transaction():
            self._write(look)
        self._adopt(look)

    def _since(self, mark: Mark) -> list[Difference]:
        opened = self._index.get_mark(mark)
        first: dict[str, Node | None] = {}
        last: dict[str, Node | None] = {}
        for difference in self._index.since(opened.seq):
            first.setdefault(difference.path, difference.before)
            last[difference.path] = difference.after
        return [Difference(p, first[p], last[p]) for p in sorted(last) if not same_node(first[p], last[p])]

    def _close(self, mark: Mark) -> list[Difference]:
        net = self._since(mark)
        self._index.record(net)
        self._index.close_mark(mark)
        return net

    # collecting
    def _collect(self) -> None:
        """Drop bytes that nothing needs; over three quarters of the ceiling, also the oldest recorded changes."""
        needed = {e.node.digest for e in self._entries.values()}
        needed |= {node.digest for d in self._index.since(0) for node in d[1:] if isinstance(node, Node)}
        held = sum(self._known.get(digest or "", 0) for digest in needed)
        goal, forget_upto = self._ceilings.store_bytes * 3 // 4, 0
        for count, (seq, difference) in enumerate(self._index.all_recorded()):
            fresh = {n.digest for n in difference[1:] if isinstance(n, Node)} - needed
            held += sum(self._known.get(digest or "", 0) for digest in fresh)
            if held > goal or count >= self._ceilings.changes:
                forget_upto = seq
                break
            needed |= fresh
        unneeded = [digest for digest in self._known if digest not in needed]
        with self._index.transaction():
            self._index.forget_changes(forget_upto)
            self._index.drop_blobs(unneeded)
        for digest in unneeded:
            self._stored_bytes -= self._known.pop(digest)
            self._blobs.drop(Digest(digest))
        self._blobs.sweep(self._known, time.time_ns())
        # What is needed may itself be nearly everything: collect again only when it has grown.
        ceiling = self._ceilings.store_bytes
        self._crowded_bytes = max(ceiling * 9 // 10, self._stored_bytes + ceiling // 20)


def _is_kept_file(node: Node | None) -> bool:
    return node is not None and node.kind == FILE and node.kept


def _changes(differences: Iterable[Difference]) -> tuple[Change, ...]:
    made = (make_change(d.path, d.before, d.after) for d in sorted(differences, key=lambda d: d.path))
    return tuple(change for change in made if change is not None)


def _touched(plan: Plan) -> frozenset[str]:
    """The planned paths and every folder above them, which putting back may have made."""
    paths = {step.path for step in plan.steps}
    return frozenset(paths | {p[:at] for p in paths for at, char in enumerate(p) if char == "/"})
