"""The command's part in the app: which set, which policy, what comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from carapax.app.replay import command
from carapax.core.policy.home import home_policy
from carapax.core.terms.error import NotFound, PolicyInvalid, SettingsInvalid
from tests.unit.app.replay.example import write_example


def quiet(_: str) -> None:
    pass


def test_a_folder_is_replayed_against_the_open_policy(tmp_path: Path) -> None:
    found = command.replay_folder(str(write_example(tmp_path / "tiny")), command.open_policy(), quiet)
    assert (found["set"], found["policy"]) == ("tiny", "open")
    assert found["unguarded"] == {"done": 1, "through": 2}
    assert found["figures"]["tiny"]["through"] == {"none": 0, "attentive": 0, "stamp": 0, "retype": 0, "copy": 1}


def test_a_policy_of_ones_own_decides_too(tmp_path: Path) -> None:
    import datetime

    file = tmp_path / "home.yaml"
    file.write_bytes(home_policy(1, datetime.date(2031, 1, 1)))
    found = command.replay_folder(str(write_example(tmp_path / "tiny")), command.policy_of(str(file)), quiet)
    assert found["policy"] == "home"
    assert found["figures"]["tiny"]["unasked"] == 0  # it lets nothing be sent
    assert any("default.deny" in line for line in found["honest"])


def test_a_missing_or_broken_policy_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        command.policy_of(str(tmp_path / "none.yaml"))
    broken = tmp_path / "broken.yaml"
    broken.write_text("format: what")
    with pytest.raises(PolicyInvalid):
        command.policy_of(str(broken))


def test_a_folder_that_is_no_set_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid):
        command.replay_folder(str(tmp_path), command.open_policy(), quiet)
