"""Bad input: too large, too slow, broken, empty, nested, not text."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.core.terms.error import Malformed, TooLarge
from carapax.surfaces.api.body import parse_form, parse_json
from carapax.surfaces.api.compat_in import parse_chat, parse_responses
from carapax.surfaces.api.settings import ApiSettings
from carapax.surfaces.api.shape import Choices, Text, Whole, parse_query, parse_shape
from tests.unit.surfaces.api.served import Served, serving

MIB = 1_048_576
DOORS = ("/api/turns", "/v1/chat/completions", "/v1/responses")


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    with serving(ApiSettings(body_ms=300)) as one:
        yield one


def message(text: str, path: str) -> dict[str, Any]:
    if path == "/api/turns":
        return {"text": text}
    if path == "/v1/responses":
        return {"model": "c", "input": text}
    return {"model": "c", "messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("size", [MIB + 1, 10 * MIB])
def test_a_large_message_is_refused_politely(shared: Served, path: str, size: int) -> None:
    before = len(shared.gateway.inbounds)
    reply = shared.call("POST", path, message("x" * size, path))
    assert reply.status == 413
    text = reply.json()["error"]["message"]
    assert "larger" in text or "longer" in text
    assert "workspace" in reply.text
    assert len(shared.gateway.inbounds) == before


@pytest.mark.parametrize("path", DOORS)
def test_a_message_at_the_bound_is_served(shared: Served, path: str) -> None:
    assert shared.call("POST", path, message("x" * MIB, path)).status == 200


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("text", ["", " \n\t "])
def test_an_empty_message_is_refused(shared: Served, path: str, text: str) -> None:
    reply = shared.call("POST", path, message(text, path))
    assert reply.status == 400
    assert "empty" in reply.text


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "no body"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"{", "not JSON"),
        (b'{"text": NaN}', "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested deeper"),
        (b'{"text": "\\ud800"}', "lone surrogate"),
        (b'{"text": ' + b"9" * 5000 + b"}", "number too long"),
        (bytes(range(256)), "not"),
    ],
    ids=lambda v: repr(v)[:24],
)
def test_broken_bodies_are_refused_clearly(shared: Served, path: str, raw: bytes, said: str) -> None:
    reply = shared.call("POST", path, raw=raw, headers={"Content-Type": "application/json"})
    assert reply.status == 400
    assert said in reply.json()["error"]["message"]


def raw_request(served: Served, head: str, body: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        start = f"POST /api/turns HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nConnection: close\r\n"
        start += f"Authorization: Bearer {served.token}\r\n"
        connection.sendall((start + head + "\r\n").encode() + body)
        with connection.makefile("rb") as answer:
            return answer.read()


def test_a_chunked_body_is_bounded_while_it_is_read() -> None:
    with serving(ApiSettings(body_bytes=1_000, drain_bytes=4_000)) as served:
        chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
        answer = raw_request(served, "Transfer-Encoding: chunked\r\n", chunk * 6)
        assert answer.startswith(b"HTTP/1.1 413")


def test_a_declared_size_over_everything_is_refused_unread() -> None:
    with serving(ApiSettings(body_bytes=1_000, drain_bytes=4_000)) as served:
        assert raw_request(served, "Content-Length: 99999999\r\n", b"").startswith(b"HTTP/1.1 413")


def test_a_slow_body_is_given_up(shared: Served) -> None:
    answer = raw_request(shared, "Content-Length: 100\r\n", b'{"te')
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"did not arrive" in answer


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"tools": [{"type": "function"}]}, "Tools run inside Carapax"),
        ({"functions": [{"name": "f"}]}, "Tools run inside Carapax"),
        ({"n": 2}, '"n" must be 1'),
        ({"logprobs": True}, "log probabilities"),
        ({"top_logprobs": 3}, "log probabilities"),
        ({"response_format": {"type": "json_object"}}, "forced format"),
        ({"modalities": ["text", "audio"]}, "text only"),
        ({"stream": "yes"}, "true or false"),
        ({"user": 7}, '"user"'),
        ({"user": "x" * 513}, '"user"'),
        ({"messages": []}, "at least one"),
        ({"messages": "hi"}, "must be a list"),
        ({"messages": [3]}, "not a message"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "Tools run inside Carapax"),
        ({"messages": [{"role": "boss", "content": "x"}]}, "no known role"),
        ({"messages": [{"role": "user", "content": 3}]}, "a text or a list"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "not text (image_url)"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "not text (input_audio)"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "has no text"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "not text"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "empty"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_what_chat_completions_refuse(extra: dict[str, Any], said: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_chat({"messages": [{"role": "user", "content": "x"}], **extra}, MIB)
    assert said in f"{refused.value.what} {refused.value.next_step}"


def test_what_real_clients_send_besides_is_ignored() -> None:
    wish = parse_chat(
        {
            "messages": [{"role": "user", "content": "x", "name": "anna"}],
            "temperature": 0.2, "max_tokens": 5, "top_p": 1, "stop": ["a"], "seed": 1, "tools": [], "tool_choice": "auto",
            "n": 1, "logprobs": False, "presence_penalty": 0, "metadata": {"a": "b"}, "store": False, "whatever": [1],
            "response_format": {"type": "text"}, "stream": None, "stream_options": None, "user": None,
        },
        MIB,
    )  # fmt: skip
    assert (wish.text, wish.stream, wish.conversation) == ("x", False, "")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, '"input"'),
        ({"input": []}, '"input"'),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "function_call_output"),
        ({"input": "x", "previous_response_id": "abc"}, "previous_response_id"),
        ({"input": "x", "previous_response_id": "resp_a", "conversation": "b"}, "exclude"),
        ({"input": "x", "instructions": 4}, "instructions"),
        ({"input": "x", "conversation": {"id": 4}}, '"id"'),
        ({"input": "x", "text": {"format": {"type": "json_schema"}}}, "forced format"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "not text"),
    ],
)
def test_what_responses_refuse(body: dict[str, Any], said: str) -> None:
    with pytest.raises(Malformed, match=said):
        parse_responses(body, MIB)


def test_joined_texts_are_bounded_too(shared: Served) -> None:
    body = {"messages": [{"role": "system", "content": "a" * MIB}, {"role": "user", "content": "b"}], "user": "u"}
    assert shared.call("POST", "/v1/chat/completions", body).status == 413
    items = [{"role": "user", "content": "a" * MIB}, {"role": "user", "content": "b"}]
    assert shared.call("POST", "/v1/responses", {"input": items, "conversation": "c"}).status == 413


def test_a_long_history_of_a_stateless_client_is_served(shared: Served) -> None:
    turn = [{"role": "user", "content": "q" * 900}, {"role": "assistant", "content": "a" * 900}]
    body = {"messages": [*turn * 1_000, {"role": "user", "content": "last"}]}
    assert shared.call("POST", "/v1/chat/completions", body).status == 200
    assert len(shared.gateway.inbounds[-1].seed) == 2_000


def test_an_unknown_field_of_our_own_routes_is_named(shared: Served) -> None:
    error = shared.call("POST", "/api/turns", {"text": "x", "sesion": "y"}).json()["error"]
    assert error["message"] == 'unknown field "sesion"'
    assert "session" in error["next_step"]


FIELDS = (
    Text("line", required=True, max_bytes=4),
    Text("kind", choices=("a", "b")),
    Whole("count", least=1, most=5),
    Choices("some", ("x", "y")),
)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"line": ""},
        {"line": "éééé"},
        {"line": "a\nb"},
        {"line": 4},
        {"line": "a", "kind": "c"},
        {"line": "a", "count": 0},
        {"line": "a", "count": True},
        {"line": "a", "count": "3"},
        {"line": "a", "some": []},
        {"line": "a", "some": ["z"]},
        {"line": "a", "some": "x"},
        {"line": "a", "more": 1},
    ],
)
def test_shapes_refuse(value: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_shape(FIELDS, value)


def test_shapes_accept() -> None:
    value = {"line": "a", "kind": "b", "count": 5, "some": ["y", "y", "x"]}
    assert parse_shape(FIELDS, value) == {**value, "some": ("y", "x")}
    assert parse_shape(FIELDS, {"line": "a", "kind": None}) == {"line": "a"}
    assert parse_query(FIELDS, {"line": "a", "count": "5"}) == {"line": "a", "count": 5}
    with pytest.raises(Malformed):
        parse_query(FIELDS, {"line": "a", "count": "²"})


def test_a_form_is_read_strictly() -> None:
    assert parse_form(b"code=QX4-7RM&code=A%20B") == {"code": "A B"}
    for raw in (b"\xff=1", b"code", b"a=1&" * 20 + b"b=2", b"code=%ff"):
        with pytest.raises(Malformed):
            parse_form(raw)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:0a\\ud8', max_size=80).map(str.encode))
def test_any_bytes_parse_or_are_refused(raw: bytes) -> None:
    try:
        value = parse_json(raw, 64)
    except Malformed:
        return
    json.dumps(value, ensure_ascii=False).encode()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["messages", "input", "stream", "user", "stream_options", "tools", "n", "instructions", "conversation", "text"]
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "assistant", "tool"]) | JSON_VALUES, "content": JSON_VALUES}
    ),
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, JSON_VALUES, max_size=6), MESSAGES)
def test_any_request_is_a_wish_or_is_refused(body: dict[str, Any], messages: list[Any]) -> None:
    for parse in (parse_chat, parse_responses):
        for tried in (body, {**body, "messages": messages, "input": messages}):
            try:
                wish = parse(tried, 1_000)
            except (Malformed, TooLarge):
                continue
            assert wish.text.strip()
