"""What the tools of each session told, kept for look-ups while the gateway runs.

Layer: core/flow. In memory only: after a restart a person is asked instead, which is always allowed.
"""

from __future__ import annotations

from collections import OrderedDict

from carapax.core.flow.knowledge import Knowledge
from carapax.core.terms.ids import SessionId

SESSIONS_KNOWN = 256
"""Sessions whose records are kept; the one used longest ago is forgotten."""


class Known:
    """The sessions' knowledge, newest use last."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[SessionId, Knowledge] = OrderedDict()

    def of(self, session: SessionId) -> Knowledge:
        """What is known in this session."""
        found = self._sessions.pop(session, None) or Knowledge()
        self._sessions[session] = found
        if len(self._sessions) > SESSIONS_KNOWN:
            self._sessions.popitem(last=False)
        return found
