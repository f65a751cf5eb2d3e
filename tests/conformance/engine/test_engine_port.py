"""The engine port's suite: whatever implements it, driven through the port only."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from carapax.core.terms.error import Conflict, Malformed, NotFound, StoreUnavailable, TooLarge
from carapax.core.terms.work import Work, WorkState
from carapax.ports.engine import Engine, GiveUp, RetryLater
from tests.conformance.engine.subjects import PATIENCE_S, SUBJECTS, Diary, Subject, Wall, until_counts, until_state

Scene = Callable[[Subject], Awaitable[None]]


@pytest.fixture(params=SUBJECTS)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        asyncio.run(asyncio.wait_for(scene(SUBJECTS[request.param](tmp_path)), 60))

    return play


async def _never(work: Work) -> None:
    await asyncio.Event().wait()


def test_a_piece_runs_once_and_is_done(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary = Diary()
        async with subject.process() as engine:
            engine.register("turn", diary.note)
            await engine.launch()
            before = Wall().now_ms()
            assert await engine.start("turn", "t1", '{"text":"héllo 🦀"}', lane="s1")
            await diary.until(1)
            (ran,) = diary.ran
            assert (ran.kind, ran.key, ran.lane, ran.body) == ("turn", "t1", "s1", '{"text":"héllo 🦀"}')
            assert (ran.state, ran.attempts, ran.error) == (WorkState.RUNNING, 1, "")
            assert before <= ran.started_ms <= Wall().now_ms()
            done = await until_state(engine, "turn", "t1", "done")
            assert (done.body, done.attempts) == ("", 1)
            assert done.ended_ms is not None
            assert await engine.find("turn", "t2") is None
        assert diary.keys == ["t1"]

    stage(scene)


def test_a_key_is_one_piece_for_ever(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary = Diary()
        async with subject.process() as engine:
            engine.register("turn", diary.note)
            assert await engine.start("turn", "t1", "1")
            assert not await engine.start("turn", "t1", "2")
            await engine.launch()
            assert not await engine.start("turn", "t1", "3")
            await until_state(engine, "turn", "t1", "done")
            assert not await engine.start("turn", "t1", "4")
            same = await asyncio.gather(*[engine.start("turn", "t2", str(n), lane="l") for n in range(5)])
            assert sorted(same) == [False] * 4 + [True]
            await until_state(engine, "turn", "t2", "done")
        async with subject.process() as engine:
            engine.register("turn", diary.note)
            engine.register("reply", diary.note)
            await engine.launch()
            assert not await engine.start("turn", "t1", "5")
            assert await engine.start("reply", "t1", "6")  # another kind is another piece
            await diary.until(3)
        assert [w.body for w in diary.ran if w.key == "t1"] == ["1", "6"]

    stage(scene)


def test_nothing_runs_before_launch(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary = Diary()
        async with subject.process() as engine:
            engine.register("turn", diary.note)
            for number in range(4):
                await engine.start("turn", f"t{number}", "{}", lane="s")
            assert diary.keys == []
            with pytest.raises(ValueError, match="at least one try"):
                engine.register("other", diary.note, tries=0)
        async with subject.process() as engine:
            engine.register("turn", diary.note)
            await engine.start("turn", "t4", "{}", lane="s")
            await engine.launch()
            assert await diary.until(5) == ["t0", "t1", "t2", "t3", "t4"]
            with pytest.raises(RuntimeError):
                engine.register("late", diary.note)
            with pytest.raises(RuntimeError):
                await engine.launch()

    stage(scene)


def test_a_lane_runs_one_at_a_time_in_the_order_of_its_starts(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary, inside, most = Diary(), 0, 0

        async def run(work: Work) -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
            await diary.note(work)

        async with subject.process() as engine:
            engine.register("turn", run)
            await engine.start("turn", "t0", "{}", lane="s")
            await engine.launch()
            await asyncio.gather(*[engine.start("turn", f"t{n}", "{}", lane="s") for n in range(1, 15)])
            for number in range(15, 20):
                await engine.start("turn", f"t{number}", "{}", lane="s")
            assert await diary.until(20) == [f"t{n}" for n in range(20)]
        assert most == 1

    stage(scene)


def test_lanes_do_not_wait_for_each_other(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        meeting = asyncio.Barrier(4)

        async def run(work: Work) -> None:
            await meeting.wait()

        async with subject.process() as engine:
            engine.register("turn", run)
            await engine.launch()
            for key, lane in (("a", "1"), ("b", "2"), ("c", ""), ("d", "")):
                await engine.start("turn", key, "{}", lane=lane)
            for key in "abcd":
                await until_state(engine, "turn", key, "done")

    stage(scene)


def test_a_failed_try_is_repeated_and_its_lane_waits(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary = Diary()

        async def run(work: Work) -> None:
            await diary.note(work)
            if work.key == "bad" and work.attempts < 3:
                raise OSError("the password is swordfish")

        async with subject.process() as engine:
            engine.register("turn", run, backoff_ms=60)
            await engine.launch()
            await engine.start("turn", "bad", "{}", lane="s")
            await engine.start("turn", "next", "{}", lane="s")
            await engine.start("turn", "other", "{}", lane="t")
            await until_state(engine, "turn", "next", "done")
            assert [k for k in diary.keys if k != "other"] == ["bad", "bad", "bad", "next"]
            assert [w.attempts for w in diary.ran if w.key == "bad"] == [1, 2, 3]
            assert diary.keys.index("other") < diary.keys.index("next")

    stage(scene)


def test_after_its_tries_a_piece_is_dead_and_its_lane_goes_on(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary = Diary()

        async def run(work: Work) -> None:
            await diary.note(work)
            if work.key.startswith("bad"):
                raise OSError("the password is swordfish")
            if work.key == "hopeless":
                raise GiveUp("nobody lives there")
            if work.key == "cut":
                raise asyncio.CancelledError

        async with subject.process() as engine:
            engine.register("turn", run, tries=2, backoff_ms=1)
            await engine.launch()
            for key in ("bad", "hopeless", "cut", "good"):
                await engine.start("turn", key, f"body of {key}", lane="s")
            await until_state(engine, "turn", "good", "done")
            assert diary.keys == ["bad", "bad", "hopeless", "cut", "cut", "good"]
            dead = await engine.dead()
            assert [(w.key, w.attempts) for w in dead] == [("cut", 2), ("hopeless", 1), ("bad", 2)]
            assert all(w.state is WorkState.DEAD and w.body == f"body of {w.key}" for w in dead)
            assert "OSError" in dead[2].error
            assert "swordfish" not in dead[2].error
            assert dead[1].error == "nobody lives there"
            assert len(await engine.dead(limit=1)) == 1
            await until_counts(engine, {"turn.dead": 3})
            assert not await engine.start("turn", "bad", "{}")
        async with subject.process() as engine:
            engine.register("turn", run)
            await engine.launch()
            await until_counts(engine, {"turn.dead": 3})
        assert len(diary.ran) == 6

    stage(scene)


def test_later_is_when_the_run_says(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary, times = Diary(), []

        async def run(work: Work) -> None:
            times.append(Wall().now_ms())
            await diary.note(work)
            if len(times) < 5:
                raise RetryLater("the platform is busy", after_ms=40, counts=False)
            if len(times) < 6:
                raise RetryLater("not yet", after_ms=30)

        async with subject.process() as engine:
            engine.register("delivery", run, tries=2, backoff_ms=3_600_000)
            await engine.launch()
            await engine.start("delivery", "d", "{}")
            await until_state(engine, "delivery", "d", "done")
        assert [w.attempts for w in diary.ran] == [1, 1, 1, 1, 1, 2]
        assert all(later - sooner >= 29 for sooner, later in itertools.pairwise(times))

    stage(scene)


def test_a_waiting_piece_says_why_and_until_when(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary = Diary()

        async def run(work: Work) -> None:
            await diary.note(work)
            raise RetryLater("the platform is busy", after_ms=3_600_000)

        async with subject.process() as engine:
            engine.register("delivery", run)
            await engine.launch()
            await engine.start("delivery", "d", "{}", lane="l")
            await diary.until(1)
            work = await until_state(engine, "delivery", "d", "waiting")
            assert (work.error, work.attempts) == ("the platform is busy", 1)
            assert 3_500_000 < work.due_ms - Wall().now_ms() <= 3_600_000
        async with subject.process() as engine:
            engine.register("delivery", run)
            await engine.launch()
            await engine.start("delivery", "e", "{}")
            await diary.until(2)
            assert diary.keys == ["d", "e"]  # the hour is not over

    stage(scene)


def test_a_dead_piece_runs_again_with_fresh_tries_or_is_dropped(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary, broken = Diary(), True

        async def run(work: Work) -> None:
            await diary.note(work)
            if broken:
                raise OSError

        async with subject.process() as engine:
            engine.register("turn", run, tries=2, backoff_ms=1)
            await engine.launch()
            for key in "ab":
                await engine.start("turn", key, f"body {key}", lane=key)
                await until_state(engine, "turn", key, "dead")
            broken = False
            await engine.retry("turn", "a")
            assert (await until_state(engine, "turn", "a", "done")).attempts == 1
            assert diary.ran[-1].body == "body a"
            await engine.drop("turn", "b")
            assert [w.key for w in await engine.dead()] == []
            assert not await engine.start("turn", "b", "{}")
            dropped = await engine.find("turn", "b")
            assert dropped is not None
            assert (dropped.key, dropped.lane, dropped.state, dropped.body) == ("b", "b", WorkState.DONE, "")
            for change in (engine.retry, engine.drop):
                with pytest.raises(Conflict):
                    await change("turn", "a")
                with pytest.raises(NotFound):
                    await change("turn", "nobody")
            await until_counts(engine, {})
        assert diary.keys == ["a", "a", "b", "b", "a"]

    stage(scene)


def test_what_is_due_later_waits_also_for_the_next_process(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary = Diary()
        due_ms = Wall().now_ms() + 500
        async with subject.process() as engine:
            engine.register("turn", diary.note)
            await engine.launch()
            await engine.start("turn", "alone", "{}", due_ms=due_ms)
            await engine.start("turn", "first", "{}", lane="s", due_ms=due_ms)
            await engine.start("turn", "second", "{}", lane="s")
            await engine.start("turn", "in a week", "{}", due_ms=due_ms + 7 * 86_400_000)
            await engine.start("turn", "in a day", "{}", lane="t", due_ms=due_ms + 86_400_000)
            await engine.start("turn", "now", "{}")
            await diary.until(1)
            assert diary.keys == ["now"] or Wall().now_ms() >= due_ms
        async with subject.process() as engine:
            engine.register("turn", diary.note)
            await engine.launch()
            await diary.until(4)
            assert Wall().now_ms() >= due_ms
            assert sorted(diary.keys) == ["alone", "first", "now", "second"]
            assert diary.keys.index("first") < diary.keys.index("second")
            week = await engine.find("turn", "in a week")
            assert week is not None
            assert (week.state, week.due_ms) == (WorkState.WAITING, due_ms + 7 * 86_400_000)

    stage(scene)


def test_close_lets_a_run_end_within_its_grace(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary, begun, go_on = Diary(), asyncio.Event(), asyncio.Event()

        async def run(work: Work) -> None:
            begun.set()
            await go_on.wait()
            assert await engine.start("reply", f"of {work.key}", "{}")
            await diary.note(work)

        async with subject.process(grace_s=PATIENCE_S) as engine:
            engine.register("turn", run)
            engine.register("reply", diary.note)
            await engine.launch()
            await engine.start("turn", "t1", "{}", lane="s")
            await engine.start("turn", "t2", "{}", lane="s")
            await begun.wait()
            asyncio.get_running_loop().call_later(0.05, go_on.set)
        assert diary.keys == ["t1"]
        with pytest.raises(StoreUnavailable):
            await engine.start("turn", "t3", "{}")
        async with subject.process() as engine:
            engine.register("turn", run)
            engine.register("reply", diary.note)
            await engine.launch()
            await diary.until(4)
        assert sorted(diary.keys) == ["of t1", "of t2", "t1", "t2"]

    stage(scene)


def test_close_cuts_off_what_does_not_end_and_keeps_it_without_counting(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary = Diary()

        async def stuck(work: Work) -> None:
            await diary.note(work)
            await asyncio.Event().wait()

        for _ in range(3):
            async with subject.process(grace_s=0.0) as engine:
                engine.register("turn", stuck, tries=1)
                await engine.launch()
                await engine.start("turn", "t1", "the body", lane="s")
                await engine.start("turn", "t2", "{}", lane="s")
                await diary.until(len(diary.ran) + 1)
        async with subject.process() as engine:
            engine.register("turn", diary.note, tries=1)
            await engine.launch()
            await until_state(engine, "turn", "t2", "done")
        assert diary.keys == ["t1"] * 4 + ["t2"]
        assert [(w.attempts, w.body) for w in diary.ran[:4]] == [(1, "the body")] * 4

    stage(scene)


def test_a_run_may_start_others(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary = Diary()

        async def run(work: Work) -> None:
            await diary.note(work)
            if len(work.key) < 4:
                await engine.start("turn", work.key + "a", "{}", lane=work.lane)

        async with subject.process() as engine:
            engine.register("turn", run)
            await engine.launch()
            await engine.start("turn", "a", "{}", lane="s")
            assert await diary.until(4) == ["a", "aa", "aaa", "aaaa"]

    stage(scene)


def test_an_unknown_kind_is_given_up_and_its_lane_goes_on(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary = Diary()
        async with subject.process() as engine:
            await engine.start("future", "f", "{}", lane="s")
            await engine.start("turn", "t", "{}", lane="s")
        async with subject.process() as engine:
            engine.register("turn", diary.note)
            await engine.launch()
            await until_state(engine, "turn", "t", "done")
            (dead,) = await engine.dead()
            assert "does not know work of the kind 'future'" in dead.error
        async with subject.process() as engine:
            engine.register("future", diary.note)
            await engine.launch()
            await engine.retry("future", "f")
            assert await diary.until(2) == ["t", "f"]

    stage(scene)


def test_what_does_not_fit_is_refused(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary = Diary()
        async with subject.process() as engine:
            engine.register("turn", diary.note)
            await engine.launch()
            whole = "é" * (128 << 10)
            assert await engine.start("turn", "t", whole, lane="s")
            await diary.until(1)
            assert diary.ran[0].body == whole
            refused: list[tuple[type[Exception], tuple[str, str, str], str]] = [
                (TooLarge, ("turn", "u", whole + "x"), ""),
                (TooLarge, ("turn", "u" * 513, "{}"), ""),
                (TooLarge, ("turn", "u", "{}"), "l" * 513),
                (Malformed, ("turn", "", "{}"), ""),
                (Malformed, ("", "u", "{}"), ""),
                (Malformed, ("turn", "u", "\ud800"), ""),
                (Malformed, ("turn", "u", "a\0b"), ""),
            ]
            for error, words, lane in refused:
                with pytest.raises(error):
                    await engine.start(*words, lane=lane)
            with pytest.raises(Malformed):
                await engine.start("turn", "u", "{}", due_ms=-1)
            assert await engine.find("turn", "u") is None

    stage(scene)


def test_counts_say_what_is_unfinished(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        diary = Diary()

        async def stuck(work: Work) -> None:
            await diary.note(work)
            await asyncio.Event().wait()

        async with subject.process(grace_s=0.0) as engine:
            engine.register("turn", stuck)
            engine.register("reply", diary.note)
            await engine.launch()
            for key in "abc":
                await engine.start("turn", key, "{}", lane="s")
            await engine.start("reply", "r", "{}")
            await diary.until(2)
            await until_counts(engine, {"turn.running": 1, "turn.waiting": 2})

    stage(scene)


async def _idle(engine: Engine) -> None:
    engine.register("turn", _never)
    await engine.launch()


def test_an_engine_without_work_closes(stage: Callable[[Scene], None]) -> None:
    async def scene(subject: Subject) -> None:
        async with subject.process() as engine:
            await _idle(engine)
            assert list(await engine.dead()) == []
        await engine.close(1)
        async with subject.process():
            pass

    stage(scene)
