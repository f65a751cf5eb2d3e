"""Trust tiers as rules: what observe and draft forbid, and what act no longer asks.

Layer: core/policy. A tier is a word in the signed document, so the agent cannot raise it.
Law: a lower tier forbids all that a higher one forbids, and permits nothing that a higher one does not.
"""

from __future__ import annotations

from collections.abc import Sequence

from carapax.core.policy.capability import Capability, rule_text
from carapax.core.terms.action import Effect
from carapax.core.terms.tables import Tier

TIERS = tuple(Tier)
"""From the least trust to the most."""

OBSERVES = (Effect.READ, Effect.FETCH)
"""Effects that an observer keeps."""

DRAFTS = (Effect.READ, Effect.FETCH, Effect.SELF_ADD, Effect.SELF_MODIFY, Effect.CODE)
"""Effects that whoever prepares drafts keeps, as long as nothing is deleted and no command has a way out."""

_REASONS = {
    Tier.OBSERVE: "Its trust is observe: it reads and proposes, and changes nothing.",
    Tier.DRAFT: "Its trust is draft: it prepares, and never sends, pays, shares or deletes.",
}
_KEPT = {Tier.OBSERVE: OBSERVES, Tier.DRAFT: DRAFTS}

GRANT = "grant."
"""What the rule of a granted capability is called by: "grant.NAME"."""


def tier_rules(tier: Tier, capabilities: Sequence[Capability], grants: frozenset[str]) -> tuple[str, ...]:
    """The Cedar rules that the tier adds."""
    if tier is Tier.ACT:
        return tuple(rule_text(c, GRANT + c.name, granted=True) for c in capabilities if c.name in grants)
    kept = _KEPT.get(tier)
    if kept is None:
        return ()
    actions = ", ".join(f'Action::"{effect.value}"' for effect in kept)
    return (
        f'@id("trust.{tier.value}")\n@reason("{_REASONS[tier]}")\nforbid (principal, action, resource)\n'
        f"when {{ !(action in [{actions}]) || context.destroys > 0"
        ' || (context.network && action == Action::"code") };',
    )
