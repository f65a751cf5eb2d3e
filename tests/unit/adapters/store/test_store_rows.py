"""Rows: what was rendered parses back to itself, and anything else is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.store import rows
from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.error import StoreUnavailable
from carapax.core.terms.ids import Digest, PrincipalId
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Readers, Shape, Source

texts = st.text(max_size=20)
sources = st.builds(Source, texts, texts, texts, texts.map(Digest))
readers = st.builds(Readers, st.booleans(), st.frozensets(texts.map(PrincipalId), max_size=3))
labels = st.builds(
    Label,
    st.sampled_from(Integrity),
    readers,
    st.frozensets(sources, max_size=4),
    st.frozensets(texts, max_size=3),
    st.sampled_from(Shape),
)
digests = st.none() | texts.map(Digest)
changes = st.builds(Change, texts, st.sampled_from(ChangeKind), digests, digests, st.integers(0, 2**53), st.booleans())

USER = '{"classes":["mail"],"integrity":"user","readers":{"everyone":false,"names":["owner"]},"shape":"scalar","sources":[]}'
SOURCE = '{"digest":"","field":"","kind":"message","ref":"m1"}'


@given(labels)
def test_a_label_parses_back_to_itself(label: Label) -> None:
    assert rows.parse_label(rows.render_label(label)) == label


def test_a_label_of_the_first_schema_holds_no_class_and_may_say_anything() -> None:
    old = '{"integrity":"user","readers":{"everyone":false,"names":["owner"]},"sources":[]}'
    assert rows.parse_label(old) == Label(Integrity.USER, OWNER_ONLY, frozenset(), frozenset(), Shape.TEXT)


@given(st.lists(changes, max_size=4))
def test_changes_parse_back_to_themselves(kept: list[Change]) -> None:
    assert rows.changes_of([("c", rows.render(kept))]) == kept


@given(labels, st.data())
def test_a_label_with_a_piece_cut_out_is_refused_or_another_label(label: Label, data: st.DataObject) -> None:
    text = rows.render_label(label)
    at = data.draw(st.integers(0, len(text) - 1))
    try:
        read = rows.parse_label(text[:at] + text[at + 1 :])
    except (ValueError, TypeError):
        return
    assert read.integrity is label.integrity


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '"user"',
        USER[:-1],
        USER + " x",
        USER.replace('"user"', '"owner"'),
        USER.replace('"user"', '"USER"'),
        USER.replace('"user"', "4"),
        USER.replace('"user"', "null"),
        USER.replace("false", "0"),
        USER.replace("false", '"true"'),
        USER.replace('["owner"]', '"owner"'),
        USER.replace('["owner"]', "[1]"),
        USER.replace('["owner"]', '["owner","owner"]'),
        USER.replace('["owner"]', '{"owner":1}'),
        USER.replace('"sources":[]', '"sources":{}'),
        USER.replace('"sources":[]', '"sources":[null]'),
        USER.replace('"sources":[]', f'"sources":[{SOURCE},{SOURCE}]'),
        USER.replace('"sources":[]', f'"sources":[{SOURCE.replace("m1", "m1")[:-1]},"more":1}}]'),
        USER.replace('"sources":[]', f'"sources":[{SOURCE.replace(chr(34) + "m1" + chr(34), "NaN")}]'),
        USER.replace('"sources":[]', '"sources":[],"more":1'),
        USER.replace('"integrity":"user"', '"integrity":"external","integrity":"user"'),
        USER.replace(',"sources":[]', ""),
        USER.replace('"classes":["mail"],', ""),
        USER.replace('"shape":"scalar",', ""),
        USER.replace('"scalar"', '"SCALAR"'),
        USER.replace('"scalar"', "0"),
        USER.replace('["mail"]', '"mail"'),
        USER.replace('["mail"]', "[1]"),
        USER.replace('["mail"]', '["mail","mail"]'),
        "[" * 100_000,
    ],
)
def test_a_label_that_is_not_exactly_one_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError, RecursionError)):
        rows.parse_label(text)


PART = ("s1", "t1", 3, "user", "hi", USER, 5, "", None)
TURN = ("t1", "s1", 1, "done", "owner", "cli", "hi", "", 5, None, 0, 0, 0, 0, None)
SESSION = ("s1", "", "owner", 1, 2, 0, 0, 0, 0, 0)
CARD = json.dumps([{"name": "path", "value": "x", "origin": "default"}])
BLANK = json.dumps([{"argument": "to", "role": "recipient", "shown": "x", "source": "", "call": 0}])
LATER = (BLANK, '["one"]', "", 0, 1, "[]", "{}", "[]", "", 1, "[]", "[1]")
APPROVAL = ("K7M2", "s1", "t1", "c1", "d", "t", CARD, "r", "why", "", 1, 2, "waiting", None, None, *LATER)
TOKEN = ("k1", "h", "laptop", '["chat"]', 1, 2, 0, None)
CALL = ("c1", "s1", "t1", "write", "w", 1)


@pytest.mark.parametrize(
    ("read", "row", "name"),
    [
        (rows.part_of, PART, "part 3 of session s1"),
        (rows.turn_of, TURN, "turn t1"),
        (rows.session_of, SESSION, "session s1"),
        (rows.approval_of, APPROVAL, "approval K7M2"),
        (rows.token_of, TOKEN, "token k1"),
        (rows.open_call_of, CALL, "call c1"),
    ],
)
def test_each_column_is_checked_and_the_row_is_named(
    read: Callable[[tuple[Any, ...]], object], row: tuple[Any, ...], name: str
) -> None:
    read(row)
    for column in range(len(row)):
        for wrong in (b"bytes", 1.5, "-", [], object()):
            if wrong == "-" and isinstance(row[column], str):
                continue
            if wrong == "-" and row[column] is None:
                continue  # an optional text
            with pytest.raises(StoreUnavailable) as caught:
                read((*row[:column], wrong, *row[column + 1 :]))
            if column not in (0, 2):
                assert name in caught.value.what
            assert caught.value.next_step


@pytest.mark.parametrize(
    ("read", "row", "column", "wrong"),
    [
        (rows.part_of, PART, 3, "system"),
        (rows.part_of, PART, 5, USER.replace("user", "root")),
        (rows.turn_of, TURN, 3, "undone"),
        (rows.approval_of, APPROVAL, 12, "yes"),
        (rows.approval_of, APPROVAL, 6, '[{"name":"path"}]'),
        (rows.approval_of, APPROVAL, 15, '[{"argument":"to"}]'),
        (rows.approval_of, APPROVAL, 16, "[1]"),
        (rows.approval_of, APPROVAL, 18, 2),
        (rows.approval_of, APPROVAL, 26, '["1"]'),
        (rows.approval_of, APPROVAL, 26, "[true]"),
        (rows.label_of, ("d", USER), 1, USER.replace("user", "root")),
        (rows.token_of, TOKEN, 3, '["chat","root"]'),
        (rows.token_of, TOKEN, 3, '["chat","chat"]'),
        (rows.token_of, TOKEN, 3, '{"admin":1}'),
        (rows.token_of, TOKEN, 6, 2),
        (rows.changes_of, [("c1", '[{"path":"x"}]')], None, None),
        (rows.changes_of, [("c1", "{}")], None, None),
    ],
)
def test_words_outside_the_language_are_refused(
    read: Callable[[Any], object], row: Any, column: int | None, wrong: object
) -> None:
    with pytest.raises(StoreUnavailable):
        read(row if column is None else (*row[:column], wrong, *row[column + 1 :]))
