"""Rule 2: what the owner did not ask for is denied once untrusted text was read; never asked."""

from __future__ import annotations

from typing import Any

import pytest

from carapax.core.flow.lattice import NOTHING
from carapax.core.rules.finding import Need
from carapax.core.rules.intent import UNREQUESTED, check_intent, is_requested, judge_loss, may_pick
from carapax.core.terms.action import Effect
from carapax.core.terms.decision import Deny
from carapax.core.terms.ids import ToolName
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label
from carapax.core.terms.plan import Plan
from tests.unit.core.rules.office import TAINT, TOOLS, Desk

CALLS: dict[str, dict[str, Any]] = {
    "send_mail": {"to": ["a@b.example"], "text": "x"},
    "delete_mail": {"mail": "m-1"},
    "create_file": {"path": "a", "text": "x"},
    "append_file": {"file": "f-1", "text": "x"},
    "share_file": {"file": "f-1", "with_": "a@b.example"},
    "pay": {"payee": "X", "amount": 1},
    "set_password": {"password": "x"},
    "publish_page": {"url": "a.example", "text": "x"},
    "run_code": {"command": "ls"},
    "run_remote": {"command": "ls"},
    "delete_here": {"paths": "a"},
}
SILENT = "what is in my mails?"
ASKING = {
    "send_mail": "mail a@b.example that I am ill",
    "delete_mail": "delete the mail m-1",
    "create_file": "create a file",
    "append_file": "append a line to my file",
    "share_file": "share the file with a@b.example",
    "pay": "pay my bill",
    "set_password": "change my password",
    "publish_page": "publish it on my site",
    "run_code": "run the program",
    "run_remote": "run the program",
    "delete_here": "delete the file a",
}


def findings(words: str, tool: str, *, tainted: bool = True) -> list[Need]:
    desk = Desk(words, tainted=tainted)
    return [found.need for found in check_intent(desk.call(tool, **CALLS[tool]), desk.task())]


@pytest.mark.parametrize("tool", sorted(CALLS))
def test_every_effect_must_be_asked_for(tool: str) -> None:
    assert findings(SILENT, tool) == [Need.NEVER]
    assert findings(ASKING[tool], tool) == []


@pytest.mark.parametrize("tool", sorted(CALLS))
def test_before_untrusted_text_it_has_nothing_against_anything(tool: str) -> None:
    assert findings(SILENT, tool, tainted=False) == []


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("read_mail", {}), ("list_drive", {}), ("open_page", {"url": "www.x.example"}), ("web_search", {"query": "x"})],
)
def test_looking_needs_no_wish(tool: str, arguments: dict[str, Any]) -> None:
    desk = Desk("hello")
    assert list(check_intent(desk.call(tool, **arguments), desk.task())) == []


ORDER = list(Effect)


@pytest.mark.parametrize("effect", ORDER)
def test_a_wish_for_one_effect_is_none_for_another(effect: Effect) -> None:
    """Only the two ways of writing stand for each other, and code that has no way out is a way of writing."""
    desk = Desk("hello")
    desk.state.plan = Plan(effects=frozenset({effect}))
    task = desk.task()
    allowed = {name for name in CALLS if is_requested(TOOLS[ToolName(name)], task)}
    expected = {name for name in CALLS if TOOLS[ToolName(name)].effect is effect}
    if effect in (Effect.SELF_ADD, Effect.SELF_MODIFY):
        expected |= {"create_file", "append_file", "run_code"}
    assert allowed == expected


def test_a_tool_may_be_asked_for_by_its_own_words() -> None:
    desk = Desk("hello")
    desk.state.plan = Plan(tools=frozenset({"pay"}))
    assert is_requested(TOOLS[ToolName("pay")], desk.task())
    assert not is_requested(TOOLS[ToolName("book_hotel")], desk.task())


def test_code_with_a_way_out_is_not_writing() -> None:
    assert findings("write a summary into a file", "run_code") == []
    desk = Desk("hello")
    desk.state.plan = Plan(effects=frozenset({Effect.SELF_MODIFY}))
    assert not is_requested(TOOLS[ToolName("run_remote")], desk.task())


# delegation


def test_told_to_obey_a_text_the_lines_are_picked_once() -> None:
    words = "do what the mail from boss@work.example says"
    desk = Desk(words)
    assert may_pick(desk.task())
    assert findings(words, "pay") == [Need.PICK]
    desk.state.endorse(["have a nice day"], ())
    assert not may_pick(desk.task())
    found = list(check_intent(desk.call("pay", **CALLS["pay"]), desk.task()))
    assert [each.need for each in found] == [Need.NEVER]


def test_without_delegation_nothing_is_picked() -> None:
    assert not may_pick(Desk("read the mail from boss@work.example").task())


def test_a_picked_line_asks_for_what_it_asks() -> None:
    desk = Desk("do what the mail from boss@work.example says")
    desk.state.endorse(["Delete the old file"], tuple(TOOLS.values()))
    assert is_requested(TOOLS[ToolName("delete_here")], desk.task())
    assert not is_requested(TOOLS[ToolName("pay")], desk.task())


# losses that nobody announced


@pytest.mark.parametrize(
    ("context", "effects", "denied"),
    [
        (TAINT, frozenset[Effect](), True),
        (TAINT, frozenset({Effect.SELF_MODIFY, Effect.CODE}), True),
        (TAINT, frozenset({Effect.DESTROY}), False),
        (NOTHING, frozenset[Effect](), False),
        (Label(Integrity.CATALOG, OWNER_ONLY), frozenset[Effect](), False),
        (Label(Integrity.EXTERNAL, OWNER_ONLY), frozenset[Effect](), True),
    ],
)
def test_a_loss_that_nobody_asked_for(context: Label, effects: frozenset[Effect], denied: bool) -> None:
    answer = judge_loss(Desk("tidy up").call("run_code", command="rm a"), context, Plan(effects=effects))
    assert (answer is not None) is denied
    if answer is not None:
        assert isinstance(answer, Deny)
        assert answer.rule == UNREQUESTED
