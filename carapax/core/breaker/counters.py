"""Counters: what one run, one session or the whole gateway has done, and when that is too much.

Layer: core/breaker; pure, total, deterministic. Owns the counting and the sentence of a trip.
Absent: what a trip does (`app/breaker`), and which session a signal belongs to (it says so).
A minute is seven slots of ten seconds: state of fixed size, and never less than the last sixty seconds.
Laws: `count` is at least what came in the last 60 s and at most what came in the last 70; time that goes back moves
the slots along and forgets nothing; after a planted secret was read, half of each count is too much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from carapax.core.breaker.limits import CANARIES_USED, Limits
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.signal import Signal, SignalKind

SLOT_MS = 10_000
SLOTS = 7
MAX_HOSTS = 1_000
"""Hosts that are told apart in one counter; further ones count each time."""


class Scope(StrEnum):
    """Whose counter it is."""

    RUN = "run"
    SESSION = "session"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Trip:
    """A limit was passed: what has to be halted, and why in one sentence. `session` is None when all have to."""

    rule: str  # "breaker.denials"
    scope: Scope
    session: SessionId | None
    call: CallId | None
    signal: SignalKind
    count: int
    limit: int
    sentence: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Minute:
    """A sliding minute. `slots[0]` is the present ten seconds, `at` their number."""

    at: int = 0
    slots: tuple[int, ...] = (0,) * SLOTS

    def moved(self, now_ms: int) -> Minute:
        """The same, seen at this time."""
        at = now_ms // SLOT_MS
        gone = min(max(at - self.at, 0), SLOTS)
        return Minute(at, (0,) * gone + self.slots[: SLOTS - gone])

    def plus(self, amount: int) -> Minute:
        return Minute(self.at, (self.slots[0] + amount, *self.slots[1:]))

    @property
    def count(self) -> int:
        return sum(self.slots)


@dataclass(frozen=True, slots=True)
class Counters:
    """The state of one scope."""

    scope: Scope
    minutes: Mapping[SignalKind, Minute] = field(default_factory=dict)
    totals: Mapping[SignalKind, int] = field(default_factory=dict)
    hosts: Mapping[str, int] = field(default_factory=dict)  # host → the slot in which it was last new to a run

    @property
    def wary(self) -> bool:
        """Whether a planted secret was read here."""
        return self.totals.get(SignalKind.CANARY_READ, 0) > 0


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    minute: str  # the field of Limits for a minute, "" for none
    run: str  # the field for one run
    sentence: str


_RULES: Mapping[SignalKind, _Rule] = {
    SignalKind.DENIED: _Rule("denials", "denials_minute", "", "{count} refusals"),
    SignalKind.MESSAGE: _Rule("messages", "messages_minute", "", "{count} messages sent"),
    SignalKind.FILE: _Rule("files", "files_minute", "", "{count} files read"),
    SignalKind.UPLOADED: _Rule("upload", "upload_minute_bytes", "upload_run_bytes", "{count} bytes sent out"),
    SignalKind.HOST: _Rule("hosts", "hosts_minute", "hosts_run", "{count} different hosts"),
    SignalKind.MISMATCH: _Rule(
        "mismatch", "mismatches_minute", "mismatches_run", "{count} credentials where they are not bound"
    ),
    SignalKind.SCRUBBED: _Rule("scrubbed", "scrubbed_minute", "", "{count} answers that gave a secret back"),
    SignalKind.SPENT: _Rule("spend", "spend_minute_usd_micro", "", "{count} millionths of a dollar spent"),
}

_HALVED = frozenset({SignalKind.DENIED, SignalKind.MESSAGE, SignalKind.UPLOADED, SignalKind.HOST, SignalKind.MISMATCH})
"""Signs of a way out: once a planted secret was read, half as many are too many."""


def step(counters: Counters, signal: Signal, now_ms: int, limits: Limits) -> tuple[Counters, Trip | None]:
    """Count one signal; a trip when that passed a limit. Amounts below nothing count as nothing."""
    amount = max(signal.amount, 0)
    hosts = counters.hosts
    if signal.kind is SignalKind.HOST:
        hosts, amount = _host(counters, signal.detail, now_ms)
    kind = signal.kind
    minute = counters.minutes.get(kind, Minute(now_ms // SLOT_MS)).moved(now_ms).plus(amount)
    after = replace(
        counters,
        minutes={**counters.minutes, kind: minute},
        totals={**counters.totals, kind: counters.totals.get(kind, 0) + amount},
        hosts=hosts,
    )
    return after, _judge(after, signal, limits)


def _host(counters: Counters, name: str, now_ms: int) -> tuple[Mapping[str, int], int]:
    """The hosts with this one, and what it counts: nothing when the window already has it."""
    at = now_ms // SLOT_MS
    lasting = counters.scope is Scope.RUN
    kept = {
        host: min(seen, at) if not lasting else seen
        for host, seen in counters.hosts.items()
        if lasting or at - seen < SLOTS
    }
    if name in kept:
        return kept, 0
    return (kept if len(kept) >= MAX_HOSTS else {**kept, name: at}), 1


def _judge(counters: Counters, signal: Signal, limits: Limits) -> Trip | None:
    if signal.kind is SignalKind.CANARY_USED:
        return _used(counters, signal)
    rule = _RULES.get(signal.kind)
    if rule is None:
        return None
    for name, count, span in _counts(rule, counters, signal.kind):
        limit = _limit(name, counters, signal.kind, limits)
        if count > limit:
            said = f"{rule.sentence.format(count=f'{count:,}')} {span}; {limit:,} is the most"
            if limit < getattr(limits, name):
                said += ", because a planted secret was read before"
            return _trip(counters, signal, rule.name, count, limit, f"{said}.")
    return None


def _counts(rule: _Rule, counters: Counters, kind: SignalKind) -> list[tuple[str, int, str]]:
    """The field of the limit, what it bounds, and the span in words."""
    if counters.scope is Scope.RUN:
        return [(rule.run, counters.totals[kind], "in one run")] if rule.run else []
    whose = "" if counters.scope is Scope.SESSION else " in all sessions"
    return [(rule.minute, counters.minutes[kind].count, f"within a minute{whose}")]


def _limit(name: str, counters: Counters, kind: SignalKind, limits: Limits) -> int:
    limit: int = getattr(limits, name)
    if counters.scope is Scope.GATEWAY:
        return limit * limits.gateway_times
    return limit // 2 if counters.wary and kind in _HALVED else limit


def _used(counters: Counters, signal: Signal) -> Trip | None:
    if counters.scope is not Scope.SESSION:
        return None
    count = max(CANARIES_USED, counters.totals[SignalKind.CANARY_USED])
    name, _, towards = signal.detail.partition(" -> ")
    said = f"a planted secret was used (canary {name or 'unnamed'})" + (f" towards {towards}" if towards else "")
    return _trip(counters, signal, "canary", count, CANARIES_USED - 1, f"{said}.")


def _trip(counters: Counters, signal: Signal, rule: str, count: int, limit: int, sentence: str) -> Trip:
    everything = counters.scope is Scope.GATEWAY
    return Trip(
        rule=f"breaker.{rule}",
        scope=counters.scope,
        session=None if everything else signal.session,
        call=signal.call,
        signal=signal.kind,
        count=count,
        limit=limit,
        sentence=sentence,
        detail=signal.detail,
    )
