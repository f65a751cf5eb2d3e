"""Where Markdown is certainly code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.channels.code_spans import change_around_code


def shown(text: str) -> str:
    """Prose in capitals, code as it is."""
    return change_around_code(text, str.upper)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a `b` c", "A `b` C"),
        ("a\n```py\nb\n```\nc", "A\n```py\nb\n```\nC"),
        ("```\nb\n\n``` c\nd\n```\ne", "```\nb\n\n``` c\nd\n```\nE"),
        ("```\nnever closed\nb", "```\nnever closed\nb"),
        ("```\nnever closed\n", "```\nnever closed\n"),
        ("a \\`b` c", "A \\`B` C"),
        ("a ``b` c", "A ``B` C"),
        ("a `b`` c", "A `B`` C"),
        ("``` `b`\nc\n```", "``` `b`\nC\n```"),
        ("a ```b``` c", "A ```B``` C"),
        ("a\n     ```\nb\n```\nc", None),
        ("`a\nb`", "`A\nB`"),
        ("~~~\nb\n~~~", "~~~\nB\n~~~"),
    ],
)
def test_in_doubt_it_is_prose(text: str, wanted: str | None) -> None:
    assert shown(text) == wanted if wanted is not None else "B" in shown(text)


@given(st.text(alphabet="`a\n\\ ~", max_size=80))
def test_nothing_is_lost(text: str) -> None:
    assert change_around_code(text, lambda part: part) == text


def test_code_can_be_changed_too() -> None:
    assert change_around_code("a `b`", lambda part: part, str.upper) == "a `B`"


def test_long_texts_cost_little() -> None:
    for text in ("`" * 50_000, "```\n" * 20_000, "`a" * 50_000, "```x\n" + "a\n" * 50_000, " ```" * 20_000):
        assert change_around_code(text, lambda part: part) == text
