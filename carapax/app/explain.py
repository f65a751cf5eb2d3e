"""Explain: what the policy says to one call by the owner in an untainted session. Nothing runs.

Layer: app; serves `carapax policy explain`.
"""

from __future__ import annotations

from typing import Any

from carapax.adapters.tools.manifest import family_manifests
from carapax.core.flow.lattice import NOTHING
from carapax.core.policy.decide import decide
from carapax.core.policy.document import Policy
from carapax.core.terms.action import Proposal
from carapax.core.terms.decision import Allow, Question
from carapax.core.terms.error import NotFound
from carapax.core.terms.ids import CallId, SessionId, TurnId
from carapax.core.terms.label import OWNER
from carapax.core.terms.plain import plain
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.guard.canonical import canonical_call
from carapax.guard.card import summary
from carapax.guard.facts import derive_facts
from carapax.guard.record import answer_word


def explain(policy: Policy, tool: str, arguments_json: str) -> dict[str, Any]:
    """The answer, its rule and what it rests on. Raises NotFound, Malformed."""
    manifests = {manifest.name: manifest for manifest in family_manifests()}
    manifest = next((m for name, m in manifests.items() if name == tool), None)
    if manifest is None:
        raise NotFound(f"There is no tool {tool}.", next_step=f"Tools: {', '.join(manifests)}.")
    proposal = Proposal(CallId("explain"), SessionId("explain"), TurnId("explain"), tool, arguments_json)
    call = canonical_call(proposal, manifest, "", NOTHING, frozenset())
    facts = derive_facts(call)
    owner = Principal(OWNER, Role.OWNER, frozenset(Scope), "explain")
    decision = decide(policy, Question(owner, call, NOTHING, facts))
    reason = policy_reason(policy, decision.rule) if isinstance(decision, Allow) else decision.reason
    return {
        "answer": answer_word(decision),
        "rule": decision.rule,
        "reason": reason,
        "call": summary(call),
        "effect": manifest.effect.value,
        "facts": plain(facts),
    }


def policy_reason(policy: Policy, rule: str) -> str:
    """The reason that a rule gives."""
    return next((known.reason for known in policy.rules.values() if known.id == rule), "")
