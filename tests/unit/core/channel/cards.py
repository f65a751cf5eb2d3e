"""A card to show and to answer, for the tests of this room."""

from __future__ import annotations

from carapax.core.terms.approval import Approval, ArgumentLine
from carapax.core.terms.ids import ApprovalId, CallId, Digest, RuleId, SessionId, TurnId

NOW = 1_800_000_000_000
CARD = Approval(
    id=ApprovalId("K7M2Q"),
    session=SessionId("s"),
    turn=TurnId("t"),
    call=CallId("c"),
    digest=Digest("0123456789abcdef" * 4),
    title="delete 12 files",
    lines=(ArgumentLine("path", "old/", "you named it in this message"),),
    rule=RuleId("files.delete-many"),
    reason="It deletes more than 10 files.",
    taint="",
    asked_ms=NOW,
    deadline_ms=NOW + 15 * 60_000,
)
