"""A gate for tests of the egress proxy: answers by host, remembers everything it was asked and told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.egress import Allowance, Hop, Traffic, Verdict
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.signal import SignalKind

LOOPBACK = ("127.0.0.0/8",)


@dataclass
class FakeGate:
    """Implements ports.egress.Gate. `hosts` are allowed; `decide` replaces the answer."""

    hosts: tuple[str, ...] = ("allowed.example", "bound.example", "xn--bcher-kva.example")
    opaque: bool = False
    pinned: tuple[str, ...] = LOOPBACK
    allowance: Allowance = field(default_factory=Allowance)
    decide: Callable[[Hop], Verdict] | None = None
    hops: list[Hop] = field(default_factory=list)
    signals: list[tuple[CallId, SignalKind, int, str]] = field(default_factory=list)
    closed: list[tuple[CallId, Traffic]] = field(default_factory=list)

    def admit(self, authorized: AuthorizedCall) -> tuple[SessionId, Allowance]:
        return authorized.call.session, self.allowance

    async def judge(self, call: CallId, hop: Hop) -> Verdict:
        self.hops.append(hop)
        if self.decide is not None:
            return self.decide(hop)
        if hop.host not in self.hosts:
            return Verdict(False, "egress.none", f"No rule lets this run reach {hop.host}.")
        return Verdict(True, "egress.test", opaque=self.opaque and hop.method == "CONNECT", pinned=self.pinned)

    def saw(self, call: CallId, kind: SignalKind, amount: int = 1, detail: str = "") -> None:
        self.signals.append((call, kind, amount, detail))

    async def ended(self, call: CallId, traffic: Traffic) -> None:
        self.closed.append((call, traffic))

    def kinds(self) -> list[SignalKind]:
        return [kind for _, kind, _, _ in self.signals]
