"""A home whose policy was written before there was a way out: it starts, works, and what needs a line says which."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.model_server import ModelServer
from tests.journeys.gate import Gate
from tests.journeys.test_first_turns import do, obey, steps

EARLIER = Path(__file__).with_name("policy_before_egress.yaml")


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with ModelServer(obey, last_repeats=True) as model:
        gate = Gate(tmp_path_factory.mktemp("earlier"), model.openai_url)
        assert gate.command("policy", "init").returncode == 0
        today = datetime.datetime.now(datetime.UTC).date()
        text = EARLIER.read_text().replace("SERIAL", "2").replace("ISSUED", str(today))
        for word, days in (("EXPIRES", 300), ("REVIEW", 80)):
            text = text.replace(word, str(today + datetime.timedelta(days)))
        (gate.home / "policy" / "home.yaml").write_text(text)
        signed = gate.command("policy", "sign", "--yes")
        assert signed.returncode == 0, signed.stdout + signed.stderr
        try:
            gate.start()
            yield gate
        finally:
            gate.stop()


def test_what_it_allowed_before_still_works(gate: Gate) -> None:
    found, _ = steps(gate, do("run_command", command="echo still here > kept.txt"))
    assert found[0]["rule"] == "shell.sandboxed"
    assert (gate.workspace / "kept.txt").read_text() == "still here\n"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("run_online", {"command": "touch never"}),
        ("web_fetch", {"url": "https://example.invalid/"}),
        ("web_search", {"query": "anything"}),
    ],
)
def test_what_needs_a_line_is_refused_and_says_what_to_do(gate: Gate, tool: str, arguments: dict[str, object]) -> None:
    found, ended = steps(gate, do(tool, **arguments))
    assert [step.get("answer", step.get("outcome")) for step in found] == ["deny"], found
    reply = str(ended["reply"])
    assert "`carapax policy init --force`" in reply, reply
    assert not (gate.workspace / "never").exists()


def test_doing_that_is_enough(gate: Gate) -> None:
    """The last one here: it changes the policy of the running gateway."""
    done = gate.command("policy", "init", "--force", "--yes")
    assert done.returncode == 0, done.stderr
    assert (gate.home / "policy" / "home.yaml.old").exists()
    found, ended = steps(gate, do("run_online", command="echo out > went.txt"))
    assert found[0]["rule"] == "shell.online", ended
    assert (gate.workspace / "went.txt").read_text() == "out\n"
