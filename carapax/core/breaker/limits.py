"""Limits: how much of each thing is a busy honest day, and from where on it is something else.

Layer: core/breaker; pure. Owns the figures and their names in the policy (`breaker:`).
Absent: budgets (core/turn), which end a turn and call no one; the bounds of one way out (terms/egress), which refuse
one request. A trip halts everything, so each figure lies well above what those let an honest run do.
Law: a planted secret that is used trips at the first time, whatever the policy says.
"""

from __future__ import annotations

from dataclasses import dataclass

CANARIES_USED = 1
"""Uses of a planted secret until everything of the session is halted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one session may do in a minute, and one run or session in all. The value itself is still fine."""

    denials_minute: int = 20
    messages_minute: int = 30
    files_minute: int = 600
    upload_minute_bytes: int = 64 << 20
    upload_run_bytes: int = 64 << 20
    hosts_minute: int = 60
    hosts_run: int = 40
    mismatches_minute: int = 2
    mismatches_run: int = 2
    scrubbed_minute: int = 20
    spend_minute_usd_micro: int = 20_000_000
    gateway_times: int = 4  # of each minute's figure, for all sessions together


DEFAULT = Limits()
"""What holds when a policy says nothing."""
