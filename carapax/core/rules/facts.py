"""Facts: what policy may look at, derived from the canonical call and the task.

Layer: core/rules. Cedar has no string functions, so places are classified and characters counted here.
Law: what cannot be classified is the worse class.
"""

from __future__ import annotations

from carapax.core.flow.canon import disguise
from carapax.core.flow.origin import hidden_characters
from carapax.core.rules.authority import amount_cents
from carapax.core.rules.intent import is_requested
from carapax.core.rules.outward import is_org
from carapax.core.rules.task import Task
from carapax.core.rules.trace import PEOPLE
from carapax.core.terms.action import ArgRole, CanonicalCall, Effect, Origin, ToolManifest, Trace
from carapax.core.terms.decision import Facts

LOCAL = frozenset({Effect.READ, Effect.SELF_ADD, Effect.SELF_MODIFY, Effect.DESTROY, Effect.CODE})
"""Effects that stay on this machine, unless the tool is `online`; every other one goes through the network."""

_REACH = ("none", "owner", "org", "known", "other")
"""How far a recipient is from the owner, near to far."""


def derive_facts(call: CanonicalCall, task: Task, channel: str) -> Facts:
    """The facts of one call."""
    manifest = call.manifest
    paths = [t.value for a in call.arguments if a.role is ArgRole.PATH for t in a.traces]
    deciding = [t.value for a in call.arguments if a.role is not ArgRole.CONTENT for t in a.traces]
    inside = "workspace" if manifest.touches_workspace or paths else "none"
    people = [t for a in call.arguments if a.role in PEOPLE for t in a.traces]
    return Facts(
        place="outside" if any(is_outside(path) for path in paths) else inside,
        destroys_count=len(paths) if manifest.effect is Effect.DESTROY else 0,
        network=has_way_out(manifest),
        hidden_text=any(hidden_characters(text) for text in deciding) or any(disguise(t.value) for t in people),
        reversible=manifest.reversible,
        channel=channel,
        recipients=max((_reach(t, task) for t in people), key=_REACH.index, default="none"),
        amount_cents=amount_cents(call),
        intended=is_requested(manifest, task),
    )


def has_way_out(manifest: ToolManifest) -> bool:
    """Whether a call may reach beyond this machine; code that does not declare its walls may."""
    if manifest.effect is Effect.CODE and not manifest.contained:
        return True
    return manifest.online or manifest.effect not in LOCAL


def _reach(trace: Trace, task: Task) -> str:
    if trace.origin is Origin.OWNER_SELF:
        return "owner"
    if is_org(trace.value, task):
        return "org"
    return "known" if trace.origin is Origin.DIRECTORY else "other"


def is_outside(path: str) -> bool:
    """Whether a canonical path leaves the workspace."""
    return path.startswith(("/", "~")) or path == ".." or path.startswith("../")
