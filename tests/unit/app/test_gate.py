"""The gate: who gets a way, what is answered, what is recorded before it, and what happens when something fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from carapax.app.gate import ENDED, KINDS, LATE_MS, REFUSALS_WRITTEN, EgressGate
from carapax.core.policy.document import Policy, parse_policy
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.egress import Hop, Traffic, Verdict
from carapax.core.terms.error import AuthorityInvalid, PolicyInvalid, Refused, SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId, ToolName
from carapax.core.terms.signal import Signal, SignalKind
from tests.attacks.sealing import KEY, MANIFEST, mint
from tests.fakes.ledger import MemoryLedger
from tests.unit.core.questions import lines_policy

ONLINE = replace(MANIFEST, name=ToolName("run_online"), online=True)
SECTION = """\
egress:
  pypi: {hosts: [pypi.org, files.example], methods: [GET], answer: allow}
  any: {hosts: ["*.many.example"], answer: allow}
  closed: {hosts: [tunnel.example], opaque: true, answer: allow}
egress_limits: {requests: 20, hosts: 3}
"""
POLICY = parse_policy(lines_policy("read: allow\n", more=SECTION))


class TheClock:
    def __init__(self) -> None:
        self.ms = 0

    def now_ms(self) -> int:
        return (
            1_900_000_000_000  # behind every deadline of `mint` lies this machine's present, so seals are fresh below
        )

    def monotonic_ms(self) -> int:
        return self.ms


class Bench:
    """A gate with what surrounds it."""

    def __init__(self, policy: Policy | Exception = POLICY) -> None:
        self.ledger = MemoryLedger()
        self.clock = TheClock()
        self.signals: list[Signal] = []
        self.policy = policy
        self.halted: Exception | None = None
        self.gate = EgressGate(
            policy=self.current, key=KEY, clock=self.clock, ledger=self.ledger, saw=self.hear, refuse=self.refuse
        )

    def current(self) -> Policy:
        if isinstance(self.policy, Exception):
            raise self.policy
        return self.policy

    def hear(self, signal: Signal) -> None:
        self.signals.append(signal)

    def refuse(self, session: SessionId) -> None:
        if self.halted is not None:
            raise self.halted

    def sealed(self, **more: Any) -> AuthorizedCall:
        return mint(**{"manifest": ONLINE, "deadline_ms": self.clock.now_ms() + 30_000} | more)

    def admitted(self) -> CallId:
        authorized = self.sealed()
        self.gate.admit(authorized)
        return authorized.call.call

    def ask(self, call: CallId, *hops: Hop) -> list[Verdict]:
        async def all_of_them() -> list[Verdict]:
            return [await self.gate.judge(call, hop) for hop in hops]

        return asyncio.run(all_of_them())

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.ledger.entries]

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        return [entry.body for entry in self.ledger.entries if entry.kind == kind]


def run(wish: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(wish)


GET = Hop("pypi.org", 443, "GET", "/simple/x/?token=abc")
OTHER = Hop("evil.example", 443, "GET", "/")


def test_a_sealed_call_of_an_online_tool_gets_a_way_once() -> None:
    bench = Bench()
    authorized = bench.sealed()
    session, allowance = bench.gate.admit(authorized)
    assert (session, allowance.requests, allowance.hosts) == ("s", 20, 3)
    with pytest.raises(AuthorityInvalid, match="already used"):
        bench.gate.admit(authorized)


def test_a_call_that_is_not_sealed_or_late_gets_none() -> None:
    bench = Bench()
    with pytest.raises(AuthorityInvalid, match="seal"):
        bench.gate.admit(bench.sealed(key=b"x" * 32))
    with pytest.raises(AuthorityInvalid, match="deadline"):
        bench.gate.admit(bench.sealed(deadline_ms=bench.clock.now_ms() - 1))


def test_a_tool_that_declares_no_network_or_that_no_line_lets_out_gets_none() -> None:
    bench = Bench()
    with pytest.raises(Refused, match="does not declare"):
        bench.gate.admit(bench.sealed(manifest=MANIFEST))
    with pytest.raises(Refused, match="does not declare"):
        bench.gate.admit(bench.sealed(manifest=replace(ONLINE, contained=True)))
    with pytest.raises(Refused, match="No line of the policy lets web_fetch out"):
        bench.gate.admit(bench.sealed(manifest=replace(ONLINE, name=ToolName("web_fetch"))))
    bench.policy = PolicyInvalid("There is none.")
    with pytest.raises(PolicyInvalid):
        bench.gate.admit(bench.sealed())


def test_while_everything_is_halted_nobody_gets_a_way_and_an_open_one_leads_nowhere() -> None:
    bench = Bench()
    call = bench.admitted()
    bench.halted = SandboxUnavailable("Everything is stopped.", next_step="`carapax resume --all` lifts it.")
    with pytest.raises(SandboxUnavailable):
        bench.gate.admit(bench.sealed())
    (verdict,) = bench.ask(call, GET)
    assert not verdict.allowed
    assert "Everything is stopped." in verdict.reason


def test_an_allowed_request_is_recorded_before_it_is_answered_and_its_repeats_are_counted() -> None:
    bench = Bench()
    call = bench.admitted()
    verdicts = bench.ask(call, GET, GET, replace(GET, path="/simple/y/"), replace(GET, host="files.example"))
    assert [verdict.allowed for verdict in verdicts] == [True] * 4
    first, second = bench.bodies("egress")
    assert first == {
        "call": call, "session": "s", "tool": "run_online", "host": "pypi.org", "port": 443, "method": "GET",
        "path": "/simple/x/", "answer": "allow", "rule": "egress.pypi", "reason": "", "secrets": [],
    }  # fmt: skip
    assert second["host"] == "files.example"
    run(bench.gate.ended(call, Traffic(4, 0, ("pypi.org", "files.example"), 10, 20)))
    (closed,) = bench.bodies("egress.closed")
    assert closed["allowed"] == [
        {"host": "files.example", "port": 443, "method": "GET", "rule": "egress.pypi", "count": 1},
        {"host": "pypi.org", "port": 443, "method": "GET", "rule": "egress.pypi", "count": 3},
    ]
    assert (closed["requests"], closed["bytes_up"], closed["bytes_down"], closed["unwritten"]) == (4, 10, 20, 0)


def test_each_use_of_a_secret_is_recorded() -> None:
    bench = Bench()
    bench.ask(bench.admitted(), replace(GET, secrets=("pypi",)), replace(GET, secrets=("pypi",)))
    assert [body["secrets"] for body in bench.bodies("egress")] == [["pypi"], ["pypi"]]


def test_a_refusal_is_recorded_with_the_reason_that_the_command_reads_and_told_to_the_breaker() -> None:
    bench = Bench()
    call = bench.admitted()
    (verdict,) = bench.ask(call, OTHER)
    (body,) = bench.bodies("egress")
    assert (body["answer"], body["rule"], body["reason"]) == ("deny", "egress.none", verdict.reason)
    assert bench.signals == [Signal(SignalKind.DENIED, SessionId("s"), call, 1, "egress.none evil.example")]


def test_the_reasons_of_refusals_are_kept_each_once_for_the_tool_that_tells_them() -> None:
    bench = Bench()
    call = bench.admitted()
    posted, other = (verdict.reason for verdict in bench.ask(call, replace(GET, method="POST"), OTHER))
    bench.ask(call, OTHER, GET)
    assert bench.gate.refusals(call) == (posted, other)
    run(bench.gate.ended(call, Traffic()))
    assert bench.gate.refusals(call) == (posted, other)
    assert bench.gate.refusals(CallId("never")) == ()


def test_after_many_refusals_the_rest_is_counted() -> None:
    bench = Bench()
    call = bench.admitted()
    bench.ask(call, *[OTHER] * (REFUSALS_WRITTEN + 5))
    assert len(bench.bodies("egress")) == REFUSALS_WRITTEN
    assert len(bench.signals) == REFUSALS_WRITTEN + 5
    run(bench.gate.ended(call, Traffic(refused=REFUSALS_WRITTEN + 5)))
    assert bench.bodies("egress.closed")[0]["unwritten"] == 5


def test_without_a_ledger_nothing_leaves() -> None:
    bench = Bench()
    call = bench.admitted()
    bench.ask(call, GET)
    bench.ledger.break_with("The disk is full.")
    again, new, refused = bench.ask(call, replace(GET, secrets=("x",)), replace(GET, host="files.example"), OTHER)
    assert not again.allowed
    assert not new.allowed
    assert not refused.allowed
    assert (new.rule, "The disk is full." in new.reason) == ("egress.ledger.unavailable", True)
    bench.ledger.break_with("")
    assert bench.ask(call, replace(GET, host="files.example"))[0].allowed
    assert bench.bodies("egress")[-1]["host"] == "files.example"


def test_a_policy_that_is_gone_or_narrower_holds_at_once() -> None:
    bench = Bench()
    call = bench.admitted()
    assert bench.ask(call, GET)[0].allowed
    bench.policy = parse_policy(lines_policy("read: allow\n"))
    assert bench.ask(call, GET)[0].rule == "egress.none"
    bench.policy = PolicyInvalid("The policy expired.")
    (verdict,) = bench.ask(call, GET)
    assert (verdict.allowed, verdict.rule) == (False, "egress.policy.invalid")
    assert "The policy expired." in verdict.reason


def test_whatever_fails_is_a_refusal() -> None:
    bench = Bench()
    call = bench.admitted()
    bench.policy = RuntimeError("a defect")
    (verdict,) = bench.ask(call, GET)
    assert (verdict.allowed, verdict.rule) == (False, "egress.defect")
    assert "a defect" not in verdict.reason


def test_a_listener_that_fails_changes_no_answer() -> None:
    bench = Bench()
    bench.hear = None  # type: ignore[assignment]
    gate = EgressGate(policy=bench.current, key=KEY, clock=bench.clock, ledger=bench.ledger, saw=bench.hear)
    authorized = bench.sealed()
    gate.admit(authorized)
    assert run(gate.judge(authorized.call.call, OTHER)).rule == "egress.none"
    gate.saw(authorized.call.call, SignalKind.UPLOADED, 5)


def test_a_call_that_was_never_admitted_or_has_ended_gets_a_no() -> None:
    bench = Bench()
    call = bench.admitted()
    run(bench.gate.ended(call, Traffic()))
    for asked in (call, CallId("never")):
        assert bench.ask(asked, GET)[0].rule == "egress.closed"
    run(bench.gate.ended(call, Traffic()))
    assert bench.kinds() == ["egress.closed"]


def test_a_way_that_ends_while_its_request_is_recorded_leads_nowhere() -> None:
    bench = Bench()
    call = bench.admitted()

    async def race() -> Verdict:
        started, go_on = asyncio.Event(), asyncio.Event()
        append = bench.ledger.append

        async def slow(kind: str, body: dict[str, Any]) -> Any:
            if kind == "egress":
                started.set()
                await go_on.wait()
            return await append(kind, body)

        bench.ledger.append = slow  # type: ignore[method-assign]
        asked = asyncio.create_task(bench.gate.judge(call, GET))
        await started.wait()
        await bench.gate.ended(call, Traffic())
        go_on.set()
        return await asked

    assert run(race()).rule == "egress.closed"


def test_after_an_entry_failed_a_request_like_an_earlier_one_is_refused_too_until_one_is_recorded() -> None:
    bench = Bench()
    call = bench.admitted()
    (first,) = bench.ask(call, GET)
    bench.ledger.break_with("The disk is full.")
    repeated = bench.ask(call, GET)  # nothing has failed yet, and this kind is recorded
    other = bench.ask(call, Hop(GET.host, GET.port, "HEAD", GET.path), GET, GET)
    assert [verdict.allowed for verdict in (first, *repeated, *other)] == [True, True, False, False, False]
    assert "The disk is full." in other[-1].reason
    bench.ledger.break_with("")
    assert [verdict.allowed for verdict in bench.ask(call, GET, GET)] == [True, True]
    assert [body["method"] for body in bench.bodies("egress")] == ["GET", "GET"]


def test_a_way_whose_figures_are_not_known_says_so() -> None:
    bench = Bench()
    run(bench.gate.ended(bench.admitted(), Traffic(lost=True)))
    run(bench.gate.ended(bench.admitted(), Traffic()))
    assert [body.get("lost", False) for body in bench.bodies("egress.closed")] == [True, False]


def test_requests_hosts_and_kinds_are_bounded() -> None:
    bench = Bench()
    verdicts = bench.ask(bench.admitted(), *[GET] * 21)
    assert [verdict.allowed for verdict in verdicts] == [True] * 20 + [False]
    assert (verdicts[-1].rule, "its 20 requests" in verdicts[-1].reason) == ("egress.budget", True)
    hops = [Hop(f"a{n}.many.example", 443, "GET", "/") for n in range(4)]
    verdicts = bench.ask(bench.admitted(), *hops, hops[0])
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False, True]
    assert "its 3 different hosts" in verdicts[3].reason
    bench.policy = replace(POLICY, allowance=replace(POLICY.allowance, requests=10_000))
    call = bench.admitted()
    methods = [Hop("a.many.example", 443, f"M{n}", "/") for n in range(KINDS + 1)]
    assert [verdict.allowed for verdict in bench.ask(call, *methods)] == [True] * KINDS + [False]


def test_a_tunnel_that_is_opened_is_neither_counted_nor_recorded_and_a_closed_one_is() -> None:
    bench = Bench()
    call = bench.admitted()
    opened, closed, nowhere = bench.ask(
        call, Hop("pypi.org", 443, "CONNECT", ""), Hop("tunnel.example", 443, "CONNECT", ""),
        Hop("evil.example", 443, "CONNECT", ""),
    )  # fmt: skip
    assert (opened.allowed, opened.opaque, closed.opaque, nowhere.allowed) == (True, False, True, False)
    assert [(body["host"], body["answer"]) for body in bench.bodies("egress")] == [
        ("tunnel.example", "allow"), ("evil.example", "deny"),
    ]  # fmt: skip
    tunnels = bench.ask(call, *[Hop("pypi.org", 443, "CONNECT", "")] * 30)
    assert all(verdict.allowed for verdict in (*tunnels, *bench.ask(call, GET)))


def test_what_the_proxy_sees_reaches_breaker_and_ledger_also_a_while_after_the_end() -> None:
    bench = Bench()
    call = bench.admitted()

    async def report() -> None:
        bench.gate.saw(call, SignalKind.MISMATCH, 1, "egress.credential evil.example")
        bench.gate.saw(call, SignalKind.HOST, 1, "pypi.org")
        await bench.gate.ended(call, Traffic())

    run(report())
    assert [signal.kind for signal in bench.signals] == [SignalKind.MISMATCH, SignalKind.HOST]
    assert bench.kinds() == ["egress.seen", "egress.closed"]
    bench.clock.ms += LATE_MS
    bench.gate.saw(call, SignalKind.UPLOADED, 7)
    assert bench.signals[-1] == Signal(SignalKind.UPLOADED, SessionId("s"), call, 7)
    bench.clock.ms += 1
    bench.gate.saw(call, SignalKind.UPLOADED, 7)
    bench.gate.saw(CallId("never"), SignalKind.UPLOADED, 7)
    assert len(bench.signals) == 3


def test_ended_ways_do_not_pile_up() -> None:
    bench = Bench()
    first = bench.admitted()

    async def many() -> None:
        await bench.gate.ended(first, Traffic())
        for _ in range(ENDED):
            await bench.gate.ended(bench.admitted(), Traffic())

    run(many())
    bench.gate.saw(first, SignalKind.UPLOADED, 1)
    assert bench.signals == []


def test_what_a_command_wrote_cannot_steer_a_terminal_or_break_the_ledger() -> None:
    bench = Bench()
    hop = Hop("evil\x1b[2J.example\ud800", 443, "GE\x1bT", "/\x1b]0;x\x07\ud800")
    (verdict,) = bench.ask(bench.admitted(), hop)
    (body,) = bench.bodies("egress")
    assert not verdict.allowed
    assert all(str(value).isprintable() for value in body.values())
