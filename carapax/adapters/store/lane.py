"""Lane: a thread with one connection that serves the event loop's work, and shares commits.

Layer: adapters/store. Owns the queue, the thread, group commit and the way back to the loop.
A writing lane takes everything that waits, runs it in one transaction (each piece inside a savepoint),
commits once and only then answers. When the database itself fails on a piece, the pieces run again
one by one, so that one giant write on a full disk does not fail the others.
Laws: an answer comes after the commit; a piece that raised left nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from carapax.adapters.store.link import Link
from carapax.core.terms.error import StoreUnavailable

R = TypeVar("R")


@dataclass(slots=True, eq=False)
class _Piece:
    """One caller's work, and later its result."""

    work: Callable[[Link], Any]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    after: Callable[[Link], None] | None = None
    value: Any = None
    error: BaseException | None = None


def closed() -> StoreUnavailable:
    """The error after `close`."""
    return StoreUnavailable("the store is closed", next_step="Start the gateway again (`carapax serve`).")


class Lane:
    """Runs work on one connection in one thread, in order."""

    def __init__(self, name: str, link: Link, *, writes: bool) -> None:
        self._link = link
        self._serve = self._serve_writes if writes else self._serve_reads
        self._queue: SimpleQueue[_Piece | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[Link], R], after: Callable[[Link], None] | None = None) -> R:
        """Do the work on the lane's connection, and `after` once it is committed. Raises what work raises, or StoreUnavailable."""
        loop = asyncio.get_running_loop()
        piece = _Piece(work, loop, loop.create_future(), after)
        with self._gate:
            if self._closed:
                raise closed()
            self._queue.put(piece)
        result: R = await piece.answer
        return result

    def close(self) -> None:
        """Finish what was asked before, then end the thread and the connection. Blocks; may be called twice."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _loop(self) -> None:
        while (batch := self._take()) is not None:
            self._serve(batch)
            _deliver(batch)
        self._link.close()

    def _take(self) -> list[_Piece] | None:
        first = self._queue.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < self._link.batch:
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            if more is None:
                self._queue.put(None)
                break
            batch.append(more)
        return batch

    def _serve_reads(self, batch: list[_Piece]) -> None:
        reached = True  # a server that is gone is looked for once, not once for each caller
        for piece in batch:
            self._attempt(piece)
            if reached and self._link.lost and self._link.spoils(piece.error):
                reached = self._link.revive()
                if reached:
                    piece.error = None
                    self._attempt(piece)
            self._explain(piece)

    def _attempt(self, piece: _Piece) -> None:
        try:
            piece.value = piece.work(self._link)
        except Exception as error:  # noqa: BLE001 - broad: a lane serves every caller; one defect must not end it
            piece.value, piece.error = None, error

    def _serve_writes(self, batch: list[_Piece]) -> Exception | None:
        """Serve them together; the failure when not even a beginning could be made."""
        try:
            self._link.begin()
        except self._link.failures as error:
            self._fail(batch, error)
            return error
        broken = self._in_savepoints(batch) if len(batch) > 1 else self._alone(batch[0])
        if broken and len(batch) > 1:
            self._link.roll_back()
            self._one_by_one(batch)
            return None
        if broken or (len(batch) == 1 and batch[0].error is not None):
            self._link.roll_back()
        else:
            self._commit(batch)
        for piece in batch:
            self._explain(piece)
        return None

    def _one_by_one(self, batch: list[_Piece]) -> None:
        for number, piece in enumerate(batch):
            piece.value = piece.error = None
            failure = self._serve_writes([piece])
            if failure is not None:  # it would be the same for the rest, after as long a wait
                self._fail(batch[number + 1 :], failure)
                return

    def _alone(self, piece: _Piece) -> bool:
        self._attempt(piece)
        return self._link.spoils(piece.error)

    def _in_savepoints(self, batch: list[_Piece]) -> bool:
        """Whether the database failed, so that the transaction cannot be trusted."""
        try:
            for piece in batch:
                self._link.mark()
                self._attempt(piece)
                if piece.error is not None:
                    if self._link.spoils(piece.error):
                        return True
                    self._link.undo()
                self._link.keep()
        except self._link.failures:
            return True
        return False

    def _commit(self, batch: list[_Piece]) -> None:
        try:
            self._link.commit()
        except self._link.failures as error:
            self._link.roll_back()
            self._fail([p for p in batch if p.error is None], error)
            return
        for after in {p.after for p in batch if p.error is None and p.after is not None}:
            try:
                after(self._link)
            except self._link.failures:  # what was asked is committed; tidying waits for the next time
                continue

    def _fail(self, batch: list[_Piece], error: Exception) -> None:
        for piece in batch:
            piece.value, piece.error = None, self._link.unavailable(error)

    def _explain(self, piece: _Piece) -> None:
        error = piece.error
        expected = (*self._link.failures, UnicodeEncodeError, OverflowError)
        if isinstance(error, Exception) and isinstance(error, expected):
            piece.error = self._link.refused(error)


def _deliver(batch: list[_Piece]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[_Piece]] = {}
    for piece in batch:
        loops.setdefault(piece.loop, []).append(piece)
    for loop, pieces in loops.items():
        try:
            loop.call_soon_threadsafe(_settle, pieces)
        except RuntimeError:  # that loop has ended: nobody waits any more
            continue


def _settle(pieces: list[_Piece]) -> None:
    for piece in pieces:
        if piece.answer.done():  # its caller was cancelled; the write stands
            continue
        if piece.error is not None:
            piece.answer.set_exception(piece.error)
        else:
            piece.answer.set_result(piece.value)
