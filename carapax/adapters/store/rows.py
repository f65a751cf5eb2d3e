"""Rows to terms and back: strict, so that a file which somebody edited is refused and never half believed.

Layer: adapters/store; pure. Owns the JSON inside columns (labels, card lines, scopes, changes): written as
canonical JSON of `plain(term)`, read back with exactly those keys and types.
Law: parse(render(term)) == term; whatever else stands there raises StoreUnavailable that names the row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from carapax.adapters.store.link import Row
from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.approval import Approval, ApprovalState, ArgumentLine, Blank
from carapax.core.terms.channel import Place
from carapax.core.terms.conversation import Part, PartKind, Session, Turn, TurnState
from carapax.core.terms.error import StoreUnavailable
from carapax.core.terms.ids import ApprovalId, CallId, Digest, PrincipalId, RuleId, SessionId, TokenId, TurnId
from carapax.core.terms.label import Integrity, Label, Readers, Shape, Source
from carapax.core.terms.limit import Usage
from carapax.core.terms.plain import canonical_json, plain
from carapax.core.terms.principal import Scope
from carapax.core.terms.work import Work, WorkState
from carapax.ports.store import Account, KnownPlace, OpenCall, Pairing, Token

T = TypeVar("T")
_INTEGRITY = {plain(level): level for level in Integrity}
_SHAPES = {plain(shape): shape for shape in Shape}
_KINDS = {kind.value: kind for kind in PartKind}  # a look-up costs a tenth of PartKind(value)
_STATES = {state.value: state for state in TurnState}
_WORK_STATES = {state.value: state for state in WorkState}


def unreadable(row: str, why: str) -> StoreUnavailable:
    """The error for a row that does not parse."""
    return StoreUnavailable(
        f"{row} in the database cannot be read: {why}",
        next_step="The file was changed by something else; restore a backup, or delete that session.",
    )


def render(value: Any) -> str:
    """Canonical JSON of a term, as text."""
    return canonical_json(plain(value)).decode("utf-8")


@lru_cache(maxsize=512)
def render_label(label: Label) -> str:
    """A label as canonical JSON."""
    return render(label)


def _reading(parse: Callable[[Row], T], row: Row, name: str) -> T:
    try:
        return parse(row)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise unreadable(name, str(error)) from error


# strict pieces: each raises ValueError or TypeError


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError(f"text expected, {type(value).__name__} found")
    return value


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"a whole number expected, {type(value).__name__} found")
    return value


def _flag(value: object) -> bool:
    if type(value) is bool or (type(value) is int and value in (0, 1)):
        return bool(value)
    raise TypeError("a yes or no expected")


def _optional(read: Callable[[object], T], value: object) -> T | None:
    return None if value is None else read(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice")
    return fields


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number we write")


def _json(text: object) -> Any:
    return json.loads(_text(text), object_pairs_hook=_unique, parse_constant=_no_constant)


def _fields(value: object, *names: str) -> list[Any]:
    if not isinstance(value, dict) or value.keys() != set(names):
        raise ValueError(f"exactly {', '.join(names)} expected")
    return [value[name] for name in names]


def _items(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list expected")
    return value


def _set(items: list[T]) -> frozenset[T]:
    found = frozenset(items)
    if len(found) != len(items):
        raise ValueError("an element stands twice")
    return found


# labels


@lru_cache(maxsize=4_096)
def parse_label(text: str) -> Label:
    """The label that was rendered so. Raises ValueError or TypeError for anything else."""
    fields = _json(text)
    if isinstance(fields, dict) and fields.keys().isdisjoint(("classes", "shape")):
        fields |= {"classes": [], "shape": "text"}  # rendered by schema 0001, which knew neither
    integrity, readers, sources, classes, shape = _fields(fields, "integrity", "readers", "sources", "classes", "shape")
    level = _INTEGRITY.get(_text(integrity))
    if level is None:
        raise ValueError(f"no integrity {integrity!r}")
    everyone, names = _fields(readers, "everyone", "names")
    if type(everyone) is not bool:
        raise TypeError("a yes or no expected")
    who = Readers(everyone, _set([PrincipalId(_text(n)) for n in _items(names)]))
    form = _SHAPES.get(_text(shape))
    if form is None:
        raise ValueError(f"no shape {shape!r}")
    held = _set([_text(name) for name in _items(classes)])
    return Label(level, who, _set([_source(s) for s in _items(sources)]), held, form)


def label_of(row: Row) -> Label:
    """The label of a (digest, JSON) row."""
    return _reading(lambda r: parse_label(_text(r[1])), row, f"the label of content {row[0]}")


def _source(value: object) -> Source:
    kind, ref, field, digest = _fields(value, "kind", "ref", "field", "digest")
    return Source(_text(kind), _text(ref), _text(field), Digest(_text(digest)))


# changes, card lines, scopes


def _change(value: object) -> Change:
    path, kind, before, after, size, kept = _fields(value, "path", "kind", "before", "after", "size_bytes", "kept")
    if type(kept) is not bool:
        raise TypeError("a yes or no expected")
    return Change(
        _text(path), ChangeKind(kind), _optional(_digest, before), _optional(_digest, after), _number(size), kept
    )


def _digest(value: object) -> Digest:
    return Digest(_text(value))


def changes_of(rows: Sequence[Row]) -> list[Change]:
    """The changes of (call id, JSON) rows, in order."""
    found: list[Change] = []
    for row in rows:
        found += _reading(lambda r: [_change(c) for c in _items(_json(r[1]))], row, f"the changes of call {row[0]}")
    return found


def _line(value: object) -> ArgumentLine:
    name, text, origin = _fields(value, "name", "value", "origin")
    return ArgumentLine(_text(name), _text(text), _text(origin))


def _blank(value: object) -> Blank:
    argument, role, shown, source, call = _fields(value, "argument", "role", "shown", "source", "call")
    return Blank(_text(argument), _text(role), _text(shown), _text(source), _number(call))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(_text(item) for item in _items(_json(value)))


# whole rows


def _usage(values: Sequence[object]) -> Usage:
    tokens, usd_micro, tool_calls, wall_ms = values
    return Usage(_number(tokens), _number(usd_micro), _number(tool_calls), _number(wall_ms))


def usage_of(row: Row, day: str) -> Usage:
    """A day's usage."""
    return _reading(_usage, row, f"the usage of {day}")


def session_of(row: Row) -> Session:
    """A session."""
    return _reading(_session, row, f"session {row[0]}")


def _session(row: Row) -> Session:
    sid, name, owner, created_ms, updated_ms, turns, *usage = row
    return Session(
        SessionId(_text(sid)),
        _text(name),
        PrincipalId(_text(owner)),
        _number(created_ms),
        _number(updated_ms),
        _number(turns),
        _usage(usage),
    )


def turn_of(row: Row) -> Turn:
    """A turn."""
    return _reading(_turn, row, f"turn {row[0]}")


def _turn(row: Row) -> Turn:
    tid, session, number, state, principal, channel, text, reply, started_ms, ended_ms, *usage, key = row
    return Turn(
        TurnId(_text(tid)),
        SessionId(_text(session)),
        _number(number),
        _STATES[state],
        PrincipalId(_text(principal)),
        _text(channel),
        _text(text),
        _text(reply),
        _number(started_ms),
        _optional(_number, ended_ms),
        _usage(usage),
        "" if key is None else _text(key),
    )


def standing_of(row: Row, turn: TurnId) -> tuple[SessionId, int, TurnState, Usage]:
    """What a move needs to know of a turn."""
    return _reading(
        lambda r: (SessionId(_text(r[0])), _number(r[1]), _STATES[r[2]], _usage(r[3:])), row, f"turn {turn}"
    )


def part_of(row: Row) -> Part:
    """A part, its label included."""
    return _reading(_part, row, f"part {row[2]} of session {row[0]}")


def _part(row: Row) -> Part:
    session, turn, seq, kind, text, label, created_ms, tool, call = row
    return Part(
        SessionId(_text(session)),
        TurnId(_text(turn)),
        _number(seq),
        _KINDS[kind],
        _text(text),
        parse_label(_text(label)),
        _number(created_ms),
        _text(tool),
        None if call is None else CallId(_text(call)),
    )


def outcome_of(row: Row) -> tuple[CallId, str | None]:
    """A call and how it ended."""
    return _reading(lambda r: (CallId(_text(r[0])), _optional(_text, r[1])), row, f"call {row[0]}")


def open_call_of(row: Row) -> OpenCall:
    """A call without a receipt."""
    return _reading(_open_call, row, f"call {row[0]}")


def _open_call(row: Row) -> OpenCall:
    call, session, turn, tool, summary, entry = row
    return OpenCall(
        CallId(_text(call)), SessionId(_text(session)), TurnId(_text(turn)), _text(tool), _text(summary), _number(entry)
    )


def approval_of(row: Row) -> Approval:
    """An approval with its card."""
    return _reading(_approval, row, f"approval {row[0]}")


def _approval(row: Row) -> Approval:
    aid, session, turn, call, digest, title, lines, rule, reason, taint, asked, deadline, state, by, at, *rest = row
    blanks, choices, choices_source, factor, people, agreed, exact, hidden, hint, calls, typed, picked = rest
    return Approval(
        id=ApprovalId(_text(aid)),
        session=SessionId(_text(session)),
        turn=TurnId(_text(turn)),
        call=CallId(_text(call)),
        digest=_digest(digest),
        title=_text(title),
        lines=tuple(_line(line) for line in _items(_json(lines))),
        rule=RuleId(_text(rule)),
        reason=_text(reason),
        taint=_text(taint),
        asked_ms=_number(asked),
        deadline_ms=_number(deadline),
        state=ApprovalState(state),
        answered_by=None if by is None else PrincipalId(_text(by)),
        answered_ms=_optional(_number, at),
        blanks=tuple(_blank(blank) for blank in _items(_json(blanks))),
        choices=_texts(choices),
        choices_source=_text(choices_source),
        factor=_flag(factor),
        people=_number(people),
        agreed=tuple(PrincipalId(name) for name in _texts(agreed)),
        exact=_text(exact),
        hidden=_texts(hidden),
        hint=_text(hint),
        calls=_number(calls),
        typed=_texts(typed),
        picked=tuple(_number(place) for place in _items(_json(picked))),
    )


def token_of(row: Row) -> Token:
    """A token as stored."""
    return _reading(_token, row, f"token {row[0]}")


def _token(row: Row) -> Token:
    tid, hashed, name, scopes, created_ms, expires_ms, revoked, last_used_ms = row
    return Token(
        TokenId(_text(tid)),
        _text(hashed),
        _text(name),
        _set([Scope(s) for s in _items(_json(scopes))]),
        _number(created_ms),
        _number(expires_ms),
        _flag(revoked),
        _optional(_number, last_used_ms),
    )


def account_of(row: Row) -> Account:
    """An account as stored."""
    return _reading(_account, row, f"account {row[1]} on {row[0]}")


def _account(row: Row) -> Account:
    channel, sender, person, name, since_ms, by = row
    return Account(_text(channel), _text(sender), PrincipalId(_text(person)), _text(name), _number(since_ms), _text(by))


def pairing_of(row: Row) -> Pairing:
    """A pairing as stored."""
    return _reading(_pairing, row, "a pairing")


def _pairing(row: Row) -> Pairing:
    *words, made_ms, expires_ms, tries = row
    hashed, channel, sender, name, person = map(_text, words)
    return Pairing(hashed, channel, sender, name, person, _number(made_ms), _number(expires_ms), _number(tries))


def known_place_of(row: Row) -> KnownPlace:
    """A place with whoever was heard there."""
    return _reading(_known_place, row, f"a place of {row[0]}")


def _known_place(row: Row) -> KnownPlace:
    person, channel, chat, thread, private, last_ms = row
    place = Place(_text(channel), _text(chat), _text(thread), _flag(private))
    return KnownPlace(PrincipalId(_text(person)), place, _number(last_ms))


def note_of(row: Row, channel: str, name: str) -> bytes:
    """What a note holds."""
    return _reading(lambda r: _bytes(r[0]), row, f"the note {name} of {channel}")


def _bytes(value: object) -> bytes:
    if type(value) is not bytes:
        raise TypeError(f"bytes expected, {type(value).__name__} found")
    return value


def work_of(row: Row) -> Work:
    """A piece of work."""
    return _reading(_work, row, f"the {row[0]} work {row[1]}")


def _work(row: Row) -> Work:
    kind, key, lane, body, started_ms, state, attempts, due_ms, error, ended_ms = row
    return Work(
        _text(kind),
        _text(key),
        _text(lane),
        _text(body),
        _number(started_ms),
        _WORK_STATES[state],
        _number(attempts),
        _number(due_ms),
        _text(error),
        _optional(_number, ended_ms),
    )
