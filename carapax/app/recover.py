"""Recovery: what a gateway that was killed left behind is shown, and nothing of it is repeated.

Layer: app; runs once, before anything is served. Law: an effect of unknown outcome is recorded as unknown, told to its
session, and never started again; what was changed meanwhile is known to the versions and can be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from carapax.core.ledger.entry import Entry
from carapax.core.terms.action import Outcome
from carapax.core.terms.approval import ApprovalState
from carapax.core.terms.conversation import PartKind, Turn, TurnState
from carapax.core.terms.ids import PrincipalId
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Source
from carapax.ports.clock import Clock
from carapax.ports.ledger import Ledger
from carapax.ports.store import NewPart, OpenCall, Store
from carapax.ports.workspace import Workspace

NOBODY = PrincipalId("nobody")
LABEL = Label(Integrity.SYSTEM, OWNER_ONLY, frozenset({Source("system", "recovery")}))


Read = Callable[[int], Iterable[Entry]]
"""The ledger's entries from an index on."""


async def recover(
    store: Store, ledger: Ledger, read: Read, workspace: Workspace, clock: Clock, resume: Callable[[Turn], None]
) -> int:
    """Close what was open; returns how many turns were interrupted."""
    unknown = await _close_calls(store, ledger, read, workspace)
    for card in await store.list_approvals(ApprovalState.WAITING, limit=500):
        await store.answer_approval(card.id, ApprovalState.EXPIRED, NOBODY, clock.now_ms())
    interrupted = 0
    for turn in await store.unfinished_turns():
        if turn.state is TurnState.ACCEPTED:
            resume(turn)
            continue
        interrupted += 1
        text = interruption([call for call in unknown if call.turn == turn.id])
        await ledger.append("interrupted", {"session": turn.session, "turn": turn.id})
        await store.set_turn(
            turn.id,
            TurnState.INTERRUPTED,
            parts=(NewPart(PartKind.NOTICE, text, LABEL),),
            reply=text,
            ended_ms=clock.now_ms(),
        )
    return interrupted


async def _close_calls(store: Store, ledger: Ledger, read: Read, workspace: Workspace) -> list[OpenCall]:
    """Close every open call by its receipt, where the ledger has one; returns those whose outcome is unknown."""
    left = {call: changes for call, changes in await workspace.unfinished()}
    calls = list(await store.open_calls())
    receipts = _receipts(read(min(call.entry for call in calls))) if calls else {}
    unknown = []
    for call in calls:
        changes = tuple(left.get(call.call, ()))
        outcome, entry = receipts.get(call.call, (Outcome.UNKNOWN.value, -1))
        if entry < 0:
            body = {"call": call.call, "turn": call.turn, "entry": call.entry, "changed_count": len(changes)}
            entry = await ledger.append("unknown", body)
            unknown.append(call)
        await store.close_call(call.call, outcome, entry, changes)
    return unknown


def _receipts(entries: Iterable[Entry]) -> dict[str, tuple[str, int]]:
    return {e.body["call"]: (e.body["outcome"], int(e.index)) for e in entries if e.kind == "receipt"}


def interruption(unknown: list[OpenCall]) -> str:
    """What a person reads about an interrupted turn."""
    text = "Carapax was ended while it worked on this. What was done before stands in the ledger; nothing is repeated."
    for call in unknown:
        text += f"\nOutcome unknown: {call.summary} (#{call.entry}). Look at what it did; `carapax undo` takes its changes back."
    return text
