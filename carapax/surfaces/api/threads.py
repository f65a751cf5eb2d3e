"""What the surface remembers of running conversations: which session each is, and the instructions it already sent.

Layer: surfaces/api. Only a convenience: it is bounded, lost with the process, and nothing depends on it for safety.
A client that names its conversation sends the same system text with every message; it is handed on once, and again
only when it changes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from carapax.core.terms.ids import PrincipalId, SessionId


@dataclass(frozen=True, slots=True)
class Thread:
    session: SessionId
    instructions: str


class Threads:
    """The newest conversations, by principal and the client's key."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[tuple[PrincipalId, str], Thread] = OrderedDict()

    def find(self, principal: PrincipalId, conversation: str) -> Thread | None:
        return self._known.get((principal, conversation))

    def keep(self, principal: PrincipalId, conversation: str, thread: Thread) -> None:
        key = (principal, conversation)
        self._known[key] = thread
        self._known.move_to_end(key)
        while len(self._known) > self._limit:
            self._known.popitem(last=False)

    def __len__(self) -> int:
        return len(self._known)
