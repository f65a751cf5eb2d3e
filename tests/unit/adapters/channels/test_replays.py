"""Requests that were taken already: once each, also after a restart, and bounded."""

from __future__ import annotations

import asyncio
import json

import pytest

from carapax.adapters.channels.replays import MOST, NOTE, WINDOW_MS, Replays
from carapax.core.terms.error import StoreUnavailable
from tests.fakes.platforms.serving import Notes, ShiftedClock


async def _nothing() -> None:
    return None


async def _fails() -> None:
    raise StoreUnavailable("full")


def test_once_and_after_a_restart() -> None:
    async def inside() -> None:
        notes, clock = Notes(), ShiftedClock()
        now_ms = clock.now_ms()
        replays = Replays(notes, clock)
        assert await replays.take("a", now_ms, _nothing)
        assert not await replays.take("a", now_ms, _nothing)
        assert not await Replays(notes, clock).take("a", now_ms, _nothing)
        assert await Replays(notes, clock).take("b", now_ms, _nothing)

    asyncio.run(inside())


def test_what_failed_may_come_again() -> None:
    async def inside() -> None:
        clock = ShiftedClock()
        replays = Replays(Notes(), clock)
        with pytest.raises(StoreUnavailable):
            await replays.take("a", clock.now_ms(), _fails)
        assert await replays.take("a", clock.now_ms(), _nothing)

    asyncio.run(inside())


def test_two_at_once_are_one() -> None:
    async def inside() -> None:
        clock = ShiftedClock()
        replays = Replays(Notes(), clock)
        now_ms = clock.now_ms()
        done = await asyncio.gather(*(replays.take("a", now_ms, _nothing) for _ in range(5)))
        assert sorted(done) == [False] * 4 + [True]

    asyncio.run(inside())


def test_what_had_to_be_forgotten_is_refused_by_its_time() -> None:
    async def inside() -> None:
        notes, clock = Notes(), ShiftedClock()
        now_ms = clock.now_ms()
        full = {f"{number:024x}": now_ms + number for number in range(MOST)}
        notes.kept[NOTE] = json.dumps({"floor_ms": 0, "seen": full}).encode()
        replays = Replays(notes, clock)
        assert await replays.take("new", now_ms + 5, _nothing)
        assert not await replays.take("of the oldest moment", now_ms, _nothing)
        assert not await Replays(notes, clock).take("of the oldest moment", now_ms, _nothing)
        assert len(json.loads(notes.kept[NOTE])["seen"]) == MOST

    asyncio.run(inside())


def test_the_old_is_forgotten() -> None:
    async def inside() -> None:
        notes, clock = Notes(), ShiftedClock()
        replays = Replays(notes, clock)
        assert await replays.take("a", clock.now_ms(), _nothing)
        clock.advance(WINDOW_MS + 1_000)
        assert await replays.take("b", clock.now_ms(), _nothing)
        assert len(json.loads(notes.kept[NOTE])["seen"]) == 1

    asyncio.run(inside())
