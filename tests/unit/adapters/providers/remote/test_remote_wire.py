"""The pure half of the remote wire: schemas, words for failures, bounds on what is read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from carapax.adapters.providers.catalogue import ModelSettings, choose_model
from carapax.adapters.providers.remote.faults import failure_of, retry_after_ms
from carapax.adapters.providers.remote.wire import AnswerBounds, Reading, clean_text, read_wishes, tool_schema
from carapax.core.terms.action import ArgRole, ArgSpec, ArgType, Effect, ToolManifest
from carapax.core.terms.error import ProviderFailed, Refused
from carapax.core.terms.ids import ToolName
from carapax.core.terms.label import Integrity

CHOICE = choose_model(ModelSettings(provider="openai", model="m1"), {})


def event(kind: str, **fields: Any) -> SimpleNamespace:
    return SimpleNamespace(event_kind=kind, index=fields.pop("index", 0), **fields)


def text_delta(text: str) -> SimpleNamespace:
    return event("part_delta", delta=SimpleNamespace(part_delta_kind="text", content_delta=text))


def call(ident: str, tool: str, args: Any) -> SimpleNamespace:
    return SimpleNamespace(part_kind="tool-call", tool_call_id=ident, tool_name=tool, args=args)


def test_a_tool_becomes_a_closed_schema() -> None:
    args = (
        ArgSpec("path", ArgRole.PATH, ArgType.TEXT, "Where."),
        ArgSpec("count", ArgRole.COUNT, ArgType.INTEGER, "How many.", required=False),
        ArgSpec("force", ArgRole.FLAG, ArgType.BOOLEAN, "Really.", required=False),
        ArgSpec("mode", ArgRole.CONTENT, ArgType.TEXT, "How.", choices=("a", "b")),
    )
    manifest = ToolManifest(ToolName("t"), "d", Effect.READ, args, next(iter(Integrity)), True, True)
    assert tool_schema(manifest) == {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Where."},
            "count": {"type": "integer", "description": "How many."},
            "force": {"type": "boolean", "description": "Really."},
            "mode": {"type": "string", "description": "How.", "enum": ["a", "b"]},
        },
        "required": ["path", "mode"],
        "additionalProperties": False,
    }


def test_text_is_counted_in_bytes() -> None:
    reading = Reading(AnswerBounds(text_bytes=4))
    assert reading.take(text_delta("éé")) == "éé"
    with pytest.raises(ProviderFailed, match="longer than 4 bytes"):
        reading.take(text_delta("x"))


def test_thoughts_are_bounded_and_not_text() -> None:
    reading = Reading(AnswerBounds(thought_bytes=4))
    thought = event("part_start", part=SimpleNamespace(part_kind="thinking", content="hmm!"))
    assert reading.take(thought) == ""
    more = event("part_delta", delta=SimpleNamespace(part_delta_kind="thinking", content_delta="?"))
    with pytest.raises(ProviderFailed, match="thought"):
        reading.take(more)


def test_arguments_are_bounded_while_they_come() -> None:
    reading = Reading(AnswerBounds(argument_bytes=10))
    reading.take(event("part_start", part=call("i", "tool", "")))
    delta = SimpleNamespace(part_delta_kind="tool_call", tool_name_delta=None, args_delta="123456")
    reading.take(event("part_delta", delta=delta))
    with pytest.raises(ProviderFailed, match="arguments"):
        reading.take(event("part_delta", delta=delta))


def test_wishes_are_counted_while_they_come() -> None:
    reading = Reading(AnswerBounds(wishes=2))
    for index in range(2):
        reading.take(event("part_start", index=index, part=call("i", "t", "{}")))
    with pytest.raises(ProviderFailed, match="more than 2 tools"):
        reading.take(event("part_start", index=2, part=call("i", "t", "{}")))


def test_unusual_arguments_become_text() -> None:
    wishes = read_wishes([call("a", "t", None), call("b", "t", {"x": "é"}), call("c", "t", "")], AnswerBounds())
    assert [wish.arguments_json for wish in wishes] == ["{}", '{"x": "é"}', "{}"]


@pytest.mark.parametrize(("ident", "tool"), [("", "t"), ("i" * 257, "t"), ("i", "t" * 257)])
def test_ids_and_names_are_bounded(ident: str, tool: str) -> None:
    with pytest.raises(ProviderFailed, match="name or id"):
        read_wishes([call(ident, tool, "{}")], AnswerBounds())


@pytest.mark.parametrize(
    ("text", "clean"), [("a\ud800b", "a\ufffdb"), ("\ud83d\ude00", "😀"), ("plain é", "plain é"), ("", "")]
)
def test_text_is_made_storable(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@pytest.mark.parametrize(
    ("seconds", "ms"), [(7, 7000), (0.5, 500), (-1, 0), (None, 0), (float("nan"), 0), (float("inf"), 0), ("7", 0)]
)
def test_a_wish_to_wait_is_a_duration_or_nothing(seconds: Any, ms: int) -> None:
    error = Exception()
    error.retry_after = seconds  # type: ignore[attr-defined]
    assert retry_after_ms(error) == ms


def test_a_refusal_of_the_way_out_keeps_its_words() -> None:
    outer = RuntimeError("connection error")
    outer.__cause__ = Refused("There is no key.", next_step="Set one.")
    failure = failure_of(outer, CHOICE)
    assert (failure.what, failure.next_step, failure.retriable) == ("There is no key.", "Set one.", False)


def test_a_loop_of_causes_ends() -> None:
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert "cannot be read" in failure_of(first, CHOICE).what


def test_an_unknown_error_says_nothing_of_its_own() -> None:
    assert "sk-123" not in failure_of(ValueError("sk-123"), CHOICE).what
