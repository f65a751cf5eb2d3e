"""A real gateway whose commands have a way out to one TLS service on loopback: proxy, policy, vault, scripted model."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.model_server import ModelServer, Says, Seen
from tests.fakes.web_server import Answer, WebServer
from tests.journeys.gate import Gate
from tests.journeys.test_first_turns import do, obey
from tests.journeys.test_incident import BOUND_S, Turn, wait_for

LINE = "  here: {{hosts: [localhost], ports: [{port}], tools: [run_online, web_fetch], addresses: [127.0.0.0/8], answer: allow}}"
CURL = "curl -sS --max-time 40"

__all__ = ["BOUND_S", "CURL", "Online", "Turn", "allow", "change_policy", "gone", "online", "wait_for"]


def change_policy(gate: Gate, *changes: tuple[str, str]) -> None:
    """Put the policy with other words in force: each (pattern, words) once, the serial one higher, signed."""
    path = gate.home / "policy" / "home.yaml"
    text = path.read_text("utf-8")
    for pattern, words in (*changes, (r"^serial: (\d+)", "")):
        said = words or f"serial: {int(re.search(pattern, text, re.MULTILINE)[1]) + 1}"  # type: ignore[index]
        text, count = re.subn(pattern, lambda _, said=said: said, text, flags=re.MULTILINE)  # type: ignore[misc]
        assert count == 1, pattern
    path.write_text(text, "utf-8")
    signed = gate.command("policy", "sign", "--yes")
    assert signed.returncode == 0, signed.stdout + signed.stderr


def allow(gate: Gate, port: int, *changes: tuple[str, str]) -> None:
    """A signed policy with a line for the service on loopback."""
    if not (gate.home / "policy" / "home.yaml").exists():
        assert gate.command("policy", "init").returncode == 0
    change_policy(gate, (r"^egress:.*$", f"egress:\n{LINE.format(port=port)}"), *changes)


@dataclass
class Online:
    """The gateway and the one service that its policy lets commands reach."""

    gate: Gate
    service: WebServer
    model: ModelServer

    @property
    def url(self) -> str:
        return f"https://localhost:{self.service.port}"

    def run(self, command: str, tool: str = "run_online", **fields: Any) -> str:
        """The reply of a turn in which the model wants this command."""
        return str(self.gate.turn(do(tool, command=command), **fields)["reply"])

    def begin(self, command: str, tool: str = "run_online", **fields: Any) -> Turn:
        """The same, while the test looks elsewhere."""
        return Turn(self.gate, do(tool, command=command), **fields)

    def arrived(self, path: str) -> int:
        """How many requests for this path the service got."""
        return sum(got.path == path for got in self.service.requests)

    def entries(self, kind: str = "") -> list[dict[str, Any]]:
        """The ledger's entries of a kind, oldest first."""
        shown = self.gate.command("ledger", "show", "--limit", "400", "--newest", "--json")
        assert shown.returncode == 0, shown.stderr
        found = [json.loads(line) for line in shown.stdout.splitlines()]
        return [entry for entry in found if kind in ("", entry["kind"])]

    def proxy(self) -> int:
        """The proxy's process as its record names it; 0 when there is none."""
        try:
            return int(json.loads((self.gate.home / "run" / "proxy.json").read_text())["pid"])
        except FileNotFoundError:
            return 0

    def jobs(self) -> list[Path]:
        """The records of running jobs."""
        folder = self.gate.home / "run" / "jobs"
        return [path for path in folder.iterdir() if path.suffix == ".json"] if folder.exists() else []


def gone(pidfd: int) -> bool:
    """Whether a process ended within the bound. Closes the descriptor."""
    try:
        return bool(select.select([pidfd], [], [], BOUND_S)[0])
    finally:
        os.close(pidfd)


def processes_with(word: str) -> list[int]:
    """Processes that have this word in their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if word.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found


@contextmanager
def online(
    place: Path,
    answer: Answer,
    *changes: tuple[str, str],
    model: Callable[[Seen], Says] = obey,
    prepare: Callable[[Gate, int], None] = lambda gate, port: None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Online]:
    """Set up, start, and stop at the end, whatever stands still by then. `prepare` comes before the start."""
    with WebServer(answer) as service, ModelServer(model, last_repeats=True) as server:
        (place / "trust.pem").write_text(service.authority.pem)
        (place / "home").mkdir(mode=0o700)
        (place / "home" / "settings.toml").write_text(f"egress_trust = {json.dumps(str(place / 'trust.pem'))}\n")
        gate = Gate(place, server.openai_url, env)
        try:
            allow(gate, service.port, *changes)
            prepare(gate, service.port)
            gate.start()
            yield Online(gate, service, server)
        finally:
            with contextlib.suppress(AssertionError, ProcessLookupError):
                os.kill(gate.pid, signal.SIGCONT)
            gate.stop()


def within(began: float) -> str:
    """How long something took, for a test's output."""
    return f"{(time.monotonic() - began) * 1000:.0f} ms"
