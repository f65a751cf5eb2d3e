"""Two people: what the policy wants two to agree to happens after both said yes, each by a token of their own."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.model_server import ModelServer
from tests.journeys.gate import Gate, running
from tests.journeys.test_first_turns import do, obey


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with ModelServer(obey, last_repeats=True) as model, running(tmp_path, model.openai_url) as gate:
        yield gate


def answer(gate: Gate, token: str, card: str) -> tuple[int, Any]:
    connection = gate.connect()
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", f"/api/approvals/{card}", json.dumps({"approve": True}), headers)
        response: http.client.HTTPResponse = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def name_a_second_person(gate: Gate) -> str:
    file = gate.home / "policy" / "home.yaml"
    text = file.read_text()
    for before, after in (
        ("roles: {owner: owner}", "roles: {owner: owner, sara: approver, tim: member}"),
        ("  roles: [owner]", "  roles: [owner, approver]"),
        ("  four_eyes: []", "  four_eyes: [destroy]"),
        ("serial: 1", "serial: 2"),
    ):
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    file.write_text(text)
    assert gate.command("policy", "sign", "--yes").returncode == 0
    return mint(gate, "sara")


def mint(gate: Gate, name: str) -> str:
    made = gate.command("token", "create", name, "--scope", "approve", "--json")
    assert made.returncode == 0, made.stderr
    return str(json.loads(made.stdout)["value"])


def test_one_person_is_not_two(gate: Gate) -> None:
    sara, tim = name_a_second_person(gate), mint(gate, "tim")
    for n in range(7):
        (gate.workspace / f"many{n}").write_text("x")
    stream = gate.events(do("run_command", command="rm many*"))
    card = next(e for e in stream if e["event"] == "Waiting")["approval"]
    assert card["people"] == 2
    assert answer(gate, gate.token, card["id"])[0] == 200
    assert answer(gate, gate.token, card["id"])[0] == 409  # the same person again
    assert answer(gate, tim, card["id"])[0] == 403  # a member may not answer
    assert (gate.workspace / "many0").exists()
    assert answer(gate, sara, card["id"])[0] == 200
    assert list(stream)[-1]["state"] == "done"
    assert not (gate.workspace / "many0").exists()
