"""Somebody guesses the vault's passphrase: slowly, five times, and not faster by ending the process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from carapax.adapters.vault import keyring
from carapax.adapters.vault.keyring import LOCK_MS, WRONG_PASSPHRASES
from carapax.adapters.vault.keysource import MAX_MEMORY_KIB, Cost, KeySources
from carapax.adapters.vault.keysource import PASSPHRASE as SOURCE
from carapax.adapters.vault.sealed import SealedVault
from carapax.core.terms.error import CarapaxError, Malformed, Refused, StoreUnavailable, VaultLocked
from tests.unit.adapters.vault.rig import PASSPHRASE, VALUE, Clock, Killed, dying, found_in_clear, opened


def protected(root: Path, clock: Clock) -> SealedVault:
    vault = opened(root, clock=clock)
    vault.put_secret("svc", VALUE)
    vault.protect(SOURCE, PASSPHRASE)
    return opened(root, clock=clock)


def test_locked_it_gives_nothing_and_says_how_to_open_it(tmp_path: Path) -> None:
    vault = protected(tmp_path, Clock())
    assert vault.locked
    for act in (
        lambda: vault.find_secret("svc"),
        vault.bindings,
        vault.handles,
        lambda: vault.put_secret("svc", "other-value"),
        lambda: vault.rotate("svc", "other-value"),
        lambda: vault.drop_secret("svc"),
        lambda: vault.protect("machine"),
        lambda: list(vault.held_values()),
    ):
        with pytest.raises(VaultLocked) as caught:
            act()
        assert "carapax vault unlock" in caught.value.next_step
    seen, entries = vault.entries()
    assert not seen and [entry.handle for entry in entries] == ["svc"]
    vault.unlock(PASSPHRASE)
    assert vault.find_secret("svc") == VALUE and vault.entries()[0]
    vault.lock()
    assert vault.locked


def test_neither_passphrase_nor_value_lies_anywhere(tmp_path: Path) -> None:
    protected(tmp_path, Clock()).unlock(PASSPHRASE)
    assert found_in_clear(tmp_path, PASSPHRASE, VALUE) == []
    assert not (tmp_path / "keys" / "vault.key").exists()


def test_five_wrong_ones_and_none_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    protected(tmp_path, clock)
    for number in range(WRONG_PASSPHRASES):
        with pytest.raises(Refused, match="not the vault's passphrase") as caught:
            opened(tmp_path, clock=clock).unlock(f"wrong guess number {number}")
        assert "guess" not in str(caught.value) + caught.value.next_step
    computed: list[str] = []
    true_stretch = keyring.stretch
    monkeypatch.setattr(keyring, "stretch", lambda *given: (computed.append(given[0]), true_stretch(*given))[1])
    for guess in (PASSPHRASE, "wrong"):
        with pytest.raises(Refused, match="none is looked at"):
            opened(tmp_path, clock=clock).unlock(guess)
    assert computed == []
    clock.now += LOCK_MS
    vault = opened(tmp_path, clock=clock)
    vault.unlock(PASSPHRASE)
    assert vault.find_secret("svc") == VALUE and not (tmp_path / "vault" / "tries.json").exists()


def test_ending_the_process_gives_no_try_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    protected(tmp_path, clock)

    def ended(*given: object) -> bytes:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(keyring, "stretch", ended)
        for _ in range(WRONG_PASSPHRASES):
            with pytest.raises(Killed):
                opened(tmp_path, clock=clock).unlock("guess")
    with pytest.raises(Refused, match="none is looked at"):
        opened(tmp_path, clock=clock).unlock(PASSPHRASE)


def test_a_disk_that_cannot_count_looks_at_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    protected(tmp_path, Clock())
    vault = opened(tmp_path)
    with dying(monkeypatch, 2), pytest.raises(Killed):
        vault.unlock(PASSPHRASE)
    assert vault.locked


def test_a_broken_count_is_not_a_fresh_one(tmp_path: Path) -> None:
    vault = protected(tmp_path, Clock())
    tries = tmp_path / "vault" / "tries.json"
    for content in (b"", b"{}", b'{"wrong_ms":[],"locked_until_ms":"x"}', b'{"wrong_ms":["x"],"locked_until_ms":0}'):
        tries.write_bytes(content)
        tries.chmod(0o600)
        with pytest.raises(StoreUnavailable, match=r"tries\.json"):
            vault.unlock(PASSPHRASE)


def test_every_try_costs_what_was_chosen_and_it_is_not_cheap(tmp_path: Path) -> None:
    cost = Cost()
    assert cost.memory_kib >= 65_536 and cost.passes >= 3  # RFC 9106, the second recommended choice
    protected(tmp_path, Clock())
    path = tmp_path / "vault" / "key.json"
    found = json.loads(path.read_bytes())
    found["cost"]["passes"] += 1  # another cost is another key
    path.write_bytes(json.dumps(found).encode())
    with pytest.raises(Refused):
        opened(tmp_path).unlock(PASSPHRASE)


@pytest.mark.parametrize(
    "cost",
    [
        {"memory_kib": MAX_MEMORY_KIB + 1, "passes": 1, "lanes": 1},
        {"memory_kib": 64, "passes": 65, "lanes": 1},
        {"memory_kib": 64, "passes": 1, "lanes": 17},
        {"memory_kib": 64, "passes": 0, "lanes": 1},
        {"memory_kib": 64.0, "passes": 1, "lanes": 1},
        {"memory_kib": 64, "passes": 1},
        None,
        [],
    ],
)
def test_a_planted_cost_does_not_take_the_machine_down(tmp_path: Path, cost: object) -> None:
    protected(tmp_path, Clock())
    path = tmp_path / "vault" / "key.json"
    path.write_bytes(json.dumps({**json.loads(path.read_bytes()), "cost": cost}).encode())
    with pytest.raises(StoreUnavailable, match=r"key\.json"):
        opened(tmp_path).unlock(PASSPHRASE)


def test_the_source_cannot_be_swapped_for_one_without_a_person(tmp_path: Path) -> None:
    clock = Clock()
    vault = opened(tmp_path, clock=clock)
    vault.put_secret("svc", VALUE)
    machine = (tmp_path / "vault" / "key.json").read_bytes()
    shutil.copytree(tmp_path / "keys", tmp_path / "keys-before")
    vault.protect(SOURCE, PASSPHRASE)
    # Who kept the old key file and the old key.json has what they had then, and nothing that was sealed since.
    vault.put_secret("since", "sk-sealed-after-the-change")
    (tmp_path / "vault" / "key.json").write_bytes(machine)
    shutil.copytree(tmp_path / "keys-before", tmp_path / "keys", dirs_exist_ok=True)
    for handle in ("svc", "since"):
        with pytest.raises(CarapaxError):
            opened(tmp_path, clock=clock).find_secret(handle)


@pytest.mark.parametrize("words", ["", "short", "x" * 11, "x" * 1025])
def test_a_poor_passphrase_is_not_taken_and_the_vault_stays_as_it_was(tmp_path: Path, words: str) -> None:
    vault = opened(tmp_path)
    vault.put_secret("svc", VALUE)
    with pytest.raises(Malformed):
        vault.protect(SOURCE, words)
    assert opened(tmp_path).find_secret("svc") == VALUE and opened(tmp_path).source == "machine"


def test_nothing_shows_keys_or_passphrase(tmp_path: Path) -> None:
    vault = protected(tmp_path, Clock())
    vault.unlock(PASSPHRASE)
    keys = KeySources(tmp_path / "k", changes_key=b"changes-key-in-clear")
    shown = repr(vault) + repr(keys) + repr(vault.__dict__["_ring"]) + repr(vault.__dict__["_folder"])
    assert PASSPHRASE not in shown and VALUE not in shown and "changes-key" not in shown
