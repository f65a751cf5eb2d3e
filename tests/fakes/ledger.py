"""A ledger in memory for other rooms' tests: same refusals, same indexes, real checkpoints, no files.

It passes the conformance suite of the ledger port. `entries` is what was recorded; `break_with` makes it refuse.
"""

from __future__ import annotations

from typing import Any

from carapax.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from carapax.core.ledger.entry import Entry, parse_entry, render_body, render_line
from carapax.core.ledger.merkle import Frontier, leaf_hash
from carapax.core.terms.error import LedgerUnavailable
from carapax.core.terms.ids import EntryIndex
from carapax.ports.clock import Clock

ORIGIN = "carapax.test/ledger"
SEED = bytes(range(32))


class ToldClock:
    """A clock that says what the test told it."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.wall_ms = now_ms

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_ms(self) -> int:
        return 0


class MemoryLedger:
    def __init__(self, clock: Clock | None = None) -> None:
        self.entries: list[Entry] = []
        self._clock: Clock = clock or ToldClock()
        self._frontier = Frontier()
        self._refusal = ""

    def break_with(self, what: str) -> None:
        """Refuse every append from now on; "" heals it."""
        self._refusal = what

    async def append(self, kind: str, body: dict[str, Any]) -> EntryIndex:
        rendered = render_body(kind, body)
        if self._refusal:
            raise LedgerUnavailable(self._refusal)
        line = render_line(len(self.entries), self._clock.now_ms(), kind, rendered)
        self.entries.append(parse_entry(line))
        self._frontier.append(leaf_hash(line))
        return self.entries[-1].index

    def size(self) -> int:
        return len(self.entries)

    def checkpoint(self) -> str:
        if not self.entries:
            return ""
        from carapax.adapters.ledger.signature import signer

        public_key, sign = signer(SEED)
        return sign_checkpoint(Checkpoint(ORIGIN, self._frontier.size, self._frontier.root()), public_key, sign)

    async def close(self) -> None:
        self._refusal = self._refusal or "the ledger is closed"
