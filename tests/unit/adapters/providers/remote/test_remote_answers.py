"""Good answers of a remote model: what is sent, what is yielded, what it costs, and what stays unloaded."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from contextlib import aclosing
from typing import Any

import pytest

from carapax.adapters.providers.catalogue import ModelSettings, choose_model
from carapax.adapters.providers.remote.adapter import RemoteProvider, build_remote
from carapax.core.terms.action import ArgRole, ArgSpec, ArgType, Effect, ToolManifest
from carapax.core.terms.ids import ToolName
from carapax.core.terms.label import Integrity
from carapax.ports.provider import Completion, Message, Prompt, Speaker, TextChunk, Wish
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.model_server import Endless, ModelServer, Raw, Says, Seen, Status
from tests.unit.adapters.providers.remote.asking import HELLO, KEY, QUICK, WIRES, ask, choice_for, vault

POLL_COUNT = 500


def tool(name: str = "read_file") -> ToolManifest:
    args = (
        ArgSpec("path", ArgRole.PATH, ArgType.TEXT, "Which file."),
        ArgSpec("limit", ArgRole.COUNT, ArgType.INTEGER, "How many lines.", required=False),
    )
    return ToolManifest(ToolName(name), "Read a file.", Effect.READ, args, next(iter(Integrity)), True, True)


def sent(wire: str, prompt: Prompt) -> Any:
    with ModelServer(Says(["ok"])) as server:
        assert ask(choice_for(server, wire), prompt).completion.text == "ok"
    return server.requests[0].json()


@pytest.mark.parametrize("wire", WIRES)
def test_text_is_yielded_and_completed(wire: str) -> None:
    with ModelServer(Says(["Grüße, ", "👋 ", "world"], prompt_tokens=21, output_tokens=9)) as server:
        asked = ask(choice_for(server, wire))
    assert asked.completion == Completion("Grüße, 👋 world", (), 21, 9, 0)
    assert asked.text == asked.completion.text


@pytest.mark.parametrize("wire", WIRES)
def test_wishes_come_unjudged_with_their_ids_in_order(wire: str) -> None:
    wishes = [
        ("id-1", "read_file", '{"path": "a"}'),
        ("id-2", "no_such_tool", '{"x": [1, 2'),
        ("id-3", "read_file", "7"),
    ]
    with ModelServer(Says(["Let me look."], wishes)) as server:
        completion = ask(choice_for(server, wire), Prompt("s", HELLO.messages, (tool(),))).completion
    assert completion.wishes == tuple(Wish(*wish) for wish in wishes)
    assert completion.text == "Let me look." and not completion.cut


@pytest.mark.parametrize(("wire", "word"), [("openai", "length"), ("anthropic", "max_tokens")])
def test_an_answer_ended_by_its_length_says_so(wire: str, word: str) -> None:
    with ModelServer(Says(["and then"], finish=word)) as server:
        assert ask(choice_for(server, wire)).completion.cut


@pytest.mark.parametrize("wire", WIRES)
def test_the_key_is_on_the_wire_and_the_placeholder_is_not(wire: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ModelServer(Says(["ok"])) as server:
        ask(choice_for(server, wire))
    seen = server.requests[0]
    assert [(name, value) for name, value in seen.headers if KEY in value] == [("authorization", f"Bearer {KEY}")]
    assert "placeholder-" not in repr(seen)
    assert KEY not in caplog.text


@pytest.mark.parametrize("wire", WIRES)
def test_keys_and_proxies_of_the_environment_are_not_used(wire: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "from-the-environment")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    with ModelServer(Says(["ok"])) as server:
        assert ask(choice_for(server, wire)).completion.text == "ok"
    assert "from-the-environment" not in repr(server.requests)


@pytest.mark.parametrize("wire", WIRES)
def test_a_key_echoed_by_the_service_is_masked(wire: str) -> None:
    def echo(seen: Seen) -> Status:
        key = seen.header("authorization") or seen.header("x-api-key") or ""
        return Status(400, json.dumps({"error": {"message": f"you sent {key}"}}).encode(), {"x-echo": key})

    with ModelServer(echo) as server:
        failure = ask(choice_for(server, wire)).failure
    assert failure and "you sent" in failure.what and KEY not in failure.what
    shown, cause = "", failure.__cause__
    while cause is not None:
        shown += repr(cause) + str(cause) + repr(getattr(cause, "headers", ""))
        cause = cause.__cause__
    assert KEY not in shown

    with ModelServer(Says([f"your key is {KEY}"])) as server:
        assert KEY not in ask(choice_for(server, wire)).completion.text


def test_a_server_without_a_key_gets_no_credential() -> None:
    with ModelServer(Says(["ok"])) as server:
        choice = choose_model(ModelSettings(base_url=server.openai_url, model="local"), {})
        assert ask(choice, key="").completion.text == "ok"
    assert server.requests[0].header("authorization") is None


def test_the_openai_wire_carries_tools_instructions_and_length() -> None:
    body = sent("openai", Prompt("Be short.", HELLO.messages, (tool(), tool("other")), max_output_tokens=77))
    assert body["messages"][0] == {"role": "system", "content": "Be short."}
    assert body["max_completion_tokens"] == 77 and body["stream"] is True
    assert [t["function"]["name"] for t in body["tools"]] == ["read_file", "other"]
    assert body["tools"][0]["function"]["parameters"]["additionalProperties"] is False
    assert "tool_choice" not in body or body["tool_choice"] == "auto"


def test_other_services_on_the_openai_wire_get_max_tokens() -> None:
    with ModelServer(Says(["ok"])) as server:
        choice = choose_model(ModelSettings(provider="mistral", base_url=server.openai_url), {})
        ask(choice)
    body = server.requests[0].json()
    assert body["max_tokens"] == 4096 and "max_completion_tokens" not in body


def test_the_anthropic_wire_carries_tools_instructions_and_length() -> None:
    body = sent("anthropic", Prompt("Be short.", HELLO.messages, (tool(),), max_output_tokens=77))
    assert "Be short." in json.dumps(body["system"]) and body["max_tokens"] == 77
    assert [t["name"] for t in body["tools"]] == ["read_file"]
    assert body["tools"][0]["input_schema"]["additionalProperties"] is False


@pytest.mark.parametrize("wire", WIRES)
def test_a_conversation_with_tools_is_rendered_in_order(wire: str) -> None:
    wishes = (Wish("w1", "read_file", '{"path": "a"}'), Wish("w2", "read_file", '{"path": '))
    messages = (
        Message(Speaker.USER, "read a and b"),
        Message(Speaker.ASSISTANT, "", wishes),
        Message(Speaker.TOOL, "text of a", answers="w1", tool="read_file"),
        Message(Speaker.TOOL, "not valid", answers="w2", tool="read_file"),
        Message(Speaker.ASSISTANT, ""),
        Message(Speaker.USER, "thanks"),
    )
    body = sent(wire, Prompt("", messages, (tool(),)))
    roles = [m["role"] for m in body["messages"]]
    if wire == "openai":
        assert roles == ["user", "assistant", "tool", "tool", "user"]
        assert [c["id"] for c in body["messages"][1]["tool_calls"]] == ["w1", "w2"]
        assert [m["tool_call_id"] for m in body["messages"][2:4]] == ["w1", "w2"]
    else:
        assert roles == ["user", "assistant", "user"]
        assert [b["id"] for b in body["messages"][1]["content"]] == ["w1", "w2"]
        assert [b.get("tool_use_id") for b in body["messages"][2]["content"]] == ["w1", "w2", None]


@pytest.mark.parametrize("wire", WIRES)
def test_a_schema_is_asked_for(wire: str) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    body = sent(wire, Prompt("Count.", HELLO.messages, schema=schema))
    assert "JSON Schema" in json.dumps(body["messages"][0] if wire == "openai" else body["system"])
    if wire == "openai":
        assert body["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize("wire", WIRES)
def test_one_connection_serves_many_requests(wire: str) -> None:
    with ModelServer(Says(["ok"], [("i", "t", "{}")]), last_repeats=True) as server:
        ask(choice_for(server, wire), times=5)
    assert len(server.requests) == 5 and server.connections == 1


@pytest.mark.parametrize("wire", WIRES)
def test_leaving_early_ends_the_request(wire: str) -> None:
    async def leave(server: ModelServer) -> None:
        provider = RemoteProvider(choice_for(server, wire), DirectEgress(vault()), limits=QUICK)
        async with aclosing(provider.stream(HELLO)) as steps:  # type: ignore[type-var]
            assert isinstance(await anext(steps), TextChunk)
        for _ in range(POLL_COUNT):
            if server.left_early.is_set():
                break
            await asyncio.sleep(0.01)
        await provider.close()

    with ModelServer(Endless(pause_s=0.005)) as server:
        asyncio.run(leave(server))
        assert server.left_early.is_set()


@pytest.mark.parametrize("wire", WIRES)
def test_cancelling_ends_the_request(wire: str) -> None:
    async def cancel(server: ModelServer) -> None:
        provider = RemoteProvider(choice_for(server, wire), DirectEgress(vault()), limits=QUICK)
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in provider.stream(HELLO):
                begun.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(begun.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await provider.close()

    with ModelServer(Endless(pause_s=0.005)) as server:
        asyncio.run(cancel(server))


def test_streams_at_the_same_time_do_not_mix() -> None:
    def echo(seen: Seen) -> Says:
        return Says([*seen.json()["messages"][-1]["content"]])

    async def both(server: ModelServer) -> list[str]:
        provider = RemoteProvider(choice_for(server, "openai"), DirectEgress(vault()), limits=QUICK)

        async def one(word: str) -> str:
            prompt = Prompt("", (Message(Speaker.USER, word),))
            steps = [step async for step in provider.stream(prompt)]
            return steps[-1].text

        try:
            return list(await asyncio.gather(*(one(f"word-{n}") for n in range(8))))
        finally:
            await provider.close()

    with ModelServer(echo, last_repeats=True) as server:
        assert asyncio.run(both(server)) == [f"word-{n}" for n in range(8)]


def test_lone_surrogates_do_not_pass() -> None:
    body = (
        b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"a\\ud83db"}}]}\n\n'
        b'data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    with ModelServer(Raw(body)) as server:
        assert ask(choice_for(server, "openai")).completion.text == "a\ufffdb"


def test_prices_are_known_unknown_or_nothing() -> None:
    far = build_remote(choose_model(ModelSettings(provider="openai", model="gpt-5"), {}), DirectEgress(vault()))
    usd_micro = far._usd_micro(1_000_000, 1_000_000)
    assert usd_micro is not None and usd_micro > 1_000_000
    assert far.facts().price_known and far.facts().remote_host == "api.openai.com"
    odd = build_remote(
        choose_model(ModelSettings(provider="openai", model="no-such-model-x"), {}), DirectEgress(vault())
    )
    assert odd._usd_micro(1000, 1000) is None
    unlisted = choose_model(ModelSettings(base_url="https://models.example/v1", model="m"), {})
    assert build_remote(unlisted, DirectEgress(vault()))._usd_micro(1000, 1000) is None
    near = build_remote(choose_model(ModelSettings(provider="ollama"), {}), DirectEgress(vault()))
    assert near._usd_micro(1000, 1000) == 0 and near.facts().price_known and near.facts().remote_host == ""


def test_a_price_is_never_rounded_down() -> None:
    far = build_remote(choose_model(ModelSettings(provider="openai", model="gpt-5"), {}), DirectEgress(vault()))
    assert far._usd_micro(1, 0) == 2  # 1.25 millionths of a dollar a token


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    program = (
        "import sys\n"
        "import carapax.app.compose\n"
        "import carapax.adapters.providers.remote.adapter, carapax.adapters.providers.catalogue\n"
        "heavy = {'pydantic_ai', 'openai', 'anthropic', 'httpx2', 'genai_prices', 'pydantic'}\n"
        "sys.exit(','.join(sorted(heavy & sys.modules.keys())) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_no_repr_holds_the_key() -> None:
    async def reprs() -> str:
        keeper = vault()
        egress = DirectEgress(keeper)
        provider = build_remote(choose_model(ModelSettings(provider="openai"), {}), egress)
        provider.warm()
        client = provider._client
        shown = repr((keeper, egress, provider, client, client._transport, client.headers, vars(provider)))
        await provider.close()
        return shown

    assert KEY not in asyncio.run(reprs())
