"""A loopback HTTP server that speaks OpenAI chat completions and Anthropic messages, plain and streamed.

Runs in a thread of its own; every request takes the next answer of the script and is kept in `requests`. Use it as a
context manager; leaving it ends every connection and joins the thread. It knows only 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

OPENAI = "openai"
ANTHROPIC = "anthropic"
BODY_LIMIT = 16 << 20
JOIN_SECONDS = 10


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def wire(self) -> str:
        return ANTHROPIC if self.path.endswith("/messages") else OPENAI

    @property
    def streamed(self) -> bool:
        return bool(self.json().get("stream"))


@dataclass(frozen=True)
class Says:
    """A good answer: pieces of text, then tool calls as (id, tool, arguments)."""

    pieces: Sequence[str] = ()
    wishes: Sequence[tuple[str, str, str]] = ()
    prompt_tokens: int = 11
    output_tokens: int = 7
    finish: str = ""  # "" for what fits; else the wire's own word


@dataclass(frozen=True)
class Status:
    """An HTTP status with a body."""

    code: int
    body: bytes = b'{"error": {"message": "scripted", "type": "scripted"}}'
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Silence:
    """Takes the request and never answers."""


@dataclass(frozen=True)
class Stall:
    """Sends some pieces, then nothing, with the connection open."""

    pieces: Sequence[str] = ("begun",)


@dataclass(frozen=True)
class Drop:
    """Sends some pieces, waits, then cuts the connection in the middle of the body."""

    pieces: Sequence[str] = ()
    pause_s: float = 0.0


@dataclass(frozen=True)
class Endless:
    """Repeats a piece for ever."""

    piece: str = "and on "
    pause_s: float = 0.0


@dataclass(frozen=True)
class Raw:
    """These bytes as the whole body of a 200."""

    body: bytes
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Says | Status | Silence | Stall | Drop | Endless | Raw
Script = Answer | Callable[[Seen], Answer]


class ModelServer:
    """`with ModelServer(Says(["hi"])) as server:` then ask `server.openai_url` or `server.anthropic_url`."""

    def __init__(self, *script: Script, last_repeats: bool = False) -> None:
        self._script = list(script)
        self._last_repeats = last_repeats
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: list[Seen] = []
        self.connections = 0
        self.left_early = threading.Event()  # a client went away while its answer was being written
        self.port = 0

    @property
    def openai_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def anthropic_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(JOIN_SECONDS):
            raise RuntimeError("the model server did not start")
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(JOIN_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError("the model server did not stop")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while (seen := await _read_request(reader)) is not None:
                self.requests.append(seen)
                if not await self._answer(seen, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left_early.set()
        except asyncio.CancelledError:
            pass  # only the end of the server cancels a connection
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _answer(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        answer = self._next(seen)
        if isinstance(answer, Status):
            await _whole(writer, answer.code, answer.body, "application/json", answer.headers)
            return True
        if isinstance(answer, Raw):
            await _whole(writer, 200, answer.body, answer.content_type, answer.headers)
            return True
        if isinstance(answer, Says):
            if seen.streamed:
                await _streamed(writer, _says_events(seen.wire, answer))
            else:
                await _whole(writer, 200, _dump(_plain_answer(seen.wire, answer)), "application/json", {})
            return True
        await self._fault(answer, seen, reader, writer)
        return False

    async def _fault(
        self, answer: Answer, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if isinstance(answer, Silence):
            await self._until_gone(reader)
            return
        await _open_stream(writer)
        if isinstance(answer, Endless):
            for event in _opening(seen.wire):
                await _chunk(writer, event)
            event = _text_event(seen.wire, answer.piece)
            while True:
                await _chunk(writer, event)
                await asyncio.sleep(answer.pause_s)
        assert isinstance(answer, Stall | Drop)
        for event in [*_opening(seen.wire), *(_text_event(seen.wire, piece) for piece in answer.pieces)]:
            await _chunk(writer, event)
        if isinstance(answer, Stall):
            await self._until_gone(reader)
        else:
            await asyncio.sleep(answer.pause_s)

    async def _until_gone(self, reader: asyncio.StreamReader) -> None:
        await reader.read(1)
        self.left_early.set()

    def _next(self, seen: Seen) -> Answer:
        if not self._script:
            return Status(500, b'{"error": {"message": "the script has no more answers"}}')
        step = self._script[0] if self._last_repeats and len(self._script) == 1 else self._script.pop(0)
        return step(seen) if callable(step) else step


async def _read_request(reader: asyncio.StreamReader) -> Seen | None:
    first = await reader.readline()
    if not first:
        return None
    method, path, _ = first.decode("latin-1").split(" ", 2)
    headers: list[tuple[str, str]] = []
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.strip().lower(), value.strip()))
    length = int(dict(headers).get("content-length", "0"))
    if length > BODY_LIMIT:
        return None
    return Seen(method, path, tuple(headers), await reader.readexactly(length))


async def _whole(
    writer: asyncio.StreamWriter, code: int, body: bytes, content_type: str, headers: Mapping[str, str]
) -> None:
    lines = {"content-type": content_type, "content-length": str(len(body)), **headers}
    head = f"HTTP/1.1 {code} Scripted\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
    writer.write(head.encode("latin-1") + body)
    await writer.drain()


async def _open_stream(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    await writer.drain()


async def _chunk(writer: asyncio.StreamWriter, event: bytes) -> None:
    writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
    await writer.drain()


async def _streamed(writer: asyncio.StreamWriter, events: Sequence[bytes]) -> None:
    await _open_stream(writer)
    for event in events:
        await _chunk(writer, event)
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _sse(value: Any, event: str = "") -> bytes:
    head = f"event: {event}\n" if event else ""
    return head.encode() + b"data: " + _dump(value) + b"\n\n"


def _says_events(wire: str, answer: Says) -> list[bytes]:
    texts = [_text_event(wire, piece) for piece in answer.pieces]
    if wire == ANTHROPIC:
        return [*_opening(wire), *texts, *_anthropic_close(answer)]
    return [*_opening(wire), *texts, *_openai_close(answer)]


def _opening(wire: str) -> list[bytes]:
    if wire == OPENAI:
        return [_openai_event({"role": "assistant", "content": ""})]
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "scripted-1",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 0},
    }
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return [_sse({"type": "message_start", "message": message}, "message_start"), _sse(start, "content_block_start")]


def _text_event(wire: str, piece: str) -> bytes:
    if wire == OPENAI:
        return _openai_event({"content": piece})
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
    return _sse(delta, "content_block_delta")


def _openai_event(delta: Any, finish: str | None = None, usage: Any = None) -> bytes:
    choices = [] if usage else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted-1"}
    return _sse({**body, "choices": choices, "usage": usage})


def _openai_usage(answer: Says) -> dict[str, int]:
    total = answer.prompt_tokens + answer.output_tokens
    return {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.output_tokens, "total_tokens": total}


def _openai_close(answer: Says) -> list[bytes]:
    events = []
    for index, (ident, tool, arguments) in enumerate(answer.wishes):
        half = len(arguments) // 2
        head = {"index": index, "id": ident, "type": "function", "function": {"name": tool, "arguments": ""}}
        events.append(_openai_event({"tool_calls": [head]}))
        for part in (arguments[:half], arguments[half:]):
            events.append(_openai_event({"tool_calls": [{"index": index, "function": {"arguments": part}}]}))
    finish = answer.finish or ("tool_calls" if answer.wishes else "stop")
    return [*events, _openai_event({}, finish), _openai_event({}, usage=_openai_usage(answer)), b"data: [DONE]\n\n"]


def _anthropic_close(answer: Says) -> list[bytes]:
    events = [_sse({"type": "content_block_stop", "index": 0}, "content_block_stop")]
    for index, (ident, tool, arguments) in enumerate(answer.wishes, 1):
        block = {"type": "tool_use", "id": ident, "name": tool, "input": {}}
        start = {"type": "content_block_start", "index": index, "content_block": block}
        delta = {"type": "input_json_delta", "partial_json": arguments}
        events.append(_sse(start, "content_block_start"))
        events.append(_sse({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta"))
        events.append(_sse({"type": "content_block_stop", "index": index}, "content_block_stop"))
    finish = answer.finish or ("tool_use" if answer.wishes else "end_turn")
    usage = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.output_tokens}
    end = {"type": "message_delta", "delta": {"stop_reason": finish, "stop_sequence": None}, "usage": usage}
    return [*events, _sse(end, "message_delta"), _sse({"type": "message_stop"}, "message_stop")]


def _plain_answer(wire: str, answer: Says) -> dict[str, Any]:
    text = "".join(answer.pieces)
    if wire == ANTHROPIC:
        blocks: list[Any] = [{"type": "text", "text": text}] if text else []
        blocks += [{"type": "tool_use", "id": i, "name": t, "input": json.loads(a)} for i, t, a in answer.wishes]
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "scripted-1",
            "content": blocks,
            "stop_reason": answer.finish or ("tool_use" if answer.wishes else "end_turn"),
            "stop_sequence": None,
            "usage": {"input_tokens": answer.prompt_tokens, "output_tokens": answer.output_tokens},
        }
    calls = [{"id": i, "type": "function", "function": {"name": t, "arguments": a}} for i, t, a in answer.wishes]
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = calls
    finish = answer.finish or ("tool_calls" if calls else "stop")
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted-1",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": _openai_usage(answer),
    }
