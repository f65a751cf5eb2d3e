"""Port: the tamper-evident log. `append` returns only when the entry is durable."""

from __future__ import annotations

from typing import Any, Protocol

from carapax.core.terms.ids import EntryIndex


class Ledger(Protocol):
    async def append(self, kind: str, body: dict[str, Any]) -> EntryIndex:
        """Record one entry durably and return its index.

        `body` is plain data without floats (see core/terms/plain), at most 64 KiB as canonical JSON.
        Entries appended at the same time share one fsync. Raises LedgerUnavailable; then nothing may be done.
        """
        ...

    def size(self) -> int:
        """Entries that are durable."""
        ...

    def checkpoint(self) -> str:
        """The newest signed checkpoint (C2SP signed note), "" for an empty ledger."""
        ...

    async def close(self) -> None:
        """Write what waits, sign a last checkpoint, release the files."""
        ...
