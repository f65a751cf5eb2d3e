"""Signals: what the breaker counts. Each is a fact that some part saw, with the session and call it belongs to.

Layer: core/terms. Absent: the limits and the counting (`core/breaker`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from carapax.core.terms.ids import CallId, SessionId


class SignalKind(StrEnum):
    DENIED = "denied"  # a call or a request that was refused
    MESSAGE = "message"  # something was sent to somebody
    FILE = "file"  # a file was read
    UPLOADED = "uploaded"  # bytes went up; `amount` says how many
    HOST = "host"  # a host that this run had not used before; `detail` names it
    MISMATCH = "mismatch"  # a placeholder or a credential where it is not bound
    SCRUBBED = "scrubbed"  # a secret came back in an answer and was taken out
    CANARY_READ = "canary_read"  # a planted secret was read
    CANARY_USED = "canary_used"  # a planted secret was about to leave; `detail` names canary and target
    SPENT = "spent"  # millionths of a dollar; `amount` says how many


@dataclass(frozen=True, slots=True)
class Signal:
    kind: SignalKind
    session: SessionId
    call: CallId | None = None
    amount: int = 1
    detail: str = ""  # host, canary or rule; never a secret, never text of the model
