"""The official OpenAI client, pointed at a real gateway: chat, streaming, responses, and a turn that needs approval."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import openai
import pytest

from carapax.app.compose import compose
from carapax.app.home import Home
from carapax.app.settings import Settings
from carapax.core.terms.approval import ApprovalState
from carapax.core.terms.conversation import Inbound
from carapax.core.terms.event import Answered, TurnEnded
from carapax.core.terms.label import OWNER
from carapax.core.terms.principal import Principal, Role, Scope
from tests.fakes.model_server import ModelServer
from tests.fakes.provider import ScriptedProvider, says, wishes
from tests.journeys.gate import Gate, running
from tests.journeys.test_first_turns import do, obey


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with (
        ModelServer(obey, last_repeats=True) as model,
        running(tmp_path_factory.mktemp("gate"), model.openai_url) as gate,
    ):
        yield gate


@pytest.fixture
def client(gate: Gate) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gate.url}/v1", api_key=gate.token, max_retries=0, timeout=60) as client:
        yield client


def ask(client: openai.OpenAI, text: str, user: str) -> str:
    answer = client.chat.completions.create(model="carapax", user=user, messages=[{"role": "user", "content": text}])
    return answer.choices[0].message.content or ""


def test_chat_acts_and_answers(client: openai.OpenAI, gate: Gate) -> None:
    assert ask(client, "hello", "u1") == "pong"
    said = ask(client, do("write_file", path="via-client.txt", content="x"), "u1")
    assert "via-client.txt" in said
    assert (gate.workspace / "via-client.txt").read_text() == "x"


def test_streaming_gives_the_same_words(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="carapax", user="u2", stream=True, messages=[{"role": "user", "content": "hello"}]
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "pong"


def test_responses_and_models(client: openai.OpenAI) -> None:
    first = client.responses.create(model="carapax", input="hello")
    assert first.output_text == "pong"
    again = client.responses.create(model="carapax", input="hello", previous_response_id=first.id)
    assert again.output_text == "pong"
    assert "carapax" in [model.id for model in client.models.list()]


def test_a_turn_that_needs_approval_says_what_and_how_and_goes_on_after_a_yes(
    client: openai.OpenAI, gate: Gate
) -> None:
    paths = [gate.workspace / f"old{n}" for n in range(6)]
    for path in paths:
        path.write_text("x")
    said = ask(client, do("delete_file", paths="\n".join(p.name for p in paths)), "u3")
    code = json.loads(gate.command("approvals", "--json").stdout)["approvals"][0]["id"]
    assert code in said
    assert "old0" in said
    assert f"carapax approve {code}" in said
    assert all(path.exists() for path in paths)
    waiting = ask(client, "and now?", "u3")
    assert code in waiting
    done = ask(client, f"yes {code}", "u3")
    assert "old0" in done
    assert not any(path.exists() for path in paths)


def test_a_no_keeps_the_files(client: openai.OpenAI, gate: Gate) -> None:
    paths = [gate.workspace / f"kept{n}" for n in range(6)]
    for path in paths:
        path.write_text("x")
    ask(client, do("delete_file", paths="\n".join(p.name for p in paths)), "u4")
    code = json.loads(gate.command("approvals", "--json").stdout)["approvals"][0]["id"]
    assert "nobody approved" in ask(client, f"no {code}", "u4")
    assert all(path.exists() for path in paths)


def test_a_wrong_token_is_an_authentication_error(gate: Gate) -> None:
    with (
        openai.OpenAI(base_url=f"{gate.url}/v1", api_key="cpx_wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        ask(stranger, "hello", "u5")


def test_an_unanswered_ask_is_refused_after_its_deadline(tmp_path: Path) -> None:
    async def play() -> tuple[list[object], list[str]]:
        work = tmp_path / "work"
        settings = Settings(workspace=str(work))
        names = [f"f{n}" for n in range(6)]
        provider = ScriptedProvider(
            wishes(("delete_file", json.dumps({"paths": "\n".join(names)}))), says("I was not allowed to.")
        )
        made = await compose(Home(tmp_path / "home"), settings, {}, ask_stop=lambda: None, provider=lambda: provider)
        for name in names:
            (work / name).write_text("x")
        guard = made.gateway._p.guard
        hasty = replace(guard.policy(), approval_ms=150)
        guard.policy = lambda: hasty
        try:
            me = Principal(OWNER, Role.OWNER, frozenset(Scope), "test")
            events = [event async for event in await made.gateway.submit(me, Inbound("delete them", "test"))]
        finally:
            await made.close()
        return events, sorted(p.name for p in work.iterdir())  # type: ignore[return-value]

    events, left = asyncio.run(play())
    answered = next(event for event in events if isinstance(event, Answered))
    assert answered.approval.state is ApprovalState.EXPIRED
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].reply == "I was not allowed to."
    assert left == [".aws-backup.env", *(f"f{n}" for n in range(6))]
