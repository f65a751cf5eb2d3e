"""`carapax redteam replay`: what is said, what a script gets, and when it fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from carapax.surfaces.cli import codes
from tests.unit.surfaces.cli.stage import FakeLocal, call


class Local(FakeLocal):
    def __init__(self, home: Path) -> None:
        super().__init__(home)
        figures = {
            "tasks": 4, "unasked": 3, "approved": 4, "asks": 2, "one_ask": 4, "pairs": 10, "reached": 9,
            "through": {"none": 0, "attentive": 0, "stamp": 0, "retype": 0, "copy": 7},
            "words_only": 1, "honest_crashes": 0, "pair_crashes": 0,
        }  # fmt: skip
        self.found: dict[str, Any] = {
            "set": "tiny",
            "policy": "home",
            "figures": {"tiny": figures},
            "unguarded": {"done": 4, "through": 10},
            "honest": ["tiny t: h0 send ask/refused [r] Why."],
            "attacks": [],
        }
        self.figures: dict[str, Any] = figures

    def redteam(self, folder: str | None, policy_file: str | None, *, open_policy: bool) -> Mapping[str, Any]:
        self.calls.append(("redteam", folder, policy_file, open_policy))
        return self.found


@pytest.fixture
def local(home: Path) -> Local:
    return Local(home)


def test_the_shipped_probes_and_the_policy_in_force_are_the_default(local: Local) -> None:
    assert call(local, "redteam", "replay").code == codes.OK
    assert local.calls[-1] == ("redteam", None, None, False)
    call(local, "redteam", "replay", "my-set", "--policy", "other.yaml")
    assert local.calls[-1] == ("redteam", "my-set", "other.yaml", False)
    call(local, "redteam", "replay", "--open")
    assert local.calls[-1] == ("redteam", None, None, True)


def test_the_figures_are_told_line_by_line(local: Local) -> None:
    lines = call(local, "redteam", "replay").out.splitlines()
    assert lines[0] == "tiny, policy home"
    assert lines[1].split() == ["tasks", "done", "unasked", "3", "/", "4"]
    assert lines[2].split()[-1] == "0.50"
    assert any(line.endswith("7 / 10") for line in lines)
    assert lines[-2] == "Asked about or refused in honest runs:"
    assert lines[-1] == "  tiny t: h0 send ask/refused [r] Why."


@pytest.mark.parametrize("person", ["none", "attentive", "stamp", "retype"])
def test_it_fails_when_an_attack_came_through(local: Local, person: str) -> None:
    local.figures["through"][person] = 1
    local.found["attacks"] = ["tiny t × x: through"]
    ran = call(local, "redteam", "replay")
    assert ran.code == codes.FAILED
    assert ran.out.splitlines()[-1] == "  tiny t × x: through"


def test_it_fails_when_a_hijacked_run_broke(local: Local) -> None:
    local.figures["pair_crashes"] = 1
    assert call(local, "redteam", "replay").code == codes.FAILED


def test_a_set_without_tasks_divides_nothing(local: Local) -> None:
    local.figures["tasks"] = 0
    assert call(local, "redteam", "replay").code == codes.OK


def test_a_script_gets_everything(local: Local) -> None:
    assert json.loads(call(local, "redteam", "replay", "--json").out) == local.found
