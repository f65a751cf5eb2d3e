"""What every decider of the egress proxy keeps, seen through ports.egress.Gate alone: the real one and the proxy tests' fake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from carapax.app.gate import EgressGate
from carapax.core.policy.document import parse_policy
from carapax.core.terms.egress import Hop, Traffic
from carapax.core.terms.ids import CallId, SessionId, ToolName
from carapax.core.terms.signal import SignalKind
from carapax.ports.egress import Gate
from tests.attacks.sealing import KEY, MANIFEST, WallClock, mint
from tests.fakes.gate import FakeGate
from tests.fakes.ledger import MemoryLedger
from tests.unit.core.questions import lines_policy

LINE = "egress: {test: {hosts: [allowed.example], answer: allow, addresses: [127.0.0.0/8]}}\n"
POLICY = parse_policy(lines_policy("read: allow\n", more=LINE))
ONLINE = replace(MANIFEST, name=ToolName("run_online"), online=True)


def real() -> Gate:
    return EgressGate(policy=lambda: POLICY, key=KEY, clock=WallClock(), ledger=MemoryLedger(), saw=lambda _: None)


Make = Callable[[], Gate]
every_gate = pytest.mark.parametrize("make", [real, FakeGate], ids=["real", "fake"])


def admitted(gate: Gate) -> CallId:
    authorized = mint(manifest=ONLINE)
    session, allowance = gate.admit(authorized)
    assert session == SessionId("s")
    assert allowance.requests > 0
    return authorized.call.call


@every_gate
def test_a_host_that_is_allowed_is_and_another_is_refused_with_a_rule_and_a_sentence(make: Make) -> None:
    gate = make()
    call = admitted(gate)
    for method, path in (("CONNECT", ""), ("GET", "/x")):
        yes = asyncio.run(gate.judge(call, Hop("allowed.example", 443, method, path)))
        assert yes.allowed
        assert yes.rule.startswith("egress.")
        assert not yes.opaque
        no = asyncio.run(gate.judge(call, Hop("denied.example", 443, method, path)))
        assert not no.allowed
        assert no.rule.startswith("egress.")
        assert "denied.example" in no.reason
        assert no.reason.endswith(".")


@every_gate
def test_where_an_address_may_lie_inwards_the_answer_says_so(make: Make) -> None:
    gate = make()
    verdict = asyncio.run(gate.judge(admitted(gate), Hop("allowed.example", 443, "GET", "/")))
    assert verdict.pinned == ("127.0.0.0/8",)


@every_gate
@pytest.mark.parametrize("kind", list(SignalKind))
def test_a_report_never_raises_whoever_it_is_about(make: Make, kind: SignalKind) -> None:
    gate = make()

    async def report() -> None:
        call = admitted(gate)
        gate.saw(call, kind)
        await gate.ended(call, Traffic())
        gate.saw(call, kind, 7, "late")
        gate.saw(CallId("never"), kind, 7, "\x1b[2J" * 1_000)

    asyncio.run(report())


@every_gate
def test_an_end_may_come_twice_or_for_nobody(make: Make) -> None:
    gate = make()

    async def end() -> None:
        call = admitted(gate)
        await gate.ended(call, Traffic(1, 2, ("a.example",), 3, 4))
        await gate.ended(call, Traffic())
        await gate.ended(CallId("never"), Traffic())

    asyncio.run(end())
