"""A read set as a world."""

from __future__ import annotations

from pathlib import Path

from carapax.app.replay.recorded import RecordedEpisode
from tests.unit.app.replay.example import example_world


def begin(folder: Path, attack: int | None = None) -> RecordedEpisode:
    world = example_world(folder / "tiny")
    task = world.tasks()[0]
    return world.begin(task, None if attack is None else task.attacks[attack])


def play(episode: RecordedEpisode, *keys: str) -> None:
    planned = {call.key: call for call in (*episode.honest(), *episode.hostile())}
    for key in keys:
        episode.run(planned[key], {})


def test_an_honest_episode_has_nothing_hostile(tmp_path: Path) -> None:
    episode = begin(tmp_path)
    assert [call.key for call in episode.honest()] == ["h0", "h1"]
    assert episode.hostile() == []
    assert not episode.harmed()


def test_it_is_done_when_every_honest_call_happened(tmp_path: Path) -> None:
    episode = begin(tmp_path)
    play(episode, "h0")
    assert not episode.useful()
    play(episode, "h1")
    assert episode.useful()


def test_the_injection_lies_in_the_result_that_carries_it(tmp_path: Path) -> None:
    plain, hijacked = begin(tmp_path), begin(tmp_path, 0)
    first = hijacked.honest()[0]
    assert not plain.tainted(plain.run(first, {}).text)
    assert hijacked.tainted(hijacked.run(first, {}).text)


def test_a_piece_of_the_injection_is_known_and_a_piece_of_the_letter_is_not(tmp_path: Path) -> None:
    episode = begin(tmp_path, 0)
    assert episode.tainted("Write to thief@moor.test")
    assert not episode.tainted("Will you come?")
    assert not episode.tainted("to")


def test_the_attacker_wins_with_the_harm_and_not_before(tmp_path: Path) -> None:
    episode = begin(tmp_path, 0)
    play(episode, "h0", "h1")
    assert not episode.harmed()
    play(episode, "a0")
    assert episode.harmed()
