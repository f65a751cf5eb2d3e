"""Whole messages through the public door: it acts, what it did can be undone and proved, and it all survives a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.model_server import ModelServer, Says, Seen
from tests.journeys.gate import Gate, running


def calls(*wishes: tuple[str, dict[str, object]]) -> Says:
    return Says((), [(f"w{n}", tool, json.dumps(args)) for n, (tool, args) in enumerate(wishes)])


def write(path: str, text: str) -> Says:
    return calls(("write_file", {"path": path, "text": text}))


def run(command: str) -> Says:
    return calls(("run_command", {"command": command}))


def obey(seen: Seen) -> Says:
    """Do what the newest message says: "DO <json of [tool, arguments]>"; then report the result."""
    messages = seen.json()["messages"]
    last = messages[-1]
    if last["role"] == "tool":
        return Says([f"It says: {last['content']}"])
    text = last["content"] if isinstance(last["content"], str) else last["content"][0]["text"]
    if not text.startswith("DO "):
        return Says(["pong"])
    tool, arguments = json.loads(text[3:])
    return calls((tool, arguments))


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with (
        ModelServer(obey, last_repeats=True) as model,
        running(tmp_path_factory.mktemp("gate"), model.openai_url) as gate,
    ):
        yield gate


def do(tool: str, **arguments: object) -> str:
    return "DO " + json.dumps([tool, arguments])


def steps(gate: Gate, text: str, **fields: object) -> tuple[list[dict[str, object]], dict[str, object]]:
    events = list(gate.events(text, **fields))
    assert events[0]["event"] == "TurnStarted"
    assert events[-1]["event"] == "TurnEnded"
    return [e for e in events if e["event"].startswith("Step")], events[-1]


def test_it_creates_a_file_runs_it_and_every_step_is_judged_and_recorded(gate: Gate) -> None:
    found, ended = steps(gate, do("write_file", path="hello.py", content="print('hello')\n"))
    assert [(e["event"], e.get("answer", e.get("outcome"))) for e in found] == [
        ("StepJudged", "allow"),
        ("StepDone", "done"),
    ]
    assert (gate.workspace / "hello.py").read_text() == "print('hello')\n"
    assert ended["state"] == "done"
    found, ended = steps(gate, do("run_command", command="python3 hello.py"))
    assert "hello" in str(ended["reply"])
    proof = gate.command("ledger", "prove", str(found[0]["entry"]))
    assert proof.returncode == 0, proof.stderr
    assert "shell.sandboxed" in proof.stdout
    verified = gate.command("ledger", "verify", "--json")
    assert json.loads(verified.stdout)["verified"] is True


def test_a_turn_can_be_undone_also_after_a_shell_command(gate: Gate) -> None:
    (gate.workspace / "mine.txt").write_text("first")
    steps(gate, do("run_command", command="echo second > mine.txt; mkdir new; echo x > new/y; rm -f hello.py"))
    assert (gate.workspace / "mine.txt").read_text() == "second\n"
    undone = gate.command("undo")
    assert undone.returncode == 0, undone.stderr
    assert (gate.workspace / "mine.txt").read_text() == "first"
    assert not (gate.workspace / "new" / "y").exists()


def test_deleting_many_files_is_asked_and_silence_keeps_them(gate: Gate) -> None:
    for n in range(7):
        (gate.workspace / f"many{n}").write_text("x")
    stream = gate.events(do("run_command", command="rm many*"))
    card = next(e for e in stream if e["event"] == "Waiting")["approval"]
    assert card["title"].startswith("delete 7 files")
    assert all((gate.workspace / f"many{n}").exists() for n in range(7))
    assert gate.command("deny", card["id"]).returncode in (0, 5)
    ended = list(stream)[-1]
    assert ended["state"] == "done"
    assert "nobody approved" in ended["reply"]
    assert all((gate.workspace / f"many{n}").exists() for n in range(7))


def test_deleting_many_files_after_a_yes_can_still_be_undone(gate: Gate) -> None:
    stream = gate.events(do("run_command", command="rm many*"))
    card = next(e for e in stream if e["event"] == "Waiting")["approval"]
    assert gate.command("approve", card["id"].lower()).returncode == 0
    assert list(stream)[-1]["state"] == "done"
    assert not (gate.workspace / "many0").exists()
    assert gate.command("undo").returncode == 0
    assert (gate.workspace / "many0").read_text() == "x"


def test_leaving_the_workspace_is_refused_by_the_guard(gate: Gate) -> None:
    for text in (do("read_file", path="/etc/passwd"), do("write_file", path="../x", content="y")):
        found, ended = steps(gate, text)
        assert [(e["event"], e["answer"], e["rule"]) for e in found] == [("StepJudged", "deny", "workspace.outside")]
        assert "workspace.outside" in str(ended["reply"])


def test_the_agent_reaches_neither_carapaxs_state_nor_its_port(gate: Gate) -> None:
    port = gate.url.rsplit(":", 1)[1]
    for secret in ("keys/ledger.seed", "run/cli.token", "store.sqlite", "policy/home.yaml", "ledger"):
        path = gate.home / secret
        assert path.exists()
        _, ended = steps(gate, do("run_command", command=f"cat {path} || ls {path}; ls -R {gate.home}"))
        assert "No such file" in str(ended["reply"])
    script = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
    _, ended = steps(gate, do("run_command", command=f'python3 -c "{script}"'))
    refused = ("PermissionError", "ConnectionRefusedError", "Network is unreachable")
    assert any(word in str(ended["reply"]) for word in refused)


def test_the_history_is_kept_named_searched_exported_and_deleted(gate: Gate) -> None:
    ended = gate.turn("a needle in the haystack")
    session = ended["session"]
    assert gate.command("sessions", "name", session, "hay").returncode == 0
    assert session in gate.command("sessions", "search", "needle", "--json").stdout
    exported = gate.command("sessions", "export", session).stdout
    assert "a needle in the haystack" in exported
    assert "pong" in exported
    assert gate.command("sessions", "delete", session, "--yes").returncode == 0
    assert session not in gate.command("sessions", "--json").stdout


def test_what_changed_is_known_to_the_model(gate: Gate) -> None:
    _, first = steps(gate, do("write_file", path="notes.txt", content="n"))
    _, ended = steps(gate, do("show_changes"), session=first["session"])
    assert "notes.txt" in str(ended["reply"])


def test_the_same_message_twice_is_one_turn(gate: Gate) -> None:
    first = gate.turn("once", conversation="k", key="abc")
    again = gate.turn("once", conversation="k", key="abc")
    assert first["turn"] == again["turn"]


def test_a_restart_keeps_the_conversation(tmp_path: Path) -> None:
    with ModelServer(obey, last_repeats=True) as model, running(tmp_path, model.openai_url) as gate:
        first = gate.turn("remember the number 42", conversation="c")
        assert gate.stop() == 0
        gate.start()
        second = gate.turn("which number?", conversation="c")
        assert second["session"] == first["session"]
        said = json.dumps(model.requests[-1].json()["messages"])
        assert "remember the number 42" in said
        assert json.loads(gate.command("ledger", "verify", "--json").stdout)["verified"] is True
