"""The gateway: what surfaces may ask, put together from turns, desk, access, store, ledger and versions.

Layer: app; implements ports.gateway.Gateway. Thin: each method checks the scope, then calls one owner.
Law: whatever changes something for a person is in the ledger before it happens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import carapax
from carapax.app.access import Access
from carapax.app.channel_doors import ChannelDoors, Channelled
from carapax.app.clock import new_id
from carapax.app.desk import Desk
from carapax.app.meter import Meter
from carapax.app.policy_file import PolicyFile
from carapax.app.turns import Turns
from carapax.app.wards import Wards
from carapax.core.terms.approval import Answer, Approval, ApprovalState
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.conversation import Inbound, Part, PartKind, Session, Turn, TurnState
from carapax.core.terms.error import CarapaxError, Conflict, NotFound, Refused
from carapax.core.terms.event import Event
from carapax.core.terms.ids import ApprovalId, SessionId, TokenId, TurnId
from carapax.core.terms.incident import Act, Incident
from carapax.core.terms.label import OWNER, OWNER_ONLY, Integrity, Label, Source
from carapax.core.terms.limit import Usage
from carapax.core.terms.plain import plain
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.guard.monitor import Guard
from carapax.ports.clock import Clock
from carapax.ports.gateway import MintedToken, Undone
from carapax.ports.ledger import Ledger
from carapax.ports.provider import Provider
from carapax.ports.store import NewPart, Store, Token
from carapax.ports.workspace import Workspace

EXPORT_PAGE = 500


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a gateway is made of."""

    store: Store
    ledger: Ledger
    guard: Guard
    desk: Desk
    turns: Turns
    access: Access
    meter: Meter
    workspace: Workspace
    policy: PolicyFile
    clock: Clock
    provider: Callable[[], Provider]
    ask_stop: Callable[[], None]
    wards: Wards
    channelled: Channelled


class CarapaxGateway(ChannelDoors):
    """Implements Gateway over its parts."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.channelled)
        self._p = parts
        self._started_ms = parts.clock.monotonic_ms()

    # turns

    async def submit(self, principal: Principal, inbound: Inbound) -> AsyncIterator[Event]:
        _need(principal, Scope.CHAT)
        return await self._p.turns.submit(principal, inbound)

    async def follow(self, principal: Principal, turn: TurnId) -> AsyncIterator[Event]:
        return await self._p.turns.follow((await self._own_turn(principal, turn)).id)

    async def cancel(self, principal: Principal, turn: TurnId) -> None:
        _need(principal, Scope.CHAT)
        await self._p.turns.cancel(await self._own_turn(principal, turn))

    async def find_turn(self, principal: Principal, turn: TurnId) -> Turn | None:
        found = await self._p.store.find_turn(turn)
        return found if found is not None and found.principal == principal.id else None

    async def _own_turn(self, principal: Principal, turn: TurnId) -> Turn:
        found = await self.find_turn(principal, turn)
        if found is None:
            raise NotFound(f"There is no turn {turn[:40]}.")
        return found

    # sessions

    async def list_sessions(self, principal: Principal, *, query: str = "", limit: int = 50) -> Sequence[Session]:
        return await self._p.store.list_sessions(principal.id, query=query, limit=min(max(limit, 1), 500))

    async def get_session(self, principal: Principal, session: SessionId) -> tuple[Session, Sequence[Turn]]:
        found = await self._own_session(principal, session)
        return found, await self._p.store.list_turns(session, limit=200)

    async def export_session(self, principal: Principal, session: SessionId) -> AsyncIterator[Part]:
        await self._own_session(principal, session)
        return self._all_parts(session)

    async def _all_parts(self, session: SessionId) -> AsyncIterator[Part]:
        pages: list[int] = []
        before: int | None = None
        while page := await self._p.store.parts(session, limit=EXPORT_PAGE, before_seq=before):
            before = page[0].seq
            pages.append(page[-1].seq + 1)
        for end in reversed(pages):
            for part in await self._p.store.parts(session, limit=EXPORT_PAGE, before_seq=end):
                yield part

    async def name_session(self, principal: Principal, session: SessionId, name: str) -> None:
        await self._own_session(principal, session)
        await self._p.store.name_session(session, name.strip()[:120])

    async def delete_session(self, principal: Principal, session: SessionId) -> None:
        _need(principal, Scope.ADMIN)
        await self._own_session(principal, session)
        await self._p.ledger.append("session.deleted", {"session": session, "by": principal.id, "via": principal.via})
        await self._p.store.delete_session(session)

    async def _own_session(self, principal: Principal, session: SessionId) -> Session:
        found = await self._p.store.find_session(session)
        if found is None or found.owner != principal.id:
            raise NotFound(f"There is no session {session[:40]}.")
        return found

    # approvals

    async def list_approvals(self, principal: Principal, state: ApprovalState | None) -> Sequence[Approval]:
        if principal.role not in (Role.OWNER, Role.APPROVER):
            return ()
        return await self._p.store.list_approvals(state, limit=100)

    async def answer(self, principal: Principal, approval: ApprovalId, answer: Answer, *, digest: str = "") -> Approval:
        return await self._p.desk.answer(principal, approval, answer, digest=digest)

    # undo

    async def undo(
        self, principal: Principal, *, session: SessionId | None = None, turn: TurnId | None = None
    ) -> Undone:
        _need(principal, Scope.CHAT)
        if session is not None:
            await self._own_session(principal, session)
        found = await self._p.store.changes(session, turn=turn)
        if not found:
            raise NotFound("There is nothing to undo.", next_step="`carapax sessions` shows what was done.")
        undone, changes = found[0]
        if undone.ended_ms is None:
            raise Conflict("That turn is still running.", next_step="Stop it or wait for it, then undo it.")
        p = self._p
        async with p.guard.changing:
            body = {"turn": undone.id, "session": undone.session, "files": len(changes), "by": principal.id}
            entry = await p.ledger.append("undo", body)
            reverted = await p.workspace.revert(changes)
            await p.store.mark_undone(undone.id)
        result = Undone(undone.id, undone.number, reverted.changes, reverted.conflicts, reverted.lost, entry)
        await self._tell_session(principal, undone, result)
        return result

    async def _tell_session(self, principal: Principal, undone: Turn, result: Undone) -> None:
        """Write the undo into the session's history, so that the model knows it too."""
        now_ms = self._p.clock.now_ms()
        label = Label(Integrity.SYSTEM, OWNER_ONLY, frozenset({Source("system", "undo")}))
        text = undo_text(result)
        turn = Turn(
            id=TurnId(new_id(now_ms)),
            session=undone.session,
            number=0,
            state=TurnState.DONE,
            principal=principal.id,
            channel="undo",
            text="/undo",
            reply=text,
            started_ms=now_ms,
            ended_ms=now_ms,
            usage=Usage(),
        )
        owner = Label(Integrity.USER, OWNER_ONLY, frozenset({Source("message", turn.id)}))
        parts = (NewPart(PartKind.USER, "/undo", owner), NewPart(PartKind.NOTICE, text, label))
        await self._p.store.accept_turn(turn, parts)

    async def undo_in_chat(self, principal: Principal, session: SessionId) -> str:
        """Take back what the session last changed; what to say of it."""
        return undo_text(await self.undo(principal, session=session))

    async def status_in_chat(self) -> str:
        """How the gateway is, in three lines."""
        state = await self.status()
        model, counts = state["model"], state["counts"]
        policy = state["policy"]
        named = f"{policy['name']} {policy['serial']}" if policy["valid"] else f"invalid: {policy['reason']}"
        lines = [f"Carapax {state['version']} · {model['name']} {model['model']}", f"policy {named}"]
        waiting = counts.get("approvals_waiting", 0)
        lines.append(f"running {state['running']} · waiting for an answer {waiting}")
        return "\n".join([*lines, *(["Everything is stopped."] if state["stopped"] else [])])

    # tokens

    async def authenticate(self, value: str) -> Principal | None:
        return await self._p.access.authenticate(value)

    async def create_token(self, principal: Principal, name: str, scopes: frozenset[Scope], days: int) -> MintedToken:
        _need(principal, Scope.ADMIN)
        if not scopes or not 1 <= days <= 366 or not name.strip():
            raise Refused("A token needs a name, at least one scope, and 1 to 366 days.")
        return await self._p.access.mint(principal.via, name.strip()[:80], scopes, days)

    async def list_tokens(self, principal: Principal) -> Sequence[Token]:
        _need(principal, Scope.ADMIN)
        return await self._p.store.list_tokens()

    async def revoke_token(self, principal: Principal, token: TokenId) -> None:
        _need(principal, Scope.ADMIN)
        await self._p.access.revoke(principal.via, token)

    async def redeem(self, code: str) -> MintedToken | None:
        return await self._p.access.redeem(code)

    # incidents

    async def list_incidents(self, principal: Principal) -> Sequence[Incident]:
        return self._p.wards.incidents.all() if principal.role in (Role.OWNER, Role.APPROVER) else ()

    async def get_incident(self, principal: Principal, number: int) -> Incident:
        if principal.role not in (Role.OWNER, Role.APPROVER):
            raise NotFound(f"There is no incident {number}.")
        return self._p.wards.incidents.get(number)

    async def decide_incident(self, principal: Principal, number: int, act: Act) -> Incident:
        return await self._p.wards.incidents.decide(principal, number, act)

    async def follow_incidents(self, principal: Principal) -> AsyncIterator[Event]:
        if principal.role not in (Role.OWNER, Role.APPROVER):
            raise Refused("Only the owner and approvers are told of incidents.")
        return self._p.wards.incidents.follow()

    async def resume_all(self, principal: Principal) -> None:
        _need(principal, Scope.ADMIN)
        if not self._p.wards.hold.stopped:
            raise Conflict("Nothing is stopped here.")
        await self._p.ledger.append("everything.resumed", {"by": principal.id, "via": principal.via})
        self._p.wards.hold.lift_stop()
        self._p.channelled.messengers.board.hurry()

    # state

    async def status(self) -> dict[str, Any]:
        p = self._p
        state: dict[str, Any] = {
            "version": carapax.__version__,
            "uptime_ms": p.clock.monotonic_ms() - self._started_ms,
            "model": plain(p.provider().facts()),
            "workspace": str(p.workspace.root),
            "ledger": {"size": p.ledger.size(), "checkpoint": p.ledger.checkpoint()},
            "counts": await p.store.counts(),
            "running": p.turns.running_count(),
            "factor": p.desk.factor(OWNER).value,
            "today": plain(await p.meter.today()),
            "stopped": p.wards.hold.stopped,
            "work": p.channelled.engine.counts(),
            "incidents": [_brief(incident) for incident in p.wards.incidents.undecided()],
        }
        try:
            policy = p.policy.current()
            state["policy"] = {"name": policy.name, "serial": policy.serial, "digest": policy.digest, "valid": True}
            state["budgets"] = plain(policy.budgets)
        except CarapaxError as error:
            state["policy"] = {"valid": False, "reason": error.what, "next_step": error.next_step}
        return state

    async def ready(self) -> Sequence[Check]:
        failed = []
        try:
            self._p.policy.current()
        except CarapaxError as error:
            failed.append(Check("policy", Standing.FAILED, error.what, error.next_step))
        try:
            await self._p.store.counts()
        except CarapaxError as error:
            failed.append(Check("store", Standing.FAILED, error.what, error.next_step))
        return failed

    def metrics(self) -> dict[str, float]:
        counts = self._p.turns.counts
        return {
            "carapax_uptime_seconds": (self._p.clock.monotonic_ms() - self._started_ms) / 1000,
            "carapax_ledger_entries": float(self._p.ledger.size()),
            "carapax_turns_running": float(self._p.turns.running_count()),
            **{f'carapax_turns_total{{state="{state}"}}': float(count) for state, count in counts.items()},
        }

    async def stop(self, principal: Principal) -> None:
        _need(principal, Scope.ADMIN)
        await self._p.ledger.append("stop.asked", {"by": principal.id, "via": principal.via})
        self._p.ask_stop()


def undo_text(result: Undone) -> str:
    """What an undo did, in words."""
    names = ", ".join(change.path for change in result.restored[:10])
    more = f" and {len(result.restored) - 10} more" if len(result.restored) > 10 else ""
    text = (
        f"Took back turn {result.number}: {names}{more}."
        if result.restored
        else f"Turn {result.number}: nothing to put back."
    )
    if result.conflicts:
        text += f" Left alone, because they changed since: {', '.join(result.conflicts[:10])}."
    if result.lost:
        text += f" Could not be put back (too large to keep): {', '.join(result.lost[:10])}."
    return text


def _brief(incident: Incident) -> dict[str, Any]:
    """What a status line says of an incident that waits for a person."""
    names = ("number", "rule", "session", "sentence", "opened_ms", "state")
    return {name: plain(getattr(incident, name)) for name in names}


def _need(principal: Principal, scope: Scope) -> None:
    if scope not in principal.scopes:
        raise Refused(f"This token has no scope {scope.value}.")
