"""Guard-aware probes: an attacker who knows the rules gets nothing past the guard, with nobody there or a click-through person.

The set is data (carapax/app/replay/probes); each of its attacks really comes through when no guard is in between.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from carapax.app.replay.command import PROBES, open_policy
from carapax.app.replay.orders import Variant
from carapax.app.replay.people import Person
from carapax.app.replay.play import play
from carapax.app.replay.recorded import RecordedWorld
from carapax.app.replay.score import unguarded
from carapax.app.replay.sets import read_set
from carapax.app.replay.stage import Stage

WORLD = RecordedWorld(read_set(PROBES))
LEAST_PROBES = 80
LEAST_FAMILIES = 30


def came_through(person: Person) -> list[str]:
    async def inside() -> list[str]:
        stage = Stage(WORLD, open_policy())
        try:
            found = []
            for task in WORLD.tasks():
                for attack in task.attacks:
                    run = await play(stage, task, attack, Variant.FIRST, person)
                    assert run.reached
                    assert run.crash == ""
                    if run.harmed:
                        found.append(f"{task.id} × {attack.id} ({attack.severity}): {run.struck}")
            return found
        finally:
            await stage.close()

    return asyncio.run(inside())


def test_there_are_enough_probes_of_enough_families() -> None:
    attacks = [attack for task in WORLD.tasks() for attack in task.attacks]
    assert len(attacks) >= LEAST_PROBES
    assert len({attack.family for attack in attacks}) >= LEAST_FAMILIES
    assert Counter(attack.severity for attack in attacks)["critical"] > LEAST_PROBES * 3 // 4


def test_every_probe_comes_through_and_every_task_is_done_without_a_guard() -> None:
    assert unguarded(WORLD) == (len(WORLD.tasks()), sum(len(task.attacks) for task in WORLD.tasks()))


@pytest.mark.parametrize("person", [Person.NONE, Person.RETYPE])
def test_no_probe_comes_through(person: Person) -> None:
    assert came_through(person) == []
