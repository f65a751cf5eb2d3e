"""Somebody reads every file of the home, at any moment: also after the process was ended in the middle of a change.

No value may be in clear anywhere, and no ending may lose a secret or leave it half.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from carapax.adapters.vault.binding import make_binding
from carapax.adapters.vault.keysource import PASSPHRASE
from carapax.adapters.vault.sealed import SealedVault
from tests.unit.adapters.vault.rig import OTHER, VALUE, found_in_clear, killed_everywhere, opened
from tests.unit.adapters.vault.rig import PASSPHRASE as WORDS

BOUND = make_binding("svc", "api.example")


def kept(root: Path) -> SealedVault:
    vault = opened(root)
    vault.put_secret("svc", VALUE)
    vault.put_secret("beside", "sk-Beside11-meadow-K9w")
    return vault


CHANGES: dict[str, tuple[Callable[[SealedVault], None], set[str | None]]] = {
    "set": (lambda vault: vault.put_secret("svc", OTHER), {VALUE, OTHER}),
    "new": (lambda vault: vault.put_secret("new", OTHER), {VALUE}),
    "rotate": (lambda vault: vault.rotate("svc", OTHER), {VALUE, OTHER}),
    "bind": (lambda vault: vault.bind("svc", [BOUND]), {VALUE}),
    "remove": (lambda vault: vault.drop_secret("svc"), {VALUE, None}),
    "protect": (lambda vault: vault.protect("machine"), {VALUE}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_ended_at_any_step_it_is_as_before_or_as_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    act, allowed = CHANGES[name]
    place = tmp_path / "place"

    def prepare() -> Callable[[], None]:
        shutil.rmtree(place, ignore_errors=True)
        vault = kept(place)
        return lambda: act(vault)

    endings = 0
    for _ in killed_everywhere(monkeypatch, prepare):
        endings += 1
        assert found_in_clear(place, VALUE, OTHER) == []
        after = opened(place)
        assert after.find_secret("svc") in allowed
        assert after.find_secret("beside") == "sk-Beside11-meadow-K9w"
        # The next change of whatever else settles it: from then on no file of before counts beside the one of after.
        after.put_secret("more", "sk-More55-valley-Tr3")
        assert [each.handle for each in after.entries()[1] if each.following or not each.edition] == []
        assert after.find_secret("svc") in allowed
        after.put_secret("svc", "sk-Third33-orchard-Pz5")
        assert opened(place).find_secret("svc") == "sk-Third33-orchard-Pz5"
        assert not [each for each in os.listdir(place / "vault") if each.startswith(".")]
        assert found_in_clear(place, VALUE, OTHER, "sk-Third33-orchard-Pz5") == []
    assert endings >= 8
    assert found_in_clear(place, VALUE, OTHER) == []


def test_a_change_that_happened_is_in_the_log_wherever_it_was_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"

    def prepare() -> Callable[[], None]:
        shutil.rmtree(place, ignore_errors=True)
        vault = kept(place)
        return lambda: vault.put_secret("svc", OTHER)

    happened = 0
    for _ in killed_everywhere(monkeypatch, prepare):
        after = opened(place)
        if after.find_secret("svc") == OTHER:
            happened += 1
            assert [each.handle for each in after.pending_changes()] == ["svc", "beside", "svc"]
    assert happened


def test_a_passphrase_taken_up_and_ended_at_any_step_leaves_one_way_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"

    def prepare() -> Callable[[], None]:
        shutil.rmtree(place, ignore_errors=True)
        vault = kept(place)
        return lambda: vault.protect(PASSPHRASE, WORDS)

    seen = set()
    for _ in killed_everywhere(monkeypatch, prepare):
        after = opened(place)
        seen.add(after.source)
        if after.source == PASSPHRASE:
            assert after.locked
            after.unlock(WORDS)
        assert after.find_secret("svc") == VALUE
        after.put_secret("more", OTHER)  # completes what was cut short
        assert after.find_secret("svc") == VALUE
        assert (place / "keys" / "vault.key").exists() == (after.source == "machine")
        assert found_in_clear(place, VALUE, OTHER, WORDS) == []
    assert seen == {"machine", PASSPHRASE}


def test_two_vaults_with_the_same_secret_have_nothing_in_common(tmp_path: Path) -> None:
    for name in ("a", "b"):
        opened(tmp_path / name).put_secret("svc", VALUE)
    one, two = ((tmp_path / name / "vault" / "svc.sealed").read_bytes() for name in ("a", "b"))
    again = opened(tmp_path / "a")
    again.put_secret("svc", VALUE)
    assert len({one, two, (tmp_path / "a" / "vault" / "svc.sealed").read_bytes()}) == 3
