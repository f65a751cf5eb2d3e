"""Caps: how much may happen at all, whoever asks for it.

Layer: core/rules. Amounts that need no question are in `authority`; these are the hard ends.
"""

from __future__ import annotations

from collections.abc import Iterator

from carapax.core.rules.finding import Finding, Need
from carapax.core.rules.task import Task
from carapax.core.terms.action import CanonicalCall, Effect
from carapax.core.terms.ids import RuleId

ACTIONS = RuleId("caps.actions")
MESSAGES = RuleId("caps.messages")
FILES = RuleId("caps.files")

TELLING = frozenset({Effect.COMMUNICATE, Effect.PUBLISH})


def check_caps(call: CanonicalCall, task: Task) -> Iterator[Finding]:
    """Whether the task and the minute still have room for this call."""
    caps, counts = task.tables.caps, task.counts
    if call.manifest.effect in (Effect.READ, Effect.FETCH):
        return
    if _is_reached(counts.actions, caps.actions_per_task):
        reason = f"This message has already led to {counts.actions} actions, the most the policy allows."
        yield Finding(ACTIONS, Need.NEVER, reason)
    if call.manifest.effect in TELLING and _is_reached(counts.messages, caps.messages_per_minute):
        reason = f"{counts.messages} messages went out in the last minute, the most the policy allows."
        yield Finding(MESSAGES, Need.NEVER, reason)
    if call.manifest.touches_workspace and _is_reached(counts.files, caps.files_per_minute):
        reason = f"{counts.files} files were changed in the last minute, the most the policy allows."
        yield Finding(FILES, Need.NEVER, reason)


def _is_reached(count: int, cap: int | None) -> bool:
    return cap is not None and count >= cap
