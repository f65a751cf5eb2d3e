"""Weighing one call: the policy's answer, the flow rules' answer and what a scan of outgoing bytes found, joined.

Layer: guard. Law: the strictest of the three is the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from carapax.core.rules.facts import derive_facts
from carapax.core.rules.judge import combine, judge
from carapax.core.rules.outward import is_outward
from carapax.core.rules.task import Task
from carapax.core.terms.action import VOUCHED, ArgRole, CanonicalCall, Effect
from carapax.core.terms.approval import Blank
from carapax.core.terms.decision import Allow, Ask, Decision, Deny, Facts, Question
from carapax.core.terms.ids import RuleId
from carapax.core.terms.principal import Principal
from carapax.guard.card import value_text
from carapax.ports.scanner import Scanner
from carapax.ports.tool import Tool

CLASS = RuleId("outgoing.class")


@dataclass(frozen=True, slots=True)
class Weighed:
    """A canonical call with its answer."""

    call: CanonicalCall
    tool: Tool
    facts: Facts
    decision: Decision


def weigh(
    call: CanonicalCall,
    tool: Tool,
    task: Task,
    principal: Principal,
    channel: str,
    policy: Callable[[Question], Decision],
    scanner: Scanner | None,
) -> Weighed:
    """The call with the one answer that counts."""
    facts = derive_facts(call, task, channel)
    by_policy = _with_blanks(policy(Question(principal, call, task.context, facts)), call)
    decision = by_policy if isinstance(by_policy, Deny) else combine(by_policy, judge(call, task))
    if scanner is not None and not isinstance(decision, Deny):
        decision = combine(decision, _scan(call, scanner))
    return Weighed(call, tool, facts, decision)


def _with_blanks(decision: Decision, call: CanonicalCall) -> Decision:
    """Roles that the policy wants typed become blanks, unless the owner wrote the value."""
    if not isinstance(decision, Ask) or not decision.typed:
        return decision
    missing = [role.value for role in decision.typed if role not in {a.role for a in call.arguments}]
    if missing:
        return Deny(decision.rule, f"{decision.reason} A person must type the {missing[0]}, and the call has none.")
    blanks = tuple(
        Blank(a.name, a.role.value, t.value, t.source)
        for a in call.arguments
        if a.role in decision.typed
        for t in a.traces
        if t.origin not in VOUCHED
    )
    return replace(decision, blanks=(*decision.blanks, *blanks))


def _scan(call: CanonicalCall, scanner: Scanner) -> Decision:
    """What a scan of the bytes that leave comes to."""
    if not is_outward(call) and call.manifest.effect is not Effect.FETCH:
        return Allow(RuleId("outgoing"))
    leaving = [value_text(a) for a in call.arguments if a.role is not ArgRole.SECRET]
    found = [finding for text in leaving for finding in scanner.scan(text)]
    for finding in found:
        if finding.leaves == "deny":
            # "outgoing.secret", "outgoing.canary", "outgoing.class"
            return Deny(RuleId(f"outgoing.{finding.kind}"), f"It carries a {finding.name} ({finding.shown}).")
    asking = next((finding for finding in found if finding.leaves == "ask"), None)
    if asking is not None:
        return Ask(CLASS, f"It carries a {asking.name} ({asking.shown}).")
    return Allow(RuleId("outgoing"))
