"""MemoryStore: the store port in dictionaries, for tests of everything above it.

It passes the same conformance suite as SqlStore. Absent: durability, threads, migrations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from carapax.adapters.store.rules import (
    ACCOUNTS,
    ENDED,
    SEARCHED_PARTS,
    UNFINISHED,
    fold,
    growth,
    refuse_agreement,
    refuse_answer,
    refuse_ended,
    refuse_large_note,
    refuse_large_work,
    refuse_long_query,
    refuse_many_digests,
    voices,
)
from carapax.core.flow.lattice import join
from carapax.core.terms.action import Change
from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.channel import Place
from carapax.core.terms.conversation import Part, Session, Turn, TurnState
from carapax.core.terms.error import Conflict, Malformed, NotFound, StoreUnavailable
from carapax.core.terms.ids import ApprovalId, CallId, Digest, PrincipalId, SessionId, TokenId, TurnId
from carapax.core.terms.label import Label
from carapax.core.terms.limit import Usage
from carapax.core.terms.work import Work, WorkState
from carapax.ports.clock import Clock
from carapax.ports.store import Account, KnownPlace, NewPart, OpenCall, Pairing, Token


@dataclass(slots=True)
class _Session:
    session: Session
    conversation: str
    opened: int
    turns: list[TurnId] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)


@dataclass(slots=True)
class _Call:
    call: OpenCall
    outcome: str | None = None
    changes: tuple[Change, ...] = ()


def _refuse_unstorable(term: object) -> None:
    try:
        for text in _texts(term):
            text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Malformed("text with a lone surrogate cannot be stored") from error


def _texts(term: object) -> list[str]:
    if isinstance(term, str):
        return [term]
    if dataclasses.is_dataclass(term):
        return [t for f in dataclasses.fields(term) for t in _texts(getattr(term, f.name))]
    if isinstance(term, tuple | list | frozenset):
        return [t for item in term for t in _texts(item)]
    return []


class MemoryStore:
    """A Store in memory. `down = True` makes every call raise StoreUnavailable."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: dict[SessionId, _Session] = {}
        self._turns: dict[TurnId, Turn] = {}
        self._undoable: set[TurnId] = set()
        self._calls: dict[CallId, _Call] = {}
        self._approvals: dict[ApprovalId, Approval] = {}
        self._tokens: dict[TokenId, Token] = {}
        self._days: dict[str, Usage] = {}
        self._content: dict[Digest, Label] = {}
        self._tallies: list[tuple[str, int, int]] = []  # kind, when, how many
        self._accounts: dict[tuple[str, str], Account] = {}
        self._pairings: dict[str, Pairing] = {}
        self._places: dict[tuple[PrincipalId, Place], KnownPlace] = {}
        self._notes: dict[tuple[str, str], bytes] = {}
        self._works: dict[tuple[str, str], Work] = {}
        self._opened = 0
        self.down = False

    def _up(self) -> None:
        if self.down:
            raise StoreUnavailable("the store is closed", next_step="Start the gateway again (`carapax serve`).")

    def _session(self, session: SessionId) -> _Session:
        found = self._sessions.get(session)
        if found is None:
            raise NotFound(f"there is no session {session}")
        return found

    # sessions
    async def open_session(self, session: SessionId, owner: PrincipalId, conversation: str, now_ms: int) -> Session:
        self._up()
        for kept in self._sessions.values():
            if conversation and kept.conversation == conversation and kept.session.owner == owner:
                return kept.session
        if session in self._sessions:
            raise Conflict(f"session {session} exists already")
        _refuse_unstorable((session, owner, conversation))
        self._opened += 1
        new = Session(session, "", owner, now_ms, now_ms, 0, Usage())
        self._sessions[session] = _Session(new, conversation, self._opened)
        return new

    async def find_session(self, session: SessionId) -> Session | None:
        self._up()
        kept = self._sessions.get(session)
        return None if kept is None else kept.session

    async def list_sessions(self, owner: PrincipalId, *, query: str = "", limit: int = 50) -> Sequence[Session]:
        self._up()
        refuse_long_query(query)
        _refuse_unstorable(query)
        own = [s for s in self._sessions.values() if s.session.owner == owner]
        if query:
            own = [s for s in own if self._matches(s, fold(query))]
        own.sort(key=lambda s: (s.session.updated_ms, s.opened), reverse=True)
        return [s.session for s in own[: max(0, limit)]]

    def _matches(self, kept: _Session, folded: str) -> bool:
        return folded in fold(kept.session.name) or any(folded in fold(p.text) for p in kept.parts[-SEARCHED_PARTS:])

    async def name_session(self, session: SessionId, name: str) -> None:
        self._up()
        _refuse_unstorable(name)
        kept = self._session(session)
        kept.session = replace(kept.session, name=name)

    async def delete_session(self, session: SessionId) -> None:
        self._up()
        kept = self._session(session)
        if any(self._turns[t].state not in ENDED for t in kept.turns):
            raise Conflict(f"a turn of session {session} is still running")
        for turn in kept.turns:
            del self._turns[turn]
            self._undoable.discard(turn)
        self._calls = {k: c for k, c in self._calls.items() if c.call.session != session}
        self._approvals = {k: a for k, a in self._approvals.items() if a.session != session}
        del self._sessions[session]

    # turns
    async def accept_turn(self, turn: Turn, parts: Sequence[NewPart]) -> Turn:
        self._up()
        kept = self._session(turn.session)
        for known in kept.turns:
            if turn.key and self._turns[known].key == turn.key:
                return self._turns[known]
        if turn.id in self._turns:
            raise Conflict(f"turn {turn.id} exists already")
        _refuse_unstorable((turn, tuple(parts)))
        stored = replace(turn, number=kept.session.turns + 1)
        self._turns[turn.id] = stored
        kept.turns.append(turn.id)
        usage = kept.session.usage.plus(turn.usage)
        kept.session = replace(kept.session, turns=stored.number, usage=usage)
        self._append(kept, turn.id, parts)
        return stored

    def _append(self, kept: _Session, turn: TurnId, parts: Sequence[NewPart]) -> None:
        now_ms = self._clock.now_ms()
        for p in parts:
            seq = len(kept.parts) + 1
            kept.parts.append(Part(kept.session.id, turn, seq, p.kind, p.text, p.label, now_ms, p.tool, p.call))
        kept.session = replace(kept.session, updated_ms=now_ms)

    async def set_turn(
        self,
        turn: TurnId,
        state: TurnState,
        *,
        parts: Sequence[NewPart] = (),
        reply: str | None = None,
        usage: Usage | None = None,
        ended_ms: int | None = None,
        day: str = "",
    ) -> None:
        self._up()
        old = self._turns.get(turn)
        if old is None:
            raise NotFound(f"there is no turn {turn}")
        refuse_ended(old.number, old.state, state)
        _refuse_unstorable((tuple(parts), reply or ""))
        kept = self._session(old.session)
        grown = growth(old.usage, usage or old.usage)
        self._turns[turn] = replace(
            old,
            state=state,
            reply=old.reply if reply is None else reply,
            ended_ms=old.ended_ms if ended_ms is None else ended_ms,
            usage=old.usage.plus(grown),
        )
        kept.session = replace(kept.session, usage=kept.session.usage.plus(grown))
        if day and grown != Usage():
            self._days[day] = self._days.get(day, Usage()).plus(grown)
        self._append(kept, turn, parts)

    async def find_turn(self, turn: TurnId) -> Turn | None:
        self._up()
        return self._turns.get(turn)

    async def list_turns(self, session: SessionId, *, limit: int = 50) -> Sequence[Turn]:
        self._up()
        kept = self._sessions.get(session)
        return [] if kept is None else [self._turns[t] for t in reversed(kept.turns)][: max(0, limit)]

    async def unfinished_turns(self) -> Sequence[Turn]:
        self._up()
        return [t for t in self._turns.values() if t.state in UNFINISHED]

    async def parts(self, session: SessionId, *, limit: int, before_seq: int | None = None) -> Sequence[Part]:
        self._up()
        kept = self._sessions.get(session)
        if kept is None or limit <= 0:
            return []
        return [p for p in kept.parts if before_seq is None or p.seq < before_seq][-limit:]

    # calls and changes
    async def open_call(self, call: OpenCall) -> None:
        self._up()
        self._session(call.session)
        _refuse_unstorable(call)
        if call.call in self._calls:
            raise Conflict(f"call {call.call} exists already")
        self._calls[call.call] = _Call(call)

    async def close_call(self, call: CallId, outcome: str, receipt_entry: int, changes: Sequence[Change]) -> None:
        self._up()
        kept = self._calls.get(call)
        if kept is None:
            raise NotFound(f"there is no call {call}")
        if kept.outcome is not None:
            raise Conflict(f"call {call} is already closed")
        _refuse_unstorable(tuple(changes))
        kept.outcome, kept.changes = outcome, tuple(changes)
        if changes:
            self._undoable.add(kept.call.turn)

    async def open_calls(self) -> Sequence[OpenCall]:
        self._up()
        return [c.call for c in self._calls.values() if c.outcome is None]

    async def changes(
        self, session: SessionId | None = None, *, turn: TurnId | None = None, limit_turns: int = 1
    ) -> Sequence[tuple[Turn, Sequence[Change]]]:
        self._up()
        found = [
            t
            for t in reversed(self._turns.values())
            if t.id in self._undoable and session in (None, t.session) and turn in (None, t.id)
        ]
        return [(t, self._changes_of(t.id)) for t in found[: max(0, limit_turns)]]

    def _changes_of(self, turn: TurnId) -> list[Change]:
        return [change for c in self._calls.values() if c.call.turn == turn for change in c.changes]

    async def mark_undone(self, turn: TurnId) -> None:
        self._up()
        if turn not in self._turns:
            raise NotFound(f"there is no turn {turn}")
        self._undoable.discard(turn)

    # approvals
    async def put_approval(self, approval: Approval) -> None:
        self._up()
        self._session(approval.session)
        _refuse_unstorable(approval)
        if approval.id in self._approvals:
            raise Conflict(f"approval {approval.id} exists already")
        self._approvals[approval.id] = approval

    def _approval(self, approval: ApprovalId) -> Approval:
        kept = self._approvals.get(approval)
        if kept is None:
            raise NotFound(f"there is no approval {approval}")
        return kept

    async def agree_approval(self, approval: ApprovalId, by: PrincipalId) -> Approval:
        self._up()
        kept = self._approval(approval)
        refuse_agreement(kept, by)
        self._approvals[approval] = replace(kept, agreed=(*kept.agreed, by))
        return self._approvals[approval]

    async def answer_approval(
        self,
        approval: ApprovalId,
        state: ApprovalState,
        by: PrincipalId,
        now_ms: int,
        *,
        typed: Sequence[str] = (),
        picked: Sequence[int] = (),
    ) -> Approval:
        self._up()
        kept = self._approval(approval)
        refuse_answer(kept, state, now_ms)
        _refuse_unstorable(tuple(typed))
        self._approvals[approval] = replace(
            kept,
            state=state,
            answered_by=by,
            answered_ms=now_ms,
            agreed=voices(kept, state, by),
            typed=tuple(typed),
            picked=tuple(picked),
        )
        return self._approvals[approval]

    async def list_approvals(
        self, state: ApprovalState | None = ApprovalState.WAITING, *, limit: int = 50
    ) -> Sequence[Approval]:
        self._up()
        found = [a for a in reversed(self._approvals.values()) if state in (None, a.state)]
        return found[: max(0, limit)]

    # labels of content, tallies
    async def join_content_labels(self, labels: Mapping[Digest, Label]) -> None:
        self._up()
        _refuse_unstorable(tuple(labels.values()))
        for digest, label in labels.items():
            kept = self._content.get(digest)
            self._content[digest] = label if kept is None else join(kept, label)

    async def content_labels(self, digests: Sequence[Digest]) -> Mapping[Digest, Label]:
        self._up()
        refuse_many_digests(len(digests))
        return {digest: self._content[digest] for digest in digests if digest in self._content}

    async def add_tally(self, kind: str, amount: int, session: SessionId, now_ms: int) -> None:
        self._up()
        self._tallies.append((kind, now_ms, amount))

    async def tally(self, kind: str, *, since_ms: int) -> int:
        self._up()
        return sum(amount for k, at_ms, amount in self._tallies if k == kind and at_ms >= since_ms)

    # tokens
    async def put_token(self, token: Token) -> None:
        self._up()
        _refuse_unstorable(token)
        if token.id in self._tokens or any(t.hash == token.hash for t in self._tokens.values()):
            raise Conflict(f"token {token.id} exists already")
        self._tokens[token.id] = token

    async def find_token(self, hash: str) -> Token | None:
        self._up()
        return next((t for t in self._tokens.values() if t.hash == hash), None)

    async def list_tokens(self) -> Sequence[Token]:
        self._up()
        return list(self._tokens.values())

    async def revoke_token(self, token: TokenId) -> None:
        self._up()
        self._tokens[token] = replace(self._token(token), revoked=True)

    async def touch_token(self, token: TokenId, now_ms: int) -> None:
        self._up()
        self._tokens[token] = replace(self._token(token), last_used_ms=now_ms)

    def _token(self, token: TokenId) -> Token:
        found = self._tokens.get(token)
        if found is None:
            raise NotFound(f"there is no token {token}")
        return found

    # people and where they are
    async def put_account(self, account: Account) -> None:
        self._up()
        _refuse_unstorable(account)
        self._accounts[account.channel, account.sender] = account

    async def find_account(self, channel: str, sender: str) -> Account | None:
        self._up()
        return self._accounts.get((channel, sender))

    async def list_accounts(self) -> Sequence[Account]:
        self._up()
        return sorted(self._accounts.values(), key=lambda a: (a.channel, a.person))[:ACCOUNTS]

    async def drop_account(self, channel: str, sender: str) -> None:
        self._up()
        if self._accounts.pop((channel, sender), None) is None:
            raise NotFound(f"nobody is paired as {sender} on {channel}")

    async def put_pairing(self, pairing: Pairing) -> None:
        self._up()
        _refuse_unstorable(pairing)
        self._pairings[pairing.hash] = pairing

    async def list_pairings(self, *, now_ms: int) -> Sequence[Pairing]:
        self._up()
        self._pairings = {key: kept for key, kept in self._pairings.items() if kept.expires_ms > now_ms}
        return list(self._pairings.values())[:ACCOUNTS]

    async def drop_pairing(self, hash: str) -> None:
        self._up()
        self._pairings.pop(hash, None)

    async def put_place(self, known: KnownPlace) -> None:
        self._up()
        _refuse_unstorable(known)
        self._places[known.person, replace(known.place, private=True)] = known

    async def places_of(self, person: PrincipalId, *, limit: int = 50) -> Sequence[KnownPlace]:
        self._up()
        own = [known for known in reversed(self._places.values()) if known.person == person]
        return sorted(own, key=lambda known: known.last_ms, reverse=True)[: max(0, limit)]

    async def read_note(self, channel: str, name: str) -> bytes | None:
        self._up()
        return self._notes.get((channel, name))

    async def write_note(self, channel: str, name: str, value: bytes) -> None:
        self._up()
        refuse_large_note(len(value))
        _refuse_unstorable((channel, name))
        self._notes[channel, name] = bytes(value)

    async def drop_notes(self, channel: str) -> None:
        self._up()
        self._notes = {key: value for key, value in self._notes.items() if key[0] != channel}
        self._accounts = {key: value for key, value in self._accounts.items() if key[0] != channel}
        self._places = {key: value for key, value in self._places.items() if key[1].channel != channel}

    # work
    async def put_work(self, work: Work) -> bool:
        self._up()
        _refuse_unstorable(work)
        refuse_large_work(work.body)
        if (work.kind, work.key) in self._works:
            return False
        self._works[work.kind, work.key] = work
        return True

    async def set_work(self, work: Work) -> None:
        self._up()
        _refuse_unstorable(work)
        kept = self._works.get((work.kind, work.key))
        if kept is None:
            raise NotFound(f"there is no {work.kind} work {work.short}")
        body = "" if work.state is WorkState.DONE else kept.body
        self._works[work.kind, work.key] = replace(work, lane=kept.lane, body=body, started_ms=kept.started_ms)

    async def find_work(self, kind: str, key: str) -> Work | None:
        self._up()
        return self._works.get((kind, key))

    async def list_work(self, states: Sequence[WorkState], *, limit: int = 100_000) -> Sequence[Work]:
        self._up()
        found = [work for work in self._works.values() if work.state in states]
        if set(states) == {WorkState.DEAD}:
            found.reverse()
        return found[: max(0, limit)]

    async def forget_work(self, *, ended_before_ms: int, limit: int = 1_000) -> int:
        self._up()
        ended = sorted(
            (work.ended_ms, key)
            for key, work in self._works.items()
            if work.state is WorkState.DONE and work.ended_ms is not None and work.ended_ms < ended_before_ms
        )[: max(0, limit)]
        for _, key in ended:
            del self._works[key]
        return len(ended)

    async def calls_of(self, turn: TurnId) -> Mapping[CallId, str | None]:
        self._up()
        return {call: kept.outcome for call, kept in self._calls.items() if kept.call.turn == turn}

    async def find_approval(self, call: CallId) -> Approval | None:
        self._up()
        return next((a for a in reversed(self._approvals.values()) if a.call == call), None)

    # usage
    async def day_usage(self, day: str) -> Usage:
        self._up()
        return self._days.get(day, Usage())

    async def counts(self) -> dict[str, int]:
        self._up()
        return {
            "sessions": len(self._sessions),
            "turns": len(self._turns),
            "approvals_waiting": sum(a.state is ApprovalState.WAITING for a in self._approvals.values()),
            "tokens": len(self._tokens),
        }

    async def close(self) -> None:
        self.down = True
