"""The lookout: which wishes and events become which signals, and the account of how it came to a trip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carapax.app import lookout as module
from carapax.app.canaries import Canaries
from carapax.app.lookout import Lookout
from carapax.core.breaker.canary import Kind
from carapax.core.breaker.counters import Scope, Trip
from carapax.core.terms.action import ArgRole, ArgSpec, ArgType, Effect, Proposal, ToolManifest
from carapax.core.terms.event import Notice, StepDone, StepJudged
from carapax.core.terms.ids import CallId, EntryIndex, ToolName, TurnId
from carapax.core.terms.label import Integrity
from carapax.core.terms.signal import Signal, SignalKind
from tests.unit.app.alarm import A

TURN = TurnId("t")
SECRET = ArgSpec("key", ArgRole.SECRET, ArgType.TEXT, "which secret", required=False)


class LocalVault:
    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def find_secret(self, handle: str) -> str | None:
        return self.kept.get(handle)

    def put_secret(self, handle: str, value: str) -> None:
        self.kept[handle] = value

    def drop_secret(self, handle: str) -> None:
        self.kept.pop(handle, None)

    def handles(self) -> tuple[str, ...]:
        return tuple(self.kept)


class Watch:
    def __init__(self, place: Path) -> None:
        (place / "work").mkdir()
        self.canaries = Canaries(place / "canaries.json", place / "work", LocalVault(), lambda: 0)
        self.canaries.add(Kind.AWS, "vault", "aws-backup")
        self.value = self.canaries.all()[0].values[0]
        self.signals: list[Signal] = []
        tools = [
            ToolManifest(
                ToolName(effect.value),
                "",
                effect,
                (SECRET,),
                Integrity.EXTERNAL,
                reversible=True,
                touches_workspace=False,
            )
            for effect in Effect
        ]
        self.lookout = Lookout(self.canaries, lambda: tools)
        self.lookout.report_to(self.signals.append)

    def wish(self, tool: str, arguments: Any, call: str = "c", answer: str = "deny", rule: str = "r") -> list[Signal]:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        self.lookout.wished([Proposal(CallId(call), A, TURN, tool, text)])
        self.lookout.judged(A, StepJudged(CallId(call), tool, "", answer, rule, "", EntryIndex(41)))
        return self.signals

    def done(self, tool: str, outcome: str = "done") -> list[Signal]:
        self.lookout.judged(A, StepDone(CallId("c"), tool, "", outcome, "", 1, EntryIndex(42)))
        return self.signals


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path)


OUT = ["fetch", "communicate", "publish", "access", "money", "credential"]
INSIDE = ["read", "self_add", "self_modify", "destroy", "code"]


@pytest.mark.parametrize("tool", OUT)
@pytest.mark.parametrize("answer", ["deny", "ask", "allow"])
def test_a_canary_in_what_leads_out_is_a_use_whatever_the_guard_answers(watch: Watch, tool: str, answer: str) -> None:
    (signal,) = watch.wish(tool, {"text": f"see {watch.value}"}, answer=answer)
    assert (signal.kind, signal.detail) == (SignalKind.CANARY_USED, f"vault/aws-backup -> {tool}")
    assert watch.value not in repr(signal)


@pytest.mark.parametrize("tool", INSIDE)
def test_copying_one_inside_is_no_use(watch: Watch, tool: str) -> None:
    assert watch.wish(tool, {"text": watch.value}, answer="allow") == []


@pytest.mark.parametrize(
    "arguments",
    ['{{"a": "{0}"}}', '{{"a": {{"b": ["x", "{0}"]}}}}', '{{"{0}": 1}}', "not json {0}", '["{0}"]'],
)
def test_it_is_found_wherever_it_stands(watch: Watch, arguments: str) -> None:
    assert [s.kind for s in watch.wish("fetch", arguments.format(watch.value))] == [SignalKind.CANARY_USED]


def test_it_is_found_behind_json_escapes(watch: Watch) -> None:
    escaped = "".join(f"\\u{ord(c):04x}" for c in watch.value)
    assert [s.kind for s in watch.wish("fetch", f'{{"url": "{escaped}"}}')] == [SignalKind.CANARY_USED]


def test_naming_its_handle_as_the_secret_to_use_is_a_use(watch: Watch) -> None:
    assert [s.kind for s in watch.wish("fetch", {"key": "aws-backup"})] == [SignalKind.CANARY_USED]


def test_the_handles_words_elsewhere_are_no_use(watch: Watch) -> None:
    assert [s.kind for s in watch.wish("fetch", {"url": "https://x.example/aws-backup"})] == [SignalKind.DENIED]


@pytest.mark.parametrize("arguments", ["[" * 5_000, "{", "null", '"' + "x" * 100_000 + '"', '{"key": ["aws-backup"]}'])
def test_rubbish_is_counted_as_refused_and_raises_nothing(watch: Watch, arguments: str) -> None:
    assert [s.kind for s in watch.wish("fetch", arguments)] == [SignalKind.DENIED]


@pytest.mark.parametrize(
    ("tool", "kinds"),
    [
        ("communicate", [SignalKind.MESSAGE]),
        ("publish", [SignalKind.MESSAGE]),
        ("read", [SignalKind.FILE]),
        ("code", []),
        ("unknown", []),
    ],
)
def test_what_was_done_is_counted_by_its_effect(watch: Watch, tool: str, kinds: list[SignalKind]) -> None:
    assert [s.kind for s in watch.done(tool)] == kinds


@pytest.mark.parametrize("outcome", ["failed", "stopped", "unknown"])
def test_what_was_not_done_is_not_counted(watch: Watch, outcome: str) -> None:
    assert watch.done("communicate", outcome) == []


def test_refusals_are_counted_by_rule_and_answers_that_allow_are_not(watch: Watch) -> None:
    watch.wish("read", "{}", answer="allow")
    watch.wish("read", "{}", answer="ask")
    assert watch.signals == []
    assert [(s.kind, s.detail) for s in watch.wish("read", "{}", rule="network.none")] == [
        (SignalKind.DENIED, "network.none")
    ]
    watch.lookout.judged(A, Notice("x", "y", ""))
    assert len(watch.signals) == 1


def test_money_is_counted_when_there_is_some(watch: Watch) -> None:
    for amount in (0, -5, 700):
        watch.lookout.spent(A, amount)
    assert [(s.kind, s.amount) for s in watch.signals] == [(SignalKind.SPENT, 700)]


def test_the_account_names_who_read_it_and_who_used_it(watch: Watch) -> None:
    watch.lookout.judged(A, StepJudged(CallId("r"), "read", "", "allow", "x", "", EntryIndex(38)))
    watch.lookout.shown(A, CallId("r"), f"key {watch.value}")
    watch.wish("fetch", {"u": watch.value}, call="f")
    trip = Trip("breaker.canary", Scope.SESSION, A, CallId("f"), SignalKind.CANARY_USED, 1, 0, "")
    assert watch.lookout.how(trip) == "fetch (#41) did it; read (#38) had read the canary vault/aws-backup"
    assert [s.kind for s in watch.signals] == [SignalKind.CANARY_READ, SignalKind.CANARY_USED]


def test_the_account_of_an_unknown_call_says_what_it_knows(watch: Watch) -> None:
    trip = Trip("breaker.hosts", Scope.RUN, A, CallId("z"), SignalKind.HOST, 1, 0, "")
    assert watch.lookout.how(trip) == "a call (z) did it"


def test_what_is_remembered_is_bounded(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CALLS", 5)
    for number in range(50):
        watch.wish("read", "{}", call=f"c{number}")
    assert len(watch.lookout._calls) == 5
