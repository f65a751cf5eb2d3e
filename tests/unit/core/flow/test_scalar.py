"""What may be read out of untrusted text: bounded values, and no way to write a text through them."""

from __future__ import annotations

import dataclasses
import json
import string
from datetime import UTC, date, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.core.flow.scalar import (
    KINDS,
    MOST_NUMBER,
    Amount,
    Choice,
    Day,
    Moment,
    Number,
    Scalar,
    Wanted,
    YesNo,
    answer_schema,
    is_answer,
    parse_answer,
    wanted_of,
)
from carapax.core.terms.error import Malformed, Refused

COLOURS = Choice(("red", "green", "dark blue"))
ALL: tuple[Wanted, ...] = (YesNo(), COLOURS, Number(0, 10), Amount(), Day(), Moment())
WISHED = "a" * 40


def answer(value: object) -> str:
    return json.dumps({"answer": value})


def test_every_kind_has_its_type_and_every_type_is_tried_here() -> None:
    made = [wanted_of(kind, ("red", "green")) for kind in KINDS]
    assert {type(wanted) for wanted in made} == set(get_args(Wanted)) == {type(wanted) for wanted in ALL}


@pytest.mark.parametrize(
    ("wanted", "value", "held", "words"),
    [
        (YesNo(), "yes", True, "yes"),
        (YesNo(), "no", False, "no"),
        (COLOURS, "dark blue", 2, "dark blue"),
        (Number(0, 10), 0, 0, "0"),
        (Number(0, 10), 10, 10, "10"),
        (Number(-5, -1), -5, -5, "-5"),
        (Amount(), "1234.50", 123450, "1234.50"),
        (Amount(), "-0.07", -7, "-0.07"),
        (Amount(), 12, 1200, "12.00"),
        (Amount(), 12.5, 1250, "12.50"),
        (Day(), "2026-02-28", date(2026, 2, 28), "2026-02-28"),
        (Moment(), "2026-02-28T09:05", datetime(2026, 2, 28, 9, 5), "2026-02-28T09:05"),  # noqa: DTZ001 - no zone
    ],
)
def test_an_answer_that_fits_is_held_and_rendered(wanted: Wanted, value: object, held: object, words: str) -> None:
    found = parse_answer(answer(value), wanted)
    assert found == held
    assert type(found) is type(held)
    assert Scalar(wanted, found).render() == words
    assert is_answer(answer(value), wanted)


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        (YesNo(), "Yes"), (YesNo(), True), (YesNo(), 1), (YesNo(), "yes, and run rm -rf"), (YesNo(), ["yes"]),
        (COLOURS, "Red"), (COLOURS, "red "), (COLOURS, 0), (COLOURS, "blue"), (COLOURS, ["red"]), (COLOURS, "dark  blue"),
        (Number(0, 10), 11), (Number(0, 10), -1), (Number(0, 10), True), (Number(0, 10), "7"), (Number(0, 10), 7.0),
        (Amount(), "1,234.50"), (Amount(), "1e9"), (Amount(), "123456789.00"), (Amount(), "12.345"), (Amount(), "€ 5"),
        (Amount(), True), (Amount(), "٣"), (Amount(), ""), (Amount(), 10**12), (Amount(), "5\n"),
        (Day(), "2026-02-30"), (Day(), "20260228"), (Day(), "2026-W05-6"), (Day(), "1899-12-31"), (Day(), "2200-01-01"),
        (Day(), "2026-02-28T09:05"), (Day(), "２０２６-02-28"), (Day(), 20260228),
        (Moment(), "2026-02-28"), (Moment(), "2026-02-28T25:00"), (Moment(), "2026-02-28T09:05:07"),
        (Moment(), "2026-02-28T09:05+02:00"), (Moment(), "2026-02-28 09:05"),
    ],
)  # fmt: skip
def test_anything_else_is_no_answer(wanted: Wanted, value: object) -> None:
    assert parse_answer(answer(value), wanted) is None
    assert not is_answer(answer(value), wanted)


@pytest.mark.parametrize(
    "text",
    [
        "yes", '"yes"', '["yes"]', '{"answer": "yes"} and more', '```json\n{"answer": "yes"}\n```', '{"reply": "yes"}',
        '{"answer": "yes", "note": "x"}', '{"answer": "no", "answer": "yes"}', "{}", "", "[", "nul", "NaN",
        '{"answer": {"answer": "yes"}}', '{"answer": ' + "[" * 90 + "]" * 90 + "}", '{"answer": "yes"' + " " * 200 + "}",
        '{"answer": NaN}', '{"answer": Infinity}',
    ],
)  # fmt: skip
def test_an_answer_of_another_form_is_none(text: str) -> None:
    for wanted in ALL:
        assert parse_answer(text, wanted) is None
        assert not is_answer(text, wanted)


def test_null_is_an_answer_without_a_value() -> None:
    for wanted in ALL:
        assert parse_answer('{"answer": null}', wanted) is None
        assert is_answer('{"answer": null}', wanted)
        assert Scalar(wanted, None).render() == ""


@pytest.mark.parametrize("wanted", ALL)
@pytest.mark.parametrize(
    "value",
    ["text", WISHED, b"x", 1.5, ("a",), [], {}, object(), 10**15, -(10**15), 99, date(1, 1, 1), datetime.now(UTC)],
)
def test_no_scalar_can_be_made_of_what_was_not_wanted(wanted: Wanted, value: object) -> None:
    if isinstance(wanted, Amount) and value == 99:
        return
    with pytest.raises(Malformed):
        Scalar(wanted, value)  # type: ignore[arg-type]
    with pytest.raises(Malformed):
        dataclasses.replace(Scalar(wanted, None), value=value)


def test_a_scalar_has_no_field_for_text() -> None:
    fields = {f.name for f in dataclasses.fields(Scalar)}
    assert fields == {"wanted", "value", "cut"}
    for wanted in ALL:
        texts = [f.name for f in dataclasses.fields(wanted) if "str" in str(f.type)]
        assert texts == (["choices"] if isinstance(wanted, Choice) else []), "only the asker's own choices are texts"


@given(
    st.text() | st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists).map(answer)
)
def test_whatever_a_model_says_what_comes_back_was_nameable_beforehand(said: str) -> None:
    for wanted in ALL:
        words = Scalar(wanted, parse_answer(said, wanted)).render()
        assert len(words) <= 60
        allowed = {"", "yes", "no", "red", "green", "dark blue"}
        assert words in allowed or set(words) <= set(string.digits + "-.:T")


@given(st.integers())
def test_numbers_keep_their_bounds(number: int) -> None:
    found = parse_answer(answer(number), Number(3, 900))
    assert found == (number if 3 <= number <= 900 else None)


@pytest.mark.parametrize(
    "kind",
    [
        "recipient",
        "url",
        "payee",
        "path",
        "command",
        "secret",
        "address",
        "name",
        "text",
        "",
        "email",
        "YES_NO",
        "iban",
    ],
)
def test_there_is_no_kind_for_text_or_for_anything_that_decides_where_something_goes(kind: str) -> None:
    with pytest.raises(Refused, match="never a recipient, link, payee, path, command, secret, address or name"):
        wanted_of(kind, ("red", "green"))


@pytest.mark.parametrize(
    "choice",
    [
        "bob@corp.example", "https://evil.example/x", "evil.example", "www.evil.example", "/etc/passwd", "../x", "a/b",
        "report.txt", "C:\\temp", "~root", "$HOME", "a;b", "a|b", "`id`", "rm -rf plans", "--force", "x > y", "a&b=c?",
        "DE89 3704 0044 0532 0130 00", "+49 151 2345 6789", "4111 1111 1111 1111", "sk-" + "a1" * 12, "qwertz" * 5, "#general", "@team",
        "", " red", "red ", "r\u200bed", "red\u202e", "a\nb", "x" * 61, "{a}", "[a](b)", "<img>", "аррle.соm",
    ],
)  # fmt: skip
def test_choices_that_act_as_addresses_links_paths_commands_or_secrets_are_refused(choice: str) -> None:
    with pytest.raises(Refused):
        Choice(("red", choice))


@pytest.mark.parametrize(
    "choice", ["spring plan", "Zürich", "1.5", "50 %", "v2", "d'accord", "(none)", "2026-11-21", "日本"]
)
def test_plain_words_are_choices(choice: str) -> None:
    assert Choice(("red", choice)).choices[1] == choice


@pytest.mark.parametrize("choices", [(), ("red",), tuple(f"c{n}" for n in range(21)), ("red", "RED"), ("ﬁne", "fine")])
def test_choices_are_few_and_different(choices: tuple[str, ...]) -> None:
    with pytest.raises(Refused):
        Choice(choices)
    assert len(Choice(tuple(f"c{n}" for n in range(20))).choices) == 20


@pytest.mark.parametrize(("low", "high"), [(5, 4), (0, MOST_NUMBER + 1), (-MOST_NUMBER - 1, 0), (10**30, 10**31)])
def test_numbers_have_bounds_that_are_too_small_for_an_account(low: int, high: int) -> None:
    with pytest.raises(Refused):
        wanted_of("number", low=low, high=high)
    assert wanted_of("number") == Number(0, MOST_NUMBER)
    assert wanted_of("number", low=0, high=0) == Number(0, 0)


def test_the_schema_offers_nothing_but_the_values_and_null() -> None:
    for wanted in ALL:
        schema = answer_schema(wanted)
        assert schema["additionalProperties"] is False
        assert schema["required"] == ["answer"]
        value, null = schema["properties"]["answer"]["anyOf"]
        assert null == {"type": "null"}
        assert value["type"] == "integer" or "enum" in value or value["pattern"].startswith("^")
    assert answer_schema(COLOURS)["properties"]["answer"]["anyOf"][0]["enum"] == ["red", "green", "dark blue"]
