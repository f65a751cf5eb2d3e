"""Every statement the store runs, built once with bind parameters.

Layer: adapters/store. Owns the SQL, as SQLAlchemy Core elements compiled ahead of time (see `generate`).
Absent: values; they are only ever bound, never put into the text.
Laws: each read is bounded by a limit or a unique key, and served by an index of `schema`; whatever is read to be
written locks its row (`FOR UPDATE`, which SQLite's single writer does not need and its dialect leaves out).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    ClauseElement,
    Column,
    Insert,
    Table,
    bindparam,
    func,
    insert,
    or_,
    select,
    true,
)
from sqlalchemy import delete as delete_from
from sqlalchemy import update as update_of
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.sql.elements import BindParameter, ColumnElement

from carapax.adapters.store.schema import (
    DONE_WORK,
    STANDING_WORK,
    accounts,
    approvals,
    calls,
    content_labels,
    counters,
    days,
    notes,
    pairings,
    parts,
    places,
    sessions,
    tallies,
    tokens,
    turns,
    works,
)

USAGE = ("tokens", "usd_micro", "tool_calls", "wall_ms")
TOKEN_COLUMNS = ("id", "hash", "name", "scopes", "created_ms", "expires_ms", "revoked", "last_used_ms")
CHUNK = 200  # digests in one question; a shorter one repeats its last


def _insert(table: Table) -> Insert:
    names = [c.name for c in table.columns if c.name != "row"]
    return insert(table).inline().values({name: bindparam(name) for name in names})


def _put(table: Table, *key: str) -> Insert:
    """Insert, or replace everything but the key; the row keeps its place. The text is the same for both databases."""
    values: dict[str, BindParameter[object]] = {c.name: bindparam(c.name) for c in table.columns if c.name != "row"}
    new = insert_or(table).inline().values(values)
    return new.on_conflict_do_update(index_elements=key, set_={n: new.excluded[n] for n in values if n not in key})


def _add(table: Table, *key: str) -> Insert:
    """Insert, or do nothing when the key is there."""
    values: dict[str, BindParameter[object]] = {c.name: bindparam(c.name) for c in table.columns if c.name != "row"}
    return insert_or(table).inline().values(values).on_conflict_do_nothing(index_elements=key)


def _pick(table: Table, names: tuple[str, ...]) -> list[Column[object]]:
    return [table.c[name] for name in names]


def _limit() -> BindParameter[int]:
    return bindparam("limit", type_=BigInteger)


def _grown(table: Table) -> dict[str, ColumnElement[int]]:
    return {name: table.c[name] + bindparam(f"more_{name}", type_=BigInteger) for name in USAGE}


def _grow_day() -> Insert:
    """The day's first figures, or more on top of what it has."""
    new = insert_or(days).inline().values({c.name: bindparam(c.name) for c in days.columns})
    grown = {name: days.c[name] + new.excluded[name] for name in USAGE}
    return new.on_conflict_do_update(index_elements=["day"], set_=grown)


# sessions
_SESSION = select(*_pick(sessions, ("id", "name", "owner", "created_ms", "updated_ms", "turns", *USAGE)))
insert_session = _insert(sessions)
session_by_id = _SESSION.where(sessions.c.id == bindparam("id"))
session_by_conversation = _SESSION.where(
    sessions.c.owner == bindparam("owner"), sessions.c.conversation == bindparam("conversation")
)
_NEWEST = _SESSION.where(sessions.c.owner == bindparam("owner")).order_by(
    sessions.c.updated_ms.desc(), sessions.c.row.desc()
)
sessions_of_owner = _NEWEST.limit(_limit())
session_places = select(sessions.c.turns, sessions.c.parts).where(sessions.c.id == bindparam("id")).with_for_update()
name_session = (
    update_of(sessions)
    .where(sessions.c.id == bindparam("id_"))
    .values(name=bindparam("name"), name_folded=bindparam("name_folded"))
)
advance_session = (
    update_of(sessions)
    .where(sessions.c.id == bindparam("id_"))
    .values(turns=bindparam("turns"), parts=bindparam("parts"), updated_ms=bindparam("updated_ms"), **_grown(sessions))
)


def _search() -> ClauseElement:
    # The inner select bounds the work: newest parts first, whatever they hold.
    newest = (
        select(parts.c.session, func.coalesce(parts.c.folded, parts.c.text).label("body"))
        .order_by(parts.c.row.desc())
        .limit(bindparam("scanned", type_=BigInteger))
        .subquery()
    )
    pattern: BindParameter[str] = bindparam("pattern")
    said = select(newest.c.session).where(newest.c.body.ilike(pattern, escape="\\"))
    named = sessions.c.name_folded.ilike(pattern, escape="\\")
    return _NEWEST.where(or_(named, sessions.c.id.in_(said))).limit(_limit())


search_sessions = _search()

# turns
_TURN_NAMES = ("id", "session", "number", "state", "principal", "channel", "text", "reply", "started_ms", "ended_ms")
_TURN = select(*_pick(turns, (*_TURN_NAMES, *USAGE, "key")))
insert_turn = _insert(turns)
turn_by_id = _TURN.where(turns.c.id == bindparam("id"))
turn_by_key = _TURN.where(turns.c.session == bindparam("session"), turns.c.key == bindparam("key"))
turns_of_session = _TURN.where(turns.c.session == bindparam("session")).order_by(turns.c.number.desc()).limit(_limit())
unfinished_turns = _TURN.where(turns.c.state.in_([bindparam("s0"), bindparam("s1"), bindparam("s2")])).order_by(
    turns.c.row
)
unfinished_of_session = (
    select(turns.c.row)
    .where(
        turns.c.session == bindparam("session"),
        turns.c.state.in_([bindparam("s0"), bindparam("s1"), bindparam("s2")]),
    )
    .limit(_limit())
)
turn_standing = (
    select(*_pick(turns, ("session", "number", "state", *USAGE))).where(turns.c.id == bindparam("id")).with_for_update()
)
move_turn = (
    update_of(turns)
    .where(turns.c.id == bindparam("id_"))
    .values(
        state=bindparam("state"),
        reply=func.coalesce(bindparam("reply"), turns.c.reply),
        ended_ms=func.coalesce(bindparam("ended_ms"), turns.c.ended_ms),
        **_grown(turns),
    )
)
mark_turn = update_of(turns).where(turns.c.id == bindparam("id_")).values(undoable=bindparam("undoable"))
_UNDOABLE = _TURN.where(turns.c.undoable == true()).order_by(turns.c.row.desc()).limit(_limit())
undoable_turns = _UNDOABLE
undoable_of_session = _UNDOABLE.where(turns.c.session == bindparam("session"))
undoable_turn = _UNDOABLE.where(turns.c.id == bindparam("id"))

# parts
insert_part = _insert(parts)
parts_before = (
    select(*_pick(parts, ("session", "turn", "seq", "kind", "text", "label", "created_ms", "tool", "call")))
    .where(parts.c.session == bindparam("session"), parts.c.seq < bindparam("before"))
    .order_by(parts.c.seq.desc())
    .limit(_limit())
)

# calls
insert_call = _insert(calls)
call_standing = select(calls.c.turn, calls.c.outcome).where(calls.c.id == bindparam("id")).with_for_update()
close_call = (
    update_of(calls)
    .where(calls.c.id == bindparam("id_"))
    .values(outcome=bindparam("outcome"), receipt_entry=bindparam("receipt_entry"), changes=bindparam("changes"))
)
open_calls = (
    select(*_pick(calls, ("id", "session", "turn", "tool", "summary", "entry")))
    .where(calls.c.outcome.is_(None))
    .order_by(calls.c.row)
)
changes_of_turn = (
    select(calls.c.id, calls.c.changes)
    .where(calls.c.turn == bindparam("turn"), calls.c.changes.is_not(None))
    .order_by(calls.c.row)
)
calls_of_turn = select(calls.c.id, calls.c.outcome).where(calls.c.turn == bindparam("turn")).order_by(calls.c.row)

# approvals
_APPROVAL = select(*[c for c in approvals.columns if c.name != "row"])
insert_approval = _insert(approvals)
approval_by_id = _APPROVAL.where(approvals.c.id == bindparam("id")).with_for_update()
approvals_newest = _APPROVAL.order_by(approvals.c.row.desc()).limit(_limit())
approvals_in_state = approvals_newest.where(approvals.c.state == bindparam("state"))
approval_of_call = approvals_newest.where(approvals.c.call == bindparam("call"))
answer_approval = (
    update_of(approvals)
    .where(approvals.c.id == bindparam("id_"))
    .values(
        state=bindparam("state"),
        answered_by=bindparam("answered_by"),
        answered_ms=bindparam("answered_ms"),
        agreed=bindparam("agreed"),
        typed=bindparam("typed"),
        picked=bindparam("picked"),
    )
)
agree_approval = update_of(approvals).where(approvals.c.id == bindparam("id_")).values(agreed=bindparam("agreed"))

# labels of content
_CONTENT = select(content_labels.c.digest, content_labels.c.label)
content_label = _CONTENT.where(content_labels.c.digest == bindparam("digest"))
some_content_labels = _CONTENT.where(content_labels.c.digest.in_([bindparam(f"d{n}") for n in range(CHUNK)]))
kept_label = content_label.with_for_update()
some_kept_labels = some_content_labels.order_by(content_labels.c.digest).with_for_update()
insert_content_label = _add(content_labels, "digest")
set_content_label = (
    update_of(content_labels).where(content_labels.c.digest == bindparam("digest_")).values(label=bindparam("label"))
)

# tallies
insert_tally = _insert(tallies)
tally_since = select(func.coalesce(func.sum(tallies.c.amount), 0)).where(
    tallies.c.kind == bindparam("kind"), tallies.c.at_ms >= bindparam("since_ms", type_=BigInteger)
)
_OLD = (
    select(tallies.c.row)
    .where(tallies.c.at_ms < bindparam("before_ms", type_=BigInteger))
    .order_by(tallies.c.at_ms)
    .limit(_limit())
)
oldest_tally = select(func.min(tallies.c.at_ms))
prune_tallies = delete_from(tallies).where(tallies.c.row.in_(_OLD))

# tokens
_TOKEN = select(*_pick(tokens, TOKEN_COLUMNS))
insert_token = _insert(tokens)
token_by_hash = _TOKEN.where(tokens.c.hash == bindparam("hash"))
all_tokens = _TOKEN.order_by(tokens.c.row)
revoke_token = update_of(tokens).where(tokens.c.id == bindparam("id_")).values(revoked=true())
touch_token = update_of(tokens).where(tokens.c.id == bindparam("id_")).values(last_used_ms=bindparam("last_used_ms"))

# days and counters
grow_day = _grow_day()
day_usage = select(*_pick(days, USAGE)).where(days.c.day == bindparam("day"))
counter = select(counters.c.count).where(counters.c.name == bindparam("name"))
add_to_counter = (
    update_of(counters)
    .where(counters.c.name == bindparam("name_"))
    .values(count=counters.c.count + bindparam("more", type_=BigInteger))
)
insert_counter = _insert(counters)
count_waiting = select(func.count()).select_from(approvals).where(approvals.c.state == bindparam("state"))
count_tokens = select(func.count()).select_from(tokens)

# people and where they are
_ACCOUNT = select(*[c for c in accounts.columns if c.name != "row"])
put_account = _put(accounts, "channel", "sender")
account_of_sender = _ACCOUNT.where(accounts.c.channel == bindparam("channel"), accounts.c.sender == bindparam("sender"))
all_accounts = _ACCOUNT.order_by(accounts.c.channel, accounts.c.person, accounts.c.row).limit(_limit())
drop_account = delete_from(accounts).where(
    accounts.c.channel == bindparam("channel"), accounts.c.sender == bindparam("sender")
)
put_pairing = _put(pairings, "hash")
all_pairings = select(*[c for c in pairings.columns if c.name != "row"]).order_by(pairings.c.row).limit(_limit())
drop_pairing = delete_from(pairings).where(pairings.c.hash == bindparam("hash"))
forget_pairings = delete_from(pairings).where(pairings.c.expires_ms <= bindparam("now_ms", type_=BigInteger))
put_place = _put(places, "person", "channel", "chat", "thread")
places_of_person = (
    select(*[c for c in places.columns if c.name != "row"])
    .where(places.c.person == bindparam("person"))
    .order_by(places.c.last_ms.desc(), places.c.row.desc())
    .limit(_limit())
)
put_note = _put(notes, "channel", "name")
note_by_name = select(notes.c.value).where(notes.c.channel == bindparam("channel"), notes.c.name == bindparam("name"))
drop_notes = delete_from(notes).where(notes.c.channel == bindparam("channel"))
drop_accounts = delete_from(accounts).where(accounts.c.channel == bindparam("channel"))
drop_places = delete_from(places).where(places.c.channel == bindparam("channel"))

# work
_WORK = select(*[c for c in works.columns if c.name != "row"])
_ONE_WORK = (works.c.kind == bindparam("kind_"), works.c.key == bindparam("key_"))
insert_work = _add(works, "kind", "key")
work_by_key = _WORK.where(*_ONE_WORK)
move_work = (
    update_of(works)
    .where(*_ONE_WORK)
    .values(
        state=bindparam("state"),
        attempts=bindparam("attempts"),
        due_ms=bindparam("due_ms"),
        error=bindparam("error"),
        ended_ms=bindparam("ended_ms"),
        body=func.coalesce(bindparam("body"), works.c.body),
    )
)
_STATES: list[BindParameter[str]] = [bindparam("s0"), bindparam("s1"), bindparam("s2")]
_STANDING = _WORK.where(STANDING_WORK).limit(_limit())
works_standing = _STANDING.where(works.c.state.in_(_STATES)).order_by(works.c.row)
works_newest = _STANDING.where(works.c.state == bindparam("state")).order_by(works.c.row.desc())
works_with_done = _WORK.where(works.c.state.in_([*_STATES, bindparam("s3")])).order_by(works.c.row).limit(_limit())
_FORGOTTEN = (
    select(works.c.row)
    .where(DONE_WORK, works.c.ended_ms < bindparam("before_ms", type_=BigInteger))
    .order_by(works.c.ended_ms)
    .limit(_limit())
)
forget_works = delete_from(works).where(works.c.row.in_(_FORGOTTEN))

# Deletion, children first. The values name the session.
delete_children = tuple(
    delete_from(table).where(table.c.session == bindparam("session")) for table in (approvals, calls, parts, turns)
)
delete_session = delete_from(sessions).where(sessions.c.id == bindparam("id"))
