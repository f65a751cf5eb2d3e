"""The self-test's way out: what works through it, what is refused, and that a broken proxy is seen."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import secrets
import shutil
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.adapter import BwrapSandbox
from carapax.adapters.sandbox.selftest import EXPECTED, Tried, try_online
from carapax.adapters.sandbox.selftest.online import REASON, REFUSED_HOST
from carapax.adapters.sandbox.selftest.served import WORD, served
from carapax.app.trial_proxy import HOST, resolve
from carapax.app.trial_server import serving
from carapax.app.way_probe import TrialGate, TrialKeeper, trial_way
from carapax.core.terms.check import Check, Standing
from carapax.core.terms.egress import Hop, Traffic, Way
from carapax.core.terms.error import EgressUnavailable, Refused
from carapax.core.terms.ids import CallId
from carapax.ports.sandbox import Job, Ran
from tests.attacks.sealing import WallClock, mint

TOOLS = ("python", "curl", "git", "node", "pip")
REFUSED = "a request to a host that no line allows"
PAST = "a connection past the way out"


class MadeUpWay:
    """Implements selftest.Online without any proxy: remembers what was opened and closed."""

    base, port = "https://nowhere.example:1", 9

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.opened: list[CallId] = []
        self.closed: list[CallId] = []

    async def open_trial(self, call: CallId) -> Way:
        if self.fault:
            raise EgressUnavailable(self.fault, next_step="Mend it.")
        self.opened.append(call)
        return Way(call, "token")

    async def close_way(self, way: Way) -> Traffic:
        self.closed.append(way.call)
        return Traffic()


def answering(past: str, refusal: bytes, tool: bytes, code: int = 0) -> Callable[[Job, Path], Awaitable[Ran]]:
    """A tier that says what it is told to say."""

    async def start(job: Job, _: Path) -> Ran:
        assert job.way is not None
        if job.argv[0] == "/bin/sh":
            return Ran(code, tool, False, "", 1)
        return Ran(0, refusal if job.argv[-1] == REFUSED_HOST else past.encode(), False, "", 1)

    return start


GOOD_PAST = "".join(f"{name}\t{EXPECTED[name].expected[0]}\n" for name in ("loopback", "route", "route-6", "dns"))
GOOD_REFUSAL = b"HTTP/1.1 403 Forbidden\r\n\r\n" + REASON.encode()


def judged(start: Callable[[Job, Path], Awaitable[Ran]], way: MadeUpWay) -> dict[str, Check]:
    checks = asyncio.run(try_online(Tried(start, Bounds(), online=way)))
    for check in checks:
        assert check.standing is Standing.OK or check.next_step, check
    return {check.name: check for check in checks}


@pytest.mark.namespace
def test_every_tool_works_through_the_proxy_and_nothing_else_gets_out(tmp_path: Path) -> None:
    with trial_way() as online:
        (tmp_path / "work").mkdir()
        key = secrets.token_bytes(32)
        sandbox = BwrapSandbox(tmp_path / "work", key, WallClock(), attach=online.attach, online=online)
        try:
            checks = {check.name: check for check in asyncio.run(sandbox.probe())}
        finally:
            sandbox.close()
    assert [check for check in checks.values() if check.standing is Standing.FAILED] == []
    present = [tool for tool in ("python", "curl", "git", "node") if tool == "python" or shutil.which(tool)]
    assert [checks[f"{tool} works through the way out"].found for tool in present] == ["it does"] * len(present)
    assert checks[REFUSED].found == "refused (403, with the reason)"
    assert checks[PAST].found.startswith("refused (")


def test_without_a_way_nothing_of_it_is_tried() -> None:
    async def start(_: Job, __: Path) -> Ran:
        raise AssertionError

    assert asyncio.run(try_online(Tried(start, Bounds()))) == ()


def test_each_job_gets_a_way_of_its_own_that_is_closed() -> None:
    way = MadeUpWay()
    checks = judged(answering(GOOD_PAST, GOOD_REFUSAL, WORD.encode() + b"\n"), way)
    assert {check.standing for check in checks.values()} == {Standing.OK}
    assert len(checks) == len(TOOLS) + 2
    assert sorted(way.opened) == sorted(way.closed)
    assert len(set(way.opened)) == len(checks)


@pytest.mark.parametrize(
    "refusal",
    [b"", b"HTTP/1.1 200 OK\r\n\r\n" + REASON.encode(), b"HTTP/1.1 403 Forbidden\r\n\r\n", b"HTTP/1.1 502 Bad\r\n\r\n"],
)
def test_a_refusal_that_is_not_exactly_the_expected_one_fails(refusal: bytes) -> None:
    found = judged(answering(GOOD_PAST, refusal, WORD.encode()), MadeUpWay())[REFUSED]
    assert found.standing is Standing.FAILED


@pytest.mark.parametrize("name", ["loopback", "route", "route-6", "dns"])
def test_a_connection_past_the_way_fails(name: str) -> None:
    for past in (
        re.sub(rf"(?m)^{name}\t.*$", f"{name}\topen", GOOD_PAST),
        re.sub(rf"(?m)^{name}\t.*\n", "", GOOD_PAST),
    ):
        assert past != GOOD_PAST
        found = judged(answering(past, GOOD_REFUSAL, WORD.encode()), MadeUpWay())[PAST]
        assert found.standing is Standing.FAILED
        assert EXPECTED[name].words in found.found


def test_a_tool_that_does_not_work_is_a_warning_that_quotes_it() -> None:
    for tool, code in ((b"certificate verify failed", 60), (b"certificate verify failed", 0), (WORD.encode(), 1)):
        found = judged(answering(GOOD_PAST, GOOD_REFUSAL, tool, code), MadeUpWay())["git works through the way out"]
        assert found.standing is Standing.WARNING
        assert tool.decode() in found.found


def test_a_tool_that_is_not_installed_is_named_in_one_line() -> None:
    checks = judged(answering(GOOD_PAST, GOOD_REFUSAL, b"carapax: not installed\n"), MadeUpWay())
    assert set(checks) == {REFUSED, PAST, "other tools through the way out"}
    assert checks["other tools through the way out"].found.endswith("python, curl, git, node, pip")


def test_a_proxy_that_does_not_start_is_said_and_nothing_is_claimed() -> None:
    way = MadeUpWay("The egress proxy does not answer.")
    checks = judged(answering(GOOD_PAST, GOOD_REFUSAL, WORD.encode()), way)
    assert {check.standing for check in checks.values()} == {Standing.WARNING}
    assert all("does not answer" in check.found for check in checks.values())
    assert way.closed == []


def test_the_trial_gate_lets_one_host_and_port_through_and_admits_no_call() -> None:
    gate = TrialGate(4430)

    def answer(host: str, port: int) -> tuple[bool, tuple[str, ...]]:
        verdict = asyncio.run(gate.judge(CallId("c"), Hop(host, port, "GET", "/")))
        return verdict.allowed, verdict.pinned

    assert answer(HOST, 4430) == (True, ("127.0.0.1/32",))
    for host, port in ((HOST, 443), ("127.0.0.1", 4430), ("localhost", 4430), (f"x.{HOST}", 4430), ("", 4430)):
        assert answer(host, port) == (False, ())
    with pytest.raises(Refused):
        gate.admit(mint())
    with trial_way() as online, pytest.raises(Refused):
        asyncio.run(online.open_way(mint()))


def test_the_trial_proxy_knows_one_name_and_asks_nobody() -> None:
    assert asyncio.run(resolve(HOST, 1)) == ["127.0.0.1"]
    assert asyncio.run(resolve("localhost", 1)) == []


def test_the_service_is_known_by_its_own_authority_and_goes_with_its_block() -> None:
    with serving(HOST, served()) as service:
        context = ssl.create_default_context(cadata=service.authority)
        silent = socket.create_connection(("127.0.0.1", service.port), 10)  # holds up nobody
        with (
            socket.create_connection(("127.0.0.1", service.port), 10) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as secured,
        ):
            secured.sendall(b"GET /page HTTP/1.1\r\nhost: x\r\n\r\n")
            said = b"".join(iter(lambda: secured.recv(4096), b""))
        with (
            socket.create_connection(("127.0.0.1", service.port), 10) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            ssl.create_default_context().wrap_socket(plain, server_hostname=HOST)
        silent.close()
    assert said.startswith(b"HTTP/1.1 200") and said.endswith(WORD.encode())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", service.port), 10)


def test_the_keeper_is_the_real_one_with_another_process() -> None:
    with trial_way() as online:
        assert isinstance(online, TrialKeeper)
        assert online.base == f"https://{HOST}:{online.port}"
        words = dataclasses.asdict(Traffic())
        assert asyncio.run(online.close_way(Way(CallId("gone"), "token"))) == Traffic(**words)
