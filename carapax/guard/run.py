"""Running one allowed call: versions, entry, seal, tool, receipt; and holding back what destroys more than it said.

Layer: guard. Called by the monitor only, with a decision in hand.
Laws: the entry is durable before the seal exists; the receipt is written even when the run is cancelled; files that a
call deletes without having said so are put back at once and deleted only after a person's yes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

from carapax.core.policy.document import Policy
from carapax.core.terms.action import CanonicalCall, Change, ChangeKind, Effect, Outcome, Receipt
from carapax.core.terms.error import CarapaxError, PolicyInvalid
from carapax.core.terms.event import Event, StepDone
from carapax.core.terms.ids import CallId, EntryIndex
from carapax.core.terms.label import Label
from carapax.guard.card import first_line, summary
from carapax.guard.record import receipt_body
from carapax.guard.seal import seal
from carapax.ports.clock import Clock
from carapax.ports.ledger import Ledger
from carapax.ports.store import OpenCall, Store
from carapax.ports.tool import Tool
from carapax.ports.workspace import Mark, Workspace


class Means(Protocol):
    """What running needs of the guard."""

    ledger: Ledger
    store: Store
    workspace: Workspace
    clock: Clock
    key: bytes
    changing: asyncio.Lock
    policy: Callable[[], Policy]


@dataclass(frozen=True, slots=True)
class RunDone:
    """A finished run. `held` are changes that were put back because nobody had agreed to that many deletions."""

    receipt: Receipt
    label: Label
    held: tuple[Change, ...] = ()


Labels = Callable[[CanonicalCall, Receipt], Awaitable[Label]]
"""Labels a finished call's result, and the files it changed, before its receipt is written."""

Judge = Callable[[int], bool]
"""Whether this many deleted files are allowed without asking."""


class Runner:
    """Runs calls with the guard's means and tells `emit` how each ended."""

    def __init__(self, means: Means, emit: Callable[[Event], None], labels: Labels) -> None:
        self._means = means
        self._emit = emit
        self._labels = labels

    async def run(
        self,
        call: CanonicalCall,
        tool: Tool,
        body: dict[str, Any],
        *,
        keep: bool,
        judge: Judge,
        began: Callable[[EntryIndex], None],
    ) -> RunDone:
        """Record, seal and run one call. Raises LedgerUnavailable and StoreUnavailable; then nothing was started."""
        lock: AbstractAsyncContextManager[Any] = self._means.changing if keep else nullcontext()
        async with lock:
            mark = await self._means.workspace.before(call.call) if keep else None
            entry = await self._record(call, body)
            began(entry)
            started_ms = self._means.clock.monotonic_ms()
            work = asyncio.ensure_future(self._perform(call, tool, entry, body["policy"]))
            try:
                receipt = await asyncio.shield(work)
            except asyncio.CancelledError:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                stopped = Receipt(call.call, Outcome.STOPPED, "It was stopped before it finished.")
                await asyncio.shield(self._close(call, stopped, entry, mark, started_ms, judge))
                raise
            return await asyncio.shield(self._close(call, receipt, entry, mark, started_ms, judge))

    async def release(self, call: CanonicalCall, held: Sequence[Change]) -> Sequence[Change]:
        """Do the deletions that were held back, after a person agreed."""
        means = self._means
        async with means.changing:
            entry = await means.ledger.append(
                "released", {"call": call.call, "digest": call.digest, "files": len(held)}
            )
            again = CallId(f"{call.call}+")
            await means.store.open_call(
                OpenCall(again, call.session, call.turn, call.manifest.name, summary(call), entry)
            )
            done = await means.workspace.revert(held)
            await means.store.close_call(again, Outcome.DONE.value, entry, done.changes)
        return done.changes

    async def _record(self, call: CanonicalCall, body: dict[str, Any]) -> EntryIndex:
        entry = await self._means.ledger.append("call", body)
        await self._means.store.open_call(
            OpenCall(call.call, call.session, call.turn, call.manifest.name, summary(call), entry)
        )
        return entry

    async def _perform(self, call: CanonicalCall, tool: Tool, entry: EntryIndex, judged_by: str) -> Receipt:
        means = self._means
        try:
            policy = means.policy().digest
            if policy != judged_by:
                raise PolicyInvalid("The policy changed while this was judged.", kept="Nothing was done.")
            return await tool.perform(seal(call, entry, policy, means.clock.now_ms(), means.key))
        except CarapaxError as error:
            return Receipt(call.call, Outcome.FAILED, f"error ({error.code}): {error.what} {error.kept}")

    async def _close(
        self, call: CanonicalCall, receipt: Receipt, entry: EntryIndex, mark: Mark | None, started_ms: int, judge: Judge
    ) -> RunDone:
        means = self._means
        changes = tuple(await means.workspace.after(mark)) if mark is not None else ()
        held: tuple[Change, ...] = ()
        deleted = count_lost(changes)
        if deleted and not judge(deleted):
            reverted = await means.workspace.revert(changes)
            changes, held = (), reverted.changes
        duration_ms = receipt.duration_ms or means.clock.monotonic_ms() - started_ms
        receipt = replace(receipt, changes=changes, duration_ms=duration_ms)
        label = await self._labels(call, receipt)
        body = receipt_body(call, receipt, label, entry) | ({"held": deleted} if held else {})
        receipt_entry = await means.ledger.append("receipt", body)
        await means.store.close_call(call.call, receipt.outcome.value, receipt_entry, changes)
        if mark is not None:
            await means.workspace.settle(mark)
        self._emit(
            StepDone(
                call.call,
                call.manifest.name,
                summary(call),
                receipt.outcome.value,
                first_line(receipt.text),
                duration_ms,
                receipt_entry,
            )
        )
        return RunDone(receipt, label, held)


def count_lost(changes: Sequence[Change]) -> int:
    """How many files are gone: deleted, and their bytes not created anywhere else by the same call (a move)."""
    moved = {change.after for change in changes if change.kind is ChangeKind.CREATED and change.after}
    return sum(c.kind is ChangeKind.DELETED and not c.path.endswith("/") and c.before not in moved for c in changes)


def count_held(held: Sequence[Change]) -> int:
    """How many files a call had deleted that were put back."""
    # `held` is what putting back did: every file that was lost was created again.
    gone = {change.before for change in held if change.kind is ChangeKind.DELETED and change.before}
    return sum(c.kind is ChangeKind.CREATED and not c.path.endswith("/") and c.after not in gone for c in held)


def destroying(call: CanonicalCall) -> CanonicalCall:
    """The call as what it turned out to be."""
    return replace(call, manifest=replace(call.manifest, effect=Effect.DESTROY))
