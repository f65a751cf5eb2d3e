"""Lanes: whose turn it is, against a model that is a plain list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.engine.embedded.lanes import LIGHT_CHARS, Lanes, Piece, make_piece
from carapax.core.terms.work import Work


def piece(key: str, lane: str = "l", *, kept: bool = True) -> Piece:
    return make_piece(Work("k", key, lane, "", 1), kept=kept)


def test_only_the_head_of_a_lane_may_run() -> None:
    lanes, a, b, alone = Lanes(), piece("a"), piece("b"), piece("c", "")
    for one in (a, b, alone):
        lanes.join(one)
    assert [lanes.may_run(one) for one in (a, b, alone)] == [True, False, True]
    lanes.mark(a, running=True)
    assert not lanes.may_run(a)
    assert lanes.counts() == {"k.running": 1, "k.waiting": 2}
    assert lanes.leave(a) is b
    assert lanes.leave(a) is None
    assert lanes.may_run(b)
    assert lanes.leave(alone) is None
    assert lanes.counts() == {"k.waiting": 1}
    assert len(lanes) == 1


def test_a_place_is_held_until_the_store_says_yes() -> None:
    lanes, a, b = Lanes(), piece("a", kept=False), piece("b")
    lanes.join(a)
    lanes.join(b)
    assert not lanes.knows("k", "a")
    assert not lanes.may_run(a)
    assert not lanes.may_run(b)
    lanes.confirm(a)
    assert lanes.knows("k", "a")
    assert lanes.may_run(a)
    refused = piece("c", "m", kept=False)
    lanes.join(refused)
    lanes.leave(refused)
    assert lanes.counts() == {"k.waiting": 2}


def test_in_front_is_behind_what_runs() -> None:
    lanes, a, b, again, first = Lanes(), piece("a"), piece("b"), piece("r"), piece("f", "m")
    lanes.join(a)
    lanes.join(b)
    lanes.mark(a, running=True)
    lanes.join(again, front=True)
    lanes.join(first, front=True)
    assert lanes.leave(a) is again
    assert lanes.leave(again) is b
    assert lanes.may_run(first)


def test_moments_come_in_order_and_only_when_they_come() -> None:
    lanes, a, b, c = Lanes(), piece("a", ""), piece("b", ""), piece("c", "")
    assert lanes.next_ms() is None
    for one, moment in ((a, 30), (b, 10), (c, 10)):
        lanes.put_off(one, moment)
    assert lanes.next_ms() == 10
    assert lanes.take_due(9) == []
    assert lanes.take_due(29) == [b, c]
    assert lanes.take_due(30) == [a]


def test_long_bodies_are_left_in_the_store() -> None:
    assert make_piece(Work("k", "a", "", "b" * (LIGHT_CHARS + 1), 1)).work.body == ""
    assert make_piece(Work("k", "a", "", "b" * LIGHT_CHARS, 1)).work.body == "b" * LIGHT_CHARS


@given(st.lists(st.tuples(st.sampled_from(["join", "leave"]), st.integers(0, 9)), max_size=60))
def test_the_head_is_who_joined_first_and_has_not_left(steps: list[tuple[str, int]]) -> None:
    lanes, present, made = Lanes(), list[Piece](), 0
    for step, number in steps:
        if step == "join":
            one = piece(f"p{made}")
            made += 1
            lanes.join(one)
            present.append(one)
        elif present:
            one = present.pop(number % len(present))
            was_head = number % (len(present) + 1) == 0
            after = lanes.leave(one)
            assert after is (present[0] if was_head and present else None)
        assert [lanes.may_run(one) for one in present] == [n == 0 for n in range(len(present))]
        assert len(lanes) == len(present)
