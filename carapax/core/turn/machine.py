"""The life of a turn and of an approval, each as one table.

Layer: core/turn. Source: the tables below are the whole protocol (idea: h11's `_state.py`).
Laws: an ended turn never moves; an approval is answered at most once; after its deadline only EXPIRED is left.
"""

from __future__ import annotations

from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.conversation import TurnState
from carapax.core.terms.error import Conflict

_TURN: dict[TurnState, frozenset[TurnState]] = {
    TurnState.ACCEPTED: frozenset({TurnState.RUNNING, TurnState.STOPPED, TurnState.INTERRUPTED}),
    TurnState.RUNNING: frozenset({TurnState.WAITING, TurnState.DONE, TurnState.STOPPED, TurnState.INTERRUPTED}),
    TurnState.WAITING: frozenset({TurnState.RUNNING, TurnState.STOPPED, TurnState.INTERRUPTED}),
    TurnState.DONE: frozenset(),
    TurnState.STOPPED: frozenset(),
    TurnState.INTERRUPTED: frozenset(),
}

ENDED = frozenset(state for state, after in _TURN.items() if not after)
"""States that nothing follows."""


def move_turn(present: TurnState, wanted: TurnState) -> TurnState:
    """The wanted state, if the table allows it. Raises Conflict."""
    if wanted not in _TURN[present]:
        raise Conflict(f"A turn that is {present.value} cannot become {wanted.value}.")
    return wanted


def answer_state(approval: Approval, *, approve: bool, now_ms: int) -> ApprovalState:
    """What an answer given now makes of an approval. Raises Conflict when it is not waiting any more."""
    if approval.state is not ApprovalState.WAITING:
        raise Conflict(f"{approval.id} was already {approval.state.value}.")
    if now_ms > approval.deadline_ms:
        return ApprovalState.EXPIRED
    return ApprovalState.APPROVED if approve else ApprovalState.DENIED
