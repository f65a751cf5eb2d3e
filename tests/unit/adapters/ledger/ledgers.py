"""Ledger directories for tests: made, opened, counted and damaged in one line each."""

from __future__ import annotations

import asyncio
from pathlib import Path

from carapax.adapters.ledger.file_ledger import FileLedger
from carapax.adapters.ledger.journal import Draft, Journal
from carapax.adapters.ledger.layout import Layout
from carapax.adapters.ledger.recovery import lock_ledger, open_journal
from carapax.adapters.ledger.signature import signer
from carapax.core.ledger.checkpoint import parse_checkpoint
from carapax.core.ledger.entry import Entry, render_body
from carapax.core.terms.ids import EntryIndex
from tests.fakes.ledger import ORIGIN, SEED, ToldClock

PUBLIC, SIGN = signer(SEED)


def open_ledger(directory: Path, clock: ToldClock | None = None) -> FileLedger:
    return FileLedger.open(directory, SEED, ORIGIN, clock or ToldClock())


def reopen(directory: Path) -> int:
    """Open, close, and tell the size."""

    async def inside() -> int:
        ledger = open_ledger(directory)
        await ledger.close()
        return ledger.size()

    return asyncio.run(inside())


def open_at(directory: Path) -> tuple[Journal, int]:
    layout = Layout(directory)
    fd = lock_ledger(layout)
    return open_journal(layout, SEED, ORIGIN, 1), fd


def fill(directory: Path, groups: list[int], start_ms: int = 1_000) -> None:
    """Append groups of these sizes, without threads: the same bytes every time."""
    import os

    journal, fd = open_at(directory)
    for size in groups:
        drafts = []
        for at in range(size):
            index = journal.size + at
            body = render_body("call.judged", {"n": index, "tool": "write_file"})
            drafts.append(Draft(start_ms + index, "call.judged", body))
        journal.commit(drafts)
    journal.close()
    os.close(fd)


def entry(index: int, **body: object) -> Entry:
    return Entry(EntryIndex(index), 1_000 + index, "call.judged", body or {"n": index, "tool": "write_file"})


def newest_size(directory: Path) -> int:
    from carapax.adapters.ledger.reader import newest_checkpoint

    return parse_checkpoint(newest_checkpoint(directory)).checkpoint.size


def segment(directory: Path, number: int = 0) -> Path:
    return Layout(directory).segment(number)


def edit_line(path: Path, line: int, new: bytes | None) -> None:
    """Replace a line (without newline), or remove it with None."""
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line : line + 1] = [] if new is None else [new + b"\n"]
    path.write_bytes(b"".join(lines))
