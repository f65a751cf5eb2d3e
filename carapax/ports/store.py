"""Port: sessions, turns, parts, calls, approvals, tokens, usage. Every write is durable when it returns.

Writes made at the same time share one commit. Reads cost the same however much is stored:
each takes a limit and uses an index. Raises StoreUnavailable; then nothing of that call was written, unless its `kept`
says that this is not known (a server that went away during the commit, and did not come back in 10 s to be asked).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from carapax.core.terms.action import Change
from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.channel import Place
from carapax.core.terms.conversation import Part, PartKind, Session, Turn, TurnState
from carapax.core.terms.ids import ApprovalId, CallId, Digest, PrincipalId, SessionId, TokenId, TurnId
from carapax.core.terms.label import Label
from carapax.core.terms.limit import Usage
from carapax.core.terms.principal import Scope
from carapax.core.terms.work import Work, WorkState


@dataclass(frozen=True, slots=True)
class NewPart:
    """A part before the store gave it its place."""

    kind: PartKind
    text: str
    label: Label
    tool: str = ""
    call: CallId | None = None


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call whose entry is written and whose receipt is not: its outcome is unknown after a crash."""

    call: CallId
    session: SessionId
    turn: TurnId
    tool: str
    summary: str
    entry: int


@dataclass(frozen=True, slots=True)
class Token:
    """An access token as stored: never its value, only the SHA-256 of it."""

    id: TokenId
    hash: str
    name: str
    scopes: frozenset[Scope]
    created_ms: int
    expires_ms: int
    revoked: bool
    last_used_ms: int | None


@dataclass(frozen=True, slots=True)
class Account:
    """One account on a channel belongs to one person here. `sender` is the platform's immutable id."""

    channel: str
    sender: str
    person: PrincipalId
    name: str  # what the platform called them when they were paired; shown only
    since_ms: int
    by: str  # how it was proven: "code:owner", "link:telegram/123"


@dataclass(frozen=True, slots=True)
class Pairing:
    """A one-time code as stored: never the code, only its SHA-256.

    Made for a stranger (`sender` set, `person` ""): somebody who is known gives it. Made for a person (`sender` ""): the
    stranger sends it.
    """

    hash: str
    channel: str  # "" when it may be sent on any
    sender: str
    name: str
    person: str
    made_ms: int
    expires_ms: int
    tries: int = 0


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """A place in which a person was heard: where a card or a word for them can go."""

    person: PrincipalId
    place: Place
    last_ms: int


class Store(Protocol):
    # sessions
    async def open_session(self, session: SessionId, owner: PrincipalId, conversation: str, now_ms: int) -> Session:
        """Create a session, or return the owner's existing one with this non-empty conversation key."""
        ...

    async def find_session(self, session: SessionId) -> Session | None: ...

    async def list_sessions(self, owner: PrincipalId, *, query: str = "", limit: int = 50) -> Sequence[Session]:
        """Newest first. `query` matches name or any part's text, case-insensitively and literally."""
        ...

    async def name_session(self, session: SessionId, name: str) -> None:
        """Raises NotFound."""
        ...

    async def delete_session(self, session: SessionId) -> None:
        """Remove a session with its turns, parts, calls and approvals. Raises NotFound; Conflict while a turn runs."""
        ...

    # turns
    async def accept_turn(self, turn: Turn, parts: Sequence[NewPart]) -> Turn:
        """Store a message before anything is done with it; sets `number`. With a `key` already seen in the session, returns the first turn."""
        ...

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
        """Move a turn and append parts, in one commit. `usage` replaces the turn's; its growth is added to the session and to `day`."""
        ...

    async def find_turn(self, turn: TurnId) -> Turn | None: ...

    async def list_turns(self, session: SessionId, *, limit: int = 50) -> Sequence[Turn]:
        """Newest first."""
        ...

    async def unfinished_turns(self) -> Sequence[Turn]:
        """Turns in ACCEPTED, RUNNING or WAITING, oldest first."""
        ...

    async def parts(self, session: SessionId, *, limit: int, before_seq: int | None = None) -> Sequence[Part]:
        """The newest `limit` parts (before `before_seq`), in order."""
        ...

    # calls and changes
    async def open_call(self, call: OpenCall) -> None: ...

    async def close_call(self, call: CallId, outcome: str, receipt_entry: int, changes: Sequence[Change]) -> None: ...

    async def open_calls(self) -> Sequence[OpenCall]: ...

    async def changes(
        self, session: SessionId | None = None, *, turn: TurnId | None = None, limit_turns: int = 1
    ) -> Sequence[tuple[Turn, Sequence[Change]]]:
        """Changes of the newest turns that changed something and were not undone (of one session, or of all), newest first."""
        ...

    async def mark_undone(self, turn: TurnId) -> None: ...

    # approvals
    async def put_approval(self, approval: Approval) -> None: ...

    async def agree_approval(self, approval: ApprovalId, by: PrincipalId) -> Approval:
        """Add one person's yes to a WAITING approval that needs several. Raises NotFound, Conflict (also for a second yes by the same)."""
        ...

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
        """Move a WAITING approval once. Raises NotFound; Conflict when it is no longer waiting."""
        ...

    async def list_approvals(
        self, state: ApprovalState | None = ApprovalState.WAITING, *, limit: int = 50
    ) -> Sequence[Approval]: ...

    # labels of what files hold, by the SHA-256 of their bytes
    async def join_content_labels(self, labels: Mapping[Digest, Label]) -> None:
        """Join each label with the one already kept for these bytes."""
        ...

    async def content_labels(self, digests: Sequence[Digest]) -> Mapping[Digest, Label]:
        """The kept labels; bytes that nobody labelled are missing from it. At most 2,000 digests."""
        ...

    # tallies: what caps are counted with
    async def add_tally(self, kind: str, amount: int, session: SessionId, now_ms: int) -> None:
        """Add to a count such as "messages", "files" or "money:EUR" (in cents)."""
        ...

    async def tally(self, kind: str, *, since_ms: int) -> int:
        """The sum of a count from this moment on."""
        ...

    # tokens
    async def put_token(self, token: Token) -> None: ...

    async def find_token(self, hash: str) -> Token | None: ...

    async def list_tokens(self) -> Sequence[Token]: ...

    async def revoke_token(self, token: TokenId) -> None:
        """Raises NotFound."""
        ...

    async def touch_token(self, token: TokenId, now_ms: int) -> None: ...

    # people and where they are
    async def put_account(self, account: Account) -> None:
        """Say whose account on a channel this is; replaces what was said before."""
        ...

    async def find_account(self, channel: str, sender: str) -> Account | None: ...

    async def list_accounts(self) -> Sequence[Account]:
        """Everybody's, by channel and person; at most 10,000."""
        ...

    async def drop_account(self, channel: str, sender: str) -> None:
        """Raises NotFound."""
        ...

    async def put_pairing(self, pairing: Pairing) -> None:
        """Keep a code (by its hash), or replace it after a try."""
        ...

    async def list_pairings(self, *, now_ms: int) -> Sequence[Pairing]:
        """What has not expired, oldest first; the expired ones are forgotten."""
        ...

    async def drop_pairing(self, hash: str) -> None: ...

    async def put_place(self, known: KnownPlace) -> None:
        """Remember a place where a person was heard; replaces what was known of this key and person."""
        ...

    async def places_of(self, person: PrincipalId, *, limit: int = 50) -> Sequence[KnownPlace]:
        """Where a person was heard, the newest first."""
        ...

    async def read_note(self, channel: str, name: str) -> bytes | None:
        """A small note of a channel's own: a cursor, keys."""
        ...

    async def write_note(self, channel: str, name: str, value: bytes) -> None:
        """At most 1 MiB. Raises TooLarge."""
        ...

    async def drop_notes(self, channel: str) -> None:
        """Forget a channel's notes, accounts and places."""
        ...

    # work
    async def put_work(self, work: Work) -> bool:
        """Keep a new piece. False when its (kind, key) is known; nothing was written then."""
        ...

    async def set_work(self, work: Work) -> None:
        """Replace a piece's state, attempts, due_ms, error and ended_ms; a DONE piece's body is emptied. Raises NotFound."""
        ...

    async def find_work(self, kind: str, key: str) -> Work | None: ...

    async def list_work(self, states: Sequence[WorkState], *, limit: int = 100_000) -> Sequence[Work]:
        """In the order they were kept; for DEAD alone the newest first."""
        ...

    async def forget_work(self, *, ended_before_ms: int, limit: int = 1_000) -> int:
        """Forget DONE pieces that ended before; returns how many."""
        ...

    async def calls_of(self, turn: TurnId) -> Mapping[CallId, str | None]:
        """The calls of a turn that were ever opened, with their outcome; None while it is open."""
        ...

    async def find_approval(self, call: CallId) -> Approval | None:
        """The newest card that was made for this call."""
        ...

    # usage
    async def day_usage(self, day: str) -> Usage:
        """Usage of one day, "YYYY-MM-DD" in UTC."""
        ...

    async def counts(self) -> dict[str, int]:
        """Rows by kind, for status: sessions, turns, approvals_waiting, tokens."""
        ...

    async def close(self) -> None: ...
