"""Steps: schema, parsing and the reply that streams out of its JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.agent.small.steps import Call, Reply, ReplyText, parse_step, render_call, render_reply, step_schema
from carapax.core.terms.action import ArgRole, ArgSpec, ArgType, Effect, ToolManifest
from carapax.core.terms.ids import ToolName
from carapax.core.terms.label import Integrity


def manifest(name: str, *args: ArgSpec) -> ToolManifest:
    return ToolManifest(ToolName(name), f"Does {name}.", Effect.READ, args, Integrity.EXTERNAL, True, False)


def text(name: str, *, required: bool = True, choices: tuple[str, ...] = ()) -> ArgSpec:
    return ArgSpec(name, ArgRole.CONTENT, ArgType.TEXT, "", required=required, choices=choices)


READ = manifest("read_file", text("path"))
NAMES = frozenset({"read_file", "write_file"})


def test_a_schema_has_one_object_per_tool_and_the_reply() -> None:
    count = ArgSpec("count", ArgRole.COUNT, ArgType.INTEGER, "", required=False)
    schema = step_schema([READ, manifest("odd", text("tool"), text("mode", choices=("a", "b")), count)])
    read, odd, reply = schema["oneOf"]
    assert list(read["properties"]) == ["tool", "path", "then"]
    assert read["properties"]["tool"] == {"const": "read_file"}
    assert odd["required"] == ["tool", "tool_", "mode", "then"]
    assert odd["properties"]["mode"] == {"type": "string", "enum": ["a", "b"]}
    assert odd["properties"]["count"] == {"type": "integer"}
    assert reply["required"] == ["reply"]
    assert not any(choice["additionalProperties"] for choice in schema["oneOf"])


def test_without_tools_only_a_reply_is_left() -> None:
    assert step_schema([])["required"] == ["reply"]
    assert step_schema([READ], may_reply=False)["properties"]["tool"] == {"const": "read_file"}


@pytest.mark.parametrize(
    "said",
    [
        '{"tool": "read_file", "path": "a.txt", "then": "write b"}',
        '{"tool": "read_file", "arguments": {"path": "a.txt"}, "then": "write b"}',
        '{"name": "read_file", "parameters": {"path": "a.txt"}, "then": "write b"}',
        'I will look.\n```json\n{"tool": "read_file", "path": "a.txt", "then": "write b"}\n```',
        '```\n{"name": "read_file", "arguments": {"path": "a.txt"}, "then": "write b"}\n```\nDone?',
    ],
)
def test_calls_are_found_bare_and_fenced(said: str) -> None:
    assert parse_step(said, NAMES) == Call("read_file", {"path": "a.txt"}, "write b")


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ('{"reply": "Hello"}', "Hello"),
        ('```json\n{"reply": "Hello"}\n```', "Hello"),
        ("Just words. ", "Just words."),
        ('{"tool": "format_disk"}', '{"tool": "format_disk"}'),
        ('{"reply": "cut in the midd', "cut in the midd"),
        ('{"reply": 3}', '{"reply": 3}'),
        ("[1, 2]", "[1, 2]"),
        ('Use `{"a": 1}`', 'Use `{"a": 1}`'),
        ("", ""),
        ("[" * 5000, "[" * 5000),
    ],
)
def test_everything_else_is_a_reply(said: str, reply: str) -> None:
    assert parse_step(said, NAMES) == Reply(reply)


def test_an_argument_named_like_our_keys_comes_through() -> None:
    assert parse_step('{"tool": "read_file", "tool_": "x", "then_": "y"}', NAMES) == Call(
        "read_file", {"tool": "x", "then": "y"}
    )


@given(st.text())
def test_parsing_is_total(said: str) -> None:
    assert isinstance(parse_step(said, NAMES), Call | Reply)


@given(st.text(), st.booleans(), st.data())
def test_the_pieces_of_a_reply_are_the_reply(reply: str, ascii_only: bool, data: st.DataObject) -> None:
    raw = json.dumps({"reply": reply}, ensure_ascii=ascii_only)
    stream, got = ReplyText(), ""
    while raw:
        width = data.draw(st.integers(1, max(1, len(raw))))
        got += stream.feed(raw[:width])
        raw = raw[width:]
    assert got == reply


@given(st.text())
def test_a_call_streams_nothing(path: str) -> None:
    assert ReplyText().feed(render_call("read_file", {"path": path})) == ""


def test_half_a_pair_and_broken_escapes_do_no_harm() -> None:
    assert ReplyText().feed('{"reply": "\\ud83d') == ""
    assert ReplyText().feed('{"reply": "\\udc00x') == "?x"
    assert ReplyText().feed('{"reply": "\\uZZZZx') == "\ufffdx"
    assert ReplyText().feed('{"reply": "\\ud83dnope!x') == "?nope!x"


def test_what_the_model_is_shown_is_what_it_may_say() -> None:
    assert parse_step(render_reply("è\n"), NAMES) == Reply("è\n")
    assert parse_step(render_call("read_file", {"path": "é"}, "answer"), NAMES) == Call(
        "read_file", {"path": "é"}, "answer"
    )
