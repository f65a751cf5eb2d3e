"""Entries: one line of canonical JSON each, and the strict way back.

Layer: core/ledger. Owns the entry's bytes (`{"body":…,"index":…,"kind":…,"time_ms":…,"v":1}`), their ceilings and their parsing.
Absent: the newline, which belongs to the file; what bodies mean, which belongs to whoever records them.
Law: `parse_entry(render_entry(e)) == e`; bytes that are not exactly the canonical form do not parse.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from carapax.core.terms.error import Malformed, TooLarge
from carapax.core.terms.ids import EntryIndex
from carapax.core.terms.plain import canonical_json

BODY_BYTES = 65_536  # ceiling of one body as canonical JSON
LINE_BYTES = BODY_BYTES + 256  # body, envelope of at most 190 bytes, newline
_KIND = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_TAIL = re.compile(
    rb',"index":(0|[1-9][0-9]{0,17}),"kind":"[a-z][a-z0-9_.-]{0,63}","time_ms":(0|-?[1-9][0-9]{0,17}),"v":1\}\Z'
)
_TAIL_BYTES = 180  # no tail is longer


@dataclass(frozen=True, slots=True)
class Entry:
    index: EntryIndex
    time_ms: int  # as the clock told it; may go back
    kind: str  # "call.judged": lower case, dots between the parts, at most 64 characters
    body: dict[str, Any]


def render_body(kind: str, body: dict[str, Any]) -> bytes:
    """The body's canonical bytes. Raises Malformed for what cannot be recorded, TooLarge over 64 KiB."""
    if not _KIND.fullmatch(kind):
        raise Malformed(f"{kind[:80]!r} is not a kind of ledger entry")
    if not isinstance(body, dict):
        raise Malformed("the body of a ledger entry is an object")
    try:
        rendered = canonical_json(body)
    except (TypeError, RecursionError) as error:
        raise Malformed(f"this body cannot be recorded: {type(error).__name__}") from error
    if len(rendered) > BODY_BYTES:
        raise TooLarge(f"a ledger entry of {len(rendered)} bytes; the most is {BODY_BYTES}")
    return rendered


def render_line(index: int, time_ms: int, kind: str, body: bytes) -> bytes:
    """The entry's bytes around a body from `render_body`, equal to the canonical JSON of the whole."""
    return b'{"body":%b,"index":%d,"kind":"%b","time_ms":%d,"v":1}' % (body, index, kind.encode("ascii"), time_ms)


def render_entry(entry: Entry) -> bytes:
    return render_line(entry.index, entry.time_ms, entry.kind, render_body(entry.kind, entry.body))


def parse_entry(line: bytes) -> Entry:
    """The entry in these bytes (no newline). Raises Malformed unless they are exactly what `render_entry` makes."""
    if len(line) >= LINE_BYTES:
        raise TooLarge("a ledger entry over the ceiling")
    try:
        fields = json.loads(line)
        entry = Entry(fields["index"], fields["time_ms"], fields["kind"], fields["body"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed("this is not a ledger entry") from error
    if type(entry.index) is not int or type(entry.time_ms) is not int or not isinstance(entry.kind, str):
        raise Malformed("this is not a ledger entry")
    if render_entry(entry) != line:
        raise Malformed("this is not the canonical form of a ledger entry")
    return entry


def find_position(line: bytes) -> tuple[int, int] | None:
    """Index and time in milliseconds as the end of the line says; None when it does not end like an entry.

    Cheap, and enough only where the line's hash is also checked against a signed root.
    """
    found = _TAIL.search(line, max(0, len(line) - _TAIL_BYTES))
    return None if found is None else (int(found[1]), int(found[2]))
