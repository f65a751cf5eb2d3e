"""A way out whose other parts fail while a command uses it: the proxy, the vault's key, the ledger's disk, the gateway."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.web_server import Got, Reply
from tests.journeys.gate import Gate
from tests.journeys.online import CURL, Online, Turn, gone, online, processes_with, wait_for

SECRET = "zq7Lantern-44-kestrel-Amber-910"
PASSPHRASE = "correct horse battery staple"
STALLED = b"HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n" + b"x" * 200_000


def answer(got: Got) -> Reply:
    """A download that stops in the middle for good, else a short answer."""
    return Reply(raw=STALLED) if got.path.startswith("/stall") else Reply(b"ok")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Online]:
    with online(tmp_path, answer) as scene:
        yield scene


def downloading(scene: Online, path: str, command: str = "") -> Turn:
    """A command in the middle of a download: some of it has come, the rest never will."""
    turn = scene.begin(command or f"{CURL} {scene.url}{path} -o got; echo ended with $?")
    wait_for(lambda: scene.arrived(path) == 1)
    got = scene.gate.workspace / "got"
    wait_for(lambda: got.exists() and got.stat().st_size > 0)
    return turn


def ended(turn: Turn) -> str:
    """The reply of a turn that came to its end."""
    wait_for(lambda: turn.found and turn.found[-1]["event"] == "TurnEnded")
    return str(turn.found[-1]["reply"])


def test_a_proxy_that_is_killed_ends_the_download_and_the_next_command_has_a_new_one(scene: Online) -> None:
    turn = downloading(scene, "/stall")
    first = scene.proxy()
    os.kill(first, signal.SIGKILL)
    reply = ended(turn)
    assert "ended with 18" in reply, reply
    assert "the egress proxy ended" in reply, reply
    assert "ok" in scene.run(f"{CURL} {scene.url}/again")
    assert scene.proxy() not in (0, first)
    calls = {entry["body"]["call"] for entry in scene.entries("egress")}
    assert len(calls) == 2
    closed = [(entry["body"]["call"] in calls, "lost" in entry["body"]) for entry in scene.entries("egress.closed")]
    assert closed == [(True, True), (True, False)]
    assert scene.jobs() == []
    assert json.loads(scene.gate.command("ledger", "verify", "--json").stdout)["verified"] is True


def test_a_ledger_that_cannot_grow_refuses_what_more_an_open_way_asks_for(scene: Online) -> None:
    """Every file of the gateway stops growing, as on a full disk, and later can grow again."""
    again = "for i in $(seq 600); do [ -e go ] && break; sleep 0.05; done"
    more = f"{CURL} -d x {scene.url}/posted; {CURL} {scene.url}/repeated"
    turn = scene.begin(f"{CURL} {scene.url}/first; {again}; {more}", conversation="full")
    wait_for(lambda: scene.arrived("/first") == 1)
    usual = resource.prlimit(scene.gate.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    (scene.gate.workspace / "go").touch()
    wait_for(lambda: turn.found[-1]["event"] == "TurnEnded" or not turn.is_alive())
    assert [got.path for got in scene.service.requests] == ["/first"]
    assert "Traceback" not in scene.gate.said()
    resource.prlimit(scene.gate.pid, resource.RLIMIT_FSIZE, usual)
    assert "ok" in scene.run(f"{CURL} {scene.url}/after")
    assert json.loads(scene.gate.command("ledger", "verify", "--json").stdout)["verified"] is True


def seal(gate: Gate, port: int) -> None:
    """A secret for the service."""
    done = gate.command("vault", "set", "service", "--bind", f"localhost:{port}", stdin=f"{SECRET}\n")
    assert done.returncode == 0, done.stderr


def lock(gate: Gate) -> None:
    """From now on the vault opens by a passphrase alone, which the running proxy was never told."""
    done = gate.command("vault", "protect", "--passphrase", stdin=f"{PASSPHRASE}\n")
    assert done.returncode == 0, done.stdout + done.stderr


def unlock(gate: Gate) -> None:
    done = gate.command("vault", "unlock", stdin=f"{PASSPHRASE}\n")
    assert done.returncode == 0, done.stdout + done.stderr


def asks(scene: Online, path: str) -> str:
    return f'{CURL} -H "authorization: Bearer $CARAPAX_SECRET_SERVICE" {scene.url}{path}'


def used(scene: Online) -> list[str | None]:
    return [got.header("authorization") for got in scene.service.requests]


def test_a_vault_that_is_locked_refuses_and_opens_without_a_restart(tmp_path: Path) -> None:
    def locked(gate: Gate, port: int) -> None:
        seal(gate, port)
        lock(gate)

    with online(tmp_path, answer, prepare=locked) as scene:
        pid = scene.gate.pid
        reply = scene.run(asks(scene, "/first"))
        assert "carapax vault unlock" in reply, reply
        assert scene.service.requests == []
        wrong = scene.gate.command("vault", "unlock", stdin="not the passphrase\n")
        assert wrong.returncode != 0
        assert "Traceback" not in wrong.stderr
        unlock(scene.gate)
        assert "ok" in scene.run(asks(scene, "/second"))
        assert used(scene) == [f"Bearer {SECRET}"]
        assert scene.gate.pid == pid
        assert SECRET not in scene.gate.said() and PASSPHRASE not in scene.gate.said()


def test_a_vault_that_is_locked_in_the_middle_of_a_call_refuses_the_next_request(tmp_path: Path) -> None:
    with online(tmp_path, answer, prepare=seal) as scene:
        go = scene.gate.workspace / "go"
        command = f"{asks(scene, '/one')}; for i in $(seq 600); do [ -e go ] && break; sleep 0.05; done; {asks(scene, '/two')}"
        turn = scene.begin(command)
        wait_for(lambda: scene.arrived("/one") == 1)
        lock(scene.gate)
        go.touch()
        reply = ended(turn)
        assert "carapax vault unlock" in reply, reply
        assert scene.arrived("/two") == 0
        assert used(scene) == [f"Bearer {SECRET}"]
        unlock(scene.gate)
        scene.run(asks(scene, "/three"))
        assert used(scene) == [f"Bearer {SECRET}"] * 2


def test_a_gateway_that_is_killed_leaves_no_proxy_and_no_command_and_the_next_start_sweeps(scene: Online) -> None:
    mark = f"/stall-{os.getpid()}-{id(scene)}"
    turn = downloading(scene, mark)
    proxy = os.pidfd_open(scene.proxy())
    inside = [os.pidfd_open(pid) for pid in processes_with(mark) if pid != os.getpid()]
    assert inside
    scene.gate.kill()
    assert gone(proxy)
    assert all([gone(one) for one in inside])
    wait_for(lambda: not turn.is_alive())
    scene.gate.start()
    assert scene.jobs() == []
    assert scene.proxy() == 0
    kinds = [entry["kind"] for entry in scene.entries()]
    assert kinds.count("gateway.started") == 2
    (call,) = {entry["body"]["call"] for entry in scene.entries("egress")}
    assert [e["body"]["call"] for e in scene.entries() if e["kind"] in ("receipt", "unknown")] == [call]
    assert "ok" in scene.run(f"{CURL} {scene.url}/after")
    assert scene.proxy() != 0
