"""Entries: canonical bytes, ceilings, strict parsing."""

from __future__ import annotations

import pytest

from carapax.core.ledger.entry import (
    BODY_BYTES,
    LINE_BYTES,
    Entry,
    find_position,
    parse_entry,
    render_body,
    render_entry,
    render_line,
)
from carapax.core.terms.error import Malformed, TooLarge
from carapax.core.terms.ids import EntryIndex
from carapax.core.terms.plain import canonical_json

ENTRY = Entry(EntryIndex(7), 1_700_000_000_000, "call.judged", {"tool": "write_file", "é": ["\u2028", None, True, 3]})
LINE = render_entry(ENTRY)


def test_the_line_is_the_canonical_json_of_the_whole() -> None:
    whole = {"v": 1, "index": 7, "time_ms": 1_700_000_000_000, "kind": "call.judged", "body": ENTRY.body}
    assert canonical_json(whole) == LINE
    assert b"\n" not in LINE


def test_parse_is_the_inverse() -> None:
    assert parse_entry(LINE) == ENTRY


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"null",
        b"7",
        b"\xff" + LINE,
        LINE + b" ",
        LINE.replace(b'"v":1', b'"v":2'),
        LINE.replace(b'"v":1', b'"v":1,"w":1'),
        LINE.replace(b'"index":7', b'"index":7.0'),
        LINE.replace(b'"index":7', b'"index":"7"'),
        LINE.replace(b'"index":7', b'"index":true'),
        LINE.replace(b'"index":7', b'"index":07'),
        LINE.replace(b'"index":7', b'"index":7,"index":7'),
        LINE.replace(b'{"body"', b'{ "body"'),
        LINE.replace(b"call.judged", b"Call"),
        LINE.replace(b'{"tool":"write_file"', b'{"tool":"write\\u005ffile"'),
        b'{"body":' * 2000,
        b'{"body":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_other_bytes_do_not_parse(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse_entry(line)


def test_ceilings() -> None:
    body = {"t": "x" * (BODY_BYTES - len('{"t":""}'))}
    line = render_line(10**17, 10**17, "k" * 64, render_body("k" * 64, body))
    assert len(line) < LINE_BYTES
    assert parse_entry(line).body == body
    with pytest.raises(TooLarge):
        render_body("k", {"t": body["t"] + "x"})
    with pytest.raises(TooLarge):
        parse_entry(b"x" * LINE_BYTES)


def test_nesting_too_deep_is_refused() -> None:
    body: dict[str, object] = {}
    for _ in range(5_000):
        body = {"b": body}
    with pytest.raises(Malformed):
        render_body("k", body)


def test_the_position_is_read_from_the_end() -> None:
    assert find_position(LINE) == (7, 1_700_000_000_000)
    nested = {"a": ',"index":1,"kind":"k","time_ms":2,"v":1}', "z": {"index": 1, "kind": "k", "time_ms": 2, "v": 1}}
    assert find_position(render_entry(Entry(EntryIndex(3), -5, "k", nested))) == (3, -5)
    for line in (b"", LINE[:-1], LINE + b"\n", LINE + b"}"):
        assert find_position(line) is None
