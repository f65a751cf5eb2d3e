"""Explaining, comparing, testing and replaying a policy on this machine, and the record behind a step of trust."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.tools.manifest import family_manifests
from carapax.app.explain import effect_tools, furthest
from carapax.app.policy_file import PolicyFile
from carapax.app.policy_local import PolicyDesk
from carapax.app.rehearse import record_of, rehearse
from carapax.core.ledger.entry import Entry
from carapax.core.policy.document import parse_policy
from carapax.core.policy.home import home_policy
from carapax.core.terms.action import Effect, ToolManifest
from carapax.core.terms.error import Conflict, Malformed, NotFound
from carapax.core.terms.ids import EntryIndex
from carapax.core.terms.tables import DirectoryEntry, Tables
from tests.unit.app.test_policy_file import DAY_MS, SEED, ToldClock
from tests.unit.core.questions import DAY, home, lines_policy

CLOCK = ToldClock()


@pytest.fixture
def desk(tmp_path: Path) -> PolicyDesk:
    policy = PolicyFile(tmp_path / "home.yaml", SEED, CLOCK)
    policy.write_home()
    return PolicyDesk(policy, tmp_path / "ledger", CLOCK.ms)


def explained(desk: PolicyDesk, name: str, *arguments: str, **how: Any) -> tuple[str, str, list[str]]:
    found = desk.explain({"name": name, "arguments": arguments, **how})
    return found["answer"], found["rule"], [each["if"] for each in found["would"]]


def test_a_call_of_a_known_tool_is_judged_as_the_guard_would(desk: PolicyDesk) -> None:
    assert explained(desk, "read_file", "path=a.txt") == ("allow", "workspace.read", [])
    assert explained(desk, "read_file", '{"path": "../a"}') == ("deny", "workspace.outside", ["inside"])
    assert explained(desk, "write_file", "path=a\u202e", "content=x", tainted=True) == ("ask", "hidden-text", ["clear"])
    assert explained(desk, "read_file", "path=a.txt", role="guest")[2] == ["as_owner"]


def test_a_call_of_an_unknown_tool_needs_its_effect(desk: PolicyDesk) -> None:
    assert explained(desk, "communicate", "to=a@b.example")[:2] == ("deny", "default.deny")
    assert explained(desk, "send_fax", effect="communicate")[:2] == ("deny", "default.deny")
    for name in ("send_fax", "nothing"):
        with pytest.raises(NotFound, match="no tool"):
            explained(desk, name)
    with pytest.raises(NotFound, match="no role"):
        explained(desk, "read", role="king")
    for wrong in ("{", "path"):
        with pytest.raises(Malformed):
            explained(desk, "read_file", wrong)


def test_what_would_change_an_answer_is_said(tmp_path: Path) -> None:
    policy = PolicyFile(tmp_path / "home.yaml", SEED, CLOCK)
    lines = "mail: {effects: [communicate], recipients: known, tainted: false, answer: allow}\nask: {effects: [communicate], answer: ask}\n"
    policy.write(lines_policy(lines, more="directory: {A: a@b.example}\n"))
    desk = PolicyDesk(policy, tmp_path, CLOCK.ms)
    assert explained(desk, "communicate", "to=x@y.example") == ("ask", "ask", ["known"])
    assert explained(desk, "communicate", "to=a@b.example") == ("allow", "mail", [])
    assert explained(desk, "communicate", "to=a@b.example", tainted=True) == ("ask", "ask", ["untainted"])


def test_addresses_are_as_far_as_the_farthest() -> None:
    tables = Tables(
        owner_addresses=frozenset({"me@x.example"}),
        org_domains=frozenset({"org.example"}),
        directory=(DirectoryEntry("A", ("a@k.example",)),),
    )
    found = [furthest(tables, given.split()) for given in
             ("hi", "ME@x.example", "b@org.example", "a@k.example", "a@k.example z@z.example", "z@not-org.example")]  # fmt: skip
    assert found == ["none", "owner", "org", "known", "other", "other"]


def test_diff_and_sign_and_check_of_an_edited_file(desk: PolicyDesk, tmp_path: Path) -> None:
    path = tmp_path / "home.yaml"
    assert desk.diff(None)["same"]
    path.write_text(path.read_text().replace("at_most_files: 5", "at_most_files: 9").replace("serial: 1", "serial: 2"))
    assert desk.check(None)[0].standing.value == "failed"
    assert "policy diff" in desk.check(None)[0].next_step
    found = desk.diff(None)
    assert {(c["effect"], c["situation"], c["before"], c["after"]) for c in found["changes"]} == {
        ("destroy", "6 files", "ask", "allow"), ("destroy", "9 files", "ask", "allow"),
    }  # fmt: skip
    assert (found["wider"], found["narrower"]) == (["workspace.delete is allowed and was not before"], [])
    assert desk.sign(None)["in_force"]
    assert desk.check(None)[0].standing.value == "ok"
    other = tmp_path / "other.yaml"
    other.write_text("format: x")
    assert "line 1, format" in desk.check(str(other))[0].found
    with pytest.raises(NotFound):
        desk.diff(str(tmp_path / "none"))


def test_init_does_not_replace_without_force(desk: PolicyDesk) -> None:
    with pytest.raises(Conflict):
        desk.init(force=False)
    desk.init(force=True)
    assert "serial 2" in desk.check(None)[0].found


def test_cases_and_matrix(desk: PolicyDesk, tmp_path: Path) -> None:
    cases = tmp_path / "cases.yaml"
    cases.write_text("cases: [{call: read, expect: allow}, {call: read, expect: deny}]")
    assert [case["held"] for case in desk.test(str(cases), None)["cases"]] == [True, False]
    found = desk.matrix(None)
    rows = {(row["role"], row["effect"]): row["answers"] for row in found["rows"]}
    assert rows["owner", "destroy"]["6 files"] == "ask"
    assert set(rows["guest", "destroy"].values()) == {"deny"}
    assert "to other" not in rows["owner", "read"]


# the ledger
TOOLS = {str(manifest.name): manifest for manifest in family_manifests()}


def judged(index: int, kind: str, answer: str, rule: str, tool: str = "delete_file", **body: Any) -> Entry:
    return Entry(EntryIndex(index), CLOCK.ms, kind, {
        "call": f"c{index}", "tool": tool, "summary": f"{tool} {index}", "arguments": {"paths": "a\nb\nc\nd\ne\nf"},
        "origins": {"paths": "owner_words"}, "context": {"integrity": "user", "readers": ["owner"]},
        "decision": {"answer": answer, "rule": rule}, **body,
    })  # fmt: skip


def replayed(entries: Iterable[Entry], new: bytes, manifests: dict[str, ToolManifest] = TOOLS) -> Any:
    return rehearse(entries, parse_policy(new), home(), manifests)


STRICTER = home_policy(1, DAY).replace(b"answer: ask\n", b"answer: deny\n", 1)
LOOSER = home_policy(1, DAY).replace(b"at_most_files: 5", b"at_most_files: 50")


def test_calls_of_the_ledger_are_judged_again_once_each() -> None:
    ledger = [
        judged(0, "asked", "ask", "workspace.delete-many"),
        judged(1, "call", "ask", "workspace.delete-many", call="c0"),
        judged(2, "denied", "deny", "workspace.outside", arguments={"paths": "../x"}),
        Entry(EntryIndex(3), CLOCK.ms, "message", {}),
    ]
    same = replayed(ledger, home_policy(2, DAY))
    assert (same.calls, same.first, dict(same.turns)) == (2, [], {("ask", "ask"): 1, ("deny", "deny"): 1})
    assert dict(replayed(ledger, STRICTER).turns) == {("ask", "deny"): 1, ("deny", "deny"): 1}
    looser = replayed(ledger, LOOSER)
    assert [(d.index, d.was, d.now, d.rule) for d in looser.first] == [(0, "ask", "allow", "workspace.delete")]


def test_a_refusal_that_was_not_the_policys_is_not_taken_back() -> None:
    ledger = [judged(0, "denied", "deny", "intent.unrequested"), judged(1, "asked", "ask", "authority.unnamed")]
    assert dict(replayed(ledger, LOOSER).turns) == {("deny", "deny"): 1, ("ask", "ask"): 1}
    assert dict(replayed(ledger, STRICTER).turns) == {("deny", "deny"): 1, ("ask", "deny"): 1}


@pytest.mark.parametrize(
    "spoilt",
    [
        {"tool": "gone"},
        {"decision": {}},
        {"context": {}},
        {"origins": {"paths": "?"}},
        {"arguments": {"nope": 1}},
        {"arguments": 3},
    ],
)
def test_what_another_release_wrote_is_counted_apart(spoilt: dict[str, Any]) -> None:
    found = replayed([judged(0, "call", "allow", "r", **spoilt)], LOOSER)
    assert (found.calls, found.unknown) == (0, 1)


def test_the_contents_that_the_ledger_leaves_out_do_not_matter() -> None:
    body = {
        "arguments": {"path": "a", "content": {"bytes": 3, "sha256": "x"}},
        "origins": {"path": "model", "content": "model"},
    }
    found = replayed([judged(0, "call", "allow", "workspace.write", tool="write_file", **body)], home_policy(1, DAY))
    assert dict(found.turns) == {("allow", "allow"): 1}


def test_the_record_counts_what_was_done_asked_answered_and_taken_back() -> None:
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("message", {}), ("receipt", {"outcome": "done"}), ("receipt", {"outcome": "failed"}), ("asked", {}), ("asked", {}),
        ("answered", {"state": "approved"}), ("answered", {"state": "denied"}), ("answered", {"state": "expired"}),
        ("denied", {}), ("undo", {}), ("unheard.of", {}),
    ]  # fmt: skip
    found = record_of(Entry(EntryIndex(n), 100 + n, kind, body) for n, (kind, body) in enumerate(kinds))
    assert (found.since_ms, found.done, found.failed, found.asked) == (100, 1, 1, 2)
    assert (found.approved, found.denied, found.unanswered, found.refused, found.undone) == (1, 1, 1, 1, 1)
    assert record_of([]).since_ms is None


def test_trust_shows_the_next_step_and_takes_it(desk: PolicyDesk) -> None:
    found = desk.trust()
    assert (found["tier"], found["next"], found["record"]["since_ms"]) == ("assist", "act", None)
    assert found["step"]["changes"] == []
    down = desk.trust_step("observe")
    assert down["wider"] == []
    assert {c["after"] for c in down["changes"]} == {"deny"}
    assert desk.set_trust("act")["serial"] == 2
    assert desk.trust()["next"] is None


def test_simulate_reads_the_days_it_was_asked_for(
    desk: PolicyDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFound, match="no ledger"):
        desk.simulate(None, None, 30)
    (tmp_path / "ledger").mkdir()
    old = Entry(EntryIndex(0), CLOCK.ms - 31 * DAY_MS, "call", judged(0, "call", "allow", "r").body)
    pages = {0: [old, judged(1, "call", "ask", "workspace.delete-many")], 2: []}
    monkeypatch.setattr("carapax.app.policy_local.read_entries", lambda place, first, limit: pages[first])
    found = desk.simulate(None, None, 30)
    assert (found["calls"], found["turns"]) == (1, [{"was": "ask", "now": "ask", "calls": 1}])
    looser = tmp_path / "looser.yaml"
    looser.write_bytes(LOOSER)
    assert desk.simulate(None, str(looser), 40)["first"][0]["now"] == "allow"


def test_the_effects_of_installed_tools_are_known() -> None:
    assert effect_tools()["delete_file"] is Effect.DESTROY
