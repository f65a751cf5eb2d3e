"""Port: people. The guard asks; whoever implements this shows the card and brings the answer."""

from __future__ import annotations

from typing import Protocol

from carapax.core.terms.approval import Approval


class Approver(Protocol):
    async def ask(self, approval: Approval) -> Approval:
        """Show it and wait for the answer until its deadline. Returns it APPROVED, DENIED or EXPIRED; never raises for silence."""
        ...
