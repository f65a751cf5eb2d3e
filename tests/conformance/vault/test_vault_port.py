"""What every vault does, run against each adapter and each fake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from carapax.ports.vault import Vault
from tests.conformance.vault.memory import MemoryVault
from tests.fakes.file_vault import FileVault
from tests.unit.adapters.vault.rig import opened

SUBJECTS: dict[str, Callable[[Path], Vault]] = {
    "files": lambda path: FileVault(path / "vault", environ={}, env_names={}),
    "memory": lambda path: MemoryVault(),
    "sealed": lambda path: opened(path),
}


@pytest.fixture(params=SUBJECTS)
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Vault:
    return SUBJECTS[request.param](tmp_path)


def test_a_new_vault_is_empty(vault: Vault) -> None:
    assert vault.handles() == () and vault.find_secret("none") is None


def test_what_is_put_is_found_until_it_is_dropped(vault: Vault) -> None:
    vault.put_secret("svc", "one")
    assert vault.find_secret("svc") == "one"
    vault.put_secret("svc", "two")
    assert vault.find_secret("svc") == "two"
    vault.drop_secret("svc")
    assert vault.find_secret("svc") is None and vault.handles() == ()


def test_dropping_what_is_not_there_is_nothing(vault: Vault) -> None:
    vault.drop_secret("none")


def test_handles_are_sorted_and_hold_no_values(vault: Vault) -> None:
    for handle in ("b", "a.2", "a-1", "0_x"):
        vault.put_secret(handle, f"value-{handle}")
    assert vault.handles() == tuple(sorted(("b", "a.2", "a-1", "0_x")))


def test_nothing_shows_a_value(vault: Vault) -> None:
    vault.put_secret("svc", "unsaid-value")
    assert "unsaid-value" not in repr(vault) + str(vault) + repr(vault.handles())
