"""The ledger port on files: appends of many tasks, one writer thread, one fdatasync per group.

Layer: adapters/ledger; implements `ports.ledger.Ledger`. Bodies are rendered in the caller's task; the thread takes whatever
waits as one group, so that appends made while the disk is busy share the next sync. Waking the tasks is one call per group.
Absent: reading; see `reader`.
Law: `append` returns after the entry is durable and signed, or raises and the entry is not in the ledger.
"""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from carapax.adapters.ledger.journal import Draft, Journal
from carapax.adapters.ledger.layout import Layout
from carapax.adapters.ledger.recovery import lock_ledger, open_journal
from carapax.adapters.ledger.signature import signer
from carapax.core.ledger.checkpoint import render_verifier_key
from carapax.core.ledger.entry import render_body
from carapax.core.terms.error import LedgerUnavailable
from carapax.core.terms.ids import EntryIndex
from carapax.ports.clock import Clock

SEED_BYTES = 32
_IDLE_SECONDS = 1.0  # quiet time after which checkpoints are synced


@dataclass(frozen=True, slots=True)
class _Waiting:
    draft: Draft
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[EntryIndex]


class FileLedger:
    """A ledger directory opened for appending; one process at a time. Made by `open`."""

    def __init__(self, journal: Journal, clock: Clock, lock_fd: int, verifier_key: str, public_key: bytes) -> None:
        self._journal, self._clock, self._lock_fd = journal, clock, lock_fd
        self.verifier_key = verifier_key  # NAME+ID+BASE64, for people who check from elsewhere
        self.public_key = public_key
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._closed = False  # set and read by tasks
        self._stopping = False  # by the thread
        self._entry_gate = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, directory: Path, seed: bytes, origin: str, clock: Clock) -> FileLedger:
        """Open or create the ledger in a directory and repair what a crash left.

        `seed` is the 32-byte Ed25519 seed, `origin` the ledger's name (no spaces, no plus). Raises LedgerCorrupt with the first
        bad entry, or LedgerUnavailable when another process has it, the key is another, or the disk fails.
        """
        layout = Layout(directory)
        public_key, _ = signer(seed)
        lock_fd = lock_ledger(layout)
        try:
            journal = open_journal(layout, seed, origin, clock.now_ms())
        except BaseException:
            os.close(lock_fd)
            raise
        return cls(journal, clock, lock_fd, render_verifier_key(origin, public_key), public_key)

    async def append(self, kind: str, body: dict[str, Any]) -> EntryIndex:
        """See the port. Raises also Malformed or TooLarge for a body that cannot be recorded."""
        draft = Draft(self._clock.now_ms(), kind, render_body(kind, body))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[EntryIndex] = loop.create_future()
        with self._entry_gate:  # nothing may enter the queue behind the end mark
            if self._closed:
                raise LedgerUnavailable("the ledger is closed", next_step="Start Carapax again.")
            self._queue.put(_Waiting(draft, loop, future))
        return await future

    def size(self) -> int:
        return self._journal.size

    def checkpoint(self) -> str:
        return self._journal.note if self._journal.size else ""

    async def close(self) -> None:
        with self._entry_gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            if group:
                _answer(group, self._commit(group))
        self._journal.close()
        os.close(self._lock_fd)

    def _next_group(self) -> list[_Waiting] | None:
        """What waits, at most one group of it; [] after a quiet second's sync, None at the end."""
        if self._stopping:
            return None
        try:
            taken = self._queue.get(timeout=_IDLE_SECONDS if self._journal.unsynced else None)
        except Empty:
            self._journal.sync()
            return []
        group: list[_Waiting] = []
        room = self._journal.room()
        while True:
            if taken is None:
                self._stopping = True
                return group
            group.append(taken)
            if len(group) == room:
                return group
            try:
                taken = self._queue.get_nowait()
            except Empty:
                return group

    def _commit(self, group: list[_Waiting]) -> int | LedgerUnavailable:
        try:
            return self._journal.commit([w.draft for w in group])
        except LedgerUnavailable as error:
            return error
        except Exception as error:  # noqa: BLE001 - broad: a writer that died silently would leave every task waiting for ever
            self._journal.failure = f"the ledger's writer failed ({type(error).__name__})"
            return LedgerUnavailable(
                self._journal.failure, next_step="This is a defect; restart Carapax and report it."
            )


def _answer(group: list[_Waiting], outcome: int | LedgerUnavailable) -> None:
    """Wake the tasks of a group, once per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[int, _Waiting]]] = {}
    for position, waiting in enumerate(group):
        by_loop.setdefault(waiting.loop, []).append((position, waiting))
    for loop, members in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, members, outcome)
        except RuntimeError:  # that loop is closed: nobody waits there any more
            continue


def _settle(members: list[tuple[int, _Waiting]], outcome: int | LedgerUnavailable) -> None:
    for position, waiting in members:
        if waiting.future.done():  # cancelled; its entry stays
            continue
        if isinstance(outcome, LedgerUnavailable):
            waiting.future.set_exception(LedgerUnavailable(outcome.what, next_step=outcome.next_step))
        else:
            waiting.future.set_result(EntryIndex(outcome + position))
