"""The store port's suite: work, and what a turn that is taken up again asks for."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from carapax.core.terms.error import Malformed, NotFound, TooLarge
from carapax.core.terms.ids import CallId
from carapax.core.terms.work import Work, WorkState
from carapax.ports.store import OpenCall, Store
from tests.conformance.store.rig import Drive, Ticks
from tests.conformance.store.test_store_port import C1, C2, C3, S1, S2, T1, T2, approval, turn, two_sessions

WAITING, RUNNING, DONE, DEAD = WorkState.WAITING, WorkState.RUNNING, WorkState.DONE, WorkState.DEAD


def work(key: str = "k1", kind: str = "turn", **more: object) -> Work:
    return replace(Work(kind, key, "lane", '{"a":"\\u0000é"}', 7), **more)  # type: ignore[arg-type]


def test_a_piece_is_kept_once_for_its_kind_and_key(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        assert await store.find_work("turn", "k1") is None
        assert await store.put_work(work()) is True
        assert await store.put_work(work(body="{}", lane="other")) is False
        assert await store.find_work("turn", "k1") == work()
        assert await store.put_work(work(kind="delivery")) is True
        assert await store.put_work(work("k2")) is True
        assert [w.key for w in await store.list_work([WAITING])] == ["k1", "k1", "k2"]

    drive(scene)


def test_all_of_a_piece_comes_back(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        whole = work(state=DEAD, attempts=3, due_ms=2**60, error='it broke:\n"x"', ended_ms=2**61)
        await store.put_work(whole)
        assert await store.find_work("turn", "k1") == whole

    drive(scene)


def test_a_piece_that_is_done_stays_known_and_loses_its_body(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await store.put_work(work())
        running = work(state=RUNNING, attempts=2, due_ms=9, error="first try")
        await store.set_work(replace(running, body="not replaced", lane="nor this", started_ms=1))
        assert await store.find_work("turn", "k1") == running
        done = replace(running, state=DONE, error="", ended_ms=11)
        await store.set_work(done)
        assert await store.find_work("turn", "k1") == replace(done, body="")
        assert await store.put_work(work()) is False
        with pytest.raises(NotFound):
            await store.set_work(work("none"))
        with pytest.raises(NotFound):
            await store.set_work(work(kind="delivery"))

    drive(scene)


async def _all_states(store: Store) -> None:
    for number, state in enumerate([WAITING, DEAD, RUNNING, DONE, WAITING, DEAD, RUNNING, DONE]):
        # Later pieces are due and began earlier: neither decides the order.
        await store.put_work(work(f"k{number}", due_ms=100 - number, started_ms=50 - number))
        await store.set_work(work(f"k{number}", state=state, due_ms=90 - number, ended_ms=number))


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ([WAITING, RUNNING], "0246"),
        ([RUNNING, WAITING, RUNNING], "0246"),
        ([WAITING], "04"),
        ([RUNNING], "26"),
        ([DONE], "37"),
        ([DEAD], "51"),
        ([DEAD, DEAD], "51"),
        ([DEAD, WAITING], "0145"),
        ([DEAD, RUNNING, WAITING], "012456"),
        (list(WorkState), "01234567"),
        ([], ""),
    ],
)
def test_work_is_listed_in_the_order_it_was_kept_and_dead_work_newest_first(
    drive: Drive, states: list[WorkState], found: str
) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await _all_states(store)
        assert "".join(w.key[1:] for w in await store.list_work(states)) == found
        assert "".join(w.key[1:] for w in await store.list_work(states, limit=1)) == found[:1]
        for none in (0, -1):
            assert list(await store.list_work(states, limit=none)) == []

    drive(scene)


def test_only_what_is_done_and_ended_before_is_forgotten(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await _all_states(store)
        for number in range(10, 15):
            await store.put_work(work(f"k{number}"))
            await store.set_work(work(f"k{number}", state=DONE, ended_ms=30 - number))
        assert await store.forget_work(ended_before_ms=3) == 0
        assert await store.forget_work(ended_before_ms=7) == 1
        assert [w.key for w in await store.list_work([DONE])] == ["k7", "k10", "k11", "k12", "k13", "k14"]
        assert await store.forget_work(ended_before_ms=1_000, limit=0) == 0
        assert await store.forget_work(ended_before_ms=1_000, limit=3) == 3
        assert [w.key for w in await store.list_work([DONE])] == ["k10", "k11", "k12"]  # the oldest went first
        assert await store.forget_work(ended_before_ms=1_000) == 3
        assert len(await store.list_work(list(WorkState))) == 6
        assert await store.put_work(work("k3")) is True

    drive(scene)


def test_of_many_who_keep_the_same_piece_at_once_one_does(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        got = await asyncio.gather(*[store.put_work(work(f"k{n % 10}", attempts=n)) for n in range(80)])
        assert sum(got) == 10
        assert [w.key for w in await store.list_work([WAITING, RUNNING])] == [f"k{n}" for n in range(10)]

    drive(scene)


def test_a_body_has_a_ceiling(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        most = 256 << 10
        assert await store.put_work(work("ascii", body="x" * most))
        assert await store.put_work(work("wide", body="é" * (most // 2)))
        for body in ("x" * (most + 1), "é" * (most // 2) + "x"):
            with pytest.raises(TooLarge):
                await store.put_work(work("over", body=body))
        assert await store.find_work("turn", "over") is None

    drive(scene)


def test_work_that_cannot_be_stored_is_refused(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        with pytest.raises(Malformed):
            await store.put_work(work(lane="\ud800"))
        await store.put_work(work())
        with pytest.raises(Malformed):
            await store.set_work(work(state=DEAD, error="\ud800"))
        assert await store.find_work("turn", "k1") == work()

    drive(scene)


def test_work_outlives_every_session(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.put_work(work(lane="s1"))
        await store.delete_session(S1)
        assert await store.find_work("turn", "k1") == work(lane="s1")

    drive(scene)


def test_the_calls_of_a_turn_are_known_with_their_outcomes(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        await store.accept_turn(turn(T1), [])
        await store.accept_turn(turn(T2, S2), [])
        assert dict(await store.calls_of(T1)) == {}
        for call, session, of in ((C2, S1, T1), (C1, S1, T1), (C3, S2, T2)):
            await store.open_call(OpenCall(call, session, of, "write", "w", 4))
        await store.close_call(C1, "done", 5, [])
        found = await store.calls_of(T1)
        assert list(found.items()) == [(C2, None), (C1, "done")]
        await store.close_call(C2, "failed", 6, [])
        assert dict(await store.calls_of(T1)) == {C1: "done", C2: "failed"}
        assert dict(await store.calls_of(T2)) == {C3: None}

    drive(scene)


def test_the_newest_card_of_a_call_is_found(drive: Drive) -> None:
    async def scene(store: Store, clock: Ticks) -> None:
        await two_sessions(store)
        assert await store.find_approval(C1) is None
        first, second = approval("A1", asked_ms=20), approval("A2", asked_ms=10)
        for card in (first, second, approval("A3", call=C2)):
            await store.put_approval(card)
        assert await store.find_approval(C1) == second
        assert await store.find_approval(CallId("none")) is None

    drive(scene)
