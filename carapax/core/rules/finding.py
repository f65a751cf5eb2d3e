"""Findings: what one rule holds against a call, and how a person could still allow it.

Layer: core/rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from carapax.core.terms.ids import RuleId


class Need(IntEnum):
    """What it takes; the highest of a call's findings counts."""

    YES = 1  # a person's yes
    BLANK = 2  # a person types the value
    PICK = 3  # a person picks the lines of a text that are meant
    NEVER = 4  # denied, not asked


@dataclass(frozen=True, slots=True)
class Finding:
    """One objection. `reason` is a sentence for the person; `value` is what it is about."""

    rule: RuleId
    need: Need
    reason: str
    argument: str = ""
    role: str = ""
    value: str = ""
    source: str = ""
