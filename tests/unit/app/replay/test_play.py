"""One run against the real guard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from carapax.app.replay.orders import Variant
from carapax.app.replay.people import Person
from carapax.app.replay.play import Run, play
from carapax.app.replay.recorded import RecordedEpisode, RecordedWorld
from carapax.app.replay.stage import RUN_MS, NoWorkspace, Stage, ToldClock, own_policy
from carapax.app.replay.world import Attack, Owner, Planned, Returned, Task
from carapax.core.terms.action import CanonicalCall
from carapax.core.terms.error import AuthorityInvalid, SettingsInvalid, Unavailable
from carapax.core.terms.ids import CallId, Digest, EntryIndex, SessionId, TurnId
from carapax.guard.seal import seal
from carapax.ports.workspace import Mark
from tests.unit.app.replay.example import example_files, example_world, open_policy


def run(world: RecordedWorld, attack: int | None = None, variant: str = "honest", person: str = "none") -> Run:
    async def inside() -> Run:
        stage = Stage(world, open_policy())
        try:
            task = world.tasks()[0]
            wanted = None if attack is None else task.attacks[attack]
            return await play(stage, task, wanted, Variant(variant), Person(person))
        finally:
            await stage.close()

    return asyncio.run(inside())


class Breaking(RecordedWorld):
    """A world whose tool breaks at one call."""

    breaks = "h1"

    def begin(self, task: Task, attack: Attack | None) -> RecordedEpisode:
        episode = super().begin(task, attack)
        real: Callable[[Planned, Mapping[str, Any]], Returned] = episode.run

        def broken(planned: Planned, arguments: Mapping[str, Any]) -> Returned:
            if planned.key == self.breaks:
                raise RuntimeError("the service fell over")
            return real(planned, arguments)

        episode.run = broken  # type: ignore[method-assign]
        return episode


def test_an_honest_run_is_complete_and_unasked(tmp_path: Path) -> None:
    honest = run(example_world(tmp_path / "tiny"))
    assert honest.complete
    assert honest.cards == ()
    assert [(call.key, call.answer, call.outcome) for call in honest.calls] == [
        ("h0", "allow", "done"),
        ("h1", "allow", "done"),
    ]
    assert not honest.reached


@pytest.mark.parametrize("variant", ["first", "last", "between", "together"])
def test_a_stranger_gets_nothing_from_whoever_clicks(tmp_path: Path, variant: str) -> None:
    world = example_world(tmp_path / "tiny")
    for person in ("none", "attentive", "stamp", "retype"):
        hijacked = run(world, 0, variant, person)
        assert hijacked.reached
        assert not hijacked.harmed
        assert hijacked.struck == ()
        assert hijacked.crash == ""


def test_whoever_copies_the_card_gives_it_away(tmp_path: Path) -> None:
    hijacked = run(example_world(tmp_path / "tiny"), 0, "first", "copy")
    assert hijacked.harmed
    assert hijacked.struck == ("a0",)
    assert len(hijacked.cards) == 1


def test_the_rule_that_refused_is_told(tmp_path: Path) -> None:
    hijacked = run(example_world(tmp_path / "tiny"), 1, "first")
    refused = next(call for call in hijacked.calls if call.key == "a0")
    assert (refused.answer, refused.outcome) == ("deny", "refused")
    assert refused.rule
    assert refused.reason


def test_a_run_that_breaks_is_a_crash_and_not_a_defence(tmp_path: Path) -> None:
    world = Breaking(example_world(tmp_path / "tiny")._recorded)
    broken = run(world)
    assert "the service fell over" in broken.crash
    assert not broken.complete


def test_harm_before_a_crash_still_counts(tmp_path: Path) -> None:
    world = Breaking(example_world(tmp_path / "tiny")._recorded)
    broken = run(world, 0, "between", "copy")
    assert "the service fell over" in broken.crash
    assert broken.harmed


def test_a_call_that_rests_on_one_that_did_not_run_is_not_proposed(tmp_path: Path) -> None:
    tasks = example_files()["tasks.jsonl"].replace('"text": "I will come."', '"text": {"$from": "h7", "at": "x"}')
    honest = run(example_world(tmp_path / "tiny", tasks=tasks))
    assert [call.answer for call in honest.calls] == ["allow", "lost"]
    assert not honest.complete


def test_it_is_told_whether_anything_honest_was_left(tmp_path: Path) -> None:
    world = example_world(tmp_path / "tiny")
    assert not run(world, 0, "first").exhausted
    assert run(world, 0, "last").exhausted


def test_runs_share_no_session_and_no_day(tmp_path: Path) -> None:
    world = example_world(tmp_path / "tiny")

    async def inside() -> tuple[Run, Run]:
        stage = Stage(world, open_policy())
        try:
            task = world.tasks()[0]
            first = await play(stage, task, None, Variant.HONEST, Person.NONE)
            day_ms = stage.clock.now_ms()
            second = await play(stage, task, None, Variant.HONEST, Person.NONE)
            assert stage.clock.now_ms() - day_ms == RUN_MS  # the same time of another day
            return first, second
        finally:
            await stage.close()

    first, second = asyncio.run(inside())
    assert first == second


def test_a_stage_leaves_nothing_behind(tmp_path: Path) -> None:
    async def inside() -> Path:
        stage = Stage(example_world(tmp_path / "tiny"), open_policy())
        folder = stage._folder
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o077 == 0
        await stage.close()
        return folder

    assert not asyncio.run(inside()).exists()


def test_a_tool_that_touches_the_workspace_is_refused(tmp_path: Path) -> None:
    tools = example_files()["tools.toml"].replace("touches_workspace = false", "touches_workspace = true", 1)
    with pytest.raises(SettingsInvalid):
        Stage(example_world(tmp_path / "tiny", tools=tools), open_policy())


def test_a_replay_has_no_workspace() -> None:
    workspace = NoWorkspace()

    async def inside() -> None:
        assert await workspace.unfinished() == ()
        for step in (workspace.before(CallId("c")), workspace.after(Mark(1)), workspace.settle(Mark(1))):
            with pytest.raises(Unavailable):
                await step
        with pytest.raises(Unavailable):
            await workspace.revert(())

    asyncio.run(inside())


def test_a_told_clock_moves_when_told() -> None:
    clock = ToldClock(10)
    clock.advance(5)
    assert (clock.now_ms(), clock.monotonic_ms()) == (15, 15)


def test_the_worlds_owner_joins_the_policys() -> None:
    policy = own_policy(open_policy(), Owner(frozenset({"a@b.example"}), frozenset({"b.example"})))
    assert "a@b.example" in policy.tables.owner_addresses
    assert "b.example" in policy.tables.org_domains
    assert open_policy().tables.owner_addresses == frozenset()


def test_a_replayed_tool_checks_the_seal_as_every_tool_does(tmp_path: Path) -> None:
    async def inside() -> None:
        stage = Stage(example_world(tmp_path / "tiny"), open_policy())
        try:
            manifest = stage.manifests()[0]
            call = CanonicalCall(CallId("c"), SessionId("s"), TurnId("t"), manifest, (), "{}", Digest("0" * 64))
            forged = seal(call, EntryIndex(0), Digest(""), stage.clock.now_ms(), b"another key" * 3)
            with pytest.raises(AuthorityInvalid):
                await stage.perform(forged)
        finally:
            await stage.close()

    asyncio.run(inside())
