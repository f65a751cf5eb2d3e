"""Recovery: what a gateway that was killed left behind is shown, and nothing of it is repeated.

Layer: app; runs once, before anything is served. Law: an effect of unknown outcome is recorded as unknown, told to its
session, and never started again; what was changed meanwhile is known to the versions and can be undone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from carapax.core.ledger.entry import Entry
from carapax.core.terms.action import Outcome
from carapax.core.terms.approval import ApprovalState
from carapax.core.terms.conversation import Turn, TurnState
from carapax.core.terms.ids import PrincipalId
from carapax.ports.clock import Clock
from carapax.ports.ledger import Ledger
from carapax.ports.store import Store
from carapax.ports.workspace import Workspace

NOBODY = PrincipalId("nobody")


Read = Callable[[int], Iterable[Entry]]
"""The ledger's entries from an index on."""


async def recover(
    store: Store,
    ledger: Ledger,
    read: Read,
    workspace: Workspace,
    clock: Clock,
    resume: Callable[[Turn], Awaitable[None]],
) -> int:
    """Close what was open, and take up every turn that is not over; returns how many."""
    await _close_calls(store, ledger, read, workspace)
    unfinished = await store.unfinished_turns()
    going_on = {turn.id for turn in unfinished}
    for card in await store.list_approvals(ApprovalState.WAITING, limit=500):
        if card.turn not in going_on:
            await store.answer_approval(card.id, ApprovalState.EXPIRED, NOBODY, clock.now_ms())
    for turn in unfinished:
        await resume(turn)
    return sum(turn.state is not TurnState.ACCEPTED for turn in unfinished)


async def _close_calls(store: Store, ledger: Ledger, read: Read, workspace: Workspace) -> None:
    """Close every open call: by its receipt, where the ledger has one, else as of unknown outcome."""
    left = {call: changes for call, changes in await workspace.unfinished()}
    calls = list(await store.open_calls())
    receipts = _receipts(read(min(call.entry for call in calls))) if calls else {}
    for call in calls:
        changes = tuple(left.get(call.call, ()))
        outcome, entry = receipts.get(call.call, (Outcome.UNKNOWN.value, -1))
        if entry < 0:
            body = {"call": call.call, "turn": call.turn, "entry": call.entry, "changed_count": len(changes)}
            entry = await ledger.append("unknown", body)
        await store.close_call(call.call, outcome, entry, changes)


def _receipts(entries: Iterable[Entry]) -> dict[str, tuple[str, int]]:
    return {e.body["call"]: (e.body["outcome"], int(e.index)) for e in entries if e.kind == "receipt"}
