"""An incident through the public door: halted, told, looked at, exported, decided, and still there after a restart."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.model_server import ModelServer, Says, Seen
from tests.journeys.gate import Gate, running
from tests.journeys.test_first_turns import calls, obey

BOUND_S = 30.0


def insist(seen: Seen) -> Says:
    """Do what the newest message says, twice more when it was refused."""
    messages = seen.json()["messages"]
    refused = [m for m in messages if m["role"] == "tool" and "refused" in str(m["content"])]
    if messages[-1]["role"] == "tool" and len(refused) < 3 and "refused" in str(messages[-1]["content"]):
        return calls(("read_file", {"path": "/etc/hostname"}))
    return obey(seen)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with ModelServer(insist, last_repeats=True) as model, running(tmp_path, model.openai_url) as gate:
        yield gate


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """One gateway for what changes nothing of it."""
    with ModelServer(obey, last_repeats=True) as model, running(tmp_path_factory.mktemp("c"), model.openai_url) as gate:
        yield gate


def tighten(gate: Gate, figures: str) -> None:
    """Put lower figures in force: a narrower policy, signed by this machine."""
    file = gate.home / "policy" / "home.yaml"
    text = file.read_text()
    assert text.count("\nbreaker: {}\n") == text.count("serial: 1") == 1
    file.write_text(text.replace("\nbreaker: {}\n", f"\nbreaker: {figures}\n").replace("serial: 1", "serial: 2"))
    assert gate.command("policy", "sign", "--yes").returncode == 0


def wait_for(what: Any) -> Any:
    until = time.monotonic() + BOUND_S
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come within the bound")


def outside() -> str:
    return "DO " + json.dumps(["read_file", {"path": "/etc/hostname"}])


class Turn(threading.Thread):
    """A turn whose events are collected while the test looks elsewhere."""

    def __init__(self, gate: Gate, text: str, **fields: Any) -> None:
        super().__init__(daemon=True)
        self.found: list[dict[str, Any]] = []
        self._gate, self._text, self._fields = gate, text, fields
        self.start()

    def run(self) -> None:
        for event in self._gate.events(self._text, **self._fields):
            self.found.append(event)

    def kinds(self) -> list[str]:
        return [event["event"] for event in self.found]

    def incident(self) -> dict[str, Any] | None:
        return next((e["incident"] for e in self.found if e["event"] == "Contained"), None)


def test_too_many_refusals_halt_the_session_until_a_person_decides(gate: Gate, tmp_path: Path) -> None:
    tighten(gate, "{denials_minute: 1}")
    turn = Turn(gate, outside())
    incident = wait_for(turn.incident)
    assert (incident["number"], incident["rule"], incident["state"]) == (1, "breaker.denials", "frozen")
    session = incident["session"]
    # the session takes nothing more and its turn stands; another session goes on
    status, refused = gate.request("POST", "/api/turns", {"text": "hello", "session": session})
    assert status == 409
    assert "incident show 1" in refused["error"]["next_step"]
    assert "TurnEnded" not in turn.kinds()
    assert gate.turn("hello")["reply"].startswith("pong")
    # looked at, from the command line and in the status
    shown = gate.command("incident", "show", "1")
    assert shown.returncode == 0, shown.stderr
    assert "2 refusals within a minute; 1 is the most." in shown.stdout
    assert gate.request("GET", "/api/status")[1]["incidents"][0]["number"] == 1
    # the evidence
    target = tmp_path / "case.tar"
    exported = gate.command("incident", "export", "1", "-o", str(target))
    assert exported.returncode == 0, exported.stderr
    with tarfile.open(fileobj=io.BytesIO(target.read_bytes())) as archive:
        members = {m.name: archive.extractfile(m).read() for m in archive.getmembers()}  # type: ignore[union-attr]
    manifest = json.loads(members["manifest.json"])["members"]
    assert {n: hashlib.sha256(c).hexdigest() for n, c in members.items() if n != "manifest.json"} == {
        n: told["sha256"] for n, told in manifest.items()
    }
    assert b'"kind":"denied"' in members["ledger/entries.jsonl"]
    assert b"incident.opened" in members["ledger/entries.jsonl"]
    assert b"/etc/hostname" in members["transcript.jsonl"]
    # decided: the ledger has it, the turn goes on to its end
    assert gate.command("incident", "resume", "1", "--yes").returncode == 0
    wait_for(lambda: turn.found and turn.found[-1]["event"] == "TurnEnded")
    entries = gate.command("ledger", "show", "--limit", "50", "--newest", "--json").stdout
    kinds = [json.loads(line)["kind"] for line in entries.splitlines()]
    assert kinds.index("incident.opened") < kinds.index("incident.resumed")
    assert gate.request("POST", "/api/incidents/1", {"act": "kill"})[0] == 409


def test_a_restart_finds_it_held_and_killing_ends_it(gate: Gate) -> None:
    tighten(gate, "{denials_minute: 1}")
    turn = Turn(gate, outside())
    session = wait_for(turn.incident)["session"]
    gate.kill()
    gate.start()
    status, _ = gate.request("POST", "/api/turns", {"text": "hello", "session": session})
    assert status == 409
    shown = gate.command("incident", "show", "1")
    assert "processes are gone" in shown.stdout
    assert gate.command("incident", "kill", "1", "--yes").returncode == 0
    assert gate.request("POST", "/api/turns", {"text": "hello", "session": session})[0] == 409
    assert gate.turn("hello")["reply"].startswith("pong")


def test_a_running_command_stands_while_everybody_is_halted_and_goes_on_after(gate: Gate) -> None:
    tighten(gate, "{denials_minute: 1, gateway_times: 1}")
    busy = Turn(
        gate,
        "DO " + json.dumps(["run_command", {"command": "for i in $(seq 100); do echo $i >> ticks; sleep 0.05; done"}]),
    )
    ticks = gate.workspace / "ticks"
    wait_for(lambda: ticks.exists() and len(ticks.read_text().split()) > 2)
    Turn(gate, outside())
    incident = wait_for(busy.incident)
    assert incident["session"] is None
    assert len(incident["halted"]) == 1
    assert incident["to_frozen_us"] > 0
    stood = ticks.read_text()
    whole = gate.request("GET", "/api/incidents/1")[1]
    assert any("seq 100" in " ".join(process["command"]) for process in whole["processes"])
    assert ticks.read_text() == stood
    assert gate.command("incident", "resume", "1", "--yes").returncode == 0
    wait_for(lambda: len(ticks.read_text().split()) > len(stood.split()))
    gate.command("stop", "--all")


def test_stopping_everything_ends_the_running_command_and_nothing_runs_until_it_is_lifted(gate: Gate) -> None:
    busy = Turn(gate, "DO " + json.dumps(["run_command", {"command": "touch began; sleep 50; touch ended"}]))
    wait_for(lambda: (gate.workspace / "began").exists())
    stopped = gate.command("stop", "--all", "--json")
    assert stopped.returncode == 0, stopped.stderr
    done = json.loads(stopped.stdout)
    assert done["gateway"] is True
    assert done["jobs"] >= 1
    wait_for(lambda: busy.found and busy.found[-1]["event"] == "TurnEnded")
    assert not (gate.workspace / "ended").exists()
    assert gate.request("POST", "/api/turns", {"text": "hello"})[0] == 409
    assert gate.request("GET", "/api/status")[1]["stopped"] is True
    gate.stop()
    gate.start()
    assert gate.request("POST", "/api/turns", {"text": "hello"})[0] == 409
    assert gate.command("resume", "--all", "--yes").returncode == 0
    assert gate.turn("hello")["reply"].startswith("pong")
    kinds = gate.command("ledger", "show", "--limit", "50", "--newest", "--json").stdout
    assert "everything.resumed" in kinds


def test_the_planted_file_is_there_and_is_nobodys_change(calm: Gate) -> None:
    assert (calm.workspace / ".aws-backup.env").exists()
    listed = json.loads(calm.command("canary", "list", "--json").stdout)["canaries"]
    assert {one["name"] for one in listed} == {"file/.aws-backup.env", "vault/aws-backup", "note/backup"}
    calm.turn("DO " + json.dumps(["write_file", {"path": "mine.txt", "content": "x"}]))
    undone = json.loads(calm.command("undo", "--json").stdout)
    assert [change["path"] for change in undone["restored"]] == ["mine.txt"]
    assert (calm.workspace / ".aws-backup.env").exists()


def test_it_taints_no_command_that_sees_it(calm: Gate) -> None:
    ended = calm.turn("DO " + json.dumps(["run_command", {"command": "cat .aws-backup.env | wc -l"}]))
    assert ".aws-backup.env" not in ended["reply"]


def test_searching_all_files_meets_no_incident(calm: Gate) -> None:
    for command in ("grep -r AWS . .aws-backup.env", "cat .aws-backup.env", "base64 .aws-backup.env"):
        ended = calm.turn("DO " + json.dumps(["run_command", {"command": command}]))
        assert ended["state"] == "done"
    assert calm.request("GET", "/api/incidents")[1]["incidents"] == []
