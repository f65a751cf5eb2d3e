"""Reads: each function answers one question of the port on a reading lane.

Layer: adapters/store. A read of several statements may see a commit between them; each row is whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from carapax.adapters.store import rows, rules, sqlite_text
from carapax.adapters.store.link import Link, Row
from carapax.core.terms.action import Change
from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.conversation import Part, Session, Turn
from carapax.core.terms.ids import CallId, Digest, PrincipalId, SessionId, TurnId
from carapax.core.terms.label import Label
from carapax.core.terms.limit import Usage
from carapax.ports.store import OpenCall, Token

LAST_SEQ = 2**63 - 1
SINGLY = 8  # digests that are cheaper to look up one by one


def find_session(link: Link, session: SessionId) -> Session | None:
    """The session, or None."""
    found = link.row(sqlite_text.session_by_id, id=session)
    return None if found is None else rows.session_of(found)


def list_sessions(link: Link, owner: PrincipalId, limit: int) -> list[Session]:
    """The owner's sessions, newest first."""
    return [rows.session_of(r) for r in link.rows(sqlite_text.sessions_of_owner, owner=owner, limit=_bound(limit))]


def search_sessions(link: Link, owner: PrincipalId, query: str, limit: int) -> list[Session]:
    """The owner's sessions whose name, or a part among the newest 100,000 of the store, holds the text."""
    escaped = rules.fold(query).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    found = link.rows(
        sqlite_text.search_sessions,
        owner=owner,
        pattern=f"%{escaped}%",
        scanned=rules.SEARCHED_PARTS,
        limit=_bound(limit),
    )
    return [rows.session_of(r) for r in found]


def _bound(limit: int) -> int:
    # SQLite reads a negative limit as none at all.
    return max(0, limit)


def find_turn(link: Link, turn: TurnId) -> Turn | None:
    """The turn, or None."""
    found = link.row(sqlite_text.turn_by_id, id=turn)
    return None if found is None else rows.turn_of(found)


def list_turns(link: Link, session: SessionId, limit: int) -> list[Turn]:
    """The session's turns, newest first."""
    return [rows.turn_of(r) for r in link.rows(sqlite_text.turns_of_session, session=session, limit=_bound(limit))]


def unfinished_turns(link: Link) -> list[Turn]:
    """Turns that have not ended, in the order they were stored."""
    s0, s1, s2 = (state.value for state in rules.UNFINISHED)
    return [rows.turn_of(r) for r in link.rows(sqlite_text.unfinished_turns, s0=s0, s1=s1, s2=s2)]


def parts(link: Link, session: SessionId, limit: int, before_seq: int | None) -> list[Part]:
    """The newest parts before a place, oldest of them first."""
    before = LAST_SEQ if before_seq is None else before_seq
    found = link.rows(sqlite_text.parts_before, session=session, before=before, limit=_bound(limit))
    return [rows.part_of(r) for r in reversed(found)]


def open_calls(link: Link) -> list[OpenCall]:
    """Calls without a receipt, in the order they were stored."""
    return [rows.open_call_of(r) for r in link.rows(sqlite_text.open_calls)]


def changes(
    link: Link, session: SessionId | None, turn: TurnId | None, limit_turns: int
) -> list[tuple[Turn, list[Change]]]:
    """Turns whose changes stand, newest first, each with its changes in the order they were made."""
    limit = _bound(limit_turns)
    found: list[Row]
    if turn is not None:
        found = link.rows(sqlite_text.undoable_turn, id=turn, limit=limit)
    elif session is not None:
        found = link.rows(sqlite_text.undoable_of_session, session=session, limit=limit)
    else:
        found = link.rows(sqlite_text.undoable_turns, limit=limit)
    turns = [t for t in map(rows.turn_of, found) if session in (None, t.session)]
    return [(t, rows.changes_of(link.rows(sqlite_text.changes_of_turn, turn=t.id))) for t in turns]


def list_approvals(link: Link, state: ApprovalState | None, limit: int) -> list[Approval]:
    """Approvals in a state, or all, newest first."""
    if state is None:
        found = link.rows(sqlite_text.approvals_newest, limit=_bound(limit))
    else:
        found = link.rows(sqlite_text.approvals_in_state, state=state.value, limit=_bound(limit))
    return [rows.approval_of(r) for r in found]


def calls_of(link: Link, turn: TurnId) -> dict[CallId, str | None]:
    """The turn's calls with their outcomes, in the order they were opened."""
    return dict(rows.outcome_of(r) for r in link.rows(sqlite_text.calls_of_turn, turn=turn))


def find_approval(link: Link, call: CallId) -> Approval | None:
    """The newest card of a call, or None."""
    found = link.row(sqlite_text.approval_of_call, call=call, limit=1)
    return None if found is None else rows.approval_of(found)


def content_labels(link: Link, digests: Sequence[Digest], *, to_write: bool = False) -> dict[Digest, Label]:
    """The kept labels, by digest; a long question is put in pieces of 200. `to_write` locks their rows."""
    one, some = sqlite_text.content_label, sqlite_text.some_content_labels
    if to_write:
        one, some = sqlite_text.kept_label, sqlite_text.some_kept_labels
    found: list[Row] = []
    if len(digests) <= SINGLY:
        for digest in digests:
            found += link.rows(one, digest=digest)
    else:
        names = some.names
        for start in range(0, len(digests), len(names)):
            piece = digests[start : start + len(names)]
            padded = [*piece, *[piece[-1]] * (len(names) - len(piece))]
            found += link.rows(some, **dict(zip(names, padded, strict=True)))
    return {Digest(row[0]): rows.label_of(row) for row in found}


def tally(link: Link, kind: str, since_ms: int) -> int:
    """The sum of a count."""
    return _first(link.row(sqlite_text.tally_since, kind=kind, since_ms=since_ms))


def find_token(link: Link, hashed: str) -> Token | None:
    """The token with this hash, revoked and expired ones too, or None."""
    found = link.row(sqlite_text.token_by_hash, hash=hashed)
    return None if found is None else rows.token_of(found)


def list_tokens(link: Link) -> list[Token]:
    """All tokens, oldest first."""
    return [rows.token_of(r) for r in link.rows(sqlite_text.all_tokens)]


def day_usage(link: Link, day: str) -> Usage:
    """What was used on a day."""
    found = link.row(sqlite_text.day_usage, day=day)
    return Usage() if found is None else rows.usage_of(found, day)


def counts(link: Link) -> dict[str, int]:
    """Rows by kind."""
    waiting = link.row(sqlite_text.count_waiting, state=ApprovalState.WAITING.value)
    return {
        "sessions": _first(link.row(sqlite_text.counter, name="sessions")),
        "turns": _first(link.row(sqlite_text.counter, name="turns")),
        "approvals_waiting": _first(waiting),
        "tokens": _first(link.row(sqlite_text.count_tokens)),
    }


def _first(row: Row | None) -> int:
    if row is None:
        raise rows.unreadable("a counter", "it is missing")
    return int(row[0])
