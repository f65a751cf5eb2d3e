"""Canonical calls: every type, every bound, one spelling, one digest; and each value in an argument traced by itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from carapax.core.terms.action import ArgRole, ArgSpec, ArgType, CanonicalCall, Effect, Origin, Proposal, ToolManifest
from carapax.core.terms.error import Malformed
from carapax.core.terms.ids import CallId, SessionId, ToolName, TurnId
from carapax.core.terms.label import Integrity
from carapax.guard.canonical import MAX_ARGUMENTS_BYTES, MAX_VALUES, PHRASE_CHARS, canonical_call
from tests.unit.core.rules.office import Desk

R, T = ArgRole, ArgType


def spec(kind: ArgType, role: ArgRole = R.CONTENT, **more: Any) -> ArgSpec:
    return ArgSpec("a", role, kind, "what it is", **more)


def manifest(*specs: ArgSpec, name: str = "tool") -> ToolManifest:
    return ToolManifest(ToolName(name), "", Effect.COMMUNICATE, specs, Integrity.EXTERNAL, False, False)


def canonical(text: str, *specs: ArgSpec, words: str = "hello", name: str = "tool") -> CanonicalCall:
    proposal = Proposal(CallId("c"), SessionId("s"), TurnId("t"), name, text)
    return canonical_call(proposal, manifest(*specs, name=name), Desk(words).task())


def one(kind: ArgType, given: object, role: ArgRole = R.CONTENT, words: str = "hello", **more: Any) -> CanonicalCall:
    return canonical(json.dumps({"a": given}), spec(kind, role, **more), words=words)


# types


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (T.TEXT, "x", "x"),
        (T.TEXT, "", ""),
        (T.TEXT, " x ", " x "),
        (T.INTEGER, 0, 0),
        (T.INTEGER, -(2**53), -(2**53)),
        (T.NUMBER, 3, 3),
        (T.NUMBER, 3.25, 3.25),
        (T.NUMBER, -0.5, -0.5),
        (T.BOOLEAN, True, True),
        (T.BOOLEAN, False, False),
        (T.LIST, ["b", "a", "b"], ("b", "a", "b")),
        (T.LIST, [], ()),
        (T.JSON, {"b": 1, "a": [True, None, 1.5]}, '{"a":[true,null,1.5],"b":1}'),
        (T.JSON, [], "[]"),
        (T.JSON, "x", '"x"'),
        (T.JSON, 5, "5"),
    ],
)
def test_a_value_of_its_type(kind: ArgType, given: object, value: object) -> None:
    call = one(kind, given)
    assert call.value("a") == value
    assert json.loads(call.arguments_json) == {"a": given}


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (T.TEXT, 1),
        (T.TEXT, True),
        (T.TEXT, ["x"]),
        (T.TEXT, {"x": 1}),
        (T.INTEGER, 1.0),
        (T.INTEGER, "1"),
        (T.INTEGER, True),
        (T.INTEGER, 2**53 + 1),
        (T.NUMBER, "1.5"),
        (T.NUMBER, True),
        (T.NUMBER, 1e300),
        (T.NUMBER, [1]),
        (T.BOOLEAN, 1),
        (T.BOOLEAN, "true"),
        (T.LIST, "x"),
        (T.LIST, ["x", 1]),
        (T.LIST, [["x"]]),
        (T.LIST, {"0": "x"}),
        (T.LIST, ["x"] * (MAX_VALUES + 1)),
        (T.LIST, ["x\0"]),
        (T.TEXT, "\0"),
    ],
)
def test_a_value_of_another_type_is_refused(kind: ArgType, given: object) -> None:
    with pytest.raises(Malformed):
        one(kind, given)


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": Infinity}', '{"a": 1e999}', '{"a": -1e999}'])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        canonical(text, spec(T.NUMBER))


@pytest.mark.parametrize(
    "text", ["[1]", "1", "null", '"x"', "{", '{"a": 1} x', '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 2}}']
)
def test_what_is_not_one_object_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        canonical(text, spec(T.JSON))


def test_no_arguments_are_an_empty_object() -> None:
    assert canonical("").arguments_json == canonical("{}").arguments_json == "{}"


# bounds


@pytest.mark.parametrize(("text", "fits"), [("x" * 10, True), ("x" * 11, False), ("é" * 5, True), ("é" * 6, False)])
@pytest.mark.parametrize("kind", [T.TEXT, T.LIST])
def test_bytes_of_one_text_are_bounded(kind: ArgType, text: str, fits: bool) -> None:
    given = [text] if kind is T.LIST else text
    if fits:
        assert one(kind, given, max_bytes=10).value("a") is not None
    else:
        with pytest.raises(Malformed, match="10 is the most"):
            one(kind, given, max_bytes=10)


def test_the_bytes_of_a_json_argument_are_bounded_as_a_whole() -> None:
    assert one(T.JSON, {"k": "xxx"}, max_bytes=11).value("a") == '{"k":"xxx"}'
    with pytest.raises(Malformed):
        one(T.JSON, {"k": "xxxx"}, max_bytes=11)


def test_all_arguments_together_are_bounded_before_they_are_read() -> None:
    with pytest.raises(Malformed, match="256 KiB"):
        canonical('{"a": "' + "x" * MAX_ARGUMENTS_BYTES + '"}', spec(T.TEXT, max_bytes=10**9))
    with pytest.raises(Malformed, match="256 KiB"):
        canonical("\ud800" * MAX_ARGUMENTS_BYTES, spec(T.TEXT))


@pytest.mark.parametrize(("given", "fits"), [("red", True), ("Red", False), ("", False), ("re", False)])
def test_choices(given: str, fits: bool) -> None:
    if fits:
        assert one(T.TEXT, given, choices=("red", "blue")).value("a") == "red"
    else:
        with pytest.raises(Malformed, match="red, blue"):
            one(T.TEXT, given, choices=("red", "blue"))


def test_every_element_of_a_list_must_be_a_choice() -> None:
    assert one(T.LIST, ["red", "blue"], choices=("red", "blue")).value("a") == ("red", "blue")
    with pytest.raises(Malformed):
        one(T.LIST, ["red", "green"], choices=("red", "blue"))


def test_names_and_needs() -> None:
    two = (spec(T.TEXT), replace(spec(T.TEXT, required=False), name="b"))
    assert canonical('{"a": "x", "b": null}', *two).arguments_json == '{"a":"x"}'
    for text, message in (
        ("{}", "needs the argument 'a'"),
        ('{"a": "x", "c": 1}', "no argument 'c'"),
        ('{"a": null}', "needs"),
    ):
        with pytest.raises(Malformed, match=message):
            canonical(text, *two)
    with pytest.raises(Malformed, match="it has: none"):
        canonical('{"a": 1}')


# one spelling, one digest


@pytest.mark.parametrize(
    ("given", "spelled"),
    [
        ("a.txt", "a.txt"),
        ("./a.txt", "a.txt"),
        ("x/../a.txt", "a.txt"),
        ("a//b/", "a/b"),
        ("/workspace/a.txt", "a.txt"),
        ("/workspace", "."),
        ("/workspace/../etc", "../etc"),
        ("/workspaces/a", "/workspaces/a"),
        ("../a", "../a"),
        ("~/a", "~/a"),
        ("", ""),
        (" ", ""),
        ("a\n./b", "a\nb"),
        ("A.txt", "A.txt"),
    ],
)
def test_paths_have_one_spelling(given: str, spelled: str) -> None:
    assert one(T.TEXT, given, R.PATH).value("a") == spelled
    if "\n" not in given:
        assert one(T.LIST, [given], R.PATH).value("a") == (spelled,)


def test_only_paths_are_respelled() -> None:
    for role in (R.OBJECT, R.COMMAND, R.CONTENT, R.RECIPIENT, R.SECRET):
        assert one(T.TEXT, "./x/../a", role).value("a") == "./x/../a"


@pytest.mark.parametrize(
    ("kind", "role", "given"),
    [
        (T.TEXT, R.PATH, "./x/../a"),
        (T.LIST, R.PATH, ["./a", "/workspace/b"]),
        (T.JSON, R.OBJECT, {"b": [1, 2.5], "a": "é"}),
        (T.NUMBER, R.AMOUNT, 1.10),
        (T.LIST, R.RECIPIENT, ["b@x.example", "a@x.example"]),
    ],
)
def test_the_canonical_form_is_its_own(kind: ArgType, role: ArgRole, given: object) -> None:
    first = one(kind, given, role)
    again = canonical(first.arguments_json, spec(kind, role))
    assert (again.arguments_json, again.digest) == (first.arguments_json, first.digest)


def test_the_digest_covers_the_tool_and_the_exact_bytes() -> None:
    call = canonical('{"a":"x"}', spec(T.TEXT))
    assert call.digest == hashlib.sha256(b'tool\0{"a":"x"}').hexdigest()
    assert canonical('{ "a" : "\\u0078" }', spec(T.TEXT)).digest == call.digest
    others = [
        canonical('{"a":"y"}', spec(T.TEXT)),
        canonical('{"a":"x"}', spec(T.TEXT), name="tool2"),
        canonical('{"a":["x"]}', spec(T.JSON)),
    ]
    assert len({call.digest, *(each.digest for each in others)}) == 4


def test_order_of_keys_does_not_matter_order_of_values_does() -> None:
    two = (spec(T.LIST), replace(spec(T.TEXT), name="b"))
    assert canonical('{"a":["x","y"],"b":"z"}', *two).digest == canonical('{"b":"z","a":["x","y"]}', *two).digest
    assert canonical('{"a":["x","y"],"b":"z"}', *two).digest != canonical('{"a":["y","x"],"b":"z"}', *two).digest


# traces


def traced(call: CanonicalCall) -> list[tuple[str, Origin]]:
    return [(t.value, t.origin) for t in call.arguments[0].traces]


WORDS = "mail bob@x.example and ann@x.example about notes.txt"
OWN, MODEL = Origin.OWNER_WORDS, Origin.MODEL


@pytest.mark.parametrize(
    ("kind", "role", "given", "traces"),
    [
        (T.TEXT, R.RECIPIENT, "bob@x.example", [("bob@x.example", OWN)]),
        (T.TEXT, R.RECIPIENT, "bob@x.example, eve@x.example;ann@x.example",
         [("bob@x.example", OWN), ("eve@x.example", MODEL), ("ann@x.example", OWN)]),
        (T.TEXT, R.RECIPIENT, "bob@x.example\neve@x.example", [("bob@x.example", OWN), ("eve@x.example", MODEL)]),
        (T.LIST, R.RECIPIENT, ["ann@x.example", "eve@x.example"], [("ann@x.example", OWN), ("eve@x.example", MODEL)]),
        (T.LIST, R.RECIPIENT, ["bob@x.example,eve@x.example"], [("bob@x.example,eve@x.example", MODEL)]),
        (T.LIST, R.RECIPIENT, [], []),
        (T.TEXT, R.RECIPIENT, " , ", []),
        (T.TEXT, R.PATH, "notes.txt\nother.txt", [("notes.txt", OWN), ("other.txt", MODEL)]),
        (T.TEXT, R.OBJECT, "notes.txt, other.txt", [("notes.txt, other.txt", MODEL)]),
        (T.NUMBER, R.AMOUNT, 12.5, [("12.5", MODEL)]),
        (T.JSON, R.OBJECT, {"x": ["notes.txt", {"y": "evil.txt"}], "n": 7},
         [("notes.txt", OWN), ("evil.txt", MODEL), ("7", MODEL)]),
        (T.JSON, R.OBJECT, None, []),
    ],
)  # fmt: skip
def test_each_value_is_traced_by_itself(kind: ArgType, role: ArgRole, given: object, traces: list[tuple[str, Origin]]) -> None:  # fmt: skip
    if given is None:
        assert canonical("{}", spec(kind, role, required=False)).arguments == ()
    else:
        assert traced(one(kind, given, role, WORDS)) == traces


@pytest.mark.parametrize(
    ("key", "given", "values"),
    [
        ("", [{"type": "file", "file": "f-1"}], ["file", "f-1"]),
        ("file", [{"type": "file", "file": "f-1"}], ["f-1"]),
        ("file", [{"type": "x", "in": {"file": ["f-1", "f-2"]}}], ["f-1", "f-2"]),
        ("file", [{"type": "x", "file": {"deep": {"er": "f-3"}}}], ["f-3"]),
        ("file", [{"File": "f-1"}], []),
        ("file", "f-1", []),
        ("", "f-1", ["f-1"]),
        ("", [None, True, 1.5], ["True", "1.5"]),
    ],
)
def test_which_texts_of_a_json_argument_decide(key: str, given: object, values: list[str]) -> None:
    assert [value for value, _ in traced(one(T.JSON, given, R.OBJECT, key=key))] == values


def test_the_least_trusted_value_is_the_argument_s_origin() -> None:
    mixed = one(T.LIST, ["bob@x.example", "eve@x.example"], R.RECIPIENT, WORDS)
    fine = one(T.LIST, ["bob@x.example", "ann@x.example"], R.RECIPIENT, WORDS)
    empty = one(T.LIST, [], R.RECIPIENT, WORDS)
    assert [c.arguments[0].origin for c in (mixed, fine, empty)] == [MODEL, OWN, Origin.DEFAULT]


@pytest.mark.parametrize("role", [R.FLAG, R.COUNT])
def test_flags_and_counts_decide_nothing(role: ArgRole) -> None:
    call = one(T.INTEGER, 3, role)
    assert (call.arguments[0].traces, call.arguments[0].origin) == ((), MODEL)
    assert call.arguments[0].label.integrity is Integrity.EXTERNAL  # the model chose it, after reading


def test_content_is_the_owner_s_only_as_a_whole() -> None:
    for text, origin in (("about notes.txt", OWN), ("about notes.txt!", MODEL), ("about notes", MODEL), ("", MODEL)):
        assert one(T.TEXT, text, R.CONTENT, WORDS).arguments[0].origin is origin, text
    assert one(T.LIST, ["mail", "about"], R.CONTENT, WORDS).arguments[0].origin is MODEL


def test_very_long_content_is_the_model_s() -> None:
    text = "word " * (PHRASE_CHARS // 5)
    assert one(T.TEXT, text.strip(), R.CONTENT, text).arguments[0].origin is OWN
    longer = text + "more"
    assert one(T.TEXT, longer, R.CONTENT, longer).arguments[0].origin is MODEL


def test_an_argument_is_labelled_as_its_origin() -> None:
    owners = one(T.TEXT, "bob@x.example", R.RECIPIENT, WORDS).arguments[0].label
    models = one(T.TEXT, "eve@x.example", R.RECIPIENT, WORDS).arguments[0].label
    assert (owners.integrity, models.integrity) == (Integrity.USER, Integrity.EXTERNAL)
    assert {s.kind for s in owners.sources} == {"message"}
    assert {s.kind for s in models.sources} == {"model", "tool"}
