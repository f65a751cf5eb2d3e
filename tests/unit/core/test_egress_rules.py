"""Egress rules: each condition has a hop that it lets out and one that it does not, and the refusal says what to do."""

from __future__ import annotations

import pytest

from carapax.core.policy.egress import Answer, EgressRule, decide_egress, fits_path, is_host, lets_out
from carapax.core.terms.egress import Hop

TOOL = "run_online"


def hop(
    host: str = "pypi.org", path: str = "/simple/x/", method: str = "GET", port: int = 443, *, websocket: bool = False
) -> Hop:
    return Hop(host, port, method, path, websocket=websocket)


def allow(name: str = "line", hosts: tuple[str, ...] = ("pypi.org",), **more: object) -> EgressRule:
    return EgressRule(name, Answer.ALLOW, hosts, **more)  # type: ignore[arg-type]


def deny(hosts: tuple[str, ...] = ("pypi.org",), **more: object) -> EgressRule:
    return EgressRule("no", Answer.DENY, hosts, **more)  # type: ignore[arg-type]


def lets(rule: EgressRule, asked: Hop, tool: str = TOOL) -> bool:
    return decide_egress((rule,), tool, asked).allowed


@pytest.mark.parametrize(
    ("rule", "fits", "fits_not"),
    [
        (allow(), hop(), hop("pypi.example")),
        (allow(ports=(8443,)), hop(port=8443), hop()),
        (allow(methods=("GET", "HEAD")), hop(method="HEAD"), hop(method="POST")),
        (allow(methods=("GET",)), hop(), hop(method="get")),
        (allow(methods=("GET",)), hop(), hop(websocket=True)),
        (allow(methods=("WEBSOCKET",)), hop(websocket=True), hop()),
        (allow(paths=("/simple",)), hop(path="/simple"), hop(path="/simplex")),
        (allow(paths=("/simple",)), hop(path="/simple/a?b=/c"), hop(path="/?/simple")),
        (allow(paths=("/simple/",)), hop(path="/simple/a"), hop(path="/simple")),
        (allow(paths=("/a/*/c",)), hop(path="/a/b/c"), hop(path="/a/b/c/d")),
        (allow(paths=("/a/*/c",)), hop(path="/a/b/c"), hop(path="/a/b/b/c")),
        (allow(paths=("/**/info/refs",)), hop(path="/o/r.git/info/refs?service=x"), hop(path="/o/r.git/info/refsx")),
        (allow(paths=("/simple/**",)), hop(path="/simple/a/b/"), hop(path="/other/simple/a")),
        (allow(paths=("/r-*.whl",)), hop(path="/r-1.whl"), hop(path="/r-1/x.whl")),
        (allow(hosts=("*.example.org",)), hop("a.b.example.org"), hop("example.org")),
        (allow(hosts=("*",)), hop("a.example.org"), hop("192.0.2.1")),
        (allow(hosts=("*",)), hop("a.example.org"), hop("localhost")),
        (allow(hosts=("192.0.2.1",)), hop("192.0.2.1"), hop("192.0.2.10")),
        (allow(hosts=("2001:db8::1",)), hop("2001:db8::1"), hop("2001:db8::2")),
    ],
)
def test_each_condition_lets_out_what_it_names_and_nothing_beside_it(
    rule: EgressRule, fits: Hop, fits_not: Hop
) -> None:
    assert lets(rule, fits)
    assert not lets(rule, fits_not)


def test_a_line_is_about_the_command_with_a_way_out_unless_it_names_tools() -> None:
    assert lets(allow(), hop())
    assert not lets(allow(), hop(), "web_fetch")
    assert lets(allow(tools=("web_fetch",)), hop(), "web_fetch")
    assert not lets(allow(tools=("web_fetch",)), hop())
    assert lets(allow(tools=("*",)), hop(), "anything")


def test_a_denying_line_wins_wherever_it_stands() -> None:
    rules = (allow(), deny(paths=("/admin",)))
    for order in (rules, rules[::-1]):
        assert decide_egress(order, TOOL, hop()).allowed
        found = decide_egress(order, TOOL, hop(path="/admin/x"))
        assert (found.allowed, found.rule) == (False, "egress.no")
    assert not decide_egress((allow(), deny(methods=("GET",))), TOOL, hop(websocket=True)).allowed
    assert decide_egress((allow(), deny(methods=("POST",))), TOOL, hop()).allowed
    assert decide_egress((allow(), deny(tools=("web_fetch",))), TOOL, hop()).allowed
    assert decide_egress((deny(because="Not there."),), TOOL, hop()).reason.startswith("Not there. ")


def test_a_denied_path_cannot_be_reached_by_spelling_it_oddly() -> None:
    for path in ("/x/../admin", "/%61dmin/../admin", "/x%2f..%2fadmin", "//admin"):
        assert not decide_egress((allow(), deny(paths=("/admin",))), TOOL, hop(path=path)).allowed


def test_a_tunnel_is_opened_unless_a_line_says_that_it_stays_closed() -> None:
    tunnel = hop(path="", method="CONNECT")
    narrow, closed = allow(methods=("GET",), paths=("/a",)), allow("closed", opaque=True)
    assert (decide_egress((narrow,), TOOL, tunnel).allowed, decide_egress((narrow,), TOOL, tunnel).opaque) == (
        True,
        False,
    )
    found = decide_egress((narrow, closed), TOOL, tunnel)
    assert (found.rule, found.opaque) == ("egress.closed", True)
    assert not decide_egress((closed,), TOOL, hop()).opaque
    assert not decide_egress((), TOOL, tunnel).allowed
    # What is denied in part has to be seen, so the tunnel is opened; what is denied whole is refused at once.
    assert not decide_egress((closed, deny(paths=("/a",))), TOOL, tunnel).opaque
    assert not decide_egress((closed, deny()), TOOL, tunnel).allowed


def test_a_connect_within_a_tunnel_is_a_request_like_any_other() -> None:
    inner = hop(path="/x", method="CONNECT")
    assert not lets(allow(methods=("GET",)), inner)
    assert not decide_egress((allow(opaque=True),), TOOL, inner).opaque


def test_addresses_are_those_of_the_lines_that_let_it_out() -> None:
    near, far = allow("near", addresses=("192.168.1.0/24",)), allow("far", addresses=("10.0.0.0/8",), methods=("POST",))
    assert decide_egress((near, far), TOOL, hop()).pinned == ("192.168.1.0/24",)
    assert decide_egress((near, far), TOOL, hop(method="POST")).pinned == ("192.168.1.0/24", "10.0.0.0/8")
    assert decide_egress((allow(),), TOOL, hop()).pinned == ()


@pytest.mark.parametrize(
    ("rule", "asked", "words"),
    [
        (allow(), hop("other.example"), "`carapax egress allow other.example`"),
        (allow(), hop(port=8080), "reach pypi.org:8080"),
        (allow(methods=("GET", "HEAD")), hop(method="POST"), "with GET, HEAD only, not with POST"),
        (allow(methods=("GET",)), hop(method="P\x1b[2J"), "not with another method"),
        (allow(paths=("/simple",)), hop(path="/other"), "only some paths of pypi.org"),
        (allow(paths=("/simple",)), hop(path="/simple/../x"), "read as two places"),
        (allow(), hop("Pypi.org\x1b"), "not spelled as a host name"),
        (allow(hosts=("2001:db8::1",)), hop("2001:db8::2"), "reach [2001:db8::2]"),
    ],
)
def test_a_refusal_says_what_was_refused_and_what_to_do(rule: EgressRule, asked: Hop, words: str) -> None:
    found = decide_egress((rule,), TOOL, asked)
    assert not found.allowed
    assert words in found.reason
    assert "\x1b" not in found.reason
    assert found.reason.endswith(".")


@pytest.mark.parametrize(
    "host",
    ["", ".", "pypi.org.", "PYPI.org", "pypi..org", "-a.example", "a-.example", "127.1", "0x7f.0.0.1", "0177.0.0.1",
     "2130706433", "1.2.3.4.5", "a b.example", "a/b.example", "user@pypi.org", "pypi.org:443", "[::1]", "::1%lo", "::0001",
     "bücher.example", "a" * 64 + ".example", "a." * 127 + "toolong", "pypi.org\n", "x.0x1"],
)  # fmt: skip
def test_what_is_not_spelled_as_a_host_leaves_by_no_line(host: str) -> None:
    assert not is_host(host)
    found = decide_egress((allow(hosts=("*", host or "x"), tools=("*",)),), TOOL, hop(host))
    assert (found.allowed, found.rule) == (False, "egress.host")


def test_a_path_with_many_stars_is_matched_in_bounded_time() -> None:
    assert not fits_path("/" + "a*" * 100 + "b", "/" + "a" * 20_000)
    assert fits_path("/**" * 20 + "/x", "/a" * 400 + "/x")


def test_whether_a_tool_is_let_out_at_all() -> None:
    assert lets_out((allow(),), TOOL)
    assert not lets_out((allow(), deny(tools=("web_fetch",))), "web_fetch")
    assert not lets_out((), TOOL)
