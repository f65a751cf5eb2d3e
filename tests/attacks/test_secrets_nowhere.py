"""After a busy run, the vault's values are in no file, environment, command line, log, prompt or reply, nor in the
gateway's memory: a real gateway, its proxy, a command with a way out, an echoing service, a model that needs a key."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.model_server import ModelServer, Says, Seen
from tests.fakes.web_server import WebServer, echo
from tests.journeys.gate import Gate

SERVICE = "zq7Lantern-44-kestrel-Amber-910"
MODEL = "mk-8841-otter-Violet-parade-02"
ROTATED = "rt-5520-heron-Copper-window-77"
TURNS = 6


def forms(value: str) -> list[bytes]:
    """A value as it could lie about: as it is, reversed, in hex, in base64 at each alignment."""
    raw = value.encode()
    coded = [base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)]
    return [raw, raw[::-1], raw.hex().encode(), *coded]


PLANTED = [form for value in (SERVICE, MODEL, ROTATED) for form in forms(value)]


def held(content: bytes) -> list[bytes]:
    return [form for form in PLANTED if form in content]


class Model:
    """Wishes a command with a way out in the first turns, an ordinary one in others; keeps what it was shown."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.shown: list[Seen] = []

    def __call__(self, seen: Seen) -> Says:
        self.shown.append(seen)
        messages = seen.json()["messages"]
        if messages[-1]["role"] == "tool":
            return Says([f"done: {messages[-1]['content'][-200:]}"])
        if "online" in messages[-1]["content"]:
            command = (
                f'env; curl -sS --max-time 20 -H "authorization: Bearer $CARAPAX_SECRET_SERVICE" https://localhost:{self._port}/open;'
                f' curl -sS --max-time 20 -H "x-other: $CARAPAX_SECRET_SERVICE" https://localhost:{self._port}/open'
            )
            return Says(wishes=[("c", "run_online", json.dumps({"command": command}))])
        return Says(wishes=[("c", "run_command", json.dumps({"command": "env; ls -la; cat /proc/*/environ; true"}))])


def busy(gate: Gate, port: int) -> list[str]:
    """Set up, use, rotate, fail and stop: what people and the agent were shown."""
    said = []
    for argv, value in (
        (("vault", "set", "service", "--bind", f"localhost:{port}"), SERVICE),
        (("vault", "set", "model-key"), MODEL),
        (("vault", "rotate", "service"), ROTATED),
        (("vault", "rotate", "service", "--back"), ""),
    ):
        done = gate.command(*argv, stdin=f"{value}\n")
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout + done.stderr)
    allow(gate, port)
    gate.start()
    for number in range(TURNS):
        words = f"please go online number {number}" if number % 2 == 0 else f"run something number {number}"
        said.append(json.dumps(list(gate.events(words))))
    said += [gate.command(*argv).stdout for argv in (("vault", "list"), ("vault", "audit"), ("egress", "log"))]
    return said


def allow(gate: Gate, port: int) -> None:
    """A line of the signed policy for the service on loopback."""
    assert gate.command("policy", "init").returncode == 0
    path = gate.home / "policy" / "home.yaml"
    text = path.read_text("utf-8")
    line = f"\n  here: {{hosts: [localhost], ports: [{port}], tools: [run_online], addresses: [127.0.0.0/8], answer: allow}}"
    text = re.sub(r"^egress:.*$", lambda found: found[0] + line, text, count=1, flags=re.MULTILINE)
    text = re.sub(r"^serial: (\d+)", lambda found: f"serial: {int(found[1]) + 1}", text, flags=re.MULTILINE)
    path.write_text(text, "utf-8")
    signed = gate.command("policy", "sign", "--yes")
    assert signed.returncode == 0, signed.stdout + signed.stderr


def memory(pid: int) -> Iterator[bytes]:
    """Every readable and writable piece of a process's memory."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(side, 16) for side in place.split("-"))
            if end - start > 1 << 30:
                continue  # reserved, never touched
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except OSError:
                continue


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """One busy run; looked at from all sides."""
    place = tmp_path_factory.mktemp("busy")
    with WebServer(echo) as service, ModelServer(Model(service.port), last_repeats=True) as server:
        (place / "trust.pem").write_text(service.authority.pem)
        (place / "home").mkdir(mode=0o700)
        settings = {
            "egress_trust": f"{place}/trust.pem",
            "model_provider": "compatible",
            "model_base_url": server.openai_url,
            "model_name": "scripted",
            "model_secret": "model-key",
        }
        lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
        (place / "home" / "settings.toml").write_text(lines)
        gate = Gate(place, "", {"CARAPAX_MODEL": ""})
        try:
            said = busy(gate, service.port)
            (proxy,) = [
                pid for pid in family(gate.pid) if b"carapax.app.proxy" in Path(f"/proc/{pid}/cmdline").read_bytes()
            ]
            yield {"place": place, "gate": gate, "said": said, "service": service, "server": server, "proxy": proxy}
        finally:
            gate.stop()


def test_the_secrets_were_really_used(after: dict[str, Any]) -> None:
    used = [got.header("authorization") for got in after["service"].requests]
    assert used == [f"Bearer {SERVICE}"] * (TURNS // 2), after["said"]  # and never in the header it is not bound to
    assert {seen.header("authorization") for seen in after["server"].requests} == {f"Bearer {MODEL}"}


def test_the_echo_came_back_without_it(after: dict[str, Any]) -> None:
    replies = [text for text in after["said"] if text.startswith("[") and "run_online" in text]
    assert len(replies) == TURNS // 2
    assert all("403" in text or "refused" in text for text in replies)
    for text in after["said"]:
        assert held(text.encode()) == []


def test_no_prompt_holds_it(after: dict[str, Any]) -> None:
    for seen in after["server"].requests:
        assert held(seen.body) == []
        assert not [name for name, value in seen.headers if name != "authorization" and held(value.encode())]


def test_no_file_holds_it(after: dict[str, Any]) -> None:
    looked_at = 0
    for path in after["place"].rglob("*"):
        if path.is_file() and not path.is_symlink():
            looked_at += 1
            assert held(path.read_bytes()) == [], path
    assert looked_at > 20


def test_no_environment_and_no_command_line_holds_it(after: dict[str, Any]) -> None:
    pids = family(after["gate"].pid)
    assert after["proxy"] in pids
    for pid in pids:
        for name in ("environ", "cmdline"):
            assert held(Path(f"/proc/{pid}/{name}").read_bytes()) == [], (pid, name)


def test_the_gateways_memory_does_not_hold_it(after: dict[str, Any]) -> None:
    pieces = list(memory(after["gate"].pid))
    assert sum(map(len, pieces)) > 20 << 20
    assert any(b"CARAPAX_SECRET_SERVICE" in piece for piece in pieces)  # it was really looked at
    assert [form for piece in pieces for form in held(piece)] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's gateway gives its proxy another user")
def test_the_process_that_holds_it_is_another_user_and_closed(after: dict[str, Any]) -> None:
    status = Path(f"/proc/{after['proxy']}/status").read_text()
    assert re.search(r"^Uid:\t64243\t64243\t64243\t64243$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0{16}$", status, re.MULTILINE)
    assert os.stat(f"/proc/{after['proxy']}/environ").st_uid == 0  # not dumpable: its files belong to root
