"""The attack: a request spelled so that a rule lets it out although it goes somewhere else."""

from __future__ import annotations

import pytest

from carapax.core.policy.document import parse_policy
from carapax.core.policy.egress import decide_egress
from carapax.core.policy.home import home_policy
from carapax.core.terms.egress import Hop
from tests.unit.core.questions import DAY

NARROW = """\
egress:
  registry:
    hosts: [pypi.org, "*.pypi.org"]
    methods: [GET, HEAD]
    paths: [/simple, "/files/*.whl"]
    answer: allow
  hook:
    hosts: [hooks.example]
    answer: allow
  no-hook:
    hosts: [hooks.example]
    paths: [/admin]
    answer: deny
"""
POLICY = parse_policy(
    home_policy(1, DAY).decode().replace("egress:\n", "unused:\n", 1).split("unused:\n")[0].encode()
    + NARROW.encode()
    + b"caps: {}\napprovals: {minutes: 15}\nbudgets: {turn: {}, session: {}, day: {}}\n"
)
"""The home policy's capabilities with a narrow way out."""


def answer(host: str, path: str = "/simple/x/", method: str = "GET", port: int = 443, tool: str = "run_online") -> bool:
    return decide_egress(POLICY.egress, tool, Hop(host, port, method, path)).allowed


def test_the_way_that_is_meant_is_open() -> None:
    assert answer("pypi.org")
    assert answer("a.pypi.org", "/files/x-1.whl")
    assert answer("hooks.example", "/x", "POST")


@pytest.mark.parametrize(
    "host",
    [
        "evilpypi.org", "pypi.org.evil.example", "pypi.orgevil.example", "xn--pypi-.org", "pypi-org.example", "pypi.orq",
        "pypi.org.", ".pypi.org", "pypi..org", "PyPI.org", "pypi.org:443", "pypi.org@evil.example", "evil.example#.pypi.org",
        "evil.example/.pypi.org", "evil.example\\.pypi.org", "evil.example?.pypi.org", "evil.example%00.pypi.org",
        "evil.example\x00.pypi.org", "evil.example .pypi.org", "evil.example\n.pypi.org", "pypi.org\r\nhost: evil.example",
        "*.pypi.org", "*", "", "pypi", "org", "pypi%2eorg", "pypi。org", "pyрi.org", "pypi.org\u200b", "[pypi.org]",
        "151.101.0.223", "::ffff:151.101.0.223", "2539782367", "0x97.0x65.0.0xdf", "127.0.0.1", "localhost",
    ],
)  # fmt: skip
def test_a_host_that_only_looks_like_an_allowed_one_is_refused(host: str) -> None:
    assert not answer(host)


@pytest.mark.parametrize(
    "path",
    [
        "/simple/../legacy/", "/simple/..;/legacy/", "/simple/./x", "/simple/..", "/simple/%2e%2e/legacy/",
        "/simple/.%2e/legacy/", "/simple/%2E%2E/legacy/", "/simple%2f..%2flegacy", "/simple/..%2flegacy", "/simple/%5c..%5c",
        "/simple\\..\\legacy", "//simple/x", "/simple//x", "/simple/%252e%252e/legacy", "/simple/%00", "/simple/%zz",
        "/simple/x\r\nHost: evil.example", "/simple /x", "/simplex", "/Simple/x", "/simple%20/../x", "simple/x", "",
        "http://evil.example", "*", "/?/simple/x", "/#/simple/x", "/files/a/b.whl", "/files/x.whl/../../legacy",
        "/files/x.whlx", "/files/x%2fy.whl", "/;/simple/x", "/legacy/?next=/simple/x",
    ],
)  # fmt: skip
def test_a_path_that_only_looks_like_an_allowed_one_is_refused(path: str) -> None:
    assert not answer("pypi.org", path)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "Get", "GET ", " GET", "GETX", "", "CONNECT",
                                    "WEBSOCKET", "GET\r\nPOST"])  # fmt: skip
def test_a_method_that_is_not_named_is_refused(method: str) -> None:
    assert not answer("pypi.org", method=method)


@pytest.mark.parametrize("path", ["/admin", "/admin/x", "/x/../admin", "//admin", "/%61dmin", "/adm%69n/x", "/admin;x", "/admin%3bx",
                                  "/x/%2e%2e/admin", "/.;/admin",
                                  "/admin/?", "/admin?x=1", "/admin#x", "\\admin", "admin"])  # fmt: skip
def test_a_denied_path_is_not_reached_round_about(path: str) -> None:
    assert not answer("hooks.example", path)


@pytest.mark.parametrize(("port", "tool"), [(80, "run_online"), (8443, "run_online"), (0, "run_online"), (-1, "run_online"),
                                            (443, "web_fetch"), (443, "run_online "), (443, ""), (443, "*"), (443, "Run_Online")])  # fmt: skip
def test_another_port_or_tool_is_refused(port: int, tool: str) -> None:
    assert not answer("pypi.org", port=port, tool=tool)


def test_an_upgrade_is_not_a_reading() -> None:
    assert not decide_egress(
        POLICY.egress, "run_online", Hop("pypi.org", 443, "GET", "/simple/x", websocket=True)
    ).allowed
