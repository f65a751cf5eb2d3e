"""`carapax vault` on the real files of a home: what is asked, what is shown, what is never shown."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from carapax.adapters.ledger.file_ledger import FileLedger
from carapax.adapters.vault.door import open_door, serve_door
from carapax.adapters.vault.sealed import SealedVault
from carapax.app.home import Home
from carapax.app.local_vault import VaultDesk
from carapax.app.sealed import open_sealed, record_changes
from carapax.surfaces.cli import codes
from carapax.surfaces.cli.context import Context
from carapax.surfaces.cli.entry_line import entry_words
from tests.unit.adapters.vault.rig import OTHER, PASSPHRASE, VALUE, Clock, found_in_clear
from tests.unit.surfaces.cli.stage import FakeLocal, Ran, call


class Local(FakeLocal):
    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.desk_home = Home(home)

    def vault(self) -> VaultDesk:
        return VaultDesk(self.desk_home, {})


@pytest.fixture
def local(home: Path) -> Local:
    return Local(home)


def vault(local: Local, *argv: str, given: str = "", code: int = codes.OK) -> Ran:
    ran = call(local, "vault", *argv, stdin=given.encode())
    assert ran.code == code, ran.err
    assert not any(word in ran.out + ran.err for word in (VALUE, OTHER, PASSPHRASE))
    return ran


def test_a_secret_is_kept_bound_listed_and_forgotten(local: Local, home: Path) -> None:
    assert "empty" in vault(local, "list").out
    ran = vault(local, "set", "svc", "--bind", "api.example.org:8443", "--header", "X-Api-Key", "--path", "/v1",
                "--method", "post", given=f"{VALUE}\n")  # fmt: skip
    assert ran.out.splitlines()[1] == "  → POST https://api.example.org:8443/v1 x-api-key: …"
    assert open_sealed(Home(home), {}).find_secret("svc") == VALUE
    assert found_in_clear(home, VALUE) == []
    vault(local, "bind", "svc", "b.example", "c.example")
    listed = json.loads(vault(local, "list", "--json").out)
    assert listed["source"] == "machine" and listed["locked"] is False
    (secret,) = listed["secrets"]
    assert secret["bindings"][1] == "https://b.example/ authorization: Bearer …" and secret["used_ms"] == 0
    assert vault(local, "unbind", "svc", "b.example").out.startswith("svc: 1")
    vault(local, "unbind", "svc", "b.example", code=codes.FAILED)
    shown = vault(local, "list").out
    assert "svc" in shown and "c.example" in shown and "b.example" not in shown and "never" in shown
    vault(local, "remove", "svc", code=codes.FAILED)
    assert open_sealed(Home(home), {}).handles() == ("svc",)
    vault(local, "remove", "svc", "--yes")
    assert open_sealed(Home(home), {}).handles() == ()
    vault(local, "remove", "svc", "--yes", code=codes.FAILED)


def test_a_new_secret_says_that_it_is_used_nowhere(local: Local) -> None:
    assert "vault bind svc HOST" in vault(local, "set", "svc", given=VALUE).out
    assert "sealed anew" in vault(local, "set", "svc", given=OTHER).out
    assert "used nowhere" in vault(local, "list").out


def test_a_rotation_is_ended_either_way(local: Local, home: Path) -> None:
    vault(local, "set", "svc", given=VALUE)
    assert "--confirm" in vault(local, "rotate", "svc", given=OTHER).out
    assert "--confirm" in vault(local, "list").out
    vault(local, "rotate", "svc", "--back")
    assert open_sealed(Home(home), {}).find_secret("svc") == VALUE
    vault(local, "rotate", "svc", given=OTHER)
    vault(local, "rotate", "svc", "--confirm")
    assert open_sealed(Home(home), {}).find_secret("svc") == OTHER
    assert "not being rotated" in vault(local, "rotate", "svc", "--back", code=codes.FAILED).err


def test_a_file_is_imported(local: Local, home: Path, tmp_path: Path) -> None:
    env = tmp_path / "app.env"
    env.write_text(f"A_KEY={VALUE}\nPORT=8080\n")
    out = vault(local, "import", str(env), "--keep", "PORT").out
    assert "A_KEY" in out and "vault:a-key" in out and "PORT" in out
    assert env.read_text() == "A_KEY=vault:a-key\nPORT=8080\n"
    env.write_text(f"A={VALUE}\nB='open\n")
    ran = vault(local, "import", str(env), code=codes.code_of("input.malformed", 0))
    assert "line 2" in ran.err


def test_kinds_that_are_no_value(local: Local, home: Path) -> None:
    token = {"endpoint": "https://id.example/token", "client_id": "c", "refresh_token": VALUE}
    vault(local, "set", "mail", "--oauth", given=json.dumps(token))
    vault(local, "set", "db", "--remote", "team/db#password")
    shown = vault(local, "list").out
    assert "oauth" in shown and "remote" in shown
    wrong = call(local, "vault", "set", "mail", "--oauth", stdin=b"{")
    assert wrong.code == codes.code_of("input.malformed", 0)
    assert call(local, "vault", "set", "x", "--oauth", "--remote", "a").code == codes.USAGE


@pytest.mark.parametrize("argv", [["set", "svc", VALUE], ["rotate", "svc", VALUE], ["unlock", PASSPHRASE], ["protect"],
                                  ["set"], ["protect", "--machine", "--systemd"], ["rotate", "a", "--confirm", "--back"]])  # fmt: skip
def test_nothing_secret_is_an_argument(local: Local, argv: list[str]) -> None:
    assert call(local, "vault", *argv).code == codes.USAGE


def at_terminal(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """A person at a terminal who types these; what they were asked."""
    asked: list[str] = []
    waiting = list(answers)

    def give(prompt: str) -> str:
        asked.append(prompt)
        return waiting.pop(0)

    monkeypatch.setattr(Context, "interactive", property(lambda self: True))
    monkeypatch.setattr(getpass, "getpass", give)
    return asked


def test_a_passphrase_is_taken_twice_asked_for_and_never_shown(
    local: Local, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault(local, "set", "svc", given=VALUE)
    at_terminal(monkeypatch, PASSPHRASE, "another one, typed wrong")
    assert "differ" in vault(local, "protect", "--passphrase", code=codes.FAILED).err
    assert not open_sealed(Home(home), {}).locked
    at_terminal(monkeypatch, PASSPHRASE, PASSPHRASE)
    vault(local, "protect", "--passphrase")
    assert open_sealed(Home(home), {}).locked and found_in_clear(home, PASSPHRASE, VALUE) == []
    assert "not checked" in vault(local, "list").out
    asked = at_terminal(monkeypatch, PASSPHRASE, OTHER)
    vault(local, "set", "svc", "--bind", "a.example")
    assert len(asked) == 2 and "passphrase" in asked[0] and "svc" in asked[1]
    asked = at_terminal(monkeypatch, "a wrong passphrase")
    assert "not the vault's passphrase" in call(local, "vault", "bind", "svc", "b.example").err


def test_locked_and_nobody_there_it_says_what_to_do(local: Local, home: Path) -> None:
    vault(local, "set", "svc", given=VALUE)
    vault(local, "protect", "--passphrase", given=f"{PASSPHRASE}\n")
    ran = call(local, "vault", "set", "new", stdin=OTHER.encode())
    assert ran.code != codes.OK and "locked" in ran.err and "carapax vault unlock" in ran.err


def test_unlocking_needs_a_running_vault(local: Local) -> None:
    ran = call(local, "vault", "unlock", stdin=PASSPHRASE.encode())
    assert ran.code == codes.FAILED and "No vault is open now" in ran.err


def test_what_lay_in_clear_is_taken_in_and_said_once(local: Local, home: Path) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "secrets").mkdir(mode=0o700)
    (home / "secrets" / "openai").write_text(VALUE)
    (home / "secrets" / "openai").chmod(0o600)
    ran = vault(local, "list")
    assert "openai" in ran.err and "api.openai.com" in ran.out
    assert found_in_clear(home, VALUE) == [] and "openai" not in vault(local, "list").err


def test_uses_and_changes_are_found_in_the_ledger(local: Local, home: Path) -> None:
    vault(local, "set", "svc", "--bind", "a.example", given=VALUE)
    vault(local, "set", "other", given=OTHER)
    before = vault(local, "audit", "svc").out.splitlines()
    assert [line.split()[3] for line in before] == ["vault.set", "vault.bind"] and "(soon)" in before[0]
    hop = {"tool": "run_command", "method": "GET", "host": "a.example", "port": 443, "path": "/", "rule": "egress.x"}

    async def run() -> None:
        ledger = FileLedger.open(Home(home).ledger, b"s" * 32, "test.example/ledger", Clock())
        sealed = open_sealed(Home(home), {})
        assert await record_changes(sealed, ledger) == 3
        assert await record_changes(sealed, ledger) == 0
        await ledger.append("egress", {**hop, "secrets": ["svc"], "answer": "allow"})
        await ledger.append("egress", {**hop, "secrets": ["other"], "answer": "deny"})
        await ledger.append("egress", {**hop, "secrets": [], "answer": "allow"})
        await ledger.close()

    asyncio.run(run())
    found = [json.loads(line) for line in vault(local, "audit", "svc", "--json").out.splitlines()]
    assert [(each["index"], each["kind"]) for each in found] == [(0, "vault.set"), (1, "vault.bind"), (3, "egress")]
    assert found[1]["body"]["detail"] == "a.example:443"
    assert len(vault(local, "audit").out.splitlines()) == 5
    assert len(vault(local, "audit", "--limit", "2").out.splitlines()) == 2
    assert "with svc" in vault(local, "audit", "svc").out
    assert "does not name it" in vault(local, "audit", "none").out
    used = {each["handle"]: each["used_ms"] for each in json.loads(vault(local, "list", "--json").out)["secrets"]}
    assert used["svc"] == Clock().now_ms() and used["other"] == 0  # a refused request is no use


def test_french_says_the_same(local: Local) -> None:
    assert "vide" in call(local, "vault", "list", "--lang", "fr").out
    assert "coffre" in call(local, "vault", "--help", "--lang", "fr").out


def test_the_vault_of_another_user_is_not_opened(local: Local, home: Path) -> None:
    vault(local, "set", "svc", given=VALUE)
    os.chmod(home / "vault", 0o755)
    assert "chmod 700" in call(local, "vault", "list").err


def test_a_change_is_told_in_words() -> None:
    body = {"id": "x", "at_ms": 1, "handle": "svc", "detail": "a.example:443"}
    assert entry_words("vault.bind", body) == "svc a.example:443"
    assert entry_words("vault.remove", {**body, "detail": ""}) == "svc"
    assert entry_words("vault.taken_in", {"handles": ["a", "b"]}) == "a, b"


@contextmanager
def running(home: Path) -> Iterator[SealedVault]:
    """A vault that runs behind its door, as beside a gateway."""
    sealed = open_sealed(Home(home), {})
    door = open_door(Home(home).vault_door)
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        with suppress(asyncio.CancelledError):
            await serve_door(door, sealed, {os.geteuid()})

    serving = loop.create_task(serve())
    thread = threading.Thread(target=lambda: loop.run_until_complete(serving))
    thread.start()
    try:
        yield sealed
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join(20)
        loop.close()


def test_the_running_vault_is_unlocked_from_a_terminal(
    local: Local, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault(local, "set", "svc", given=VALUE)
    vault(local, "protect", "--passphrase", given=f"{PASSPHRASE}\n")
    with running(home) as beside:
        assert beside.locked
        asked = at_terminal(monkeypatch, "a wrong passphrase")
        wrong = call(local, "vault", "unlock")
        assert wrong.code != codes.OK and "not the vault's passphrase" in wrong.err and beside.locked
        at_terminal(monkeypatch, PASSPHRASE)
        assert "open" in vault(local, "unlock").out
        assert beside.find_secret("svc") == VALUE and asked == ["the vault's passphrase (not shown): "]
        at_terminal(monkeypatch, PASSPHRASE)
        vault(local, "bind", "svc", "a.example")  # a change beside it counts at its next use
        assert [each.host for each in beside.bindings()] == ["a.example"]
