"""Facts: what cannot be classified is the worse class; paths count wherever an argument holds them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from carapax.core.rules.facts import LOCAL, derive_facts, has_way_out, is_outside
from carapax.core.terms.action import ArgRole, ArgSpec, ArgType, CanonicalCall, Effect, Proposal, ToolManifest
from carapax.core.terms.decision import Facts
from carapax.core.terms.ids import CallId, SessionId, ToolName, TurnId
from carapax.core.terms.label import Integrity
from carapax.guard.canonical import canonical_call
from tests.unit.core.rules.office import Desk


def facts(effect: Effect, role: ArgRole, kind: ArgType, given: Any, *, touches: bool = True, words: str = "x") -> Facts:
    spec = ArgSpec("a", role, kind, "")
    manifest = ToolManifest(ToolName("t"), "", effect, (spec,), Integrity.EXTERNAL, False, touches)
    proposal = Proposal(CallId("c"), SessionId("s"), TurnId("t"), "t", json.dumps({"a": given}))
    task = Desk(words).task()
    call: CanonicalCall = canonical_call(proposal, manifest, task)
    return derive_facts(call, task, "cli")


@pytest.mark.parametrize(
    ("path", "outside"),
    [
        ("a.txt", False),
        ("a/../b", False),
        ("..a", False),
        (".", False),
        ("/workspace/a", False),
        ("a/b..", False),
        ("/etc/passwd", True),
        ("..", True),
        ("../a", True),
        ("a/../../b", True),
        ("~", True),
        ("~/a", True),
        ("~root/a", True),
        ("/workspace/../a", True),
        ("/workspaces", True),
        ("//etc", True),
    ],
)
@pytest.mark.parametrize(
    ("kind", "wrap"),
    [
        (ArgType.TEXT, lambda p: p),
        (ArgType.TEXT, lambda p: f"a.txt\n{p}"),
        (ArgType.LIST, lambda p: ["a.txt", p]),
        (ArgType.JSON, lambda p: [{"path": p}]),
    ],
    ids=["text", "lines", "list", "json"],
)
def test_a_path_outside_is_seen_in_every_form(path: str, outside: bool, kind: ArgType, wrap: Any) -> None:
    if kind is ArgType.JSON and path == "/workspace/a":
        return  # inside a JSON argument nothing is respelled; either answer is right
    assert (facts(Effect.READ, ArgRole.PATH, kind, wrap(path)).place == "outside") is outside


@pytest.mark.parametrize(
    ("given", "kind", "count"),
    [
        ("a", ArgType.TEXT, 1),
        ("a\nb\nc", ArgType.TEXT, 3),
        (["a", "b"], ArgType.LIST, 2),
        ([{"path": "a"}, {"path": "b"}, {"path": "c"}], ArgType.JSON, 3),
        ("", ArgType.TEXT, 0),
    ],
)
def test_what_it_says_that_it_deletes(given: Any, kind: ArgType, count: int) -> None:
    assert facts(Effect.DESTROY, ArgRole.PATH, kind, given).destroys_count == count
    assert facts(Effect.SELF_MODIFY, ArgRole.PATH, kind, given).destroys_count == 0


@pytest.mark.parametrize("effect", list(Effect))
def test_only_what_stays_on_this_machine_is_no_network(effect: Effect) -> None:
    leaves = effect not in LOCAL or effect is Effect.CODE
    assert facts(effect, ArgRole.CONTENT, ArgType.TEXT, "x").network is leaves


def test_only_contained_code_and_no_online_tool_stays_on_this_machine() -> None:
    command = ToolManifest(ToolName("run"), "", Effect.CODE, (), Integrity.EXTERNAL, True, touches_workspace=True)
    assert has_way_out(command)
    assert not has_way_out(replace(command, contained=True))
    assert not has_way_out(replace(command, effect=Effect.READ))
    assert has_way_out(replace(command, effect=Effect.READ, online=True))


@pytest.mark.parametrize(
    ("role", "touches", "place"),
    [
        (ArgRole.PATH, True, "workspace"),
        (ArgRole.PATH, False, "workspace"),
        (ArgRole.CONTENT, True, "workspace"),
        (ArgRole.CONTENT, False, "none"),
    ],
)
def test_where_a_call_acts(role: ArgRole, touches: bool, place: str) -> None:
    assert facts(Effect.READ, role, ArgType.TEXT, "a", touches=touches).place == place


@pytest.mark.parametrize(
    ("role", "value", "hidden"),
    [
        (ArgRole.PATH, "a\u202eb", True),
        (ArgRole.COMMAND, "ls\u200b", True),
        (ArgRole.RECIPIENT, "b\u043eb@x.example", True),
        (ArgRole.PAYEE, "xn--e1awd7f.example", True),
        (ArgRole.RECIPIENT, "bob@x.example", False),
        (ArgRole.CONTENT, "a\u202eb", False),
        (ArgRole.PATH, "a b", False),
    ],
)
def test_hidden_characters_where_they_decide(role: ArgRole, value: str, hidden: bool) -> None:
    assert facts(Effect.COMMUNICATE, role, ArgType.TEXT, value).hidden_text is hidden


@pytest.mark.parametrize(("path", "outside"), [("", False), ("a", False), ("/", True), ("..x/y", False), ("../", True)])
def test_outside_is_a_matter_of_the_canonical_spelling(path: str, outside: bool) -> None:
    assert is_outside(path) is outside
