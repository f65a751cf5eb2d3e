"""The gate: what the egress proxy asks before anything leaves, answered from the policy and recorded first.

Layer: app; implements ports.egress.Gate in the gateway's own process. Absent: the rules (`core/policy/egress`), secrets,
and the requests of model providers, whose origin is the owner's setting.
Laws: only a sealed call of a tool that declares the network gets a way, once; no record, no request; whatever fails is a
refusal. What a way repeats (same host, port, method and rule) is recorded at its first time and counted at the way's end;
every refusal is recorded, up to a ceiling for each way, then counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from carapax.adapters.sandbox.admission import Admission
from carapax.core.policy.document import Policy
from carapax.core.policy.egress import decide_egress, is_host, is_tunnel, lets_out, plain_path
from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.egress import Allowance, Hop, Traffic, Verdict
from carapax.core.terms.error import CarapaxError, Refused
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.signal import Signal, SignalKind
from carapax.ports.clock import Clock
from carapax.ports.ledger import Ledger
from carapax.ports.sandbox import Job, Mount

REFUSALS_WRITTEN = 100
"""Refusals of one way that become entries; the others are counted."""

KINDS = 256
"""Different (host, port, method, rule) that one way may use."""

LATE_MS = 600_000
"""How long after its end a way's reports still find their session."""

ENDED = 1_024
"""Ended ways that are remembered."""

REASONS_KEPT = 20
"""Different reasons for refusals that one way remembers."""

PATH_CHARS = 200
DETAIL_CHARS = 300
SEEN = frozenset({SignalKind.DENIED, SignalKind.MISMATCH, SignalKind.CANARY_USED, SignalKind.SCRUBBED})
"""What the proxy decides or finds by itself, and the ledger keeps."""

_Kind = tuple[str, int, str, str]


@dataclass(slots=True)
class Passage:
    """One way as the gate keeps it."""

    session: SessionId
    tool: str
    allowance: Allowance
    requests: int = 0
    refused: int = 0
    hosts: set[str] = field(default_factory=set)
    allowed: Counter[_Kind] = field(default_factory=Counter)
    reasons: dict[str, None] = field(default_factory=dict)
    written: int = 0  # refusals and findings that became entries
    unsure: bool = False  # the last entry failed, so nothing leaves by an earlier one
    ended_ms: int | None = None
    recording: asyncio.Lock = field(default_factory=asyncio.Lock)
    reports: set[asyncio.Task[None]] = field(default_factory=set)

    def over_budget(self, host: str) -> str:
        """What is used up, as a sentence; "" while nothing is."""
        if self.requests >= self.allowance.requests:
            return f"This run has used its {self.allowance.requests} requests."
        if host not in self.hosts and len(self.hosts) >= self.allowance.hosts:
            return f"This run has used its {self.allowance.hosts} different hosts."
        return ""


class EgressGate:
    """Implements ports.egress.Gate. `refuse` raises while the session, or everything, is halted."""

    def __init__(
        self,
        *,
        policy: Callable[[], Policy],
        key: bytes,
        clock: Clock,
        ledger: Ledger,
        saw: Callable[[Signal], None],
        refuse: Callable[[SessionId], None] | None = None,
    ) -> None:
        self._policy = policy
        self._admission = Admission(key, clock)
        self._clock = clock
        self._ledger = ledger
        self._saw = saw
        self._refuse = refuse
        self._open: dict[CallId, Passage] = {}
        self._ended: OrderedDict[CallId, Passage] = OrderedDict()

    def admit(self, authorized: AuthorizedCall) -> tuple[SessionId, Allowance]:
        call = self._admission.admit(authorized, Job(argv=(), mount=Mount.NONE)).call
        manifest = call.manifest
        if not manifest.online or manifest.contained:
            raise Refused(
                f"The tool {manifest.name} does not declare that it uses the network.",
                next_step="Nothing was sent. Use a tool that declares it, like run_online.",
            )
        if self._refuse is not None:
            self._refuse(call.session)
        policy = self._policy()
        if not lets_out(policy.egress, manifest.name):
            raise Refused(
                f"No line of the policy lets {manifest.name} out.",
                next_step="Look at `carapax egress log`, then `carapax egress allow HOST`.",
            )
        self._open[call.call] = Passage(call.session, manifest.name, policy.allowance)
        return call.session, policy.allowance

    async def judge(self, call: CallId, hop: Hop) -> Verdict:
        passage = self._open.get(call)
        if passage is None:
            return Verdict(False, "egress.closed", "This way out is closed. Start the command again.")
        try:
            verdict = self._decide(passage, hop)
            recorded = await self._record(call, passage, hop, verdict)
        except Exception as error:  # noqa: BLE001  # broad: whatever fails in here, the answer is a no
            recorded = _failed(error)
        if not recorded.allowed:
            passage.refused += 1
            if len(passage.reasons) < REASONS_KEPT:
                passage.reasons[recorded.reason] = None
            self._tell(Signal(SignalKind.DENIED, passage.session, call, 1, f"{recorded.rule} {_shown(hop)}".strip()))
        return recorded

    def saw(self, call: CallId, kind: SignalKind, amount: int = 1, detail: str = "") -> None:
        passage = self._open.get(call) or self._late(call)
        if passage is None:
            return
        self._tell(Signal(kind, passage.session, call, amount, detail))
        if kind in SEEN and passage.written < REFUSALS_WRITTEN:
            passage.written += 1
            body = _body(call, passage) | {
                "kind": kind.value,
                "amount": amount,
                "detail": _plain(detail[:DETAIL_CHARS]),
            }
            try:
                task = asyncio.get_running_loop().create_task(self._report(body))
            except RuntimeError:
                return  # no loop here: the breaker was told, and the closing entry has the totals
            passage.reports.add(task)
            task.add_done_callback(passage.reports.discard)

    async def ended(self, call: CallId, traffic: Traffic) -> None:
        passage = self._open.pop(call, None)
        if passage is None:
            return
        passage.ended_ms = self._clock.monotonic_ms()
        self._ended[call] = passage
        while len(self._ended) > ENDED:
            self._ended.popitem(last=False)
        await asyncio.gather(*passage.reports, return_exceptions=True)
        await self._close(call, passage, traffic)

    def refusals(self, call: CallId) -> tuple[str, ...]:
        """Why requests of a call were refused, each reason once, in order; also a while after its way ended."""
        passage = self._open.get(call) or self._late(call)
        return tuple(passage.reasons) if passage is not None else ()

    # inside

    def _decide(self, passage: Passage, hop: Hop) -> Verdict:
        if self._refuse is not None:
            self._refuse(passage.session)
        verdict = decide_egress(self._policy().egress, passage.tool, hop)
        if not verdict.allowed or _is_opened(hop, verdict):
            return verdict
        spent = passage.over_budget(hop.host)
        kind = _kind(hop, verdict)
        if not spent and kind not in passage.allowed and len(passage.allowed) >= KINDS:
            spent = f"This run has used its {KINDS} kinds of request."
        if spent:
            return Verdict(False, "egress.budget", f"{spent} Start another, or raise `egress_limits` in the policy.")
        passage.requests += 1
        passage.hosts.add(hop.host)
        return verdict

    async def _record(self, call: CallId, passage: Passage, hop: Hop, verdict: Verdict) -> Verdict:
        """The verdict, once it is in the ledger. Raises LedgerUnavailable."""
        if not verdict.allowed:
            if passage.written < REFUSALS_WRITTEN:
                passage.written += 1
                await self._write(passage, _entry(call, passage, hop, verdict))
            return verdict
        if _is_opened(hop, verdict):
            return verdict  # the requests inside are judged and recorded one by one
        kind = _kind(hop, verdict)
        async with passage.recording:
            if kind not in passage.allowed or hop.secrets or passage.unsure:
                await self._write(passage, _entry(call, passage, hop, verdict))
            passage.allowed[kind] += 1
        return verdict if passage.ended_ms is None else Verdict(False, "egress.closed", "This way out is closed.")

    async def _write(self, passage: Passage, body: dict[str, Any]) -> None:
        try:
            await self._ledger.append("egress", body)
        except CarapaxError:
            passage.unsure = True
            raise
        passage.unsure = False

    async def _report(self, body: dict[str, Any]) -> None:
        with suppress(CarapaxError):  # it was refused already and the breaker was told; without a ledger nothing leaves
            await self._ledger.append("egress.seen", body)

    async def _close(self, call: CallId, passage: Passage, traffic: Traffic) -> None:
        kinds = [
            {"host": host, "port": port, "method": method, "rule": rule, "count": count}
            for (host, port, method, rule), count in sorted(passage.allowed.items())
        ]
        body = (
            _body(call, passage)
            | {
                "requests": traffic.requests,
                "refused": max(traffic.refused, passage.refused),
                "unwritten": max(0, max(traffic.refused, passage.refused) - passage.written),
                "bytes_up": traffic.bytes_up,
                "bytes_down": traffic.bytes_down,
                "allowed": kinds,
            }
            | ({"lost": True} if traffic.lost else {})
        )
        with suppress(CarapaxError):  # what left is recorded by its first request; without a ledger nothing more leaves
            await self._ledger.append("egress.closed", body)

    def _late(self, call: CallId) -> Passage | None:
        now_ms = self._clock.monotonic_ms()
        while self._ended and (next(iter(self._ended.values())).ended_ms or 0) + LATE_MS < now_ms:
            self._ended.popitem(last=False)
        return self._ended.get(call)

    def _tell(self, signal: Signal) -> None:
        try:
            self._saw(signal)
        except Exception:  # noqa: BLE001  # broad: a listener that fails must not change an answer
            return


def _is_opened(hop: Hop, verdict: Verdict) -> bool:
    return is_tunnel(hop) and not verdict.opaque


def _kind(hop: Hop, verdict: Verdict) -> _Kind:
    return (hop.host, hop.port, "WEBSOCKET" if hop.websocket else hop.method, verdict.rule)


def _body(call: CallId, passage: Passage) -> dict[str, Any]:
    return {"call": call, "session": passage.session, "tool": passage.tool}


def _entry(call: CallId, passage: Passage, hop: Hop, verdict: Verdict) -> dict[str, Any]:
    return _body(call, passage) | {
        "host": _shown(hop),
        "port": hop.port,
        "method": _plain("WEBSOCKET" if hop.websocket else hop.method[:20]),
        "path": _plain(plain_path(hop.path)[:PATH_CHARS]),
        "answer": "allow" if verdict.allowed else "deny",
        "rule": verdict.rule,
        "reason": "" if verdict.allowed else verdict.reason,
        "secrets": sorted(hop.secrets),
    }


def _shown(hop: Hop) -> str:
    return hop.host if is_host(hop.host) else _plain(hop.host[:100])


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "·" for char in text.encode("utf-8", "replace").decode())


def _failed(error: Exception) -> Verdict:
    if isinstance(error, CarapaxError):
        return Verdict(False, error.code if error.code.startswith("egress.") else f"egress.{error.code}",
                       f"{error.what} {error.next_step}".strip())  # fmt: skip
    return Verdict(False, "egress.defect", "The gate failed, so nothing was sent. Run `carapax doctor`.")
