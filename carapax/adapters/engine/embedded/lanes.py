"""Lanes: which unfinished pieces there are, and whose turn it is.

Layer: adapters/engine/embedded. Owns the order in lanes, the pieces that wait for a moment, and the counts of both.
Pure bookkeeping in memory: absent are tasks, timers and the store. A piece stays the head of its lane until it
leaves, also while it waits to be tried again: that is what keeps the order.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from dataclasses import dataclass, replace

from carapax.core.terms.work import Work, WorkState

LIGHT_CHARS = 2_048  # longer bodies are read again when they are needed

Name = tuple[str, str]


@dataclass(slots=True, eq=False)
class Piece:
    """One unfinished piece. `kept` is false between asking the store and its yes."""

    work: Work
    kept: bool = True
    heavy: bool = False  # its body is only in the store
    running: bool = False
    gone: bool = False

    @property
    def name(self) -> Name:
        """What makes it the same piece."""
        return (self.work.kind, self.work.key)


def make_piece(work: Work, *, kept: bool = True) -> Piece:
    """A piece that holds only a short body in memory."""
    heavy = len(work.body) > LIGHT_CHARS
    return Piece(replace(work, body="") if heavy else work, kept, heavy)


class Lanes:
    """Every unfinished piece, in order."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[Piece]] = {}
        self._known: dict[Name, Piece] = {}
        self._later: list[tuple[int, int, Piece]] = []
        self._numbers = itertools.count()
        self._counts: Counter[tuple[str, WorkState]] = Counter()

    def __len__(self) -> int:
        return len(self._known)

    def knows(self, kind: str, key: str) -> bool:
        """Whether this piece is kept and unfinished."""
        return (kind, key) in self._known

    def join(self, piece: Piece, *, front: bool = False) -> None:
        """Give a piece its place in its lane; in front means before all that do not run."""
        if piece.work.lane:
            lane = self._lanes.setdefault(piece.work.lane, deque())
            if front:
                lane.insert(1 if lane and lane[0].running else 0, piece)
            else:
                lane.append(piece)
        if piece.kept:
            self.confirm(piece)

    def confirm(self, piece: Piece) -> None:
        """The store has it."""
        piece.kept = True
        self._known[piece.name] = piece
        self._counts[piece.work.kind, WorkState.WAITING] += 1

    def leave(self, piece: Piece) -> Piece | None:
        """Take a piece out; who is the head of its lane after it."""
        if piece.gone:
            return None
        piece.gone = True
        if self._known.get(piece.name) is piece:
            del self._known[piece.name]
            self._counts[piece.work.kind, WorkState.RUNNING if piece.running else WorkState.WAITING] -= 1
        lane = self._lanes.get(piece.work.lane)
        if lane is None:
            return None
        was_head = lane[0] is piece
        if was_head:
            lane.popleft()
        else:
            lane.remove(piece)
        if not lane:
            del self._lanes[piece.work.lane]
            return None
        return lane[0] if was_head else None

    def mark(self, piece: Piece, *, running: bool) -> None:
        """Say whether it runs."""
        if piece.running is not running:
            self._counts[piece.work.kind, WorkState.RUNNING if running else WorkState.WAITING] += 1
            self._counts[piece.work.kind, WorkState.WAITING if running else WorkState.RUNNING] -= 1
            piece.running = running

    def may_run(self, piece: Piece) -> bool:
        """Whether it is its turn, whatever the time."""
        if piece.gone or piece.running or not piece.kept:
            return False
        lane = self._lanes.get(piece.work.lane)
        return lane is None or lane[0] is piece

    def put_off(self, piece: Piece, until_ms: int) -> None:
        """Let it wait for this moment."""
        heapq.heappush(self._later, (until_ms, next(self._numbers), piece))

    def next_ms(self) -> int | None:
        """The earliest moment that a piece waits for."""
        return self._later[0][0] if self._later else None

    def take_due(self, now_ms: int) -> list[Piece]:
        """The pieces whose moment has come."""
        due = []
        while self._later and self._later[0][0] <= now_ms:
            due.append(heapq.heappop(self._later)[2])
        return due

    def count_dead(self, kind: str, change: int) -> None:
        """More or fewer dead pieces of a kind."""
        self._counts[kind, WorkState.DEAD] += change

    def counts(self) -> dict[str, int]:
        """What there is, by kind and state; states without a piece are left out."""
        return {f"{kind}.{state}": count for (kind, state), count in sorted(self._counts.items()) if count > 0}
