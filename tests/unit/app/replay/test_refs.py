"""References to what earlier calls returned."""

from __future__ import annotations

import pytest

from carapax.app.replay.refs import named_refs, resolve_refs
from carapax.core.terms.error import NotFound

RETURNED = {"h0": {"id": "7", "rows": [{"id": "a"}, {"id": "b"}]}, "h1": "plain"}


def test_values_without_references_stay() -> None:
    value = {"to": ["x"], "n": 1, "none": None, "deep": {"a": [1, {"b": True}]}}
    assert resolve_refs(value, {}) == value


@pytest.mark.parametrize(
    ("ref", "found"),
    [
        ({"$from": "h0", "at": "id"}, "7"),
        ({"$from": "h0", "at": "rows.1.id"}, "b"),
        ({"$from": "h1"}, "plain"),
    ],
)
def test_a_reference_is_replaced_wherever_it_stands(ref: dict[str, str], found: str) -> None:
    assert resolve_refs({"x": [ref, {"y": ref}]}, RETURNED) == {"x": [found, {"y": found}]}


@pytest.mark.parametrize(
    "ref",
    [
        {"$from": "h9", "at": "id"},
        {"$from": "h0", "at": "nothing"},
        {"$from": "h0", "at": "rows.5"},
        {"$from": "h0", "at": "rows.x"},
        {"$from": "h1", "at": "a.b"},
    ],
)
def test_what_is_not_there_is_said(ref: dict[str, str]) -> None:
    with pytest.raises(NotFound):
        resolve_refs(ref, RETURNED)


def test_the_calls_referred_to_are_named() -> None:
    assert named_refs({"a": [{"$from": "h0"}, {"b": {"$from": "a1", "at": "x"}}], "c": "h7"}) == {"h0", "a1"}
