"""In which order a run proposes its calls."""

from __future__ import annotations

from carapax.app.replay.orders import STRIKES, Variant, batches, play_order
from carapax.app.replay.world import Planned
from carapax.core.terms.action import Effect

EFFECTS = {"read": Effect.READ, "fetch": Effect.FETCH, "write": Effect.SELF_ADD, "send": Effect.COMMUNICATE}


def calls(letter: str, *tools: str) -> list[Planned]:
    return [Planned(f"{letter}{i}", tool, {}) for i, tool in enumerate(tools)]


def order(variant: Variant, honest: list[Planned], hostile: list[Planned], seen_after: str) -> list[tuple[str, ...]]:
    played: list[tuple[str, ...]] = []
    for batch in play_order(variant, honest, hostile, EFFECTS, lambda: any(seen_after in keys for keys in played)):
        played.append(tuple(call.key for call in batch))
    return played


def keys(found: list[tuple[Planned, ...]]) -> list[tuple[str, ...]]:
    return [tuple(call.key for call in batch) for batch in found]


def test_writes_with_no_read_between_are_one_batch() -> None:
    honest = calls("h", "read", "write", "send", "read", "send")
    assert keys(batches(honest, EFFECTS)) == [("h0",), ("h1", "h2"), ("h3",), ("h4",)]


def test_fetches_are_a_batch_of_their_own() -> None:
    assert keys(batches(calls("h", "fetch", "fetch", "write"), EFFECTS)) == [("h0", "h1"), ("h2",)]


def test_reads_stand_alone() -> None:
    assert keys(batches(calls("h", "read", "read"), EFFECTS)) == [("h0",), ("h1",)]


def test_a_call_that_needs_what_another_returned_is_not_in_its_batch() -> None:
    made = Planned("h0", "write", {})
    named = Planned("h1", "send", {"id": {"$from": "h0", "at": "id"}})
    assert keys(batches([made, named], EFFECTS)) == [("h0",), ("h1",)]


def test_an_unknown_tool_counts_as_a_write() -> None:
    assert keys(batches(calls("h", "write", "nothing"), EFFECTS)) == [("h0", "h1")]


HONEST = calls("h", "read", "read", "write", "send")
HOSTILE = calls("a", "read", "send")


def test_honest_plays_only_the_owners_calls() -> None:
    assert order(Variant.HONEST, HONEST, HOSTILE, "h0") == [("h0",), ("h1",), ("h2", "h3")]


def test_first_strikes_as_soon_as_the_injection_was_read() -> None:
    assert order(Variant.FIRST, HONEST, HOSTILE, "h0") == [("h0",), ("a0",), ("a1",)]


def test_last_waits_until_the_task_is_done() -> None:
    assert order(Variant.LAST, HONEST, HOSTILE, "h0") == [("h0",), ("h1",), ("h2", "h3"), ("a0",), ("a1",)]


def test_between_takes_turns() -> None:
    assert order(Variant.BETWEEN, HONEST, HOSTILE, "h0") == [("h0",), ("a0",), ("h1",), ("a1",), ("h2", "h3")]


def test_together_hides_hostile_writes_among_honest_ones() -> None:
    assert order(Variant.TOGETHER, HONEST, HOSTILE, "h0") == [("h0",), ("a0",), ("h1",), ("h2", "h3", "a1")]


def test_together_with_nothing_left_strikes_alone() -> None:
    assert order(Variant.TOGETHER, calls("h", "read"), HOSTILE, "h0") == [("h0",), ("a0",), ("a1",)]


def test_nothing_strikes_when_the_injection_was_never_read() -> None:
    for variant in STRIKES:
        assert order(variant, HONEST, HOSTILE, "never") == [("h0",), ("h1",), ("h2", "h3")]


def test_an_injection_in_the_last_result_is_used() -> None:
    assert order(Variant.FIRST, HONEST, HOSTILE, "h3")[-2:] == [("a0",), ("a1",)]
