"""Opening a ledger: create it, or find its verified end after whatever happened.

Layer: adapters/ledger. Costs one segment and one hash per earlier segment, not the whole history; only when the
quick look does not lead to the signed root is everything verified, which names the first bad entry or rebuilds the derived files.
Laws: bytes under the newest checkpoint are never dropped; whole entries after it are kept, signed and recorded as such
(`ledger.recovered`); a torn end is dropped.
"""

from __future__ import annotations

import base64
import fcntl
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from carapax.adapters.ledger.journal import Draft, Journal, sync_directory
from carapax.adapters.ledger.layout import (
    Layout,
    find_tail_entry,
    iter_hashes,
    iter_lines,
    iter_segment,
    read_notes_tail,
    unreadable,
)
from carapax.adapters.ledger.reader import verify_ledger
from carapax.adapters.ledger.signature import checker, signer
from carapax.core.ledger.checkpoint import (
    Checkpoint,
    key_id,
    parse_checkpoint,
    parse_origin,
    sign_checkpoint,
    verify_checkpoint,
)
from carapax.core.ledger.entry import render_body
from carapax.core.ledger.merkle import EMPTY_ROOT, HASH_BYTES, SEGMENT_ENTRIES, Tree, leaf_hash
from carapax.core.terms.error import LedgerCorrupt, LedgerUnavailable, Malformed

RECOVERED = "ledger.recovered"


class _Doubt(Exception):
    """The quick look does not lead to the signed root."""


@dataclass(frozen=True, slots=True)
class _End:
    """The verified end of a ledger's files."""

    tree: Tree
    note: str
    signed: int  # entries under the note
    leaves: list[bytes]  # of the open segment
    entries_end: int  # bytes of the open segment that stay
    dropped_bytes: int
    checkpoints_end: int


def lock_ledger(layout: Layout) -> int:
    """Take the ledger for this process; the descriptor holds it. Raises LedgerUnavailable when another has it."""
    try:
        layout.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise unreadable(layout.lock, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise LedgerUnavailable(
            "another process has this ledger open", next_step="Stop the other one (`carapax stop`), then start again."
        ) from error
    return fd


def open_journal(layout: Layout, seed: bytes, origin: str, now_ms: int) -> Journal:
    """The ledger ready for appending; the caller holds its lock. Raises LedgerCorrupt or LedgerUnavailable."""
    public_key, sign = signer(seed)
    try:
        if not layout.checkpoints.exists():
            _create(layout, sign_checkpoint(Checkpoint(parse_origin(origin), 0, EMPTY_ROOT), public_key, sign))
        end, rebuilt = _find_or_rebuild(layout, public_key, origin)
        repaired = _repair(layout, end)
        journal = Journal(layout, origin, public_key, sign, end.tree, end.note)
    except OSError as error:
        raise LedgerUnavailable(f"the ledger cannot be opened: {error.strerror or error}") from error
    if end.tree.size > end.signed or end.dropped_bytes or rebuilt or repaired:
        try:
            journal.commit([_recovered(end, rebuilt, now_ms)])
        except LedgerUnavailable:
            journal.close()
            raise
    return journal


def _recovered(end: _End, rebuilt: bool, now_ms: int) -> Draft:
    body = {
        "signed_before": end.signed,
        "kept_unsigned": end.tree.size - end.signed,
        "dropped_bytes": end.dropped_bytes,
        "rebuilt": rebuilt,
    }
    return Draft(now_ms, RECOVERED, render_body(RECOVERED, body))


def _find_or_rebuild(layout: Layout, public_key: bytes, origin: str) -> tuple[_End, bool]:
    """The verified end, and whether the index files had to be made anew. Raises LedgerCorrupt."""
    try:
        return _find_end(layout, public_key, origin), False
    except _Doubt:
        verify_ledger(layout.directory, public_key)
    _rebuild(layout)
    try:
        return _find_end(layout, public_key, origin), True
    except _Doubt as doubt:
        raise LedgerCorrupt(f"the ledger's end cannot be made out: {doubt}") from doubt


def _create(layout: Layout, note: str) -> None:
    if layout.segment(0).exists() or layout.leaves.exists() or layout.roots.exists():
        raise LedgerCorrupt("the ledger's checkpoints are missing", first_bad=0)
    _replace(layout.checkpoints, [note.encode()])


def _find_end(layout: Layout, public_key: bytes, origin: str) -> _End:
    tail = read_notes_tail(layout)
    if not tail.notes:
        raise _Doubt("no whole checkpoint")
    _refuse_other_key(tail.notes, public_key, origin)
    note = tail.notes[0]
    try:
        checkpoint = verify_checkpoint(note, public_key, checker(public_key))
    except Malformed as error:
        raise _Doubt(error.what) from error
    _refuse_whole_note_after(layout, tail.end)
    segment, inside = divmod(checkpoint.size, SEGMENT_ENTRIES)
    roots = list(islice(iter_hashes(layout.roots), segment))
    if len(roots) < segment or _bytes_of(layout.leaves) < segment * SEGMENT_ENTRIES * HASH_BYTES:
        raise _Doubt("an index file is short")
    if layout.segment(segment + 1).exists():
        raise _Doubt("entries go on after the newest checkpoint's segment")
    tree, leaves, end = Tree(roots), [], 0
    lines = iter_segment(layout, segment)
    for line in islice(lines, inside):
        leaves.append(leaf_hash(line[:-1]))
        tree.append(leaves[-1])
        end += len(line)
        if not line.endswith(b"\n"):
            raise _Doubt("a line is cut")
    if tree.size != checkpoint.size or tree.root() != checkpoint.root:
        raise _Doubt("the entries do not lead to the checkpoint")
    for line in lines:
        if len(leaves) == SEGMENT_ENTRIES:
            raise _Doubt("a segment holds too much")
        if find_tail_entry(line, tree.size) is None:
            break
        leaves.append(leaf_hash(line[:-1]))
        tree.append(leaves[-1])
        end += len(line)
    dropped = _bytes_of(layout.segment(segment)) - end
    return _End(tree, note, checkpoint.size, leaves, end, dropped, tail.end)


def _refuse_other_key(notes: tuple[str, ...], public_key: bytes, origin: str) -> None:
    ours = f"\n\n— {origin} {base64.b64encode(key_id(origin, public_key)).decode()[:5]}"  # 30 of the id's 32 bits
    if not any(note.startswith(f"{origin}\n") and ours in note for note in notes):
        name = notes[-1].partition("\n")[0]
        raise LedgerUnavailable(
            f"this ledger belongs to {name} and is signed with another key than the present one",
            next_step="Restore the key that belongs to it, or move the ledger's folder away to begin a new one.",
        )


def _refuse_whole_note_after(layout: Layout, end: int) -> None:
    """What follows the last note may be a piece of one, torn by a crash, not a damaged whole one."""
    with layout.checkpoints.open("rb") as stored:
        stored.seek(end)
        rest = stored.read()
    if b"\0" not in rest and rest.count(b"\n") >= 5:
        raise _Doubt("the newest checkpoint is damaged")


def _repair(layout: Layout, end: _End) -> bool:
    """Cut torn ends and bring the derived files up to the entries; False when nothing was to do."""
    segment = end.signed // SEGMENT_ENTRIES
    repaired = _cut(layout.checkpoints, end.checkpoints_end)
    if _cut(layout.segment(segment), end.entries_end) or end.tree.size > end.signed:
        _sync(layout.segment(segment))  # what is signed next must not be less durable than its checkpoint
    before = segment * SEGMENT_ENTRIES * HASH_BYTES
    if (
        list(iter_hashes(layout.leaves, segment * SEGMENT_ENTRIES)) != end.leaves
        or _bytes_of(layout.leaves) % HASH_BYTES
    ):
        _overwrite(layout.leaves, before, b"".join(end.leaves))
    roots = segment * HASH_BYTES
    full = [_root(end.leaves)] if len(end.leaves) == SEGMENT_ENTRIES else []
    if _bytes_of(layout.roots) != roots + HASH_BYTES * len(full):
        _overwrite(layout.roots, roots, b"".join(full))
    return repaired


def _rebuild(layout: Layout) -> None:
    """Write the derived files anew from verified entries."""
    size = parse_checkpoint(read_notes_tail(layout).notes[0]).checkpoint.size
    tree, leaves, roots = Tree(), [], []
    for line in islice(iter_lines(layout), size):
        leaves.append(leaf_hash(line[:-1]))
        root = tree.append(leaves[-1])
        if root is not None:
            roots.append(root)
    _replace(layout.leaves, leaves)
    _replace(layout.roots, roots)


def _root(leaves: Iterable[bytes]) -> bytes:
    tree, root = Tree(), b""
    for leaf in leaves:
        root = tree.append(leaf) or b""
    return root


def _bytes_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _cut(path: Path, size: int) -> bool:
    if _bytes_of(path) <= size:
        return False
    os.truncate(path, size)
    return True


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _overwrite(path: Path, start: int, content: bytes) -> None:
    """Replace everything from `start` on."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.truncate(start)
        file.seek(start)
        file.write(content)
        file.flush()
        os.fdatasync(file.fileno())


def _replace(path: Path, parts: Iterable[bytes]) -> None:
    """Write a whole file durably under a temporary name, then put it in place."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_directory(path.parent)
