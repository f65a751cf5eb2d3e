"""Decide: one question, one of three answers. Total and deterministic.

Layer: core/policy. A rule set is asked twice at most: as things are, and as if a person had approved.
Allowed as it is → Allow. Allowed only with approval → Ask. Neither → Deny.
So "ask" needs no fourth kind of rule: a rule that mentions `context.approved` asks.
Law: an error or a warning from Cedar is Deny; a rule added with `forbid` never widens an answer.
"""

from __future__ import annotations

import json
from dataclasses import replace

import cedarpy

from carapax.core.policy.document import Policy, Rule
from carapax.core.terms.action import VOUCHED, ArgRole
from carapax.core.terms.decision import Allow, Ask, Decision, Deny, Question
from carapax.core.terms.ids import RuleId
from carapax.core.terms.label import Integrity

ERROR = RuleId("policy.error")
DEFAULT = RuleId("default.deny")
NOWHERE = (
    "This policy says nowhere that a tool may go (`egress`): `carapax policy init --force` writes the home policy, which"
    " does, and keeps this one beside it."
)

WITHOUT_AUTHORITY = frozenset({ArgRole.CONTENT, ArgRole.FLAG, ArgRole.COUNT})
"""Argument roles that decide nothing about where an effect goes."""


def decide(policy: Policy, question: Question) -> Decision:
    """The policy's answer; never raises."""
    answer = _answer(policy, question)
    if isinstance(answer, Deny) and question.call.manifest.online and not policy.egress:
        return replace(answer, reason=f"{answer.reason} {NOWHERE}")
    return answer


def _answer(policy: Policy, question: Question) -> Decision:
    as_is = _evaluate(policy, question, approved=False)
    if isinstance(as_is, Deny):
        return as_is
    allowed, rules = as_is
    if allowed:
        return Allow(rules[0].id, frozenset().union(*(r.obligations for r in rules)))
    with_yes = _evaluate(policy, question, approved=True)
    if isinstance(with_yes, Deny):
        return with_yes
    agreed, permits = with_yes
    if agreed:
        shown = (rules or permits)[0]
        return Ask(
            shown.id,
            shown.reason,
            frozenset().union(*(r.obligations for r in permits)),
            tuple(role for r in (*rules, *permits) for role in r.typed),
        )
    refusing = rules or permits
    if refusing:
        return Deny(refusing[0].id, refusing[0].reason)
    return Deny(DEFAULT, "No rule allows this.")


def _evaluate(policy: Policy, question: Question, *, approved: bool) -> tuple[bool, list[Rule]] | Deny:
    manifest = question.call.manifest
    try:
        chosen = policy.rules_for(manifest.effect, manifest.name)
        result = cedarpy.is_authorized(
            _request(policy, question, approved=approved), chosen.handle, "[]", schema=policy.schema
        )
    except (ValueError, TypeError, KeyError) as error:
        return Deny(ERROR, f"The policy could not be evaluated: {type(error).__name__}.")
    if result.diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
        return Deny(ERROR, "A rule failed while it was evaluated.")
    try:
        rules = sorted((chosen.rules[number] for number in result.diagnostics.reasons), key=lambda rule: rule.id)
    except KeyError:
        return Deny(ERROR, "The policy named a rule that it does not have.")
    if result.allowed and not rules:
        return Deny(ERROR, "The policy allowed without naming a rule.")
    return result.allowed, rules


def _request(policy: Policy, question: Question, *, approved: bool) -> dict[str, object]:
    call, facts, context = question.call, question.facts, question.context
    named = all(argument.origin in VOUCHED for argument in call.arguments if argument.role not in WITHOUT_AUTHORITY)
    return {
        "principal": {"type": "Role", "id": question.principal.role.value},
        "action": {"type": "Action", "id": call.manifest.effect.value},
        "resource": {"type": "Tool", "id": call.manifest.name},
        "context": json.dumps(
            {
                "tool": call.manifest.name,
                "place": facts.place,
                "network": facts.network,
                "hidden_text": facts.hidden_text,
                "reversible": facts.reversible,
                "destroys": facts.destroys_count,
                "channel": facts.channel,
                "recipients": facts.recipients,
                "amount_cents": facts.amount_cents,
                "intended": facts.intended,
                "tier": policy.tables.tier.value,
                "integrity": int(context.integrity),
                "tainted": context.integrity < Integrity.SYSTEM,
                "private": not context.readers.everyone,
                "owner_named": named,
                "approved": approved,
            }
        ),
    }
