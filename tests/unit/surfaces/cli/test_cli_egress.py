"""`carapax egress`: what is shown, what a script gets, and that only a person's yes writes a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from carapax.core.terms.error import NotFound
from carapax.surfaces.cli import codes
from carapax.surfaces.cli.context import Context
from tests.unit.surfaces.cli.stage import FakeLocal, call

HOP = {
    "call": "c", "session": "s", "tool": "run_online", "host": "a.example", "port": 443, "method": "GET", "path": "/x\x1b[2J",
    "answer": "deny", "rule": "egress.none", "reason": "No line of the policy lets run_online reach a.example.", "secrets": [],
}  # fmt: skip
CLOSED = {"tool": "run_online", "requests": 3, "refused": 1, "bytes_up": 5, "bytes_down": 9, "allowed": []}
WHY = {
    "answer": "deny", "rule": "egress.none", "reason": "No line lets it out.", "request": "GET https://a.example/x",
    "tool": "run_online", "tool_answer": "allow", "tool_rule": "shell.online", "line": "  a.example:\n    hosts: [a.example]\n",
}  # fmt: skip
FIRST = {
    "name": "a.example", "host": "a.example", "port": 443, "tools": ["run_online"], "count": 3, "last_ms": 1_800_000_000_000,
    "line": "  a.example:\n    hosts: [a.example]\n    answer: allow\n", "wider": ["egress.a.example lets run_online reach a.example"],
}  # fmt: skip
SECOND = {**FIRST, "name": "v6", "host": "2001:db8::1", "port": 8443, "count": 0, "wider": []}


class FakeEgress:
    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self.calls = calls
        self.entries: list[Mapping[str, Any]] = [
            {"index": 7, "time_ms": 1_800_000_000_000, "kind": "egress", "body": HOP},
            {"index": 9, "time_ms": 1_800_000_000_000, "kind": "egress.closed", "body": CLOSED},
        ]
        self.found: dict[str, Any] = dict(WHY)
        self.proposed: list[Mapping[str, Any]] = [FIRST, SECOND]

    def log(self, session: str, refused: bool, limit: int) -> Sequence[Mapping[str, Any]]:
        self.calls.append(("log", session, refused, limit))
        return self.entries

    def why(self, url: str, tool: str, method: str) -> Mapping[str, Any]:
        self.calls.append(("why", url, tool, method))
        return self.found

    def proposals(self, hosts: Sequence[str], days: int) -> Sequence[Mapping[str, Any]]:
        self.calls.append(("proposals", tuple(hosts), days))
        return self.proposed

    def allow(self, names: Sequence[str]) -> Mapping[str, Any]:
        if any(name not in ("a.example", "v6") for name in names):
            raise NotFound("There is no such proposal.")
        self.calls.append(("allow", tuple(names)))
        return {"serial": 4, "path": "p", "lines": list(names)}


class Local(FakeLocal):
    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.way_out = FakeEgress(self.calls)

    def egress(self) -> FakeEgress:
        return self.way_out


@pytest.fixture
def local(home: Path) -> Local:
    return Local(home)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sits at the terminal; what they type is the command's stdin."""
    monkeypatch.setattr(Context, "interactive", True)


def test_the_log_shows_each_request_with_its_answer_and_reason(local: Local) -> None:
    lines = call(local, "egress", "log").out.splitlines()
    assert local.calls[-1] == ("log", "", False, 50)
    assert "run_online: GET a.example/x\\x1b[2J  [deny: egress.none]" in lines[0]
    assert lines[1].strip() == "No line of the policy lets run_online reach a.example."
    assert "run_online: 3 requests (nowhere), 1 refused" in lines[2]
    call(local, "egress", "log", "--session", "AAAA", "--refused", "--limit", "5")
    assert local.calls[-1] == ("log", "AAAA", True, 5)
    local.way_out.entries = []
    assert call(local, "egress", "log").out == "Nothing of that kind.\n"


def test_a_script_gets_the_entries_the_answer_and_the_proposals(local: Local) -> None:
    assert [each["index"] for each in json.loads(call(local, "egress", "log", "--json").out)["entries"]] == [7, 9]
    assert json.loads(call(local, "egress", "why", "a.example", "--json").out) == WHY
    found = call(local, "egress", "allow", "--review", "--json")
    assert [each["name"] for each in json.loads(found.out)["proposals"]] == ["a.example", "v6"]
    assert ("allow", ("a.example",)) not in local.calls


def test_why_shows_the_rule_the_reason_and_the_line_that_would_help(local: Local) -> None:
    shown = call(local, "egress", "why", "https://a.example/x", "--tool", "web_fetch", "--method", "post")
    assert local.calls[-1] == ("why", "https://a.example/x", "web_fetch", "POST")
    lines = [line.strip() for line in shown.out.splitlines()]
    assert lines[0].endswith("GET https://a.example/x")
    assert lines[2].split() == ["rule", "egress.none"]
    assert lines[-2:] == ["a.example:", "hosts: [a.example]"]
    local.way_out.found |= {
        "answer": "allow",
        "line": "",
        "reason": "",
        "tool_answer": "deny",
        "tool_rule": "network.none",
    }
    shown = call(local, "egress", "why", "a.example")
    assert "run_online may not run at all: network.none." in shown.out
    assert "would allow" not in shown.out
    local.way_out.found |= {"tool_answer": "ask"}
    assert "asks a person each time" in call(local, "egress", "why", "a.example").out


def test_without_a_host_or_review_the_lines_are_only_shown(local: Local, person: None) -> None:
    done = call(local, "egress", "allow", stdin=b"y\ny\n")
    assert done.code == codes.OK
    assert "hosts: [a.example]" in done.out
    assert "carapax egress allow --review" in done.err
    assert "Allow" not in done.err
    assert [each[0] for each in local.calls] == ["proposals"]


def test_each_line_is_asked_for_and_only_those_with_a_yes_are_written(local: Local, person: None) -> None:
    done = call(local, "egress", "allow", "--review", stdin=b"n\ny\n")
    assert done.code == codes.OK
    assert local.calls[-1] == ("allow", ("v6",))
    assert "Allow a.example so?" in done.err
    assert "Allow [2001:db8::1]:8443 so?" in done.err
    assert "serial 4" in done.out
    assert "lets run_online reach a.example" in done.out
    done = call(local, "egress", "allow", "a.example", "--days", "30", stdin=b"n\n\n")
    assert (done.code, local.calls[-1]) == (codes.FAILED, ("proposals", ("a.example",), 30))


@pytest.mark.parametrize("words", [("--review",), ("a.example",)])
def test_where_nobody_can_be_asked_nothing_is_written(local: Local, words: tuple[str, ...]) -> None:
    done = call(local, "egress", "allow", *words, stdin=b"y\ny\n")
    assert done.code == codes.FAILED
    assert "hosts: [a.example]" in done.out
    assert "nobody can be asked here" in done.err
    assert [each[0] for each in local.calls] == ["proposals"]


def test_when_nothing_was_refused_it_says_so(local: Local) -> None:
    local.way_out.proposed = []
    assert (
        call(local, "egress", "allow", "--review").out
        == "Nothing was refused in the last 7 days that a line could allow.\n"
    )


def test_it_speaks_french(local: Local, person: None) -> None:
    done = call(local, "--lang", "fr", "egress", "allow", "--review", stdin=b"o\nn\n")
    assert "Autoriser a.example ainsi ?" in done.err
    assert local.calls[-1] == ("allow", ("a.example",))
    assert "sortie des commandes" in call(local, "egress", "--lang", "fr", "--help").out
