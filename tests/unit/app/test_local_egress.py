"""`carapax egress` on this machine: what left, why something does not, and writing lines that a person picked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.ledger.file_ledger import FileLedger
from carapax.app.local_egress import DAY_MS, PAGE, EgressDesk
from carapax.app.policy_file import PolicyFile
from carapax.core.policy.egress import decide_egress
from carapax.core.terms.egress import Hop
from carapax.core.terms.error import Malformed, NotFound, PolicyInvalid
from tests.unit.app.test_policy_file import SEED, ToldClock

CLOCK = ToldClock()


def entry(host: str, answer: str = "deny", session: str = "01AAAA", rule: str = "egress.none") -> dict[str, Any]:
    return {
        "call": "c", "session": session, "tool": "run_online", "host": host, "port": 443, "method": "CONNECT", "path": "",
        "answer": answer, "rule": rule, "reason": "", "secrets": [],
    }  # fmt: skip


def write(folder: Path, *entries: tuple[str, dict[str, Any]], clock: ToldClock = CLOCK) -> None:
    async def append() -> None:
        ledger = FileLedger.open(folder, bytes(range(32)), "test.example/ledger", clock)
        for kind, body in entries:
            await ledger.append(kind, body)
        await ledger.close()

    asyncio.run(append())


@pytest.fixture
def policy(tmp_path: Path) -> PolicyFile:
    made = PolicyFile(tmp_path / "home.yaml", SEED, CLOCK)
    made.write_home()
    return made


@pytest.fixture
def desk(policy: PolicyFile, tmp_path: Path) -> EgressDesk:
    write(
        tmp_path / "ledger",
        ("egress", entry("pypi.org", "allow", rule="egress.packages")),
        ("call", {"tool": "run_online"}),
        ("egress", entry("a.example")),
        ("egress", entry("b.example", session="01BBBB")),
        (
            "egress.seen",
            {"call": "c", "session": "01AAAA", "tool": "run_online", "kind": "mismatch", "amount": 1, "detail": "x"},
        ),
        ("egress.closed", {"call": "c", "session": "01AAAA"}),
    )
    return EgressDesk(policy, tmp_path / "ledger", CLOCK.ms)


def hosts(found: Any) -> list[str]:
    return [str(each["body"].get("host", each["kind"])) for each in found]


def test_the_log_is_what_concerns_the_way_out_in_order(desk: EgressDesk) -> None:
    assert hosts(desk.log("", False, 50)) == ["pypi.org", "a.example", "b.example", "egress.seen", "egress.closed"]
    assert hosts(desk.log("", True, 50)) == ["a.example", "b.example", "egress.seen"]
    assert hosts(desk.log("AAAA", True, 50)) == ["a.example", "egress.seen"]
    assert hosts(desk.log("", False, 2)) == ["egress.seen", "egress.closed"]
    assert desk.log("", False, 1)[0]["index"] == 5


def test_the_log_reaches_back_over_pages(policy: PolicyFile, tmp_path: Path) -> None:
    write(tmp_path / "long", ("egress", entry("old.example")), *[("call", {"n": n}) for n in range(PAGE + 5)],
          ("egress", entry("new.example")))  # fmt: skip
    assert hosts(EgressDesk(policy, tmp_path / "long", CLOCK.ms).log("", False, 10)) == ["old.example", "new.example"]


def test_without_a_ledger_there_is_nothing_to_show(policy: PolicyFile, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        EgressDesk(policy, tmp_path / "none", CLOCK.ms).log("", False, 10)
    (found,) = EgressDesk(policy, tmp_path / "none", CLOCK.ms).proposals(["new.example"], 7)
    assert (found["host"], found["count"]) == ("new.example", 0)


def test_why_names_the_line_and_what_the_tool_may(desk: EgressDesk) -> None:
    found = desk.why("https://pypi.org/project/x/?y=z", "run_online", "GET")
    assert (found["answer"], found["rule"], found["line"]) == ("allow", "egress.packages", "")
    assert found["request"] == "GET https://pypi.org/project/x/"
    assert (found["tool_answer"], found["tool_rule"]) == ("allow", "shell.online")
    found = desk.why("pypi.org/simple", "run_online", "POST")
    assert (found["answer"], found["rule"]) == ("deny", "egress.none")
    assert "methods: [POST]" in found["line"]
    assert desk.why("https://any.example", "web_fetch", "GET")["rule"] == "egress.pages"
    assert desk.why("https://any.example", "unknown_tool", "GET")["tool_answer"] == ""
    assert "tools: [web_fetch]" in desk.why("https://a.example/x/y", "web_fetch", "POST")["line"]


def test_why_says_that_nothing_goes_in_clear_and_proposes_nothing_for_what_is_not_public(desk: EgressDesk) -> None:
    found = desk.why("http://other.example/", "run_online", "GET")
    assert (found["answer"], found["rule"], found["line"]) == ("deny", "egress.plain", "")
    assert desk.why("https://127.0.0.1/", "run_online", "GET")["line"] == ""
    assert desk.why("wss://pypi.org/", "run_online", "GET")["answer"] == "deny"


def test_a_line_that_would_let_clear_text_out_does_not_make_it_so(desk: EgressDesk, policy: PolicyFile) -> None:
    policy.write(
        policy.path.read_text()
        .replace("hosts: [pypi.org,", "ports: [80]\n    hosts: [pypi.org,")
        .replace("serial: 1", "serial: 2")
        .encode()
    )
    found = desk.why("http://pypi.org/", "run_online", "GET")
    assert (found["answer"], found["rule"]) == ("deny", "egress.plain")


@pytest.mark.parametrize("url", ["", "ftp://a.example", "https://", "https://u:p@a.example", "https://a b.example", "https://a.example:x",
                                 "https://127.1/", "https://[::1", "https://a..example"])  # fmt: skip
def test_what_is_no_address_is_refused(desk: EgressDesk, url: str) -> None:
    with pytest.raises(Malformed):
        desk.why(url, "run_online", "GET")


def test_a_name_in_other_letters_is_looked_up_as_it_travels(desk: EgressDesk) -> None:
    assert desk.why("https://BÜCHER.example/", "run_online", "GET")["request"] == "GET https://xn--bcher-kva.example/"


def test_picked_lines_are_written_signed_and_in_force(desk: EgressDesk, policy: PolicyFile) -> None:
    before = policy.current()
    first, second = desk.proposals((), 7)
    assert (first["host"], first["count"], first["tools"]) == ("a.example", 1, ["run_online"])
    assert first["wider"] == ["egress.a.example lets run_online reach a.example (GET, HEAD)"]
    done = desk.allow([second["name"]])
    assert (done["serial"], done["lines"]) == (2, ["b.example"])
    policy = PolicyFile(policy.path, SEED, CLOCK)
    after = policy.current()
    assert decide_egress(after.egress, "run_online", Hop("b.example", 443, "GET", "/")).allowed
    assert not decide_egress(after.egress, "run_online", Hop("a.example", 443, "GET", "/")).allowed
    assert after.capabilities == before.capabilities
    assert "# Where the tools that have a way out may go." in policy.path.read_text()
    assert [each["host"] for each in desk.proposals((), 7)] == ["a.example"]


def test_old_refusals_are_left_alone(policy: PolicyFile, tmp_path: Path) -> None:
    past = ToldClock()
    past.ms = CLOCK.ms - 8 * DAY_MS
    write(tmp_path / "past", ("egress", entry("old.example")), clock=past)
    desk = EgressDesk(policy, tmp_path / "past", CLOCK.ms)
    assert desk.proposals((), 7) == []
    assert [each["host"] for each in desk.proposals((), 9)] == ["old.example"]


def test_only_what_was_proposed_can_be_allowed(desk: EgressDesk, policy: PolicyFile) -> None:
    desk.proposals(("new.example",), 7)
    for names in (["a.example"], [], ["new.example", "other"]):
        with pytest.raises(NotFound):
            desk.allow(names)
    assert policy.current().serial == 1
    assert desk.allow(["new.example"])["serial"] == 2


def test_where_others_must_sign_nothing_is_written(desk: EgressDesk, policy: PolicyFile) -> None:
    key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    text = (
        policy.path.read_text()
        .replace("signers: {}", f"signers: {{anna: {key}}}")
        .replace("widening_needs: 1 ", "widening_needs: 2 ")
    )
    policy.write(text.replace("serial: 1", "serial: 2").encode())
    desk.proposals((), 7)
    with pytest.raises(PolicyInvalid, match="needs 2 signatures"):
        desk.allow(["a.example"])
    assert PolicyFile(policy.path, SEED, CLOCK).current().serial == 2
