"""Merging the small events of a streamed answer before the model library reads them.

Layer: adapters/providers/remote. Owns the merging of neighbouring text pieces (and pieces of tool arguments) of one
answer into one event, at most `window_ms` late; each event costs the library about 0.4 ms, whatever its size.
Absent: understanding of anything else. An event that is not plainly such a piece goes on as it came, in its place;
a stream in another style (line ends, endless events) goes on untouched.
Law: read to the end, the merged stream has the same text, the same arguments and the same other events in order.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2

WINDOW_MS = 40
EVENT_BYTES = 1 << 20
OPENAI_KEYS = frozenset(
    ("id", "object", "created", "model", "system_fingerprint", "service_tier", "obfuscation", "choices", "usage")
)
OPENAI_CHOICE_KEYS = frozenset(("index", "delta", "finish_reason", "logprobs"))


@dataclass(frozen=True, slots=True)
class Piece:
    """One mergeable event: `place` holds its text under `name`; pieces with equal keys continue one another."""

    key: tuple[Any, ...]
    head: bytes  # the lines before "data:"
    body: dict[str, Any]
    place: dict[str, Any]
    name: str


class Gatherer:
    """Bytes in, bytes out; what could still grow is held until `flush`."""

    def __init__(self) -> None:
        self._buffer = b""
        self._held: Piece | None = None
        self._texts: list[str] = []
        self._raw = b""  # the held event as it came, while it is alone
        self._untouched = False

    @property
    def holds(self) -> bool:
        return self._held is not None

    def feed(self, chunk: bytes) -> bytes:
        """What may go on now."""
        if self._untouched:
            return chunk
        if b"\r" in chunk or len(self._buffer) > EVENT_BYTES:
            self._untouched = True
            return self.finish() + chunk
        *events, self._buffer = (self._buffer + chunk).split(b"\n\n")
        return b"".join(self._event(event + b"\n\n") for event in events)

    def flush(self) -> bytes:
        """The held event."""
        held, self._held = self._held, None
        if held is None:
            return b""
        if len(self._texts) == 1:
            return self._raw
        held.place[held.name] = "".join(self._texts)
        return held.head + b"data: " + json.dumps(held.body).encode("ascii") + b"\n\n"

    def finish(self) -> bytes:
        """Everything that is left, at the end of the stream."""
        rest, self._buffer = self._buffer, b""
        return self.flush() + rest

    def _event(self, event: bytes) -> bytes:
        piece = parse_piece(event)
        if piece is not None and self._held is not None and piece.key == self._held.key:
            self._texts.append(piece.place[piece.name])
            return b""
        before = self.flush()
        if piece is None:
            return before + event
        self._held, self._raw, self._texts = piece, event, [piece.place[piece.name]]
        return before


def parse_piece(event: bytes) -> Piece | None:
    """The event as a mergeable piece; None when it is anything else."""
    head, found, payload = event.rpartition(b"data: ")
    if not found or head not in (b"", b"event: content_block_delta\n"):
        return None
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    return _anthropic_piece(head, body) if head else _openai_piece(body)


def _anthropic_piece(head: bytes, body: dict[str, Any]) -> Piece | None:
    delta = body.get("delta")
    if body.keys() != {"type", "index", "delta"} or not isinstance(delta, dict) or len(delta) != 2:
        return None
    kind = delta.get("type")
    name = {"text_delta": "text", "input_json_delta": "partial_json"}.get(kind) if isinstance(kind, str) else None
    if name is None or not isinstance(delta.get(name), str):
        return None
    return Piece((name, str(body["index"])), head, body, delta, name)


def _openai_piece(body: dict[str, Any]) -> Piece | None:
    choices = body.get("choices")
    if not body.keys() <= OPENAI_KEYS or body.get("usage") or not isinstance(choices, list) or len(choices) != 1:
        return None
    choice = choices[0]
    if not isinstance(choice, dict) or not choice.keys() <= OPENAI_CHOICE_KEYS:
        return None
    delta = choice.get("delta")
    if choice.get("finish_reason") or choice.get("logprobs") or not isinstance(delta, dict):
        return None
    key = (str(body.get("id")), str(body.get("model")), str(choice.get("index")))
    if isinstance(delta.get("content"), str) and not any(v for k, v in delta.items() if k not in ("content", "role")):
        return Piece(("text", *key), b"", body, delta, "content")
    return _openai_arguments(body, delta, key)


def _openai_arguments(body: dict[str, Any], delta: dict[str, Any], key: tuple[str, ...]) -> Piece | None:
    calls = delta.get("tool_calls")
    if any(v for k, v in delta.items() if k != "tool_calls") or not isinstance(calls, list) or len(calls) != 1:
        return None
    call = calls[0]
    if not isinstance(call, dict) or call.keys() != {"index", "function"}:
        return None
    function = call["function"]
    if not isinstance(function, dict) or function.keys() != {"arguments"}:
        return None
    if not isinstance(function["arguments"], str):
        return None
    return Piece(("arguments", *key, str(call["index"])), b"", body, function, "arguments")


class GatheredStream(httpx2.AsyncByteStream):
    """A body whose events are merged. The first piece after a silence is not held back."""

    def __init__(self, inner: httpx2.AsyncByteStream, window_ms: int) -> None:
        self._inner = inner
        self._window_s = window_ms / 1000

    async def __aiter__(self) -> AsyncIterator[bytes]:
        source = aiter(self._inner)
        gatherer = Gatherer()
        sent_at = 0.0
        pending: asyncio.Task[bytes | None] | None = None
        try:
            while True:
                pending = pending or asyncio.create_task(_next(source))
                wait_s = max(0.0, sent_at + self._window_s - time.monotonic()) if gatherer.holds else None
                # Not wait_for: the read goes on when only the window is over.
                await asyncio.wait({pending}, timeout=wait_s)
                ready = b""
                if pending.done():
                    chunk, pending = pending.result(), None
                    if chunk is None:
                        break
                    ready = gatherer.feed(chunk)
                now = time.monotonic()
                if gatherer.holds and now >= sent_at + self._window_s:
                    ready += gatherer.flush()
                if ready:
                    sent_at = now
                    yield ready
            if rest := gatherer.finish():
                yield rest
        finally:
            if pending is not None:
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _next(source: AsyncIterator[bytes]) -> bytes | None:
    return await anext(source, None)


async def gather_events(response: httpx2.Response) -> None:
    """A response hook: merges the events of a streamed answer."""
    streamed = response.headers.get("content-type", "").startswith("text/event-stream")
    if streamed and response.status_code == 200 and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = GatheredStream(response.stream, WINDOW_MS)
