"""Port: what looks into text. Findings in outgoing bytes decide; the injection hint is only ever shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in outgoing bytes that should not be there."""

    kind: str  # "secret", "canary" or "class"
    name: str  # the rule ("aws-access-key") or the data class ("card")
    shown: str  # masked: first and last characters at most
    leaves: str  # "deny" for secrets; what the data class says: "allow", "ask" or "deny"


@dataclass(frozen=True, slots=True)
class Hint:
    """How much a text looks like instructions to a model: 0 to 100, and the phrase that weighed most."""

    score: int
    phrase: str


class Scanner(Protocol):
    def scan(self, text: str) -> tuple[Finding, ...]:
        """Secrets and data classes in text that is about to leave, also encoded ones. Never raises on odd text."""
        ...

    def hint(self, text: str) -> Hint: ...
