"""Where the vault's key comes from: each source, changing from each to each, and none that steps in for another."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from carapax.adapters.vault import keysource
from carapax.adapters.vault.binding import make_binding
from carapax.adapters.vault.environ import EnvironVault
from carapax.adapters.vault.folder import Folder, give_folder
from carapax.adapters.vault.keysource import CREDENTIAL, KeySources, run_program
from carapax.adapters.vault.sealed import SealedVault
from carapax.core.terms.error import CarapaxError, Malformed, StoreUnavailable, VaultLocked
from tests.unit.adapters.vault.rig import OTHER, PASSPHRASE, VALUE, Clock, files, opened, sources


class FakeSystemd:
    """systemd-creds on one machine: what it sealed, only it opens."""

    def __init__(self) -> None:
        self.sealed: dict[bytes, bytes] = {}
        self.argv: list[list[str]] = []

    def run(self, argv: Sequence[str], given: bytes) -> bytes:
        self.argv.append(list(argv))
        assert argv[0] == "systemd-creds" and f"--name={CREDENTIAL}" in argv and list(argv[-2:]) == ["-", "-"]
        if argv[1] == "encrypt":
            token = b"sealed-" + str(len(self.sealed)).encode()
            self.sealed[token] = given
            return token
        if given not in self.sealed:
            raise StoreUnavailable("systemd-creds ended with code 1.")
        return self.sealed[given]


def credential(root: Path, content: bytes) -> str:
    folder = root / "credentials"
    folder.mkdir(exist_ok=True)
    (folder / CREDENTIAL).write_bytes(content)
    return str(folder)


def test_a_credential_of_systemd_comes_first(tmp_path: Path) -> None:
    keys = sources(tmp_path, credentials=credential(tmp_path, b"k" * 32))
    vault = opened(tmp_path, keys=keys)
    vault.put_secret("svc", VALUE)
    assert vault.source == "systemd" and not (tmp_path / "keys").exists()
    assert opened(tmp_path, keys=keys).find_secret("svc") == VALUE
    with pytest.raises(VaultLocked, match="systemd gave no vault key"):
        opened(tmp_path).find_secret("svc")
    assert not (tmp_path / "keys").exists()  # no other source stepped in


def test_another_credential_opens_nothing_and_a_short_one_is_refused(tmp_path: Path) -> None:
    opened(tmp_path, keys=sources(tmp_path, credentials=credential(tmp_path, b"k" * 32))).put_secret("svc", VALUE)
    with pytest.raises(StoreUnavailable, match="was replaced"):
        opened(tmp_path, keys=sources(tmp_path, credentials=credential(tmp_path, b"x" * 32)))
    with pytest.raises(StoreUnavailable, match="shorter"):
        opened(tmp_path, keys=sources(tmp_path, credentials=credential(tmp_path, b"short")))
    (tmp_path / "credentials" / CREDENTIAL).unlink()
    (tmp_path / "credentials" / CREDENTIAL).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        opened(tmp_path, keys=sources(tmp_path, credentials=str(tmp_path / "credentials")))


def test_a_key_that_systemd_sealed_is_asked_of_systemd(tmp_path: Path) -> None:
    systemd = FakeSystemd()
    keys = sources(tmp_path, run=systemd.run)
    vault = opened(tmp_path, keys=keys)
    vault.put_secret("svc", VALUE)
    vault.protect("systemd")
    assert vault.source == "systemd" and not (tmp_path / "keys" / "vault.key").exists()
    assert opened(tmp_path, keys=keys).find_secret("svc") == VALUE
    assert {each[1] for each in systemd.argv} == {"encrypt", "decrypt"}
    (sealed,) = systemd.sealed.values()
    assert len(sealed) == 32 and not any(sealed in content for content in files(tmp_path).values())
    # The same key as a unit's credential opens it as well: LoadCredentialEncrypted= hands out the sealed one.
    unit = sources(tmp_path, credentials=credential(tmp_path, sealed))
    assert opened(tmp_path, keys=unit).find_secret("svc") == VALUE
    with pytest.raises(StoreUnavailable):
        opened(tmp_path, keys=sources(tmp_path, run=FakeSystemd().run)).find_secret("svc")


def test_without_systemd_nothing_changes(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put_secret("svc", VALUE)
    with pytest.raises(StoreUnavailable, match="systemd-creds"):
        vault.protect("systemd")
    assert opened(tmp_path).find_secret("svc") == VALUE and opened(tmp_path).source == "machine"


@pytest.mark.parametrize("first", ["machine", "systemd", "passphrase"])
@pytest.mark.parametrize("second", ["machine", "systemd", "passphrase"])
def test_every_source_can_follow_every_other(tmp_path: Path, first: str, second: str) -> None:
    keys = sources(tmp_path, run=FakeSystemd().run)
    vault = opened(tmp_path, keys=keys)
    vault.put_secret("svc", VALUE)
    vault.bind("svc", [make_binding("svc", "a.example")])
    for source in (first, second):
        before = {name: files(tmp_path / "vault")[name] for name in ("svc.sealed", "key.json", "bindings.json")}
        vault.protect(source, PASSPHRASE)
        after = files(tmp_path / "vault")
        assert all(after[name] != content for name, content in before.items())
        vault = opened(tmp_path, keys=keys)
        assert vault.source == source and vault.locked == (source == "passphrase")
        if vault.locked:
            vault.unlock(PASSPHRASE)
        assert vault.find_secret("svc") == VALUE and len(vault.bindings()) == 1
        assert (tmp_path / "keys" / "vault.key").exists() == (source == "machine")


def test_an_unknown_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        opened(tmp_path).protect("keyring")


def test_a_broken_secret_holds_up_a_change_of_the_key_and_is_named(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put_secret("svc", VALUE)
    vault.put_secret("broken", OTHER)
    before = files(tmp_path / "vault")["key.json"]
    (tmp_path / "vault" / "broken.sealed").write_bytes(b"{}")
    with pytest.raises(StoreUnavailable, match="'broken'"):
        vault.protect("passphrase", PASSPHRASE)
    assert files(tmp_path / "vault")["key.json"] == before
    vault.drop_secret("broken")
    vault.protect("passphrase", PASSPHRASE)
    assert vault.find_secret("svc") == VALUE


def test_another_process_changed_the_key_meanwhile(tmp_path: Path) -> None:
    running = opened(tmp_path)
    running.put_secret("svc", VALUE)
    assert running.find_secret("svc") == VALUE
    opened(tmp_path).protect("machine")
    assert running.find_secret("svc") == VALUE  # read anew from its source
    running.put_secret("svc", OTHER)
    opened(tmp_path).protect("passphrase", PASSPHRASE)
    with pytest.raises(VaultLocked):
        running.find_secret("svc")
    running.unlock(PASSPHRASE)
    assert running.find_secret("svc") == OTHER


def test_a_lost_machine_key_is_not_made_anew(tmp_path: Path) -> None:
    opened(tmp_path).put_secret("svc", VALUE)
    (tmp_path / "keys" / "vault.key").unlink()
    for act in (lambda v: v.find_secret("svc"), lambda v: v.put_secret("svc", OTHER)):
        with pytest.raises(VaultLocked, match="is not there"):
            act(opened(tmp_path))
    assert not (tmp_path / "keys" / "vault.key").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_root_gives_the_folder_away_and_still_writes_for_its_owner(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put_secret("svc", VALUE)
    target = tmp_path / "target"
    target.write_text("x")
    (tmp_path / "vault" / "planted").symlink_to(target)
    with pytest.raises(StoreUnavailable):
        give_folder(tmp_path / "vault", 64_243, 64_243)
    (tmp_path / "vault" / "planted").unlink()
    give_folder(tmp_path / "vault", 64_243, 64_243)
    assert target.stat().st_uid == 0
    for name in ("linked", "lock", "changes.log"):  # planted by whoever owns the folder, for root to give away
        (tmp_path / "vault" / name).unlink(missing_ok=True)
        target.chmod(0o600)
        os.link(target, tmp_path / "vault" / name)
        with pytest.raises(StoreUnavailable):
            give_folder(tmp_path / "vault", 64_243, 64_243)
        if name != "linked":
            with pytest.raises(StoreUnavailable):
                opened(tmp_path).put_secret("new", OTHER)
        assert target.stat().st_uid == 0 and target.read_text() == "x"
        (tmp_path / "vault" / name).unlink()
    opened(tmp_path).put_secret("new", OTHER)
    assert {path.stat().st_uid for path in (tmp_path / "vault").iterdir()} == {64_243}

    reader, writer = os.pipe()
    opened(tmp_path)
    child = os.fork()
    if child == 0:  # the proxy: opens, gives up its user, reads and writes through the descriptor alone
        said = b"no"
        try:
            own = SealedVault.open(tmp_path / "vault", sources(tmp_path), Clock())
            os.setgroups([])
            os.setgid(64_243)
            os.setuid(64_243)
            own.put_secret("svc", "sk-written-by-the-proxy")
            found = own.find_secret("new") == OTHER and own.find_secret("svc") == "sk-written-by-the-proxy"
            said = b"ok" if found else b"no"
        finally:
            os.write(writer, said)
            os._exit(0)
    os.close(writer)
    assert os.read(reader, 10) == b"ok"
    os.close(reader)
    os.waitpid(child, 0)
    assert opened(tmp_path).find_secret("svc") == "sk-written-by-the-proxy"


def test_a_program_of_the_system_is_run_without_an_environment_or_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_TEST", VALUE)
    assert run_program(["env"], b"") == b"LC_ALL=C\n"
    assert run_program(["cat"], b"given") == b"given"
    with pytest.raises(StoreUnavailable, match="ended with code") as caught:
        run_program(["cat", "/nonexistent-of-the-test"], VALUE.encode())
    assert VALUE not in str(caught.value)
    with pytest.raises(StoreUnavailable, match="missing"):
        run_program(["no-such-program-of-the-test"], b"")

    def late(*given: object, **more: object) -> None:
        raise subprocess.TimeoutExpired("x", 1, output=VALUE.encode())

    monkeypatch.setattr(keysource.subprocess, "run", late)
    with pytest.raises(StoreUnavailable, match="did not run") as caught:
        run_program(["cat"], b"")
    assert caught.value.__suppress_context__ and VALUE not in str(caught.value)


def test_the_sources_of_a_process(tmp_path: Path) -> None:
    assert KeySources.here(tmp_path / "k", {}).credentials == ""
    assert KeySources.here(tmp_path / "k", {"CREDENTIALS_DIRECTORY": "/run/c"}).credentials == "/run/c"


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = opened(tmp_path)
    vault.put_secret("svc", VALUE)
    before = files(tmp_path / "vault")

    def full(*given: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreUnavailable, match="No space left"):
            vault.put_secret("svc", OTHER)
    assert opened(tmp_path).find_secret("svc") == VALUE
    assert set(files(tmp_path / "vault")) == set(before)


def test_a_folder_over_its_bounds_is_refused(tmp_path: Path) -> None:
    folder = Folder.open(tmp_path / "f")
    folder.write("a", b"x" * 10)
    assert folder.find("a", 10) == b"x" * 10 and folder.find("none", 10) is None
    with pytest.raises(StoreUnavailable, match="longer than 9"):
        folder.find("a", 9)
    folder.remove("none")
    target = tmp_path / "target"
    target.write_text("untouched")
    target.chmod(0o600)
    (tmp_path / "f" / "log").symlink_to(target)
    with pytest.raises(StoreUnavailable):
        folder.append("log", b"line")
    assert target.read_text() == "untouched"
    folder.close()
    with pytest.raises(StoreUnavailable):
        folder.names()
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreUnavailable):
        Folder.open(tmp_path / "file")


def test_the_environment_comes_before_the_vault(tmp_path: Path) -> None:
    known = {"openai": (make_binding("openai", "api.openai.example"),)}
    vault = EnvironVault(
        opened(tmp_path),
        {"OPENAI_API_KEY": f" {VALUE}\n", "EMPTY": " "},
        {"openai": "OPENAI_API_KEY", "x": "EMPTY"},
        known,
    )
    assert vault.handles() == ("openai",) and vault.find_secret("openai") == VALUE and vault.find_secret("x") is None
    assert vault.bindings() == known["openai"] and list(vault.held_values()) == [VALUE]
    vault.put_secret("openai", OTHER)
    vault.put_secret("x", OTHER)
    assert asyncio.run(vault.value("openai")) == VALUE and asyncio.run(vault.value("x")) == OTHER
    assert vault.handles() == ("openai", "x") and vault.bindings() == ()  # the vault's own say counts
    assert VALUE not in repr(vault)
    vault.drop_secret("x")
    vault.unlock("")
    assert vault.sealed.handles() == ("openai",)


def test_a_locked_vault_says_so_through_the_environment_too(tmp_path: Path) -> None:
    sealed = opened(tmp_path)
    sealed.put_secret("svc", VALUE)
    sealed.protect("passphrase", PASSPHRASE)
    sealed.lock()
    vault = EnvironVault(sealed, {}, {}, {})
    for act in (vault.handles, vault.bindings, lambda: vault.find_secret("svc"), lambda: list(vault.held_values())):
        with pytest.raises(CarapaxError) as caught:
            act()
        assert caught.value.code == "vault.locked"
