"""Audit: walk a ledger's lines against its checkpoints and name the first entry that cannot be trusted.

Layer: core/ledger. Owns the walk and the verdict; the caller supplies lines, stored leaf hashes and notes in order,
and a way to check a note's signature. Constant memory.
The stored leaves are an index, not evidence: they serve to name an entry exactly, and only as far as a signed root agrees with them.
Laws: any change to bytes under the newest valid checkpoint gives a finding; a finding's `first_bad` is never higher
than the first changed entry, and equals it while either the leaves or one checkpoint per entry are intact.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from carapax.core.ledger.checkpoint import Checkpoint
from carapax.core.ledger.entry import find_position
from carapax.core.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash

_REMEMBERED = 1_000  # newest agreeing notes whose signature the diagnosis may check
_JUMPS_LISTED = 5


@dataclass(frozen=True, slots=True)
class StoredNote:
    """A note as the checkpoints file holds it; nothing about it is checked yet."""

    size: int
    root_text: str  # base64
    note: str


@dataclass(slots=True)
class Walked:
    """What one pass saw. `count` entries are whole and in their place; roots belong to the sizes asked for."""

    count: int = 0
    last_ms: int = 0
    fault: str = ""  # why the walk stopped before its end
    differs: int | None = None  # first entry whose stored leaf hash is another
    leaves_short: bool = False
    roots: dict[int, bytes] = field(default_factory=dict)
    agreeing: deque[StoredNote] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    disagreeing: StoredNote | None = None
    jumps: list[str] = field(default_factory=list)
    jump_count: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    first_bad: int | None  # None: every entry is as signed, something beside them is not


class _Notes:
    """Compares notes with the tree as it grows."""

    def __init__(self, notes: Iterable[StoredNote], walked: Walked) -> None:
        self._notes, self._walked = iter(notes), walked
        self._next = next(self._notes, None)

    def next_size(self) -> int:
        return -1 if self._next is None else self._next.size

    def compare(self, size: int, root: bytes) -> None:
        root_text = base64.b64encode(root).decode()
        while self._next is not None and self._next.size == size:
            if self._next.root_text == root_text:
                self._walked.agreeing.append(self._next)
            elif self._walked.disagreeing is None:
                self._walked.disagreeing = self._next
            self._next = next(self._notes, None)


def walk(lines: Iterator[bytes], leaves: Iterator[bytes], notes: Iterable[StoredNote], stops: frozenset[int]) -> Walked:
    """Walk entries until the highest of `stops`, remembering the root at each stop.

    `lines` carry their newline. Ends early, with `fault` set, at the first line that is not the next entry.
    """
    walked, tree, end = Walked(), Frontier(), max(stops)
    checks = _Notes(notes, walked)
    checks.compare(0, EMPTY_ROOT)
    wanted = sorted(stops, reverse=True)
    if wanted[-1] == 0:
        walked.roots[wanted.pop()] = EMPTY_ROOT
    while walked.count < end:
        line = next(lines, None)
        walked.fault = _place(line, walked)
        if line is None or walked.fault:
            return walked
        leaf = leaf_hash(line[:-1])
        _compare_leaf(leaf, next(leaves, None), walked)
        tree.append(leaf)
        walked.count += 1
        if walked.count == checks.next_size():
            checks.compare(walked.count, tree.root())
        if walked.count == wanted[-1]:
            walked.roots[wanted.pop()] = tree.root()
    return walked


def _place(line: bytes | None, walked: Walked) -> str:
    """Why this line is not the next entry; "" when it is."""
    index = walked.count
    if line is None:
        return f"entry {index} is missing: the ledger was cut"
    position = find_position(line[:-1]) if line.endswith(b"\n") else None
    if position is None:
        return f"entry {index} is not readable"
    if position[0] != index:
        return f"entry {index} is missing or out of place: entry {position[0]} stands there"
    if position[1] < walked.last_ms:
        walked.jump_count += 1
        if walked.jump_count <= _JUMPS_LISTED:
            walked.jumps.append(f"the clock went back {walked.last_ms - position[1]} ms at entry {index}")
    walked.last_ms = position[1]
    return ""


def _compare_leaf(leaf: bytes, stored: bytes | None, walked: Walked) -> None:
    if stored is None:
        walked.leaves_short = True
    elif stored != leaf and walked.differs is None:
        walked.differs = walked.count


def judge(
    walked: Walked,
    newest: Checkpoint,
    leaves: Callable[[], Iterator[bytes]],
    notes: Callable[[], Iterable[StoredNote]],
    signed: Callable[[str], bool],
) -> Finding | None:
    """What is wrong under the newest valid checkpoint, or None. Only a failure costs a second pass, over leaves and notes."""
    if walked.roots.get(newest.size) == newest.root:
        if walked.disagreeing is None:
            return None
        return Finding(
            f"the stored checkpoint of {walked.disagreeing.size} entries was altered; the entries are whole", None
        )
    entries_signed = _highest_signed(walked.agreeing, signed)
    leaves_signed = _highest_signed(_agreeing_with(leaves(), notes()), signed)
    if leaves_signed > entries_signed:
        if walked.differs is not None and walked.differs < leaves_signed:
            return Finding(f"entry {walked.differs} is not what was recorded", walked.differs)
        if walked.count < leaves_signed:
            return Finding(walked.fault, walked.count)
    if walked.fault and walked.count == entries_signed:
        return Finding(walked.fault, walked.count)
    return Finding(
        f"entry {entries_signed} or one soon after it is not what was recorded; "
        f"only the {entries_signed} entries before it are vouched for",
        entries_signed,
    )


def _agreeing_with(leaves: Iterator[bytes], notes: Iterable[StoredNote]) -> deque[StoredNote]:
    """The newest notes whose root the stored leaves lead to."""
    walked, tree = Walked(), Frontier()
    checks = _Notes(notes, walked)
    checks.compare(0, EMPTY_ROOT)
    for leaf in leaves:
        tree.append(leaf)
        if tree.size == checks.next_size():
            checks.compare(tree.size, tree.root())
    return walked.agreeing


def _highest_signed(notes: deque[StoredNote], signed: Callable[[str], bool]) -> int:
    return next((n.size for n in reversed(notes) if signed(n.note)), 0)
