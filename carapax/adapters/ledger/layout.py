"""Where a ledger's bytes lie, and how to read them back in order.

Layer: adapters/ledger. Owns file names and the streaming readers that the writer, the recovery and the reader share.
Files: `entries-NNNNNNNNNNNN.jsonl` (4,096 entries each, named by the first index), `checkpoints` (signed notes, five lines each,
one per group), `leaves` (32 bytes per entry) and `roots` (32 bytes per full segment); the last two are derived and can be rebuilt.
Source: docs/formats/ledger.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from carapax.core.ledger.audit import StoredNote
from carapax.core.ledger.entry import LINE_BYTES, Entry, parse_entry
from carapax.core.ledger.merkle import HASH_BYTES, SEGMENT_ENTRIES
from carapax.core.terms.error import LedgerCorrupt, LedgerUnavailable, Malformed

_TAIL_BYTES = 65_536  # of the checkpoints file: about 200 notes
_LINE_LIMIT = 1_024  # of the checkpoints file
_NOTE = re.compile(rb"[^\n]+\n(?:0|[1-9][0-9]{0,17})\n[A-Za-z0-9+/=]{44}\n\n\xe2\x80\x94 [^\n]+\n")


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one ledger directory."""

    directory: Path

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    @property
    def leaves(self) -> Path:
        return self.directory / "leaves"

    @property
    def roots(self) -> Path:
        return self.directory / "roots"

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    def segment(self, number: int) -> Path:
        return self.directory / f"entries-{number * SEGMENT_ENTRIES:012d}.jsonl"


def iter_segment(layout: Layout, segment: int) -> Iterator[bytes]:
    """Raw lines of one segment with their newline; none when it is missing.

    A line over the ceiling or without newline comes as it is, for the caller to refuse.
    """
    try:
        with layout.segment(segment).open("rb") as lines:
            while line := lines.readline(LINE_BYTES):
                yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise unreadable(layout.segment(segment), error) from error


def iter_lines(layout: Layout, segment: int = 0) -> Iterator[bytes]:
    """Raw lines from this segment on; ends where a segment is missing."""
    while layout.segment(segment).exists():
        yield from iter_segment(layout, segment)
        segment += 1


def find_tail_entry(line: bytes, index: int) -> Entry | None:
    """The entry on a line that no checkpoint covers; None when a crash tore it. Raises LedgerCorrupt for anything else.

    A kill leaves a prefix of a line, a power loss may leave zeros where a page was never written.
    """
    if b"\0" in line or (not line.endswith(b"\n") and len(line) < LINE_BYTES):
        return None
    return get_entry(line[:-1], index)


def get_entry(line: bytes, index: int) -> Entry:
    """The entry with this index on this line. Raises LedgerCorrupt."""
    try:
        entry = parse_entry(line)
    except Malformed as error:
        raise LedgerCorrupt(f"entry {index} is not readable", first_bad=index) from error
    if entry.index != index:
        raise LedgerCorrupt(
            f"entry {index} is missing or out of place: entry {entry.index} stands there", first_bad=index
        )
    return entry


def iter_hashes(path: Path, first: int = 0) -> Iterator[bytes]:
    """The 32-byte hashes of `leaves` or `roots` from this one on; a torn last one is left out, no file is an empty one."""
    try:
        with path.open("rb") as hashes:
            hashes.seek(first * HASH_BYTES)
            while chunk := hashes.read(HASH_BYTES * SEGMENT_ENTRIES):
                for at in range(0, len(chunk) - HASH_BYTES + 1, HASH_BYTES):
                    yield chunk[at : at + HASH_BYTES]
    except FileNotFoundError:
        return
    except OSError as error:
        raise unreadable(path, error) from error


def iter_notes(layout: Layout, broken: list[int]) -> Iterator[StoredNote]:
    """Stored notes in order of size; stops at what is no note, adding its byte offset to `broken` unless it is a torn end."""
    offset, size, origin = 0, -1, b""
    with layout.checkpoints.open("rb") as lines:
        while True:
            raw = [lines.readline(_LINE_LIMIT) for _ in range(5)]
            note = b"".join(raw)
            if not raw[4].endswith(b"\n"):
                if lines.readline(1) or len(note) > 4 * _LINE_LIMIT:
                    broken.append(offset)
                return
            origin = origin or raw[0]
            of_this_log = raw[0] == origin and raw[4].startswith(b"\xe2\x80\x94 " + origin[:-1] + b" ")
            if not of_this_log or not _NOTE.fullmatch(note) or int(raw[1]) <= size:
                broken.append(offset)
                return
            size = int(raw[1])
            yield StoredNote(size, raw[2][:-1].decode(), note.decode("utf-8", "replace"))
            offset += len(note)


@dataclass(frozen=True, slots=True)
class NotesTail:
    """The last notes of the checkpoints file, newest first, and where the whole ones end."""

    notes: tuple[str, ...]
    end: int
    file_bytes: int


def read_notes_tail(layout: Layout) -> NotesTail:
    """The newest stored notes. Raises FileNotFoundError when there is no checkpoints file."""
    with layout.checkpoints.open("rb") as stored:
        file_bytes = os.fstat(stored.fileno()).st_size
        start = max(0, file_bytes - _TAIL_BYTES)
        stored.seek(start)
        found = list(_NOTE.finditer(stored.read(_TAIL_BYTES)))
    notes = tuple(m[0].decode("utf-8", "replace") for m in reversed(found))
    return NotesTail(notes, start + found[-1].end() if found else 0, file_bytes)


def unreadable(path: Path, error: OSError) -> LedgerUnavailable:
    return LedgerUnavailable(
        f"{path.name} of the ledger cannot be read: {error.strerror or error}",
        next_step="Look at the disk and at who owns the file, then try again.",
    )
