"""Merging small events changes how many there are, never what they say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.providers.remote.gather import EVENT_BYTES, GatheredStream, Gatherer, parse_piece


def openai(delta: Any, finish: str | None = None, **more: Any) -> bytes:
    body = {"id": "1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def anthropic(text: str, index: int = 0) -> bytes:
    body = {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}
    return b"event: content_block_delta\ndata: " + json.dumps(body).encode() + b"\n\n"


def arguments(text: str, index: int = 0) -> bytes:
    return openai({"tool_calls": [{"index": index, "function": {"arguments": text}}]})


def gathered(*chunks: bytes) -> bytes:
    gatherer = Gatherer()
    return b"".join(gatherer.feed(chunk) for chunk in chunks) + gatherer.finish()


def meaning(stream: bytes) -> list[Any]:
    """Events with runs of mergeable pieces joined: what must not change."""
    found: list[Any] = []
    for event in stream.split(b"\n\n"):
        piece = parse_piece(event + b"\n\n")
        if piece is None:
            found.append(event)
        elif found and isinstance(found[-1], list) and found[-1][0] == piece.key:
            found[-1][1] += piece.place[piece.name]
        else:
            found.append([piece.key, piece.place[piece.name]])
    return found


EVENTS = st.one_of(
    st.text(max_size=5).map(lambda text: openai({"content": text})),
    st.text(max_size=5).map(lambda text: openai({"content": text, "refusal": None, "role": "assistant"})),
    st.text(max_size=5).map(anthropic),
    st.tuples(st.text(max_size=5), st.integers(0, 2)).map(lambda pair: arguments(*pair)),
    st.tuples(st.text(max_size=5), st.integers(0, 2)).map(lambda pair: anthropic(*pair)),
    st.sampled_from(
        [
            openai({}, "stop"),
            openai({"content": "x"}, "stop"),
            openai({"content": "x"}, usage={"n": 1}),
            openai({"content": "x", "reasoning": "y"}),
            openai({"content": None}),
            openai({"content": 5}),
            openai({"tool_calls": [{"index": 0, "id": "i", "function": {"name": "t", "arguments": ""}}]}),
            b"data: [DONE]\n\n",
            b": ping\n\n",
            b"data: {\n\n",
            b"data: [1]\n\n",
            b"\n\n",
            b"event: ping\ndata: {}\n\n",
            b'event: content_block_delta\ndata: {"type": 1, "index": 0, "delta": {"type": [], "text": "x"}}\n\n',
        ]
    ),
)


@given(st.lists(EVENTS, max_size=12), st.lists(st.integers(1, 200), max_size=30), st.binary(max_size=5))
def test_the_meaning_stays(events: list[bytes], cuts: list[int], tail: bytes) -> None:
    stream = b"".join(events)
    chunks, rest = [], stream
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    assert meaning(gathered(*chunks, rest)) == meaning(stream)
    assert gathered(stream + tail).endswith(tail) or b"\n" in tail or b"\r" in tail


@given(st.binary(max_size=300))
def test_any_bytes_pass(stream: bytes) -> None:
    assert gathered(stream) == stream or parse_piece(stream) is not None or b"data: " in stream


def test_neighbours_become_one_event() -> None:
    merged = gathered(openai({"role": "assistant", "content": ""}), openai({"content": "a"}), openai({"content": "é"}))
    assert merged.count(b"data: ") == 1
    assert json.loads(merged[6:])["choices"][0]["delta"]["content"] == "aé"
    assert gathered(anthropic("a"), anthropic("b")).count(b"event: ") == 1
    assert gathered(arguments('{"a'), arguments('": 1}')).count(b"data: ") == 1


def test_strangers_stay_apart() -> None:
    for first, second in (
        (openai({"content": "a"}), arguments("a")),
        (arguments("a", 0), arguments("a", 1)),
        (anthropic("a", 0), anthropic("a", 1)),
        (openai({"content": "a"}), openai({"content": "b"}).replace(b'"1"', b'"2"')),
    ):
        assert gathered(first, second) == first + second


def test_a_lone_piece_goes_on_as_it_came() -> None:
    odd = b'data:  {"id":"1", "choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    assert gathered(odd) == odd


def test_another_style_goes_on_untouched() -> None:
    stream = (openai({"content": "a"}) + openai({"content": "b"})).replace(b"\n", b"\r\n")
    assert gathered(stream) == stream
    assert gathered(openai({"content": "a"}), b"\r", openai({"content": "b"})).count(b"data: ") == 2


def test_an_endless_event_is_not_collected() -> None:
    gatherer = Gatherer()
    given_on = b""
    for _ in range(4):
        given_on += gatherer.feed(b"data: " + b"x" * (EVENT_BYTES // 2))
    assert len(given_on) > EVENT_BYTES


class Body(httpx2.AsyncByteStream):
    """Chunks; an Event is waited for, an exception raised."""

    def __init__(self, *steps: Any) -> None:
        self.steps = steps
        self.ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for step in self.steps:
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        finally:
            self.ended = True


def test_a_held_piece_comes_when_the_window_is_over() -> None:
    async def read() -> None:
        never = asyncio.Event()
        body = Body(openai({"content": "a"}), openai({"content": "b"}), never)
        stream = aiter(GatheredStream(body, window_ms=20))
        got = b""
        while b'"b"' not in got:
            got += await asyncio.wait_for(anext(stream), 10)
        await stream.aclose()  # type: ignore[attr-defined]
        assert body.ended

    asyncio.run(read())


def test_an_error_of_the_source_passes() -> None:
    async def read() -> bytes:
        stream = GatheredStream(Body(openai({"content": "a"}), ConnectionError("gone")), window_ms=20)
        return b"".join([chunk async for chunk in stream])

    with pytest.raises(ConnectionError, match="gone"):
        asyncio.run(read())
