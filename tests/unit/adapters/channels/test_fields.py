"""Fields of what a platform sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.channels.fields import MAX_TEXT_BYTES, name, number, parse_object, part, parts, plain, prose, word
from carapax.core.terms.error import Malformed


@pytest.mark.parametrize("raw", [b"", b"[]", b"7", b"\xff", b"[" * 100_000, b"9" * 5_000, "{", '"x"'])
def test_what_is_no_object_is_malformed(raw: bytes | str) -> None:
    with pytest.raises(Malformed):
        parse_object(raw)


@pytest.mark.parametrize("value", [7, "a\nb", "a\x00", "\ud800", "x" * 513, [], {}, True])
def test_a_word_is_short_and_printable(value: object) -> None:
    with pytest.raises(Malformed):
        word({"id": value}, "id")


@pytest.mark.parametrize("value", [True, -1, 1 << 63, 1.0, "7"])
def test_a_number_is_whole_and_bounded(value: object) -> None:
    with pytest.raises(Malformed):
        number({"size": value}, "size")


def test_what_is_missing_is_empty() -> None:
    assert (word({}, "a"), number({}, "a"), part({}, "a"), parts({}, "a"), prose({}, "a"), name({}, "a")) == (
        "",
        None,
        {},
        [],
        "",
        "",
    )


def test_shapes_are_held() -> None:
    assert parts({"a": [{}, 7, {"b": 1}]}, "a") == [{}, {"b": 1}]
    for read, value in ((part, []), (parts, {}), (parts, [{}] * 1_001), (prose, 7)):
        with pytest.raises(Malformed):
            read({"a": value}, "a")


@given(st.text())
def test_plain_text_can_be_written(text: str) -> None:
    found = plain(text + "\ud800\x00\x1b\x85")
    found.encode()
    assert not set(found) & set(map(chr, [*range(9), *range(11, 32), *range(127, 160)]))


def test_plain_text_is_cut_between_characters_and_keeps_directions() -> None:
    assert len(plain("é" * MAX_TEXT_BYTES).encode()) == MAX_TEXT_BYTES
    assert plain("a\u202eb\u200bc\td\r\ne") == "a\u202eb\u200bc\td\ne"


def test_a_name_is_one_line() -> None:
    assert name({"n": " Ann\n\x00 of\tTroy " + "x" * 500}, "n", 11) == "Ann of Troy"
    assert name({"n": 7}, "n") == ""
