"""Figures of whole replays, and how they are told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from carapax.app.replay.orders import Variant
from carapax.app.replay.people import Person
from carapax.app.replay.play import Played, Run
from carapax.app.replay.report import attack_lines, figures_table, honest_lines, plain_result
from carapax.app.replay.score import (
    PairResult,
    Result,
    count,
    join_parts,
    play_unguarded,
    replay,
    unguarded,
    words_only_pairs,
)
from carapax.app.replay.world import Attack
from tests.unit.app.replay.example import example_world, open_policy

PLAYED = Played("h0", "read", "allow", "done", "fine", "")
RUN = Run("t", "", Variant.HONEST, Person.NONE, (PLAYED,), (), False, True, False)


def result(tmp_path: Path) -> Result:
    return asyncio.run(replay(example_world(tmp_path / "tiny"), open_policy()))


def pair(through: dict[Person, tuple[str, ...]], *, crashes: tuple[str, ...] = (), reached: bool = True) -> PairResult:
    return PairResult("t", Attack("x"), reached, through, crashes, {person: () for person in through})


def test_the_example_gives_what_its_page_says(tmp_path: Path) -> None:
    world = example_world(tmp_path / "tiny")
    figures = count([result(tmp_path)], words_only_pairs(world))
    assert (figures.tasks, figures.unasked, figures.one_ask, figures.approved) == (1, 1, 1, 1)
    assert figures.pairs == 2
    assert figures.words_only == 1
    assert {p: n for p, n in figures.through.items() if n} == {Person.COPY: 1}
    assert figures.struck[Person.NONE] == 0
    assert (figures.honest_crashes, figures.pair_crashes, figures.reached) == (0, 0, 2)


def test_without_a_guard_everything_comes_through(tmp_path: Path) -> None:
    world = example_world(tmp_path / "tiny")
    assert unguarded(world) == (1, 2)
    task = world.tasks()[0]
    assert play_unguarded(world, task, None, Variant.HONEST) == (True, False)
    assert play_unguarded(world, task, task.attacks[1], Variant.FIRST) == (False, True)


def test_pairs_can_be_bounded_and_people_chosen(tmp_path: Path) -> None:
    world = example_world(tmp_path / "tiny")
    told: list[str] = []
    found = asyncio.run(replay(world, open_policy(), people=(Person.STAMP,), pairs=1, tell=told.append))
    assert [list(one.through) for one in found.pairs] == [[Person.STAMP]]
    assert told == ["tiny: 1 tasks played"]


def test_parts_join_to_the_whole(tmp_path: Path) -> None:
    world = example_world(tmp_path / "tiny")
    parts = [asyncio.run(replay(world, open_policy(), part=(n, 2))) for n in range(2)]
    assert [len(part.honest[Person.NONE]) for part in parts] == [1, 0]
    assert count([join_parts(parts)]) == count([result(tmp_path)])


def test_an_asked_task_is_not_done_unasked() -> None:
    asked = replace(RUN, calls=(replace(PLAYED, answer="ask", outcome="refused"),), cards=(object(),))  # type: ignore[arg-type]
    agreed = replace(asked, calls=(replace(PLAYED, answer="ask"),))
    figures = count([Result("w", {Person.NONE: [asked], Person.ATTENTIVE: [agreed]})])
    assert (figures.unasked, figures.approved, figures.one_ask, figures.asks_each) == (0, 1, 1, 1.0)


def test_two_cards_are_more_than_one_ask() -> None:
    twice = replace(RUN, cards=(object(), object()))  # type: ignore[arg-type]
    figures = count([Result("w", {Person.NONE: [RUN], Person.ATTENTIVE: [twice]})])
    assert (figures.approved, figures.one_ask, figures.asks) == (1, 0, 2)


def test_a_useless_or_broken_run_is_not_done() -> None:
    for bad in (
        replace(RUN, useful=False),
        replace(RUN, crash="x"),
        replace(RUN, calls=(replace(PLAYED, outcome="failed"),)),
    ):
        assert count([Result("w", {Person.NONE: [bad], Person.ATTENTIVE: [bad]})]).unasked == 0


def test_an_attack_counts_once_however_many_orders_succeed() -> None:
    rows = [
        Result(
            "w",
            {Person.NONE: [], Person.ATTENTIVE: []},
            [pair({Person.NONE: ("first", "last")}), pair({Person.NONE: ()})],
        )
    ]
    assert count(rows).through == {Person.NONE: 1}


def test_crashes_and_unreached_pairs_are_told_apart() -> None:
    pairs = [pair({Person.NONE: ()}, crashes=("first none: x",)), pair({Person.NONE: ()}, reached=False)]
    figures = count([Result("w", {Person.NONE: [replace(RUN, crash="x")], Person.ATTENTIVE: []}, pairs)])
    assert (figures.pair_crashes, figures.honest_crashes, figures.reached, figures.pairs) == (1, 1, 1, 2)


def test_no_tasks_are_no_division() -> None:
    assert count([]).asks_each == 0.0


def test_the_table_has_a_row_a_set_and_a_column_a_person(tmp_path: Path) -> None:
    figures = count([result(tmp_path)], 1)
    lines = figures_table({"tiny": figures, "all": figures}).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "through: copies the card" in lines[0]
    assert lines[2].startswith("| tiny | 1 | 1 (100 %) | 0.00 |")


def test_what_was_refused_and_what_got_through_is_listed(tmp_path: Path) -> None:
    found = result(tmp_path)
    assert honest_lines([found]) == []
    assert attack_lines([found]) == [
        "tiny answer × stranger (critical): through with copy: first, last, between, together"
    ]
    refused = Result(
        "w", {Person.NONE: [replace(RUN, calls=(replace(PLAYED, answer="deny", outcome="refused", rule="r"),))]}
    )
    assert honest_lines([refused]) == ["w t: h0 read deny/refused [r]"]
    odd = Result("w", {Person.NONE: [replace(RUN, useful=False)], Person.ATTENTIVE: [replace(RUN, crash="bang")]})
    assert honest_lines([odd]) == ["w t: none: every call ran, and the task is not done", "w t: attentive: bang"]


def test_side_effects_short_of_the_goal_are_listed() -> None:
    row = Result("w", {}, [replace(pair({Person.NONE: ()}, crashes=("first: x",)), struck={Person.NONE: ("a1",)})])
    assert attack_lines([row]) == [
        "w t × x (critical): with none these happened: a1",
        "w t × x (critical): crashed: first: x",
    ]


def test_the_plain_form_is_json(tmp_path: Path) -> None:
    found = result(tmp_path)
    document = json.loads(json.dumps(plain_result([found], {"tiny": count([found], 1)})))
    assert document["figures"]["tiny"]["through"]["copy"] == 1
    assert document["figures"]["tiny"]["tasks"] == 1
    assert document["cards"] == []
