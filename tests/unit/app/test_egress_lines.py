"""Lines from refusals: as narrow as what was seen, none for what cannot be meant, and every other line left as it was."""

from __future__ import annotations

from typing import Any

import pytest

from carapax.app.egress_lines import insert_lines, propose, render_line
from carapax.core.policy.document import Policy, parse_policy
from carapax.core.policy.egress import Answer, EgressRule, decide_egress
from carapax.core.policy.home import home_policy
from carapax.core.terms.egress import Hop
from carapax.core.terms.error import Malformed, PolicyInvalid
from tests.unit.core.questions import DAY, lines_policy

HOME = home_policy(1, DAY).decode()
DENY = EgressRule("no", Answer.DENY, ("bad.example",))


def refused(
    host: str = "api.example", method: str = "GET", path: str = "/v1/users/7", **more: Any
) -> tuple[int, dict[str, Any]]:
    body = {"host": host, "port": 443, "method": method, "path": path, "tool": "run_online", "rule": "egress.none"}
    return more.pop("time_ms", 5), body | more


def with_lines(document: str, *rules: EgressRule) -> Policy:
    return parse_policy(insert_lines(document, rules).encode())


def test_a_line_names_what_was_seen_and_nothing_wider() -> None:
    seen = [
        refused(),
        refused(method="POST", path="/v1/users/8", time_ms=9),
        refused(path="/v1/items/1", tool="web_fetch"),
    ]
    (found,) = propose(seen, ())
    rule = found.rule
    assert (rule.name, rule.hosts, rule.ports, rule.answer) == ("api.example", ("api.example",), (443,), Answer.ALLOW)
    assert (rule.methods, rule.paths) == (("GET", "POST"), ("/v1/items", "/v1/users"))
    assert rule.tools == ("run_online", "web_fetch")
    assert (found.count, found.last_ms) == (3, 9)
    for _, body in seen:
        assert decide_egress((rule,), body["tool"], Hop(body["host"], 443, body["method"], body["path"])).allowed
    assert not decide_egress((rule,), "run_online", Hop("api.example", 443, "GET", "/admin")).allowed


def test_where_only_a_tunnel_was_asked_for_reading_is_proposed() -> None:
    (found,) = propose([refused(method="CONNECT", path="")], ())
    assert (found.rule.methods, found.rule.paths) == (("GET", "HEAD"), ())


def test_hosts_and_ports_get_lines_of_their_own_the_most_refused_first() -> None:
    found = propose(
        [refused("a.example"), refused("b.example"), refused("b.example"), refused("b.example", port=8443)], ()
    )
    assert [(each.rule.name, each.rule.ports) for each in found] == [
        ("b.example", (443,)), ("a.example", (443,)), ("b.example-2", (8443,)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "entry",
    [
        refused("evil.example\x1b[2J"), refused("127.0.0.1"), refused("169.254.169.254"), refused("192.168.1.1"),
        refused("localhost"), refused("::1"), refused("fd00::1"), refused(rule="egress.no"), refused(rule="egress.budget"),
        refused("bad.example"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_gets_no_line(entry: tuple[int, dict[str, Any]]) -> None:
    assert propose([entry], (DENY,)) == []


def test_what_is_allowed_by_now_gets_no_line() -> None:
    (found,) = propose([refused()], ())
    assert propose([refused()], (found.rule,)) == []


@pytest.mark.parametrize("path", ["/a/../b", "/a/*/b", "/", "/x", "", "//a/b", "/a%2fb/c"])
def test_a_path_that_names_no_plain_folder_narrows_nothing(path: str) -> None:
    assert propose([refused(path=path)], ())[0].rule.paths == ()


def test_many_folders_are_left_out() -> None:
    assert propose([refused(path=f"/a{n}/x") for n in range(4)], ())[0].rule.paths == ()


def test_an_odd_method_is_not_taken_over() -> None:
    assert propose([refused(method="GE]T"), refused(method="x")], ())[0].rule.methods == ("GET", "HEAD")
    assert propose([refused(method="WEBSOCKET")], ())[0].rule.methods == ("WEBSOCKET",)


def test_named_hosts_get_a_line_also_when_nothing_was_refused() -> None:
    found = propose([refused("other.example")], (), ["new.example", "new.example:8443"])
    assert [(each.rule.hosts, each.rule.ports, each.count) for each in found] == [
        (("new.example",), (443,), 0), (("new.example",), (8443,), 0),
    ]  # fmt: skip
    assert found[0].rule.tools == ("run_online",)


@pytest.mark.parametrize("host", ["https://a.example", "A.example", "a.example:0", "a.example:x", "", "*", "*.example.org", "127.0.0.1",
                                  "::1", "a.example:99999", "a.example:٣"])  # fmt: skip
def test_a_host_that_is_none_or_not_public_is_refused(host: str) -> None:
    with pytest.raises(Malformed):
        propose([], (), [host])


@pytest.mark.parametrize("host", ["none", "host", "1.example", "a-" + "b" * 60 + ".example", "2001:4860:4860::8888"])
def test_every_line_has_a_name_that_the_document_accepts(host: str) -> None:
    (found,) = propose([], (), [host])
    assert with_lines(HOME, found.rule).egress[-1] == found.rule


def test_a_line_of_every_kind_is_read_back_as_it_was_meant() -> None:
    rule = EgressRule(
        "all", Answer.ALLOW, ("a.example", "*.b.example", "192.0.2.1"), (443, 8443), ("GET", "POST"),
        ('/say "x"', "/é", "/a/**"), ("web_fetch", "*"), False, ("10.0.0.0/8",), 'Why: "so", # no comment',
    )  # fmt: skip
    assert '"/say \\"x\\""' in render_line(rule)
    spaced = EgressRule("p", Answer.ALLOW, ("a.example",), paths=("/a'b,c]d", "/{x}"))
    closed = EgressRule("c", Answer.ALLOW, ("a.example",), opaque=True)
    plain = EgressRule("all", rule.answer, rule.hosts, rule.ports, rule.methods, ("/é", "/a/**"), rule.tools, False,
                       rule.addresses, rule.because)  # fmt: skip
    assert with_lines(HOME, plain, spaced, closed, DENY).egress[-4:] == (plain, spaced, closed, DENY)


def test_every_other_line_of_the_document_stays_as_it_was() -> None:
    (found,) = propose([refused()], ())
    edited = insert_lines(HOME, [found.rule])
    assert edited.replace(render_line(found.rule), "", 1) == HOME
    assert parse_policy(edited.encode()).egress == (*parse_policy(HOME.encode()).egress, found.rule)


@pytest.mark.parametrize(
    "section",
    [
        "", "egress: {}\n", "egress: {}   # nothing yet\n", "egress:\n", "egress:   # nothing yet\n\n",
        "egress:\n    wide:\n        hosts: [a.example]\n        answer: allow\n    # the end\n\n\n",
        "egress:\n  # none\n", "egress:\n  a: {hosts: [a.example], answer: allow}   \n\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("after", ["", "egress_limits: {requests: 5}\n", "# a comment\nrules: |\n"])
def test_a_section_of_any_shape_takes_a_line(section: str, after: str) -> None:
    document = lines_policy("read: allow\n", more=section + after).decode()
    before = parse_policy(document.encode())
    (found,) = propose([refused()], ())
    policy = with_lines(document, found.rule)
    assert policy.egress == (*before.egress, found.rule)
    assert policy.allowance == before.allowance
    assert with_lines(insert_lines(document, [found.rule]), DENY).egress == (*before.egress, found.rule, DENY)


def test_a_section_that_is_not_written_in_lines_is_left_alone() -> None:
    document = lines_policy("read: allow\n", more="egress: {a: {hosts: [a.example], answer: allow}}\n").decode()
    with pytest.raises(PolicyInvalid, match="cannot be changed from here"):
        insert_lines(document, [DENY])
