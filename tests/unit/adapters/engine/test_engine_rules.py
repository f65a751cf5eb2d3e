"""What every engine decides in the same way."""

from __future__ import annotations

import asyncio

import pytest

from carapax.adapters.engine.rules import (
    BODY_BYTES,
    ERROR_CHARS,
    Kind,
    Outcome,
    judge_death,
    judge_failure,
    judge_unknown,
    make_kind,
    refuse_closed,
    refuse_unfit,
)
from carapax.core.terms.error import Malformed, ProviderFailed, StoreUnavailable, TooLarge
from carapax.core.terms.work import Work, WorkState
from carapax.ports.engine import GiveUp, RetryLater

NOW = 1_000_000


async def _run(work: Work) -> None:
    raise AssertionError


KIND = make_kind(_run, 3, 1_000, 5_000)


def test_the_pause_doubles_up_to_its_bound() -> None:
    assert [KIND.pause_ms(n) for n in range(6)] == [1_000, 1_000, 2_000, 4_000, 5_000, 5_000]
    assert KIND.pause_ms(10_000) == 5_000
    assert Kind(_run, 1, 0, 0).pause_ms(3) == 0


@pytest.mark.parametrize("bounds", [(0, 1, 1), (1, -1, 1), (1, 1, -1)])
def test_bounds_without_sense_are_refused(bounds: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least one try"):
        make_kind(_run, *bounds)


@pytest.mark.parametrize(
    ("error", "attempts", "outcome"),
    [
        (OSError("secret"), 1, Outcome(WorkState.WAITING, 1, "it failed with OSError", NOW + 1_000)),
        (OSError("secret"), 2, Outcome(WorkState.WAITING, 2, "it failed with OSError", NOW + 2_000)),
        (OSError("secret"), 3, Outcome(WorkState.DEAD, 3, "it failed with OSError")),
        (asyncio.CancelledError(), 3, Outcome(WorkState.DEAD, 3, "it failed with CancelledError")),
        (ProviderFailed("the model is away"), 1, Outcome(WorkState.WAITING, 1, "the model is away", NOW + 1_000)),
        (GiveUp("nobody"), 1, Outcome(WorkState.DEAD, 1, "nobody")),
        (RetryLater("busy"), 2, Outcome(WorkState.WAITING, 2, "busy", NOW + 2_000)),
        (RetryLater("busy", after_ms=9), 2, Outcome(WorkState.WAITING, 2, "busy", NOW + 9)),
        (RetryLater("busy", after_ms=9), 3, Outcome(WorkState.DEAD, 3, "busy")),
        (RetryLater("busy", counts=False), 3, Outcome(WorkState.WAITING, 2, "busy", NOW + 1_000)),
        (RetryLater("busy", after_ms=9, counts=False), 3, Outcome(WorkState.WAITING, 2, "busy", NOW + 9)),
    ],
)
def test_what_a_failed_try_comes_to(error: BaseException, attempts: int, outcome: Outcome) -> None:
    assert judge_failure(error, KIND, attempts, NOW) == outcome


def test_a_death_is_a_try_and_repeats_at_once() -> None:
    assert judge_death(KIND, 2) == Outcome(WorkState.WAITING, 2, "")  # Work.error: "" for one that died
    last = judge_death(KIND, 3)
    assert last.state is WorkState.DEAD
    assert "not tried again" in last.error
    unknown = judge_unknown("dream", 1)
    assert (unknown.state, unknown.attempts) == (WorkState.DEAD, 1)
    assert "'dream'" in unknown.error


def test_reasons_are_cut_and_storable() -> None:
    outcome = judge_failure(GiveUp("x" * 5_000 + "\0"), KIND, 1, NOW)
    assert len(outcome.error) == ERROR_CHARS
    assert judge_failure(GiveUp("a\0b\ud800"), KIND, 1, NOW).error == "ab?"


def test_what_may_be_kept() -> None:
    refuse_unfit("k", "k" * 512, "b" * BODY_BYTES, "l" * 512, 0)
    with pytest.raises(TooLarge, match="256 KiB"):
        refuse_unfit("k", "k", "b" * (BODY_BYTES + 1), "", 0)
    with pytest.raises(TooLarge):
        refuse_unfit("k" * 65, "k", "", "", 0)
    for words in (("", "k", ""), ("k", "", ""), ("k", "\ud800", ""), ("k", "k", "\0")):
        with pytest.raises(Malformed):
            refuse_unfit(*words, "", 0)
    for due_ms in (-1, 1 << 53):
        with pytest.raises(Malformed):
            refuse_unfit("k", "k", "", "", due_ms)
    assert isinstance(refuse_closed(), StoreUnavailable)
