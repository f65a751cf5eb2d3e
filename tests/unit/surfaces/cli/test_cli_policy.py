"""`carapax policy` and `carapax trust`: what is said, what is asked first, and what a script gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carapax.core.terms.check import Check, Standing
from carapax.surfaces.cli import codes
from tests.unit.surfaces.cli.stage import DIFFERENCE, FakeLocal, call


@pytest.fixture
def local(home: Path) -> FakeLocal:
    return FakeLocal(home)


def test_check_names_the_file_or_none(local: FakeLocal) -> None:
    assert "signed" in call(local, "policy", "check").out
    assert local.calls[-1] == ("policy_check", None)
    local.policies.checks = [Check("policy", Standing.FAILED, "line 3, serial: no", "Correct the line.")]
    ran = call(local, "policy", "check", "new.yaml")
    assert (ran.code, local.calls[-1]) == (codes.FAILED, ("policy_check", "new.yaml"))
    assert "line 3, serial" in ran.out
    assert json.loads(call(local, "policy", "check", "--json").out)["checks"][0]["standing"] == "failed"


def test_init_asks_only_before_it_replaces(local: FakeLocal) -> None:
    first = call(local, "policy", "init")
    assert first.out.splitlines()[0] == "Written and signed: policy/home.yaml  ✓"
    assert local.calls == [("policy_init", False)]
    assert call(local, "policy", "init", "--force").code == codes.FAILED
    assert local.calls == [("policy_init", False)]
    assert call(local, "policy", "init", "--force", "--yes").code == 0
    assert local.calls[-1] == ("policy_init", True)


def test_explain_says_answer_reason_rule_and_what_would_change_it(local: FakeLocal) -> None:
    ran = call(
        local,
        "policy",
        "explain",
        "send_mail",
        "to=a@b.example",
        "--tainted",
        "--as",
        "communicate",
        "--said",
        "mail a",
    )
    assert ran.code == 0
    assert local.calls[-1] == ("policy_explain", {
        "name": "send_mail", "arguments": ("to=a@b.example",), "effect": "communicate", "tainted": True,
        "role": "owner", "channel": "cli", "said": "mail a",
    })  # fmt: skip
    assert ran.out.splitlines() == [
        "✗ refused    send mail",
        "  what       send messages",
        "  session    has read untrusted text",
        "  why        The network is closed.",
        "  rule       network.none",
        "  otherwise  Nothing about the call alone would change this; a line of the",
        "             policy would have to.",
    ]
    assert json.loads(call(local, "policy", "explain", "x", "--json").out)["answer"] == "deny"


def test_explain_of_an_ask_begins_with_your_yes(local: FakeLocal) -> None:
    local.policies.explained |= {"answer": "ask", "tainted": False, "would": [{"if": "known", "answer": "allow"}]}
    lines = call(local, "policy", "explain", "send_mail").out.splitlines()
    assert lines[0] == "◦ asks you   send mail"
    assert lines[-2:] == [
        "  otherwise  with your yes → allowed",
        "             to somebody in your directory → allowed",
    ]


def test_diff_says_the_answers_and_the_signatures(local: FakeLocal) -> None:
    out = call(local, "policy", "diff", "new.yaml").out
    assert local.calls[-1] == ("policy_diff", "new.yaml")
    assert "◦ send messages (send_mail)        refused → asks you" in out
    assert "to your directory, 6 files, 10.00" in out
    assert "allows more  send_mail may be asked for" in out
    assert "Taking that back would mean:\n  caps.files_per_minute rises" in out
    assert "It needs 1 signature" in out
    local.policies.difference = DIFFERENCE | {"needs": 2}
    assert "It needs 2 signatures" in call(local, "policy", "diff").out
    local.policies.difference = DIFFERENCE | {"wider": [], "changes": []}
    out = call(local, "policy", "diff").out
    assert "No answer of the matrix changes." in out
    assert "allows nothing more" in out
    local.policies.difference = DIFFERENCE | {"same": True}
    assert "nothing differs" in call(local, "policy", "diff").out
    assert json.loads(call(local, "policy", "diff", "--json").out)["serial"] == 4


def test_a_long_diff_is_cut_and_says_so(local: FakeLocal) -> None:
    changes = [{**DIFFERENCE["changes"][0], "tool": f"tool{n}"} for n in range(20)]
    local.policies.difference = DIFFERENCE | {"changes": changes}
    assert "and 8 more" in call(local, "policy", "diff").out


def test_sign_asks_and_says_whether_it_is_in_force(local: FakeLocal) -> None:
    assert call(local, "policy", "sign").code == codes.FAILED
    assert ("policy_sign", None) not in local.calls
    done = call(local, "policy", "sign", "--yes")
    assert done.out == "Signed by this-machine; serial 4 is in force.  ✓\n"
    local.policies.signed |= {"in_force": False, "needs": 2, "wider": ["trust rises from assist to act"]}
    waits = call(local, "policy", "sign", "--yes", "--key-file", "k.pem")
    assert (waits.code, local.calls[-1]) == (codes.WAITING, ("policy_sign", "k.pem"))
    assert "1 of 2 signatures" in waits.out
    assert "trust rises from assist to act" in waits.out
    assert "--key-file KEY" in waits.out


def test_cases_that_do_not_hold_are_named(local: FakeLocal) -> None:
    local.policies.cases = [
        {"line": 2, "call": "read", "tool": "any tool", "expect": "allow", "expect_rule": "", "found": "allow",
         "rule": "r", "held": True},
    ]  # fmt: skip
    held = call(local, "policy", "test", "cases.yaml")
    assert (held.code, held.out) == (0, "1 of 1 cases hold  ✓\n")
    local.policies.cases.append(
        {**local.policies.cases[0], "line": 3, "expect": "deny", "expect_rule": "x", "held": False}
    )
    wrong = call(local, "policy", "test", "cases.yaml", "--policy", "p.yaml")
    assert (wrong.code, local.calls[-1]) == (codes.FAILED, ("policy_test", "cases.yaml", "p.yaml"))
    assert "line 3: expected refused (x), found allowed" in wrong.out
    assert "1 of 2 cases hold" in wrong.out
    assert json.loads(call(local, "policy", "test", "c", "--json").out)["cases"][1]["held"] is False


def test_the_matrix_fits_and_names_whoever_gets_nothing(local: FakeLocal, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"plain": "allow", "tainted": "ask"}
    local.policies.rows = [
        {"role": "owner", "effect": "read", "tool": "any tool", "answers": answers},
        {"role": "owner", "effect": "communicate", "tool": "send_mail", "answers": {**answers, "to other": "deny"}},
        {"role": "guest", "effect": "read", "tool": "any tool", "answers": {"plain": "deny", "tainted": "deny"}},
    ]
    assert call(local, "policy", "matrix").out.splitlines() == [
        "owner            plain  tainted  to other",
        "  read           allow  ask      ·",
        "  send_mail      allow  ask      deny",
        "",
        "Refused everything: guest",
    ]
    monkeypatch.setenv("COLUMNS", "40")
    lines = call(local, "policy", "matrix").out.splitlines()
    assert max(len(line) for line in lines) <= 40
    assert lines[4] == "owner            to other"
    assert len(json.loads(call(local, "policy", "matrix", "--json").out)["rows"]) == 3


def test_simulate_counts_and_lists_the_first_differences(local: FakeLocal) -> None:
    same = {"was": "allow", "now": "allow", "calls": 1200}
    local.policies.simulated = {
        "policy": "home", "serial": 4, "days": 30, "calls": 1202, "unknown": 1, "turns": [same, {**same, "now": "ask", "calls": 2}],
        "first": [{"index": 14, "time_ms": 0, "summary": "run ls", "was": "allow", "now": "ask", "rule": "r"}],
    }  # fmt: skip
    out = call(local, "policy", "simulate", "--days", "30", "--policy", "p.yaml").out
    assert local.calls[-1] == ("policy_simulate", None, "p.yaml", 30)
    assert "1,202 calls of the last 30 days under serial 4:" in out
    assert "allowed                  1,200  as it was" in out
    assert "allowed → asks you           2" in out
    assert "#14" in out
    assert "not installed here: 1." in out
    assert "Answered differently: 2" in out
    local.policies.simulated |= {"turns": [same], "first": [], "unknown": 0}
    assert call(local, "policy", "simulate").out.endswith("Every call would be answered as it was.\n")
    assert json.loads(call(local, "policy", "simulate", "--json").out)["calls"] == 1202


def test_trust_shows_tier_record_and_next_step(local: FakeLocal) -> None:
    out = call(local, "trust").out
    assert "▸ assist   acts, and asks you where the policy says so" in out
    assert "    1,204  actions done" in out
    assert "       12  refused by a rule" in out
    assert "With act:" in out
    assert "refused → asks you" in out
    assert "`carapax trust act` makes this step" in out
    local.policies.trusted |= {"step": {**DIFFERENCE, "changes": [], "tier": "act", "grants": []}}
    assert "lists no `grants`" in call(local, "trust").out
    local.policies.trusted |= {"next": None, "record": {"since_ms": None}}
    out = call(local, "trust").out
    assert "no record yet" in out
    assert "With" not in out
    assert json.loads(call(local, "trust", "--json").out)["tier"] == "assist"


def test_trust_changes_only_after_a_yes(local: FakeLocal) -> None:
    assert call(local, "trust", "act").code == codes.FAILED
    assert ("set_trust", "act") not in local.calls
    assert "already" in call(local, "trust", "assist").out
    done = call(local, "trust", "act", "--yes")
    assert done.out.splitlines()[-1] == "The trust is now act; serial 5 is in force from the next turn.  ✓"
    assert local.calls[-1] == ("set_trust", "act")
    assert json.loads(call(local, "trust", "draft", "--yes", "--json").out)["serial"] == 5
    assert call(local, "trust", "boss").code == codes.USAGE


@pytest.mark.parametrize("argv", [["policy", "diff"], ["policy", "explain", "x"], ["trust"]])
def test_they_speak_french(local: FakeLocal, argv: list[str]) -> None:
    ran = call(local, *argv, "--lang", "fr")
    assert ran.code == 0
    assert any(word in ran.out for word in ("refusé", "permet", "pourquoi"))
