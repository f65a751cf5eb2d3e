"""Writes: each function is one piece of a transaction, run on the writing lane.

Layer: adapters/store. Positions (turn number, part seq) come from counters on the session's row, so a long
history costs nothing. Absent: BEGIN and COMMIT; the lane shares them among callers.
Law: a function that raises leaves nothing, because the lane rolls its piece back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from carapax.adapters.store import reads, rows, rules, sqlite_text
from carapax.adapters.store.link import Link
from carapax.core.flow.lattice import join
from carapax.core.terms.action import Change
from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.conversation import Session, Turn, TurnState
from carapax.core.terms.error import Conflict, NotFound
from carapax.core.terms.ids import ApprovalId, CallId, Digest, PrincipalId, SessionId, TokenId, TurnId
from carapax.core.terms.label import Label
from carapax.core.terms.limit import Usage
from carapax.ports.store import NewPart, OpenCall, Token

NOTHING = Usage()


def _figures(usage: Usage, prefix: str = "") -> dict[str, int]:
    return {
        f"{prefix}tokens": usage.tokens,
        f"{prefix}usd_micro": usage.usd_micro,
        f"{prefix}tool_calls": usage.tool_calls,
        f"{prefix}wall_ms": usage.wall_ms,
    }


_NO_MORE = _figures(NOTHING, "more_")


def _more(usage: Usage) -> dict[str, int]:
    return _NO_MORE if usage == NOTHING else _figures(usage, "more_")


# sessions


def open_session(link: Link, session: SessionId, owner: PrincipalId, conversation: str, now_ms: int) -> Session:
    """Return the owner's session with this key, or store a new one. Raises Conflict for an id in use."""
    if conversation:
        known = link.row(sqlite_text.session_by_conversation, owner=owner, conversation=conversation)
        if known is not None:
            return rows.session_of(known)
    if link.row(sqlite_text.session_places, id=session) is not None:
        raise Conflict(f"session {session} exists already")
    link.write(
        sqlite_text.insert_session,
        id=session,
        name="",
        name_folded="",
        owner=owner,
        conversation=conversation or None,
        created_ms=now_ms,
        updated_ms=now_ms,
        turns=0,
        parts=0,
        **_figures(NOTHING),
    )
    link.write(sqlite_text.add_to_counter, name_="sessions", more=1)
    return Session(session, "", owner, now_ms, now_ms, 0, NOTHING)


def name_session(link: Link, session: SessionId, name: str) -> None:
    """Give a session a name."""
    if not link.write(sqlite_text.name_session, id_=session, name=name, name_folded=rules.fold(name)):
        raise _no_session(session)


def delete_session(link: Link, session: SessionId) -> None:
    """Remove a session and everything that belongs to it."""
    turns, _ = _places(link, session)
    s0, s1, s2 = (state.value for state in rules.UNFINISHED)
    if link.row(sqlite_text.unfinished_of_session, session=session, s0=s0, s1=s1, s2=s2, limit=1) is not None:
        raise Conflict(f"a turn of session {session} is still running", next_step="Stop it (`carapax stop`) first.")
    for statement in sqlite_text.delete_children:
        link.write(statement, session=session)
    link.write(sqlite_text.delete_session, id=session)
    link.write(sqlite_text.add_to_counter, name_="sessions", more=-1)
    link.write(sqlite_text.add_to_counter, name_="turns", more=-turns)


def empty_journal(link: Link) -> None:
    """Let deleted text stand nowhere in a file's journal; a busy reader puts it off."""
    link.tidy()


def _places(link: Link, session: SessionId) -> tuple[int, int]:
    """How many turns and parts the session has."""
    found = link.row(sqlite_text.session_places, id=session)
    if found is None:
        raise _no_session(session)
    return found[0], found[1]


def _no_session(session: SessionId) -> NotFound:
    return NotFound(f"there is no session {session}")


# turns


def accept_turn(link: Link, turn: Turn, parts: Sequence[NewPart], now_ms: int) -> Turn:
    """Store a turn with its first parts; the same key gives the first turn again."""
    turns, seq = _places(link, turn.session)
    if turn.key:
        known = link.row(sqlite_text.turn_by_key, session=turn.session, key=turn.key)
        if known is not None:
            return rows.turn_of(known)
    if link.row(sqlite_text.turn_standing, id=turn.id) is not None:
        raise Conflict(f"turn {turn.id} exists already")
    stored = replace(turn, number=turns + 1)
    link.write(
        sqlite_text.insert_turn,
        id=stored.id,
        session=stored.session,
        number=stored.number,
        state=stored.state.value,
        principal=stored.principal,
        channel=stored.channel,
        text=stored.text,
        reply=stored.reply,
        started_ms=stored.started_ms,
        ended_ms=stored.ended_ms,
        key=stored.key or None,
        undoable=False,
        **_figures(stored.usage),
    )
    _advance(link, turn.session, turn.id, parts, (stored.number, seq), stored.usage, now_ms)
    link.write(sqlite_text.add_to_counter, name_="turns", more=1)
    return stored


def set_turn(
    link: Link,
    turn: TurnId,
    state: TurnState,
    parts: Sequence[NewPart],
    reply: str | None,
    usage: Usage | None,
    ended_ms: int | None,
    day: str,
    now_ms: int,
) -> None:
    """Move a turn, append parts, add what was used."""
    found = link.row(sqlite_text.turn_standing, id=turn)
    if found is None:
        raise NotFound(f"there is no turn {turn}")
    session, number, old, used = rows.standing_of(found, turn)
    rules.refuse_ended(number, old, state)
    grown = NOTHING if usage is None else rules.growth(used, usage)
    more = _more(grown)
    link.write(sqlite_text.move_turn, id_=turn, state=state.value, reply=reply, ended_ms=ended_ms, **more)
    if day and grown != NOTHING:
        link.write(sqlite_text.grow_day, day=day, **_figures(grown))
    _advance(link, session, turn, parts, _places(link, session), grown, now_ms)


def _advance(
    link: Link,
    session: SessionId,
    turn: TurnId,
    parts: Sequence[NewPart],
    places: tuple[int, int],
    grown: Usage,
    now_ms: int,
) -> None:
    turns, seq = places
    for part in parts:
        seq += 1
        link.write(
            sqlite_text.insert_part,
            session=session,
            turn=turn,
            seq=seq,
            kind=part.kind.value,
            text=part.text,
            folded=_folded(part.text),
            label=rows.render_label(part.label),
            created_ms=now_ms,
            tool=part.tool,
            call=part.call,
        )
    link.write(sqlite_text.advance_session, id_=session, turns=turns, parts=seq, updated_ms=now_ms, **_more(grown))


def _folded(text: str) -> str | None:
    # The database lowers ASCII by itself, but stops at a NUL.
    return None if text.isascii() and "\0" not in text else rules.fold(text)


# calls


def open_call(link: Link, call: OpenCall) -> None:
    """Store a call whose receipt is not yet known."""
    _places(link, call.session)
    if link.row(sqlite_text.call_standing, id=call.call) is not None:
        raise Conflict(f"call {call.call} exists already")
    link.write(
        sqlite_text.insert_call,
        id=call.call,
        session=call.session,
        turn=call.turn,
        tool=call.tool,
        summary=call.summary,
        entry=call.entry,
        outcome=None,
        receipt_entry=None,
        changes=None,
    )


def close_call(link: Link, call: CallId, outcome: str, receipt_entry: int, changes: Sequence[Change]) -> None:
    """Store a call's outcome and what it changed."""
    found = link.row(sqlite_text.call_standing, id=call)
    if found is None:
        raise NotFound(f"there is no call {call}")
    turn, known = found
    if known is not None:
        raise Conflict(f"call {call} is already closed")
    kept = rows.render(list(changes)) if changes else None
    link.write(sqlite_text.close_call, id_=call, outcome=outcome, receipt_entry=receipt_entry, changes=kept)
    if changes:
        link.write(sqlite_text.mark_turn, id_=turn, undoable=True)


def mark_undone(link: Link, turn: TurnId) -> None:
    """Note that a turn's changes were taken back."""
    if not link.write(sqlite_text.mark_turn, id_=turn, undoable=False):
        raise NotFound(f"there is no turn {turn}")


# approvals


def put_approval(link: Link, approval: Approval) -> None:
    """Store a question. Raises Conflict when its id was used before, whatever became of it."""
    _places(link, approval.session)
    if link.row(sqlite_text.approval_by_id, id=approval.id) is not None:
        raise Conflict(f"approval {approval.id} exists already")
    link.write(
        sqlite_text.insert_approval,
        id=approval.id,
        session=approval.session,
        turn=approval.turn,
        call=approval.call,
        digest=approval.digest,
        title=approval.title,
        lines=rows.render(approval.lines),
        rule=approval.rule,
        reason=approval.reason,
        taint=approval.taint,
        asked_ms=approval.asked_ms,
        deadline_ms=approval.deadline_ms,
        state=approval.state.value,
        answered_by=approval.answered_by,
        answered_ms=approval.answered_ms,
        blanks=rows.render(approval.blanks),
        choices=rows.render(approval.choices),
        choices_source=approval.choices_source,
        factor=approval.factor,
        people=approval.people,
        agreed=rows.render(approval.agreed),
        exact=approval.exact,
        hidden=rows.render(approval.hidden),
        hint=approval.hint,
        calls=approval.calls,
        typed=rows.render(approval.typed),
        picked=rows.render(approval.picked),
    )


def _approval(link: Link, approval: ApprovalId) -> Approval:
    found = link.row(sqlite_text.approval_by_id, id=approval)
    if found is None:
        raise NotFound(f"there is no approval {approval}")
    return rows.approval_of(found)


def agree_approval(link: Link, approval: ApprovalId, by: PrincipalId) -> Approval:
    """Add one person's yes."""
    known = _approval(link, approval)
    rules.refuse_agreement(known, by)
    agreed = (*known.agreed, by)
    link.write(sqlite_text.agree_approval, id_=approval, agreed=rows.render(agreed))
    return replace(known, agreed=agreed)


def answer_approval(
    link: Link,
    approval: ApprovalId,
    state: ApprovalState,
    by: PrincipalId,
    now_ms: int,
    typed: tuple[str, ...] = (),
    picked: tuple[int, ...] = (),
) -> Approval:
    """Move a waiting approval once."""
    known = _approval(link, approval)
    rules.refuse_answer(known, state, now_ms)
    agreed = rules.voices(known, state, by)
    link.write(
        sqlite_text.answer_approval,
        id_=approval,
        state=state.value,
        answered_by=by,
        answered_ms=now_ms,
        agreed=rows.render(agreed),
        typed=rows.render(typed),
        picked=rows.render(picked),
    )
    return replace(known, state=state, answered_by=by, answered_ms=now_ms, agreed=agreed, typed=typed, picked=picked)


# labels of content


def join_content_labels(link: Link, labels: Mapping[Digest, Label]) -> None:
    """Join each label with the one kept; the look and the write are in the lane's one transaction."""
    kept = reads.content_labels(link, tuple(labels), to_write=True)
    for digest, label in labels.items():
        old = kept.get(digest)
        if old is None:
            if link.write(sqlite_text.insert_content_label, digest=digest, label=rows.render_label(label)):
                continue
            old = reads.content_labels(link, (digest,), to_write=True)[digest]  # another was first, a moment ago
        new = join(old, label)
        if new != old:
            link.write(sqlite_text.set_content_label, digest_=digest, label=rows.render_label(new))


# tallies


def add_tally(link: Link, kind: str, amount: int, session: SessionId, now_ms: int) -> None:
    """Count something."""
    link.write(sqlite_text.insert_tally, kind=kind, at_ms=now_ms, amount=amount, session=session)


def prune_tallies(link: Link, now_ms: int) -> None:
    """Remove tallies older than 40 days, at most 50,000 at once."""
    before_ms = now_ms - rules.TALLY_MS
    oldest = link.row(sqlite_text.oldest_tally)
    if oldest and oldest[0] is not None and oldest[0] < before_ms:  # most starts find none, and then lock nothing
        link.write(sqlite_text.prune_tallies, before_ms=before_ms, limit=rules.PRUNED_TALLIES)


# tokens


def put_token(link: Link, token: Token) -> None:
    """Store a token. Raises Conflict for an id or a hash in use (from the table's own constraint)."""
    link.write(
        sqlite_text.insert_token,
        id=token.id,
        hash=token.hash,
        name=token.name,
        scopes=rows.render(token.scopes),
        created_ms=token.created_ms,
        expires_ms=token.expires_ms,
        revoked=token.revoked,
        last_used_ms=token.last_used_ms,
    )


def revoke_token(link: Link, token: TokenId) -> None:
    """Make a token useless."""
    if not link.write(sqlite_text.revoke_token, id_=token):
        raise NotFound(f"there is no token {token}")


def touch_token(link: Link, token: TokenId, now_ms: int) -> None:
    """Note that a token was used."""
    if not link.write(sqlite_text.touch_token, id_=token, last_used_ms=now_ms):
        raise NotFound(f"there is no token {token}")
