"""EmbeddedEngine: what it asks of the store, what it holds in memory, and what it does while the store is away."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from carapax.adapters.engine.embedded import adapter
from carapax.adapters.engine.embedded.adapter import EmbeddedEngine
from carapax.adapters.engine.rules import REMEMBERED_MS
from carapax.core.terms.error import StoreUnavailable
from carapax.core.terms.work import Work, WorkState
from tests.conformance.engine.subjects import Diary, Wall, until_counts, until_state
from tests.fakes.store import MemoryStore


class Watched(MemoryStore):
    """A store that notes what is asked of it and can be away or slow."""

    def __init__(self) -> None:
        super().__init__(Wall())
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None

    async def until(self, asked: str, times: int = 1) -> None:
        """Wait until this was asked so often."""
        for _ in range(10_000):
            if self.asked.count(asked) >= times:
                return
            await asyncio.sleep(0.001)
        raise AssertionError(self.asked)

    async def put_work(self, work: Work) -> bool:
        self.asked.append(f"put {work.key}")
        kept = await super().put_work(work)
        if self.gate is not None:
            await self.gate.wait()
        return kept

    async def set_work(self, work: Work) -> None:
        self.asked.append(f"set {work.key} {work.state} {work.attempts}")
        await super().set_work(work)

    async def find_work(self, kind: str, key: str) -> Work | None:
        self.asked.append(f"find {key}")
        return await super().find_work(kind, key)

    async def list_work(self, states: Sequence[WorkState], *, limit: int = 100_000) -> Sequence[Work]:
        self.asked.append(f"list {' '.join(states)}")
        return await super().list_work(states, limit=limit)


def play(scene: Callable[[Watched], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(30):
            await scene(Watched())

    asyncio.run(whole())


def test_a_piece_costs_three_writes_and_no_read() -> None:
    async def scene(store: Watched) -> None:
        diary, engine = Diary(), EmbeddedEngine(store, Wall())
        engine.register("turn", diary.note)
        await engine.launch()
        store.asked.clear()
        await engine.start("turn", "t", "{}", lane="s")
        await until_counts(engine, {})
        assert store.asked == ["put t", "set t running 1", "set t done 1"]
        await engine.close(1)

    play(scene)


def test_a_start_asks_the_same_of_the_store_however_much_waits() -> None:
    async def scene(store: Watched) -> None:
        engine = EmbeddedEngine(store, Wall())
        engine.register("turn", Diary().note)
        await engine.launch()
        later = Wall().now_ms() + 86_400_000
        for number in range(10_000):
            await engine.start("turn", f"t{number}", "{}", lane=f"l{number % 100}", due_ms=later)
        store.asked.clear()
        await engine.start("turn", "one more", "{}", lane="l1")
        assert not await engine.start("turn", "t77", "{}")
        assert store.asked == ["put one more"]
        assert engine.counts() == {"turn.waiting": 10_001}
        await engine.close(1)

    play(scene)


def test_memory_holds_nothing_of_what_ended() -> None:
    async def scene(store: Watched) -> None:
        engine = EmbeddedEngine(store, Wall())

        async def run(work: Work) -> None:
            pass

        engine.register("turn", run)
        await engine.launch()
        for number in range(500):
            await engine.start("turn", f"t{number}", "{}", lane=f"l{number}")
        await until_counts(engine, {})
        gc.collect()
        assert not [o for o in gc.get_objects() if isinstance(o, adapter.Piece)]
        assert not engine._lanes._lanes
        await engine.close(1)

    play(scene)


def test_a_long_body_is_read_when_it_is_needed() -> None:
    async def scene(store: Watched) -> None:
        diary, engine = Diary(), EmbeddedEngine(store, Wall())
        engine.register("turn", diary.note)
        await engine.launch()
        await engine.start("turn", "t", "b" * 100_000)
        await until_counts(engine, {})
        assert diary.ran[0].body == "b" * 100_000
        assert store.asked.count("find t") == 1
        await engine.close(1)

    play(scene)


def test_starts_in_one_lane_keep_the_order_of_their_calls_while_the_store_is_slow() -> None:
    async def scene(store: Watched) -> None:
        diary, engine = Diary(), EmbeddedEngine(store, Wall())
        engine.register("turn", diary.note)
        await engine.launch()
        store.gate = asyncio.Event()
        slow = asyncio.ensure_future(engine.start("turn", "first", "{}", lane="s"))
        await store.until("put first")
        gate, store.gate = store.gate, None
        assert await engine.start("turn", "second", "{}", lane="s")
        assert diary.keys == []
        gate.set()
        assert await slow
        assert await diary.until(2) == ["first", "second"]
        await engine.close(1)

    play(scene)


def test_a_piece_whose_starter_went_away_still_runs() -> None:
    async def scene(store: Watched) -> None:
        diary, engine = Diary(), EmbeddedEngine(store, Wall())
        engine.register("turn", diary.note)
        await engine.launch()
        store.gate = asyncio.Event()
        gone = asyncio.ensure_future(engine.start("turn", "t", "{}", lane="s"))
        await store.until("put t")
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        store.gate = None
        assert await engine.start("turn", "u", "{}", lane="s")
        assert await diary.until(2) == ["t", "u"]
        await engine.close(1)

    play(scene)


def test_while_the_store_is_away_starts_fail_and_outcomes_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "STORE_PAUSE_MS", 1)

    async def scene(store: Watched) -> None:
        diary, engine = Diary(), EmbeddedEngine(store, Wall())
        ran = 0

        async def run(work: Work) -> None:
            nonlocal ran
            ran += 1
            store.down = work.key == "t"

        engine.register("turn", run)
        await engine.launch()
        await engine.start("turn", "t", "{}", lane="s")
        await engine.start("turn", "u", "{}", lane="s")
        await store.until("set t done 1", 3)  # it tries again, and does not run it again
        with pytest.raises(StoreUnavailable):
            await engine.start("turn", "v", "{}", lane="s")
        assert ran == 1
        store.down = False
        await until_state(engine, "turn", "u", "done")
        assert ran == 2
        assert await engine.start("turn", "v", "{}", lane="s")
        await until_state(engine, "turn", "v", "done")
        await engine.close(1)
        assert diary.keys == []

    play(scene)


def test_a_store_that_is_away_at_launch_is_said_and_launch_may_be_tried_again() -> None:
    async def scene(store: Watched) -> None:
        diary, engine = Diary(), EmbeddedEngine(store, Wall())
        engine.register("turn", diary.note)
        await engine.start("turn", "t", "{}")
        store.down = True
        with pytest.raises(StoreUnavailable):
            await engine.launch()
        store.down = False
        await engine.launch()
        assert await diary.until(1) == ["t"]
        await engine.close(1)

    play(scene)


def test_a_death_of_the_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(store: Watched) -> None:
        for key, attempts in (("once", 1), ("often", 2)):
            work = Work("turn", key, "s", "{}", 1)
            await store.put_work(work)
            await store.set_work(replace(work, state=WorkState.RUNNING, attempts=attempts))
        diary, engine = Diary(), EmbeddedEngine(store, Wall())
        engine.register("turn", diary.note, tries=2)
        await engine.launch()
        await diary.until(1)
        assert [(w.key, w.attempts) for w in diary.ran] == [("once", 2)]
        (dead,) = await engine.dead()
        assert (dead.key, dead.attempts) == ("often", 2)
        assert "process ended" in dead.error
        await engine.close(1)

    play(scene)


def test_more_than_fits_in_memory_is_loaded_bit_by_bit() -> None:
    async def scene(store: Watched) -> None:
        first = EmbeddedEngine(store, Wall())
        for number in range(25):
            await first.start("turn", f"t{number:02}", "{}", lane="s")
        diary, engine = Diary(), EmbeddedEngine(store, Wall(), loaded=10)
        engine.register("turn", diary.note)
        await engine.launch()
        await engine.start("turn", "t25", "{}", lane="s")
        assert await diary.until(26) == [f"t{n:02}" for n in range(26)]
        await engine.close(1)

    play(scene)


class Slow(Watched):
    """A store whose answer to a list is old when it arrives."""

    async def list_work(self, states: Sequence[WorkState], *, limit: int = 100_000) -> Sequence[Work]:
        works = await super().list_work(states, limit=limit)
        for _ in range(12):
            await asyncio.sleep(0)
        return works


def test_what_is_started_while_the_engine_is_launched_runs_in_its_place() -> None:
    async def scene(_: Watched) -> None:
        store, diary = Slow(), Diary()
        engine = EmbeddedEngine(store, Wall())
        engine.register("turn", diary.note)
        await engine.start("turn", "t0", "{}", lane="s")
        launching = asyncio.ensure_future(engine.launch())
        for number in range(1, 40):
            await engine.start("turn", f"t{number}", "{}", lane="s")
            await asyncio.sleep(0)
        await launching
        assert await diary.until(40) == [f"t{n}" for n in range(40)]
        await engine.close(1)

    play(scene)


@pytest.mark.parametrize("seed", range(5))
def test_loading_more_loses_nothing_and_repeats_nothing_while_pieces_end_and_start(seed: int) -> None:
    async def scene(_: Watched) -> None:
        store, chance, diary = Slow(), random.Random(seed), Diary()
        first = EmbeddedEngine(store, Wall())
        for number in range(60):
            await first.start("turn", f"{number % 3}.{number:03}", "{}", lane=str(number % 3))

        async def run(work: Work) -> None:
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
            await diary.note(work)

        engine = EmbeddedEngine(store, Wall(), loaded=10)
        engine.register("turn", run)
        launching = asyncio.ensure_future(engine.launch())
        for number in range(60, 200):
            await engine.start("turn", f"{number % 3}.{number:03}", "{}", lane=str(number % 3))
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
        await launching
        await diary.until(200)
        await engine.close(1)
        assert len(diary.keys) == len(set(diary.keys)) == 200
        for lane in "012":
            mine = [key for key in diary.keys if key[0] == lane]
            assert mine == sorted(mine)

    play(scene)


def test_no_more_run_at_once_than_allowed() -> None:
    async def scene(store: Watched) -> None:
        inside = most = 0

        async def run(work: Work) -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

        engine = EmbeddedEngine(store, Wall(), at_once=3)
        engine.register("turn", run)
        await engine.launch()
        for number in range(20):
            await engine.start("turn", f"t{number}", "{}")
        await until_counts(engine, {})
        assert most == 3
        await engine.close(1)

    play(scene)


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.ms = 1_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ms(self) -> int:
        return self.ms


def test_a_jump_of_the_clock_is_noticed_within_the_longest_look() -> None:
    async def scene(store: Watched) -> None:
        clock, diary = Hand(), Diary()
        engine = EmbeddedEngine(store, clock, longest_look_ms=5)
        engine.register("turn", diary.note)
        await engine.launch()
        await engine.start("turn", "t", "{}", due_ms=clock.ms + 3 * 86_400_000)
        await engine.start("turn", "sooner", "{}", due_ms=clock.ms + 86_400_000)
        clock.ms += 2 * 86_400_000
        assert await diary.until(1) == ["sooner"]
        clock.ms += 2 * 86_400_000
        assert await diary.until(2) == ["sooner", "t"]
        await engine.close(1)

    play(scene)


def test_ended_pieces_are_forgotten_after_a_week_dead_ones_never() -> None:
    async def scene(store: Watched) -> None:
        clock = Hand()
        for key, state in (("done", WorkState.DONE), ("dead", WorkState.DEAD), ("waits", WorkState.WAITING)):
            work = Work("turn", key, "", "{}", 1, due_ms=1 << 50)
            await store.put_work(work)
            await store.set_work(replace(work, state=state, ended_ms=5))
        for passed, left in ((REMEMBERED_MS, 3), (6, 2)):
            clock.ms = passed if left == 3 else clock.ms + passed
            engine = EmbeddedEngine(store, clock)
            engine.register("turn", Diary().note)
            await engine.launch()
            for _ in range(20):
                await asyncio.sleep(0)
            found = [key for key in ("done", "dead", "waits") if await engine.find("turn", key)]
            assert len(found) == left
            await engine.close(1)
        assert found == ["dead", "waits"]

    play(scene)
