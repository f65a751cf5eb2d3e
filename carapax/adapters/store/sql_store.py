"""SqlStore: the store port on an SQLite file, or on a PostgreSQL server that several gateways may share.

Layer: adapters/store. One lane writes, one answers the short questions, one does what takes long (search, list of
work, whole check), so that a search delays no turn. Every write is on the disk when it returns.
Absent: the turn machine, who may do what, and what a label means.
Law: raises StoreUnavailable, and then nothing of that call was written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from carapax.adapters.store import faults, people, reads, rules, works, writes
from carapax.adapters.store.lane import Lane
from carapax.adapters.store.link import Link, connect
from carapax.adapters.store.place import find_path, prepare_file
from carapax.adapters.store.postgres_place import find_server, names_server
from carapax.adapters.store.versions import ensure
from carapax.core.terms.action import Change
from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.conversation import Part, Session, Turn, TurnState
from carapax.core.terms.error import CarapaxError
from carapax.core.terms.ids import ApprovalId, CallId, Digest, PrincipalId, SessionId, TokenId, TurnId
from carapax.core.terms.label import Label
from carapax.core.terms.limit import Usage
from carapax.core.terms.work import Work, WorkState
from carapax.ports.clock import Clock
from carapax.ports.store import Account, KnownPlace, NewPart, OpenCall, Pairing, Token


class SqlStore:
    """Made by `open`; ended by `close`."""

    def __init__(self, clock: Clock, links: tuple[Link, Link, Link]) -> None:
        self._clock = clock
        writing, reading, long = links
        self._described = long.describe()
        self._writer = Lane("store-writer", writing, writes=True)
        self._reader = Lane("store-reader", reading, writes=False)
        self._long = Lane("store-long-reader", long, writes=False)

    @classmethod
    def open(cls, address: str, clock: Clock) -> SqlStore:
        """Open or create the database: a path, `sqlite:///…`, or `postgresql://…`. Blocks. Raises StoreUnavailable."""
        writing, reading, long = links = _links(address)
        try:
            writes.prune_tallies(writing, clock.now_ms())
        except writing.failures as error:
            for link in links:
                link.close()
            raise writing.unavailable(error) from error
        return cls(clock, (writing, reading, long))

    async def close(self) -> None:
        """Finish what was asked, then close. Later calls raise StoreUnavailable."""
        for lane in (self._reader, self._long, self._writer):
            await asyncio.to_thread(lane.close)

    async def check(self) -> Check:
        """Look through the whole database; takes as long as reading it."""
        began_ms = self._clock.monotonic_ms()
        try:
            damage, next_step = await self._long.run(lambda link: link.find_damage())
        except CarapaxError as error:
            damage, next_step = error.what, error.next_step
        took_ms = self._clock.monotonic_ms() - began_ms
        if damage:
            return Check("store", Standing.FAILED, damage, next_step, took_ms)
        return Check("store", Standing.OK, self._described, "", took_ms)

    # sessions
    async def open_session(self, session: SessionId, owner: PrincipalId, conversation: str, now_ms: int) -> Session:
        """Create a session or return the one with this key. Raises Conflict for an id in use."""
        return await self._writer.run(
            partial(writes.open_session, session=session, owner=owner, conversation=conversation, now_ms=now_ms)
        )

    async def find_session(self, session: SessionId) -> Session | None:
        """The session, or None."""
        return await self._reader.run(partial(reads.find_session, session=session))

    async def list_sessions(self, owner: PrincipalId, *, query: str = "", limit: int = 50) -> Sequence[Session]:
        """Newest first; a query of at most 1,000 characters looks at the newest 100,000 parts. Raises TooLarge."""
        if not query:
            return await self._reader.run(partial(reads.list_sessions, owner=owner, limit=limit))
        rules.refuse_long_query(query)
        return await self._long.run(partial(reads.search_sessions, owner=owner, query=query, limit=limit))

    async def name_session(self, session: SessionId, name: str) -> None:
        """Raises NotFound."""
        await self._writer.run(partial(writes.name_session, session=session, name=name))

    async def delete_session(self, session: SessionId) -> None:
        """Remove and overwrite everything of a session. Raises NotFound; Conflict while a turn runs."""
        await self._writer.run(partial(writes.delete_session, session=session), after=writes.empty_journal)

    # turns
    async def accept_turn(self, turn: Turn, parts: Sequence[NewPart]) -> Turn:
        """Store a message. Raises NotFound for its session; Conflict for an id in use."""
        now_ms = self._clock.now_ms()
        return await self._writer.run(partial(writes.accept_turn, turn=turn, parts=tuple(parts), now_ms=now_ms))

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
        """Move a turn. Raises NotFound; Conflict when it has ended."""
        await self._writer.run(
            partial(
                writes.set_turn,
                turn=turn,
                state=state,
                parts=tuple(parts),
                reply=reply,
                usage=usage,
                ended_ms=ended_ms,
                day=day,
                now_ms=self._clock.now_ms(),
            )
        )

    async def find_turn(self, turn: TurnId) -> Turn | None:
        """The turn, or None."""
        return await self._reader.run(partial(reads.find_turn, turn=turn))

    async def list_turns(self, session: SessionId, *, limit: int = 50) -> Sequence[Turn]:
        """Newest first."""
        return await self._reader.run(partial(reads.list_turns, session=session, limit=limit))

    async def unfinished_turns(self) -> Sequence[Turn]:
        """In the order they were stored, whatever the clock said."""
        return await self._reader.run(reads.unfinished_turns)

    async def parts(self, session: SessionId, *, limit: int, before_seq: int | None = None) -> Sequence[Part]:
        """The newest parts, in order."""
        return await self._reader.run(partial(reads.parts, session=session, limit=limit, before_seq=before_seq))

    # calls and changes
    async def open_call(self, call: OpenCall) -> None:
        """Raises NotFound for its session; Conflict for an id in use."""
        await self._writer.run(partial(writes.open_call, call=call))

    async def close_call(self, call: CallId, outcome: str, receipt_entry: int, changes: Sequence[Change]) -> None:
        """Raises NotFound; Conflict when it is closed already."""
        await self._writer.run(
            partial(writes.close_call, call=call, outcome=outcome, receipt_entry=receipt_entry, changes=tuple(changes))
        )

    async def open_calls(self) -> Sequence[OpenCall]:
        """In the order they were stored."""
        return await self._reader.run(reads.open_calls)

    async def changes(
        self, session: SessionId | None = None, *, turn: TurnId | None = None, limit_turns: int = 1
    ) -> Sequence[tuple[Turn, Sequence[Change]]]:
        """Newest first; a turn that changed nothing or was undone is not among them."""
        return await self._reader.run(partial(reads.changes, session=session, turn=turn, limit_turns=limit_turns))

    async def mark_undone(self, turn: TurnId) -> None:
        """Raises NotFound."""
        await self._writer.run(partial(writes.mark_undone, turn=turn))

    # approvals
    async def put_approval(self, approval: Approval) -> None:
        """Raises NotFound for its session; Conflict for an id that was ever used."""
        await self._writer.run(partial(writes.put_approval, approval=approval))

    async def agree_approval(self, approval: ApprovalId, by: PrincipalId) -> Approval:
        """Raises NotFound; Conflict when it no longer waits, needs one person only, or this one said yes already."""
        return await self._writer.run(partial(writes.agree_approval, approval=approval, by=by))

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
        """Raises NotFound; Conflict when it no longer waits, for a yes at or after the deadline, or with too few people."""
        return await self._writer.run(
            partial(
                writes.answer_approval,
                approval=approval,
                state=state,
                by=by,
                now_ms=now_ms,
                typed=tuple(typed),
                picked=tuple(picked),
            )
        )

    async def list_approvals(
        self, state: ApprovalState | None = ApprovalState.WAITING, *, limit: int = 50
    ) -> Sequence[Approval]:
        """Newest first."""
        return await self._reader.run(partial(reads.list_approvals, state=state, limit=limit))

    # labels of content
    async def join_content_labels(self, labels: Mapping[Digest, Label]) -> None:
        """Look and write in one transaction, so that of two joins at once none is lost."""
        if labels:
            await self._writer.run(partial(writes.join_content_labels, labels=dict(labels)))

    async def content_labels(self, digests: Sequence[Digest]) -> Mapping[Digest, Label]:
        """Raises TooLarge over 2,000."""
        rules.refuse_many_digests(len(digests))
        return await self._reader.run(partial(reads.content_labels, digests=tuple(digests))) if digests else {}

    # tallies
    async def add_tally(self, kind: str, amount: int, session: SessionId, now_ms: int) -> None:
        """Counts for 40 days, also when the session is deleted."""
        await self._writer.run(partial(writes.add_tally, kind=kind, amount=amount, session=session, now_ms=now_ms))

    async def tally(self, kind: str, *, since_ms: int) -> int:
        """Nought for a kind that was never counted."""
        return await self._reader.run(partial(reads.tally, kind=kind, since_ms=since_ms))

    # tokens
    async def put_token(self, token: Token) -> None:
        """Raises Conflict for an id or a hash in use."""
        await self._writer.run(partial(writes.put_token, token=token))

    async def find_token(self, hash: str) -> Token | None:
        """The token, revoked and expired ones too: whoever asks judges that."""
        return await self._reader.run(partial(reads.find_token, hashed=hash))

    async def list_tokens(self) -> Sequence[Token]:
        """Oldest first."""
        return await self._reader.run(reads.list_tokens)

    async def revoke_token(self, token: TokenId) -> None:
        """Raises NotFound."""
        await self._writer.run(partial(writes.revoke_token, token=token))

    async def touch_token(self, token: TokenId, now_ms: int) -> None:
        """Raises NotFound. Costs a commit: once a minute is enough."""
        await self._writer.run(partial(writes.touch_token, token=token, now_ms=now_ms))

    # people and where they are
    async def put_account(self, account: Account) -> None:
        """Replaces what was said of this account before."""
        await self._writer.run(partial(people.put_account, account=account))

    async def find_account(self, channel: str, sender: str) -> Account | None:
        """The account, or None."""
        return await self._reader.run(partial(people.find_account, channel=channel, sender=sender))

    async def list_accounts(self) -> Sequence[Account]:
        """By channel and person; at most 10,000."""
        return await self._reader.run(people.list_accounts)

    async def drop_account(self, channel: str, sender: str) -> None:
        """Raises NotFound."""
        await self._writer.run(partial(people.drop_account, channel=channel, sender=sender))

    async def put_pairing(self, pairing: Pairing) -> None:
        """Keep a code by its hash, or replace it."""
        await self._writer.run(partial(people.put_pairing, pairing=pairing))

    async def list_pairings(self, *, now_ms: int) -> Sequence[Pairing]:
        """Oldest first; the expired ones are forgotten."""
        return await self._writer.run(partial(people.list_pairings, now_ms=now_ms))

    async def drop_pairing(self, hash: str) -> None:
        """Nothing happens when it is not there."""
        await self._writer.run(partial(people.drop_pairing, hashed=hash))

    async def put_place(self, known: KnownPlace) -> None:
        """Replaces what was known of this person here."""
        await self._writer.run(partial(people.put_place, known=known))

    async def places_of(self, person: PrincipalId, *, limit: int = 50) -> Sequence[KnownPlace]:
        """Newest first."""
        return await self._reader.run(partial(people.places_of, person=person, limit=limit))

    async def read_note(self, channel: str, name: str) -> bytes | None:
        """The note, or None."""
        return await self._reader.run(partial(people.read_note, channel=channel, name=name))

    async def write_note(self, channel: str, name: str, value: bytes) -> None:
        """At most 1 MiB. Raises TooLarge."""
        rules.refuse_large_note(len(value))
        await self._writer.run(partial(people.write_note, channel=channel, name=name, value=bytes(value)))

    async def drop_notes(self, channel: str) -> None:
        """Remove and overwrite a channel's notes, accounts and places."""
        await self._writer.run(partial(people.drop_notes, channel=channel), after=writes.empty_journal)

    # work
    async def put_work(self, work: Work) -> bool:
        """False when it is known. Raises TooLarge for a body over 256 KiB."""
        rules.refuse_large_work(work.body)
        return await self._writer.run(partial(works.put_work, work=work))

    async def set_work(self, work: Work) -> None:
        """Raises NotFound."""
        await self._writer.run(partial(works.set_work, work=work))

    async def find_work(self, kind: str, key: str) -> Work | None:
        """The piece, or None."""
        return await self._reader.run(partial(works.find_work, kind=kind, key=key))

    async def list_work(self, states: Sequence[WorkState], *, limit: int = 100_000) -> Sequence[Work]:
        """In the order they were kept; dead ones alone newest first."""
        return await self._long.run(partial(works.list_work, states=tuple(states), limit=limit))

    async def forget_work(self, *, ended_before_ms: int, limit: int = 1_000) -> int:
        """How many done pieces were forgotten."""
        return await self._writer.run(partial(works.forget_work, ended_before_ms=ended_before_ms, limit=limit))

    async def calls_of(self, turn: TurnId) -> Mapping[CallId, str | None]:
        """Every call of the turn, with its outcome."""
        return await self._reader.run(partial(reads.calls_of, turn=turn))

    async def find_approval(self, call: CallId) -> Approval | None:
        """The newest card of the call, or None."""
        return await self._reader.run(partial(reads.find_approval, call=call))

    # usage
    async def day_usage(self, day: str) -> Usage:
        """Nothing for a day without turns."""
        return await self._reader.run(partial(reads.day_usage, day=day))

    async def counts(self) -> dict[str, int]:
        """Rows by kind, from counters."""
        return await self._reader.run(reads.counts)


def _links(address: str) -> tuple[Link, Link, Link]:
    """A writing and two reading connections to a database of today's version."""
    connect_one: Callable[[bool], Link]
    if names_server(address):
        server = find_server(address)
        # Imported here: the driver is for those who keep the store on PostgreSQL.
        from carapax.adapters.store import postgres_faults, postgres_link, postgres_versions

        postgres_versions.ensure(server)
        failures, unavailable = postgres_faults.FAILURES, partial(postgres_faults.unavailable, name=server.name)
        connect_one = lambda read_only: postgres_link.ServerLink(server, read_only=read_only)  # noqa: E731
    else:
        path = find_path(address)
        prepare_file(path)
        ensure(path)
        failures, unavailable = faults.FAILURES, partial(faults.unavailable, path=path)
        connect_one = lambda read_only: connect(path, read_only=read_only)  # noqa: E731
    made: list[Link] = []
    try:
        for read_only in (False, True, True):
            made.append(connect_one(read_only))
    except failures as error:
        for link in made:
            link.close()
        raise unavailable(error) from error
    writing, reading, long = made
    return writing, reading, long
