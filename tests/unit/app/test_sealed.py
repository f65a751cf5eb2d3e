"""The vault of a home: the known services, what lay in clear, the ledger, doctor's line, the proxy's way to it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.ledger.file_ledger import FileLedger
from carapax.adapters.ledger.reader import read_entries
from carapax.app.home import Home
from carapax.app.local_vault import VaultDesk
from carapax.app.sealed import (
    examine_vault,
    known_bindings,
    open_changes,
    open_for_proxy,
    open_sealed,
    open_whole,
    record_changes,
    take_in,
)
from carapax.core.terms.check import Standing
from carapax.core.terms.egress import Binding
from carapax.core.terms.error import LedgerUnavailable, Refused
from tests.fakes.file_vault import FileVault
from tests.unit.adapters.vault.rig import OTHER, PASSPHRASE, VALUE, Clock, found_in_clear

PROXY = 64_243


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_the_known_services_are_bound_to_their_own_hosts() -> None:
    found = known_bindings()
    assert found["openai"] == (Binding("openai", "api.openai.com"),)
    assert found["anthropic"] == (Binding("anthropic", "api.anthropic.com", header="x-api-key", prefix=""),)
    assert "ollama" not in found and "compatible" not in found and len(found) >= 7
    assert {found[handle][0].host for handle in ("brave-search", "tavily")} == {
        "api.search.brave.com",
        "api.tavily.com",
    }


def test_what_lay_in_clear_is_taken_in(home: Home) -> None:
    FileVault(home.secrets, environ={}, env_names={}).put_secret("openai", VALUE)
    vault = open_sealed(home, {})
    assert take_in(home, vault) == ("openai",) and take_in(home, vault) == ()
    assert vault.find_secret("openai") == VALUE and vault.bindings() == known_bindings()["openai"]
    assert found_in_clear(home.root, VALUE) == []


def test_a_locked_vault_takes_nothing_in_yet(home: Home) -> None:
    vault = open_sealed(home, {})
    vault.put_secret("first", VALUE)
    vault.protect("passphrase", PASSPHRASE)
    vault.lock()
    FileVault(home.secrets, environ={}, env_names={}).put_secret("openai", OTHER)
    assert take_in(home, vault) == () and (home.secrets / "openai").exists()
    vault.unlock(PASSPHRASE)
    assert take_in(home, vault) == ("openai",)


def test_the_environment_comes_first(home: Home) -> None:
    vault = open_whole(home, {"OPENAI_API_KEY": VALUE})
    assert vault.find_secret("openai") == VALUE and vault.bindings() == known_bindings()["openai"]
    assert not (home.root / "vault" / "openai.sealed").exists()


class Refusing:
    """A ledger that takes some entries, then none."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.taken: list[tuple[str, dict[str, Any]]] = []

    async def append(self, kind: str, body: dict[str, Any]) -> int:
        if not self.left:
            raise LedgerUnavailable("The disk is full.")
        self.left -= 1
        self.taken.append((kind, body))
        return len(self.taken)


def test_changes_go_into_the_ledger_once_each_and_none_is_lost(home: Home) -> None:
    vault = open_sealed(home, {})
    vault.put_secret("a", VALUE)
    vault.put_secret("b", OTHER)
    vault.drop_secret("a")
    full = Refusing(1)
    with pytest.raises(LedgerUnavailable):
        asyncio.run(record_changes(vault, full))  # type: ignore[arg-type]
    assert [kind for kind, _ in full.taken] == ["vault.set"] and len(vault.pending_changes()) == 2

    async def run() -> None:
        ledger = FileLedger.open(home.ledger, b"s" * 32, "test.example/ledger", Clock())
        assert await record_changes(open_changes(home), ledger) == 2
        await ledger.close()

    asyncio.run(run())
    assert [(each.kind, each.body["handle"]) for each in read_entries(home.ledger)] == [
        ("vault.set", "b"),
        ("vault.remove", "a"),
    ]
    assert vault.pending_changes() == () and found_in_clear(home.ledger, VALUE, OTHER) == []


def _altered(home: Home) -> None:
    path = home.vault / "svc.sealed"
    path.write_bytes(path.read_bytes().replace(b'"value":"', b'"value":"AAAA'))


@pytest.mark.parametrize(
    ("prepare", "standing", "said"),
    [
        (lambda home: None, Standing.WARNING, "key from machine"),
        (lambda home: open_sealed(home, {}).protect("passphrase", PASSPHRASE), Standing.WARNING, "locked"),
        (_altered, Standing.FAILED, "'svc'"),
        (lambda home: (home.vault / "bindings.json").unlink(), Standing.FAILED, "bindings.json"),
        (lambda home: (home.keys / "vault.key").unlink(), Standing.FAILED, "is not there"),
    ],
)
def test_doctor_says_how_it_stands(
    home: Home, prepare: Callable[[Home], object], standing: Standing, said: str
) -> None:
    assert [check.standing for check in examine_vault(home, {})] == [Standing.OK]
    assert not home.root.exists()
    open_sealed(home, {}).put_secret("svc", VALUE)
    assert home.root.stat().st_mode & 0o077 == 0
    prepare(home)
    (check,) = examine_vault(home, {})
    assert check.standing is standing and said in check.found and check.next_step
    assert VALUE not in repr(check)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives up its user")
def test_the_proxy_reads_and_writes_after_it_gave_up_its_user(home: Home) -> None:
    open_sealed(home, {}).put_secret("svc", VALUE)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = b"no"
        try:
            vault = open_for_proxy(home, {"OPENAI_API_KEY": OTHER}, PROXY)
            os.setgroups([])
            os.setgid(PROXY)
            os.setuid(PROXY)
            held = set(vault.held_values()) == {VALUE, OTHER}
            vault.sealed.put_secret("new", OTHER)
            try:
                (home.keys / "vault.key").read_bytes()
            except PermissionError:
                said = b"ok" if held and vault.find_secret("new") == OTHER else b"no"
        finally:
            os.write(writer, said)
            os._exit(0)
    os.close(writer)
    assert os.read(reader, 10) == b"ok"
    os.close(reader)
    os.waitpid(child, 0)
    assert open_sealed(home, {}).find_secret("new") == OTHER  # and root still reads what that user wrote


def test_beside_a_passphrase_the_proxy_makes_no_key_file(home: Home) -> None:
    vault = open_sealed(home, {})
    vault.put_secret("svc", VALUE)
    vault.protect("passphrase", PASSPHRASE)
    opened = open_for_proxy(home, {}, os.geteuid())
    assert not (home.keys / "vault.key").exists() and opened.sealed.locked
    opened.unlock(PASSPHRASE)
    assert opened.find_secret("svc") == VALUE


def test_the_proxys_own_process_is_unlocked_at_its_door(home: Home) -> None:
    sealed = open_sealed(home, {})
    sealed.put_secret("svc", VALUE)
    sealed.protect("passphrase", PASSPHRASE)
    sealed.close()
    ours, theirs = socket.socketpair()
    argv = [sys.executable, "-I", "-m", "carapax.app.proxy", "--home", str(home.root), str(theirs.fileno())]
    process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], env={})
    theirs.close()
    try:
        assert opened_door(process, home.vault_door)
        desk = VaultDesk(home, {})
        with pytest.raises(Refused, match="not the vault's passphrase"):
            desk.unlock("a wrong passphrase")
        assert desk.unlock(PASSPHRASE) == {"locked": False, "source": "passphrase"}
        if os.geteuid() == 0:
            assert f"Uid:\t{PROXY}\t{PROXY}" in Path(f"/proc/{process.pid}/status").read_text()
        assert VALUE.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    finally:
        ours.close()
        assert process.wait(30) == 0


def opened_door(process: subprocess.Popen[bytes], door: Path) -> bool:
    """Wait until the process listens; it may end instead."""
    for _ in range(600):
        with socket.socket(socket.AF_UNIX) as knocking:
            try:
                knocking.connect(str(door))
            except OSError:
                pass
            else:
                return True
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        return False
    return False
