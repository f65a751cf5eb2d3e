"""The proxy's process as the gateway starts it: with a home's sealed vault, and without the rights of whoever started it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.egress.keeper import Keeper
from carapax.adapters.egress.kept import KeptEgress
from carapax.adapters.vault.binding import make_binding
from carapax.adapters.vault.door import ask_door
from carapax.app.home import Home
from carapax.app.proxy import PROXY_USER, held_names, tell_kind
from carapax.app.sealed import open_sealed
from carapax.core.terms.error import Refused, VaultLocked
from tests.attacks.sealing import mint
from tests.fakes.gate import FakeGate
from tests.fakes.model_server import ModelServer, Says

SECRET = "sk-kept-in-the-sealed-vault"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    root = tmp_path / "home"
    root.mkdir(mode=0o700)
    (root / "run").mkdir(mode=0o700)
    vault = open_sealed(Home(root), {})
    vault.put_secret("service", SECRET)
    vault.bind("service", [make_binding("service", "api.example")])
    vault.close()
    return Home(root)


@pytest.fixture
def keeper(home: Home) -> Iterator[Keeper]:
    argv = [sys.executable, "-I", "-m", "carapax.app.proxy", "--home", str(home.root)]
    made = Keeper(argv, FakeGate(), record=home.run / "proxy.json")
    yield made
    made.close()


def pid_of(home: Home) -> int:
    return int(json.loads((home.run / "proxy.json").read_text())["pid"])


def test_a_models_key_goes_from_the_sealed_vault_to_the_service_and_nowhere_else(home: Home, keeper: Keeper) -> None:
    async def play(url: str) -> str:
        async with KeptEgress(keeper).client(base_url=url, secret="service", timeout_ms=20_000) as client:
            headers = {"authorization": f"Bearer {client.placeholder}"}
            answer = await client.post("chat/completions", json={}, headers=headers)
            return repr(vars(client)) + repr(answer.request.headers) + str(answer.text)

    with ModelServer(Says(["hi"])) as server:
        shown = asyncio.run(play(server.openai_url))
        assert server.requests[0].header("authorization") == f"Bearer {SECRET}"
    assert SECRET not in shown


def test_it_runs_without_rights_and_still_sees_a_secret_that_is_set_later(home: Home, keeper: Keeper) -> None:
    assert keeper.find_held(f"x {SECRET} x") == ("service",)
    pid = pid_of(home)
    status = Path("/proc", str(pid), "status").read_text()
    if os.geteuid() == 0:
        assert f"Uid:\t{PROXY_USER}\t{PROXY_USER}\t{PROXY_USER}\t{PROXY_USER}" in status
        assert "CapPrm:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert Path("/proc", str(pid), "environ").read_bytes() == b""
    assert re.search(r"Max core file size +0 +0 ", Path("/proc", str(pid), "limits").read_text())
    vault = open_sealed(home, {})
    vault.put_secret("later", "another-value-0815")
    vault.close()
    assert keeper.find_held(base64.b64encode(b"another-value-0815").decode()) == ("later",)


def test_a_way_gets_placeholders_for_what_is_bound_and_no_values(home: Home, keeper: Keeper) -> None:
    async def play() -> tuple[tuple[str, str], ...]:
        way = await keeper.open_way(mint())
        await keeper.close_way(way)
        assert SECRET not in repr(way)
        return way.placeholders

    (handle, word), *others = asyncio.run(play())
    assert (handle, others) == ("service", [])
    assert word.startswith("placeholder-")


def test_a_locked_vault_opens_no_way_until_it_is_unlocked(home: Home, keeper: Keeper) -> None:
    vault = open_sealed(home, {})
    vault.protect("passphrase", "correct horse battery staple")
    vault.close()

    async def play() -> None:
        with pytest.raises(VaultLocked):
            await keeper.open_way(mint())

        def unlock(passphrase: str) -> bool:
            return ask_door(home.vault_door, "unlock", passphrase=passphrase, users=(PROXY_USER,))["locked"] is False

        with pytest.raises(Refused, match="passphrase"):
            await asyncio.to_thread(unlock, "a wrong one")
        assert await asyncio.to_thread(unlock, "correct horse battery staple")
        await keeper.close_way(await keeper.open_way(mint()))

    asyncio.run(play())


def test_held_values_are_named_and_a_defect_is_told_by_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert held_names(f"see {SECRET[::-1]}", {"a": SECRET, "b": "not in there"}) == ["a"]
    loop = asyncio.new_event_loop()
    tell_kind(loop, {"message": SECRET, "exception": ValueError(SECRET)})
    loop.close()
    shown = capsys.readouterr()
    assert "ValueError" in shown.err
    assert SECRET not in shown.err + shown.out
