"""The monitor: the order of things, and that every way out of it is a refusal."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from carapax.core.policy.document import parse_policy
from carapax.core.terms.action import Change, ChangeKind, Outcome, Receipt
from carapax.core.terms.approval import ApprovalState
from carapax.core.terms.error import LedgerUnavailable, PolicyInvalid, Refused, SandboxUnavailable
from carapax.core.terms.event import Answered, StepDone, StepJudged, Waiting
from carapax.core.terms.ids import Digest, PrincipalId
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Readers
from carapax.core.terms.principal import Role
from tests.unit.core.questions import raw_policy
from tests.unit.guard.rig import Rig, deleted


def write(path: str = "a.txt") -> tuple[str, str]:
    return "write_file", json.dumps({"path": path, "text": "hello"})


def test_an_allowed_change_goes_through_every_station_in_order() -> None:
    rig = Rig()
    step = rig.submit(*write())
    assert rig.log == ["before", "call", "ran", "after", "receipt", "settle"]
    assert (step.answer, step.outcome, step.text.value) == ("allow", "done", "done")
    judged, done = rig.events
    assert isinstance(judged, StepJudged)
    assert isinstance(done, StepDone)
    assert (judged.rule, judged.summary, judged.entry, done.entry) == ("workspace.write", "write a.txt (5 B)", 0, 1)


def test_reading_keeps_no_versions() -> None:
    rig = Rig()
    rig.submit("read_file", '{"path": "a.txt"}')
    assert rig.log == ["call", "ran", "receipt"]


def test_what_runs_is_what_was_judged_and_recorded() -> None:
    rig = Rig()
    rig.submit("write_file", '{ "text" : "hello", "path": "./x/../a.txt" }')
    (authorized,) = rig.tool.ran
    assert authorized.call.arguments_json == '{"path":"a.txt","text":"hello"}'
    kind, body = rig.bodies[0]
    assert kind == "call"
    assert body["digest"] == authorized.call.digest
    assert body["arguments"]["path"] == "a.txt"  # type: ignore[index]
    assert "hello" not in json.dumps(body)  # contents stand as size and digest


def test_without_the_ledger_nothing_runs() -> None:
    rig = Rig()
    rig.ledger.fail = LedgerUnavailable("disk full")
    with pytest.raises(LedgerUnavailable):
        rig.submit(*write())
    assert rig.tool.ran == []


REFUSED = [
    ("outside", "read_file", '{"path": "/etc/passwd"}', "workspace.outside"),
    ("above", "write_file", '{"path": "../x", "text": ""}', "workspace.outside"),
    ("above, spelled round", "write_file", '{"path": "a/../../x", "text": ""}', "workspace.outside"),
    ("home", "read_file", '{"path": "~/x"}', "workspace.outside"),
    ("one of several", "delete_file", '{"path": "a\\n/etc/passwd"}', "workspace.outside"),
    ("network", "send_mail", '{"text": "hi"}', "default.deny"),
]


@pytest.mark.parametrize(("what", "tool", "arguments", "rule"), REFUSED, ids=[r[0] for r in REFUSED])
def test_a_refusal_is_recorded_shown_and_runs_nothing(what: str, tool: str, arguments: str, rule: str) -> None:
    rig = Rig()
    step = rig.submit(tool, arguments)
    assert rig.tool.ran == []
    assert rig.log == ["denied"]
    assert step.outcome == "refused"
    assert rule in step.text.value
    assert isinstance(rig.events[0], StepJudged)
    assert rig.events[0].answer == "deny"


MALFORMED = [
    ("unknown tool", "rm_rf", "{}"),
    ("unknown argument", "read_file", '{"path": "a", "mood": 1}'),
    ("missing argument", "read_file", "{}"),
    ("null for required", "read_file", '{"path": null}'),
    ("number for text", "read_file", '{"path": 7}'),
    ("text for number", "read_file", '{"path": "a", "count": "7"}'),
    ("boolean for number", "read_file", '{"path": "a", "count": true}'),
    ("fraction for number", "read_file", '{"path": "a", "count": 1.5}'),
    ("huge number", "read_file", '{"path": "a", "count": 99999999999999999999}'),
    ("text for boolean", "read_file", '{"path": "a", "all": "yes"}'),
    ("not a choice", "read_file", '{"path": "a", "mode": "odd"}'),
    ("list for text", "read_file", '{"path": ["a"]}'),
    ("half a JSON", "read_file", '{"path": "a'),
    ("not an object", "read_file", '["a"]'),
    ("given twice", "read_file", '{"path": "a", "path": "b"}'),
    ("NaN", "read_file", '{"path": "a", "count": NaN}'),
    ("NUL", "read_file", '{"path": "a\\u0000b"}'),
    ("lone surrogate", "read_file", '{"path": "\\ud800"}'),
    ("content too long", "write_file", json.dumps({"path": "a", "text": "x" * 1001})),
    ("arguments too long", "write_file", json.dumps({"path": "a", "text": "x" * 300_000})),
    ("deeply nested", "read_file", "[" * 100_000),
    ("empty name", "", "{}"),
]


@pytest.mark.parametrize(("what", "tool", "arguments"), MALFORMED, ids=[m[0] for m in MALFORMED])
def test_junk_from_a_model_is_refused_and_recorded(what: str, tool: str, arguments: str) -> None:
    rig = Rig()
    step = rig.submit(tool, arguments)
    assert rig.tool.ran == []
    assert rig.log == ["malformed"]
    assert step.outcome == "refused"
    assert step.text.value.startswith("error: ")


def test_an_ask_without_a_yes_is_a_no() -> None:
    for state in (ApprovalState.DENIED, ApprovalState.EXPIRED, ApprovalState.WAITING):
        rig = Rig()
        rig.approver.state = state
        step = rig.submit("delete_file", json.dumps({"path": "\n".join("abcdef")}))
        assert rig.tool.ran == []
        assert rig.log == ["asked", "answered"]
        assert step.outcome == "refused"


def test_a_yes_to_another_call_does_not_count() -> None:
    rig = Rig()
    rig.approver.state = ApprovalState.APPROVED
    rig.approver.change = lambda approval: replace(approval, digest=Digest("0" * 64))
    step = rig.submit("delete_file", json.dumps({"path": "\n".join("abcdef")}))
    assert rig.tool.ran == []
    assert step.outcome == "refused"


def test_a_yes_runs_the_exact_call_and_the_card_shows_its_arguments_and_their_origin() -> None:
    rig = Rig(words="delete a please")
    rig.approver.state = ApprovalState.APPROVED
    step = rig.submit("run_command", json.dumps({"command": "rm a\u202e"}))
    (card,) = rig.approver.asked
    assert card.rule == "hidden-text"
    assert [(line.name, line.value, line.origin) for line in card.lines] == [
        ("command", "rm a⟨U+202E⟩", "the model chose it")
    ]
    assert card.digest == rig.tool.ran[0].call.digest
    assert rig.log == ["asked", "answered", "before", "call", "ran", "after", "receipt", "settle"]
    assert (step.answer, step.outcome) == ("ask", "done")
    assert [type(event) for event in rig.events] == [StepJudged, Waiting, Answered, StepDone]


def test_where_a_value_must_be_typed_a_yes_is_not_enough() -> None:
    rig = Rig()
    rig.approver.state = ApprovalState.APPROVED
    rule = (
        '@id("pay") @reason("Money.") @typed("payee") permit (principal, action, resource) when { context.approved };'
    )
    strict = parse_policy(raw_policy(rule))
    rig.policy = lambda: strict
    step = rig.submit("send_mail", '{"text": "hi"}')
    assert rig.approver.asked == []
    assert rig.tool.ran == []
    assert "must type the payee" in step.text.value


def test_an_argument_the_owner_named_says_so() -> None:
    rig = Rig(words="show me notes.txt")
    rig.submit("read_file", '{"path": "notes.txt"}')
    assert rig.bodies[0][1]["origins"] == {"path": "owner_words"}
    rig.submit("read_file", '{"path": "secret.txt"}')
    assert rig.bodies[2][1]["origins"] == {"path": "model"}


def test_without_a_valid_policy_everything_is_denied() -> None:
    rig = Rig()

    def broken() -> None:
        raise PolicyInvalid("it was changed")

    rig.policy = broken  # type: ignore[assignment]
    assert rig.submit("read_file", '{"path": "a"}').outcome == "refused"
    assert rig.tool.ran == []


def test_a_guest_gets_nothing() -> None:
    assert Rig(role=Role.GUEST).submit("read_file", '{"path": "a"}').outcome == "refused"


# labels


def test_a_result_taints_the_context_and_the_next_arguments() -> None:
    rig = Rig(context=Label(Integrity.USER, OWNER_ONLY))
    watch = rig.watch()

    async def two() -> None:
        await watch.submit(rig.proposal("read_file", '{"path": "a"}'))
        await watch.submit(rig.proposal("read_file", '{"path": "b"}'))

    asyncio.run(two())
    assert watch.context.integrity is Integrity.EXTERNAL
    first, second = (body["context"]["integrity"] for kind, body in rig.bodies if kind == "call")  # type: ignore[index]
    assert (first, second) == ("user", "external")


def test_a_tool_cannot_give_its_result_a_better_label_than_its_arguments() -> None:
    rig = Rig(words="write x", context=Label(Integrity.EXTERNAL, OWNER_ONLY))
    step = rig.submit("show_time", "{}")
    assert step.text.label.integrity is Integrity.SYSTEM  # no arguments: nothing of the context is in it
    step = rig.submit("write_file", json.dumps({"path": "x", "text": "y"}))
    assert step.text.label.integrity is Integrity.EXTERNAL


def test_a_reply_goes_only_to_readers_its_label_allows() -> None:
    rig = Rig(context=Label(Integrity.USER, OWNER_ONLY))
    with pytest.raises(Refused):
        asyncio.run(rig.watch().release("secret", Readers(names=frozenset({PrincipalId("anna")}))))
    assert rig.log == []
    asyncio.run(rig.watch().release("secret", OWNER_ONLY))
    assert rig.log == ["reply"]


# what a command destroys without saying so


def test_unannounced_deletions_are_put_back_and_refused_without_a_person() -> None:
    rig = Rig()
    rig.workspace.next_changes = deleted(6)
    step = rig.submit("run_command", '{"command": "rm *"}')
    assert rig.log == ["before", "call", "ran", "after", "revert", "receipt", "settle", "asked", "answered"]
    assert step.outcome == "refused"
    assert "6 files" in step.text.value
    assert asyncio.run(rig.store.changes()) == []


def test_unannounced_deletions_are_done_after_a_yes() -> None:
    rig = Rig()
    rig.workspace.next_changes = deleted(6)
    rig.approver.state = ApprovalState.APPROVED
    step = rig.submit("run_command", '{"command": "rm *"}')
    assert rig.log[-1] == "revert"
    assert "released" in rig.log
    assert step.outcome == "done"
    assert rig.approver.asked[0].title == "delete 6 files: run rm *"


def test_moving_many_files_is_not_deleting_them() -> None:
    rig = Rig()
    there = [Change(f"new/f{n}", ChangeKind.CREATED, None, Digest("d"), 1) for n in range(9)]
    rig.workspace.next_changes = [*deleted(9), *there]
    assert rig.submit("run_command", '{"command": "mv f* new"}').outcome == "done"
    assert "revert" not in rig.log


def test_a_few_deletions_by_a_command_are_free() -> None:
    rig = Rig()
    rig.workspace.next_changes = deleted(5)
    assert rig.submit("run_command", '{"command": "rm a"}').outcome == "done"
    assert "revert" not in rig.log


# failing tools


def test_a_wall_that_cannot_be_built_is_a_recorded_failure() -> None:
    rig = Rig()
    rig.tool.behave = lambda a: SandboxUnavailable("bubblewrap is missing", next_step="apt-get install bubblewrap")
    step = rig.submit(*write())
    assert step.outcome == "failed"
    assert "bubblewrap is missing" in step.text.value
    assert rig.log[-2:] == ["receipt", "settle"]


def test_a_cancelled_call_is_recorded_as_stopped() -> None:
    rig = Rig()
    hang = asyncio.Event()

    async def never(authorized: object) -> Receipt:
        hang.set()
        await asyncio.sleep(60)
        raise AssertionError

    async def play() -> None:
        rig.tool.perform = never  # type: ignore[method-assign, assignment]
        task = asyncio.create_task(rig.watch().submit(rig.proposal(*write())))
        await asyncio.wait_for(hang.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(play())
    kind, body = rig.bodies[-1]
    assert (kind, body["outcome"]) == ("receipt", Outcome.STOPPED.value)
    assert asyncio.run(rig.store.open_calls()) == []
