"""Rehearse: what a policy would have answered to the calls that the ledger remembers. Nothing runs.

Layer: app; serves `carapax policy simulate` and the record behind `carapax trust`.
Absent: contents of files, which the ledger does not hold; policy does not look at them.
Law: an answer that came from another place than the policy (a rule about flows, a cap) is never made wider here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from carapax.app.imagined import imagined_task
from carapax.core.ledger.entry import Entry
from carapax.core.policy.decide import DEFAULT, ERROR, decide
from carapax.core.policy.document import Policy
from carapax.core.policy.matrix import RANK
from carapax.core.rules.facts import derive_facts
from carapax.core.terms.action import ArgRole, Argument, CanonicalCall, Origin, ToolManifest, Trace
from carapax.core.terms.decision import Question
from carapax.core.terms.ids import CallId, Digest, SessionId, TurnId
from carapax.core.terms.label import OWNER, OWNER_ONLY, PUBLIC, Integrity, Label
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.guard.record import answer_word

JUDGED = ("call", "asked", "denied")
SHOWN = 20
"""Differences that are listed one by one."""


@dataclass(frozen=True, slots=True)
class Difference:
    index: int
    time_ms: int
    summary: str
    was: str
    now: str
    rule: str


@dataclass(slots=True)
class Rehearsal:
    """How many calls would be answered as they were, and how the others would."""

    calls: int = 0
    unknown: int = 0  # their tools are not installed here, or another release wrote them
    turns: Counter[tuple[str, str]] = field(default_factory=Counter)  # (was, now) → how many
    first: list[Difference] = field(default_factory=list)


def rehearse(
    entries: Iterable[Entry], policy: Policy, base: Policy, manifests: Mapping[str, ToolManifest]
) -> Rehearsal:
    """Every call once, as it was first judged, against `policy`; `base` says which rules were a policy's."""
    found = Rehearsal()
    ours = {rule.id for p in (policy, base) for rule in p.rules.values()} | {DEFAULT, ERROR}
    seen: set[str] = set()
    for entry in entries:
        if entry.kind not in JUDGED or str(entry.body.get("call")) in seen:
            continue
        seen.add(str(entry.body.get("call")))
        _judge(found, entry, policy, frozenset(ours), manifests)
    return found


def _judge(
    found: Rehearsal, entry: Entry, policy: Policy, ours: frozenset[str], manifests: Mapping[str, ToolManifest]
) -> None:
    body = entry.body
    try:
        was, was_rule = str(body["decision"]["answer"]), str(body["decision"]["rule"])
        decision = decide(policy, _question(policy, body, manifests[str(body["tool"])]))
        now, rule = answer_word(decision), str(decision.rule)
        if was_rule not in ours and RANK[now] > RANK[was]:
            now, rule = was, was_rule
    except (KeyError, TypeError, ValueError, AttributeError):
        found.unknown += 1
        return
    found.calls += 1
    found.turns[was, now] += 1
    if was != now and len(found.first) < SHOWN:
        found.first.append(Difference(entry.index, entry.time_ms, str(body.get("summary", "")), was, now, rule))


def _question(policy: Policy, body: Mapping[str, Any], manifest: ToolManifest) -> Question:
    context = body["context"]
    readers = PUBLIC if context["readers"] == "everyone" else OWNER_ONLY
    label = Label(Integrity[str(context["integrity"]).upper()], readers)
    specs = {spec.name: spec.role for spec in manifest.args}
    arguments = tuple(
        _argument(name, specs[name], "" if isinstance(value, dict) else value, Origin(body["origins"][name]), label)
        for name, value in body["arguments"].items()
    )
    call = CanonicalCall(CallId(""), SessionId(""), TurnId(""), manifest, arguments, "{}", Digest(""))
    facts = derive_facts(call, imagined_task(policy.tables, label), "cli")
    return Question(Principal(OWNER, Role.OWNER, frozenset(Scope), "ledger"), call, label, facts)


def _argument(name: str, role: ArgRole, value: Any, origin: Origin, label: Label) -> Argument:
    held = tuple(str(item) for item in value) if isinstance(value, list) else value
    lines = str(held).split("\n") if role is ArgRole.PATH else [str(held)]
    texts = held if isinstance(held, tuple) else tuple(line for line in lines if line)
    return Argument(name, role, held, origin, label, tuple(Trace(text, origin) for text in texts))


@dataclass(slots=True)
class Record:
    """What the ledger says of the work so far: the ground that a step of trust rests on."""

    since_ms: int | None = None
    done: int = 0
    failed: int = 0
    asked: int = 0
    approved: int = 0
    denied: int = 0  # by a person
    unanswered: int = 0
    refused: int = 0  # by a rule
    undone: int = 0  # turns taken back


def record_of(entries: Iterable[Entry]) -> Record:
    """Count what was done, asked, answered, refused and taken back."""
    found = Record()
    for entry in entries:
        if found.since_ms is None:
            found.since_ms = entry.time_ms
        _count(found, entry.kind, entry.body)
    return found


def _count(found: Record, kind: str, body: Mapping[str, Any]) -> None:
    if kind == "receipt":
        done = body.get("outcome") == "done"
        found.done += done
        found.failed += not done
    elif kind == "asked":
        found.asked += 1
    elif kind == "answered":
        state = body.get("state")
        found.approved += state == "approved"
        found.denied += state == "denied"
        found.unanswered += state == "expired"
    elif kind == "denied":
        found.refused += 1
    elif kind == "undo":
        found.undone += 1
