"""What every reader of clear values does, run against each: ports.vault.Secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from carapax.adapters.vault.binding import make_binding
from carapax.adapters.vault.environ import EnvironVault
from carapax.adapters.vault.sealed import SealedVault
from carapax.core.terms.error import StoreUnavailable, VaultLocked
from carapax.ports.vault import Secrets
from tests.unit.adapters.vault.rig import OTHER, PASSPHRASE, VALUE, opened

BOUND = make_binding("svc", "api.example", port=8443, methods=("GET",), path="/v1")
SUBJECTS: dict[str, Callable[[SealedVault], Secrets]] = {
    "sealed": lambda sealed: sealed,
    "environ": lambda sealed: EnvironVault(sealed, {}, {"svc": "SVC_KEY"}, {}),
}


@pytest.fixture
def sealed(tmp_path: Path) -> SealedVault:
    return opened(tmp_path)


@pytest.fixture(params=SUBJECTS)
def secrets(request: pytest.FixtureRequest, sealed: SealedVault) -> Secrets:
    return SUBJECTS[request.param](sealed)


def test_what_is_not_there_is_none(secrets: Secrets) -> None:
    assert secrets.handles() == () and secrets.bindings() == () and asyncio.run(secrets.value("svc")) is None


def test_the_present_value_is_given_each_time(secrets: Secrets, sealed: SealedVault) -> None:
    for value in (VALUE, OTHER):
        sealed.put_secret("svc", value)
        assert asyncio.run(secrets.value("svc")) == value and secrets.handles() == ("svc",)
    sealed.drop_secret("svc")
    assert asyncio.run(secrets.value("svc")) is None and secrets.handles() == ()


def test_what_is_not_bound_has_no_binding(secrets: Secrets, sealed: SealedVault) -> None:
    sealed.put_secret("svc", VALUE)
    sealed.put_secret("other", OTHER)
    assert secrets.bindings() == ()
    sealed.bind("svc", [BOUND])
    assert secrets.bindings() == (BOUND,)
    sealed.unbind("svc")
    assert secrets.bindings() == ()


def test_locked_it_gives_nothing(secrets: Secrets, sealed: SealedVault) -> None:
    sealed.put_secret("svc", VALUE)
    sealed.protect("passphrase", PASSPHRASE)
    sealed.lock()
    for act in (lambda: asyncio.run(secrets.value("svc")), secrets.bindings, secrets.handles):
        with pytest.raises(VaultLocked):
            act()


def test_an_altered_file_is_named_and_no_value_said(secrets: Secrets, sealed: SealedVault, tmp_path: Path) -> None:
    sealed.put_secret("svc", VALUE)
    (tmp_path / "vault" / "svc.sealed").write_bytes(b"{}")
    with pytest.raises(StoreUnavailable, match="'svc'") as caught:
        asyncio.run(secrets.value("svc"))
    assert VALUE not in repr(caught.value) + repr(secrets)
