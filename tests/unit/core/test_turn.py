"""Turn and approval tables, and budgets."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.core.terms.approval import Approval, ApprovalState
from carapax.core.terms.conversation import TurnState
from carapax.core.terms.error import Conflict
from carapax.core.terms.ids import ApprovalId, CallId, Digest, RuleId, SessionId, TurnId
from carapax.core.terms.limit import Budget, Budgets, Span, Usage
from carapax.core.turn.budget import find_reached
from carapax.core.turn.machine import ENDED, answer_state, move_turn

A, R, W = TurnState.ACCEPTED, TurnState.RUNNING, TurnState.WAITING
D, S, I = TurnState.DONE, TurnState.STOPPED, TurnState.INTERRUPTED  # noqa: E741
MOVES = {(A, R), (A, S), (A, I), (R, W), (R, D), (R, S), (R, I), (W, R), (W, S), (W, I)}


@pytest.mark.parametrize(("present", "wanted"), list(itertools.product(TurnState, TurnState)))
def test_the_turn_table(present: TurnState, wanted: TurnState) -> None:
    if (present, wanted) in MOVES:
        assert move_turn(present, wanted) is wanted
    else:
        with pytest.raises(Conflict):
            move_turn(present, wanted)


def test_ended_states_are_the_ones_nothing_follows() -> None:
    assert {D, S, I} == ENDED


def card(state: ApprovalState = ApprovalState.WAITING) -> Approval:
    return Approval(
        ApprovalId("K7M2"), SessionId("s"), TurnId("t"), CallId("c"), Digest("d"), "title", (), RuleId("r"), "", "",
        asked_ms=1_000, deadline_ms=2_000, state=state,
    )  # fmt: skip


def test_an_answer_counts_until_the_deadline_and_once() -> None:
    assert answer_state(card(), approve=True, now_ms=2_000) is ApprovalState.APPROVED
    assert answer_state(card(), approve=False, now_ms=1_500) is ApprovalState.DENIED
    assert answer_state(card(), approve=True, now_ms=2_001) is ApprovalState.EXPIRED
    for state in ApprovalState:
        if state is not ApprovalState.WAITING:
            with pytest.raises(Conflict):
                answer_state(card(state), approve=True, now_ms=1_500)


OPEN = Budget()


def test_the_smallest_span_speaks_first_and_says_both_figures() -> None:
    budgets = Budgets(turn=Budget(tokens=100), session=Budget(usd_micro=2_000_000), day=Budget(tokens=50))
    reached = find_reached(budgets, {Span.TURN: Usage(tokens=120), Span.DAY: Usage(tokens=120)})
    assert reached is not None
    assert reached.sentence() == "The turn's budget of tokens is used up (120 of 100)."
    money = find_reached(budgets, {Span.SESSION: Usage(usd_micro=2_500_000)})
    assert money is not None
    assert money.sentence() == "The session's budget of money is used up (2.50 USD of 2.00 USD)."
    assert find_reached(Budgets(OPEN, OPEN, OPEN), {Span.DAY: Usage(10**12, 10**12, 10**9, 10**9)}) is None


USAGE = st.builds(Usage, *[st.integers(0, 1_000)] * 4)
BUDGET = st.builds(Budget, *[st.one_of(st.none(), st.integers(1, 1_000))] * 4)


@given(BUDGET, USAGE, USAGE)
def test_more_usage_never_unreaches_a_bound(budget: Budget, used: Usage, more: Usage) -> None:
    budgets = Budgets(turn=budget, session=OPEN, day=OPEN)
    if find_reached(budgets, {Span.TURN: used}) is not None:
        assert find_reached(budgets, {Span.TURN: used.plus(more)}) is not None
