"""Reading a ledger without its daemon: show, verify, prove, export.

Layer: adapters/ledger. Takes no lock and changes nothing, so it also works beside a running writer and on a copy.
`cryptography` is imported only where a signature is checked, so that showing entries starts fast.
Law: `verify_ledger` returns only when every signed entry is exactly what was signed; memory does not grow with the ledger.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from carapax.adapters.ledger.layout import (
    Layout,
    find_tail_entry,
    get_entry,
    iter_hashes,
    iter_lines,
    iter_notes,
    read_notes_tail,
    unreadable,
)
from carapax.core.ledger.audit import StoredNote, Walked, judge, walk
from carapax.core.ledger.checkpoint import Check, Checkpoint, parse_checkpoint, verify_checkpoint
from carapax.core.ledger.entry import Entry
from carapax.core.ledger.merkle import SEGMENT_ENTRIES, Frontier, inclusion_ranges, inclusion_root, leaf_hash
from carapax.core.ledger.proof import ProvenEntry, render_proof
from carapax.core.ledger.proof import verify_proof as verify_proof_text
from carapax.core.terms.error import LedgerCorrupt, Malformed, NotFound
from carapax.core.terms.ids import EntryIndex


@dataclass(frozen=True, slots=True)
class VerifiedLedger:
    """What holds: `size` entries under `root`. `notes` are sentences about what is odd but breaks nothing."""

    origin: str
    size: int
    root: bytes
    seconds: float
    notes: tuple[str, ...]
    checkpoint: str  # keep it elsewhere: it also finds a rewritten history
    unsigned: int = 0  # whole entries after the newest checkpoint, vouched for by nobody yet


def read_entries(directory: Path, first: int = 0, limit: int = 100, newest: bool = False) -> list[Entry]:
    """At most `limit` entries from `first` on, or the last `limit` of them, in rising order; nothing is verified.

    Raises NotFound without a ledger, LedgerCorrupt at a line that is no entry.
    """
    layout = Layout(directory)
    if newest:
        first = max(first, _count(layout) - limit)
    if first < 0 or limit <= 0:
        return []
    _checkpoint_notes(layout)
    segment, skip = divmod(first, SEGMENT_ENTRIES)
    found: list[Entry] = []
    for line in islice(iter_lines(layout, segment), skip, skip + limit):
        index = first + len(found)
        if not line.endswith(b"\n"):
            break  # being written, or torn: not an entry yet
        found.append(get_entry(line[:-1], index))
    return found


def verify_ledger(directory: Path, public_key: bytes, kept_checkpoint: str | None = None) -> VerifiedLedger:
    """Check every entry against the signed checkpoints, and against one kept elsewhere.

    Raises LedgerCorrupt with the first entry that cannot be trusted; Malformed when the kept checkpoint is not this ledger's.
    """
    from carapax.adapters.ledger.signature import checker

    started = time.perf_counter()
    layout, check = Layout(directory), checker(public_key)
    note, newest, doubted = _newest_signed(layout, public_key, check)
    kept = _kept(kept_checkpoint, newest, public_key, check)
    stops = frozenset({newest.size} if kept is None else {newest.size, kept.size})
    broken: list[int] = []
    lines = iter_lines(layout)
    walked = walk(lines, iter_hashes(layout.leaves), _up_to(iter_notes(layout, broken), newest.size), stops)
    _judge_or_raise(layout, walked, newest, public_key, check)
    if kept is not None and walked.roots.get(kept.size) != kept.root:
        _raise_rewritten(walked, kept)
    if doubted:
        raise LedgerCorrupt(
            f"the newest checkpoint is not signed by the ledger's key: {doubted}", first_bad=newest.size
        )
    if broken:
        raise LedgerCorrupt(f"the checkpoints file is damaged at byte {broken[0]}; the entries are whole")
    unsigned, tail_notes = _unsigned_tail(layout, lines, walked.count, newest.size)
    notes = (*_walk_notes(walked), *tail_notes)
    seconds = time.perf_counter() - started
    return VerifiedLedger(newest.origin, newest.size, newest.root, seconds, notes, note, unsigned)


def prove_entry(directory: Path, index: int) -> str:
    """A self-contained proof (C2SP tlog-proof) that the newest checkpoint covers this entry.

    Raises NotFound for an entry no checkpoint covers yet, LedgerCorrupt when the ledger does not lead to its checkpoint.
    """
    layout = Layout(directory)
    note, checkpoint = _stored_checkpoint(layout)
    if not 0 <= index < checkpoint.size:
        raise NotFound(
            f"no signed entry {index}: the ledger has {checkpoint.size}", next_step="See `carapax ledger show`."
        )
    line = next(islice(iter_lines(layout, index // SEGMENT_ENTRIES), index % SEGMENT_ENTRIES, None), b"")[:-1]
    # The stored leaves are quick; when they are damaged, the entries themselves decide.
    for leaves in (iter_hashes(layout.leaves), (leaf_hash(raw[:-1]) for raw in iter_lines(layout))):
        path = _path(leaves, index, checkpoint.size)
        if path is not None and inclusion_root(leaf_hash(line), index, checkpoint.size, path) == checkpoint.root:
            return render_proof(line, index, path, note)
    raise LedgerCorrupt(
        f"entry {index} does not lead to the newest checkpoint; `carapax ledger verify` names the first bad entry"
    )


def verify_proof(text: str, public_key: bytes) -> ProvenEntry:
    """The entry that the proof proves. Raises Malformed when it proves nothing under this key."""
    from carapax.adapters.ledger.signature import checker

    return verify_proof_text(text, public_key, checker(public_key))


def export_ledger(directory: Path) -> Iterator[bytes]:
    """The signed entries, one JSON line each, then one line `{"checkpoint": …}` with the newest note."""
    layout = Layout(directory)
    note, checkpoint = _stored_checkpoint(layout)
    size = checkpoint.size
    count = 0
    for line in islice(iter_lines(layout), size):
        count += 1
        yield line
    if count < size:
        raise LedgerCorrupt(f"entry {count} is missing: the ledger was cut", first_bad=count)
    yield json.dumps({"checkpoint": note}, ensure_ascii=False).encode() + b"\n"


def verify_export(lines: Iterable[bytes], public_key: bytes) -> Checkpoint:
    """Check an exported ledger on its own. Raises LedgerCorrupt when it does not lead to its checkpoint, Malformed without one."""
    from carapax.adapters.ledger.signature import checker

    tree, last = Frontier(), b""
    for line in lines:
        if last:
            tree.append(leaf_hash(last.rstrip(b"\n")))
        last = line
    try:
        note = json.loads(last)["checkpoint"]
    except (ValueError, KeyError, TypeError) as error:
        raise Malformed("the export does not end with a checkpoint") from error
    checkpoint = verify_checkpoint(str(note), public_key, checker(public_key))
    if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
        raise LedgerCorrupt(f"the {tree.size} exported entries are not the {checkpoint.size} that were signed")
    return checkpoint


def newest_checkpoint(directory: Path) -> str:
    """The newest stored checkpoint, to be kept elsewhere; nothing is verified."""
    return _stored_checkpoint(Layout(directory))[0]


def _count(layout: Layout) -> EntryIndex:
    """Whole lines of the newest segment, by counting newlines."""
    segment = _stored_checkpoint(layout)[1].size // SEGMENT_ENTRIES
    while layout.segment(segment + 1).exists():
        segment += 1
    lines = sum(1 for line in iter_lines(layout, segment) if line.endswith(b"\n"))
    return EntryIndex(segment * SEGMENT_ENTRIES + lines)


def _checkpoint_notes(layout: Layout) -> tuple[str, ...]:
    """The newest stored notes, at least one, newest first."""
    try:
        notes = read_notes_tail(layout).notes
    except FileNotFoundError as error:
        if layout.segment(0).exists():
            raise LedgerCorrupt("the ledger's checkpoints are missing", first_bad=0) from error
        raise NotFound(
            "there is no ledger here yet", next_step="It begins when Carapax runs for the first time."
        ) from error
    except OSError as error:
        raise unreadable(layout.checkpoints, error) from error
    if not notes:
        raise LedgerCorrupt("the ledger's checkpoints are gone", first_bad=0)
    return notes


def _stored_checkpoint(layout: Layout) -> tuple[str, Checkpoint]:
    """The newest stored checkpoint; its signature is not checked."""
    note = _checkpoint_notes(layout)[0]
    try:
        return note, parse_checkpoint(note).checkpoint
    except Malformed as error:
        raise LedgerCorrupt(f"the newest checkpoint is damaged: {error.what}") from error


def _newest_signed(layout: Layout, public_key: bytes, check: Check) -> tuple[str, Checkpoint, str]:
    """The newest note that the key signed, and what is wrong with a newer one ("" when nothing is)."""
    doubted = ""
    for note in _checkpoint_notes(layout):
        try:
            return note, verify_checkpoint(note, public_key, check), doubted
        except Malformed as error:
            doubted = doubted or error.what
    raise LedgerCorrupt(f"no stored checkpoint is signed by this key: {doubted}", first_bad=0)


def _kept(kept: str | None, newest: Checkpoint, public_key: bytes, check: Check) -> Checkpoint | None:
    if kept is None:
        return None
    checkpoint = verify_checkpoint(kept.replace("\r\n", "\n").strip() + "\n", public_key, check)
    if checkpoint.origin != newest.origin:
        raise Malformed(f"the kept checkpoint belongs to {checkpoint.origin}, this ledger is {newest.origin}")
    return checkpoint


def _up_to(notes: Iterator[StoredNote], size: int) -> Iterator[StoredNote]:
    for note in notes:
        if note.size > size:
            return
        yield note


def _judge_or_raise(layout: Layout, walked: Walked, newest: Checkpoint, public_key: bytes, check: Check) -> None:
    def signed(note: str) -> bool:
        try:
            verify_checkpoint(note, public_key, check)
        except Malformed:
            return False
        return True

    finding = judge(
        walked,
        newest,
        lambda: iter_hashes(layout.leaves),
        lambda: _up_to(iter_notes(layout, []), newest.size),
        signed,
    )
    if finding is not None:
        raise LedgerCorrupt(finding.what, first_bad=finding.first_bad)


def _raise_rewritten(walked: Walked, kept: Checkpoint) -> None:
    if walked.count < kept.size:
        raise LedgerCorrupt(
            f"the kept checkpoint covers {kept.size} entries: {walked.fault}; what the ledger now says was signed later",
            first_bad=walked.count,
        )
    raise LedgerCorrupt(
        f"history was rewritten: the first {kept.size} entries are not those of the kept checkpoint, though they are signed",
        first_bad=0,
    )


def _unsigned_tail(layout: Layout, lines: Iterator[bytes], count: int, signed: int) -> tuple[int, list[str]]:
    """Whole entries after the newest checkpoint; a writer or a crash leaves some, but never past the segment's end."""
    notes = []
    for line in lines:
        if find_tail_entry(line, count) is None:
            notes.append(f"the line after entry {count - 1} is incomplete: being written, or torn by a crash")
            break
        count += 1
    if count == signed:
        return 0, notes
    grown = _stored_checkpoint(layout)[1].size
    if grown > signed:
        return 0, [*notes, f"the ledger grew to {grown} entries while it was checked"]
    if count > signed // SEGMENT_ENTRIES * SEGMENT_ENTRIES + SEGMENT_ENTRIES:
        raise LedgerCorrupt(
            f"no checkpoint covers entry {signed} and what follows: checkpoints were removed", first_bad=signed
        )
    notes.append(
        f"{count - signed} entries from {signed} on are not signed yet; the next start signs them and records that"
    )
    return count - signed, notes


def _walk_notes(walked: Walked) -> list[str]:
    notes = list(walked.jumps)
    if walked.jump_count > len(walked.jumps):
        notes.append(f"and {walked.jump_count - len(walked.jumps)} more times")
    if walked.differs is not None:
        notes.append(
            f"the stored leaf hash of entry {walked.differs} was altered; it is only an index: remove `leaves` and the next start rebuilds it"
        )
    elif walked.leaves_short:
        notes.append(
            "the file of leaf hashes is cut short; it is only an index: remove `leaves` and the next start rebuilds it"
        )
    return notes


def _path(leaves: Iterator[bytes], index: int, size: int) -> list[bytes] | None:
    """The inclusion path over these leaves, None when there are too few."""
    ranges = inclusion_ranges(index, size)
    roots: dict[int, bytes] = {}
    for low, high in sorted([*ranges, (index, index + 1)]):
        part = Frontier()
        for leaf in islice(leaves, high - low):
            part.append(leaf)
        if part.size < high - low:
            return None
        roots[low] = part.root()
    return [roots[low] for low, _ in ranges]
