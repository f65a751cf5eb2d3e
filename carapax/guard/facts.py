"""Facts: what policy may look at, derived from the canonical call alone.

Layer: guard. Cedar has no string functions, so places are classified and characters counted here.
Law: what cannot be classified is the worse class.
"""

from __future__ import annotations

from carapax.core.flow.origin import hidden_characters
from carapax.core.terms.action import ArgRole, CanonicalCall, Effect
from carapax.core.terms.decision import Facts

LOCAL = frozenset({Effect.READ, Effect.SELF_ADD, Effect.SELF_MODIFY, Effect.DESTROY, Effect.CODE})
"""Effects that stay on this machine; every other one goes through the network."""


def derive_facts(call: CanonicalCall) -> Facts:
    """The facts of one call."""
    manifest = call.manifest
    paths = [line for a in call.arguments if a.role is ArgRole.PATH for line in str(a.value).split("\n") if line]
    deciding = [str(a.value) for a in call.arguments if a.role is not ArgRole.CONTENT]
    inside = "workspace" if manifest.touches_workspace or paths else "none"
    return Facts(
        place="outside" if any(is_outside(path) for path in paths) else inside,
        destroys_count=len(paths) if manifest.effect is Effect.DESTROY else 0,
        network=manifest.effect not in LOCAL,
        hidden_text=any(hidden_characters(text) for text in deciding),
        reversible=manifest.reversible,
    )


def is_outside(path: str) -> bool:
    """Whether a canonical path leaves the workspace."""
    return path.startswith(("/", "~")) or path == ".." or path.startswith("../")
