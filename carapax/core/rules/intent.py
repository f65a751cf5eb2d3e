"""Rule 2, intent: an effect that the owner's words do not ask for is denied once untrusted text was read.

Layer: core/rules. Denied, not asked: whoever reads the question would only see the attacker's wording. The owner can
ask for it in a new message. Rule 9, delegation, is the one way round: "do what this text says".
"""

from __future__ import annotations

from collections.abc import Iterator

from carapax.core.rules.finding import Finding, Need
from carapax.core.rules.task import Task
from carapax.core.terms.action import VOUCHED, ArgRole, CanonicalCall, Effect, ToolManifest
from carapax.core.terms.decision import Deny
from carapax.core.terms.ids import RuleId
from carapax.core.terms.label import Integrity, Label
from carapax.core.terms.plan import Plan

UNREQUESTED = RuleId("intent.unrequested")
_WRITING = frozenset({Effect.SELF_ADD, Effect.SELF_MODIFY})


def check_intent(call: CanonicalCall, task: Task) -> Iterator[Finding]:
    """Whether the task's capability set holds this effect."""
    # Fetching is bound by its address alone (rule 6): nothing can be done with it that the address does not say.
    if task.tainted and call.manifest.effect is not Effect.FETCH and not is_requested(call.manifest, task):
        need = Need.PICK if may_pick(task) else Need.NEVER
        reason = (
            "You did not ask for this; it came up after reading text from outside. If you want it, say so yourself."
        )
        yield Finding(UNREQUESTED, need, reason)


def judge_loss(call: CanonicalCall, context: Label, plan: Plan) -> Deny | None:
    """What is held against a loss of files that nobody announced: a command deleted them, and nobody asked for that."""
    if context.integrity > Integrity.EXTERNAL or Effect.DESTROY in plan.effects:
        return None
    if any(a.role is ArgRole.COMMAND and a.origin in VOUCHED for a in call.arguments):
        return None  # the owner wrote the command
    return Deny(UNREQUESTED, "It would delete files, which you did not ask for; text from outside was read before.")


def may_pick(task: Task) -> bool:
    """Whether the owner told the agent to do what a text says, and nobody picked yet what is meant."""
    return task.plan.delegates and task.endorsed is None


def is_requested(manifest: ToolManifest, task: Task) -> bool:
    """Whether the owner's words ask for this tool's effect."""
    wanted = task.plan.effects
    if manifest.effect is Effect.READ or manifest.effect in wanted or manifest.name in task.plan.tools:
        return True
    if manifest.effect in _WRITING:
        return bool(wanted & _WRITING)
    # Code with no way out whose changes can be undone is one way of writing.
    return manifest.effect is Effect.CODE and manifest.contained and bool(wanted & _WRITING)
