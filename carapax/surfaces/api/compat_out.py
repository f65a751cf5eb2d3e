"""A turn's answer in OpenAI's shapes: whole, and as a stream of server-sent events.

Layer: surfaces/api; pure. The top-level field `carapax` says what their shapes have no place for: session, turn,
state, and the approval that waits. The port counts tokens as one number: it is reported as input, and as the total.
Source: OpenAI API reference, chat completions and responses; the order of events is the reference's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from carapax.core.terms.approval import Approval
from carapax.core.terms.limit import Usage
from carapax.core.terms.plain import plain
from carapax.surfaces.api.refusal import render_json

MODEL = "carapax"
DONE = b"data: [DONE]\n\n"
BEAT = b": waiting\n\n"  # a comment keeps proxies and clients from giving up on a silent stream


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back for one request."""

    turn: str
    text: str
    created_s: int
    session: str = ""
    state: str = ""
    code: str = ""
    usage: Usage = Usage()
    approval: Approval | None = None
    previous: str = ""
    conversation: str = ""

    @property
    def finish(self) -> str:
        return "length" if self.code.startswith("budget.") else "stop"

    def own(self) -> dict[str, Any]:
        """The `carapax` field."""
        found = {"session": self.session, "turn": self.turn, "state": self.state, "approval": plain(self.approval)}
        return {**found, "code": self.code} if self.code else found


def sse(value: dict[str, Any], event: str = "") -> bytes:
    head = f"event: {event}\n".encode("ascii") if event else b""
    return head + b"data: " + render_json(value) + b"\n\n"


# chat completions
def _chat_usage(usage: Usage) -> dict[str, int]:
    return {"prompt_tokens": usage.tokens, "completion_tokens": 0, "total_tokens": usage.tokens}


def chat_whole(answer: Answer) -> dict[str, Any]:
    """The body of a plain chat completion."""
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    return {
        "id": f"chatcmpl-{answer.turn}",
        "object": "chat.completion",
        "created": answer.created_s,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}],
        "usage": _chat_usage(answer.usage),
        "carapax": answer.own(),
    }


class ChatStream:
    """The chunks of one streamed chat completion."""

    def __init__(self, created_s: int, with_usage: bool) -> None:
        self._created_s = created_s
        self._with_usage = with_usage

    def _chunk(self, turn: str, delta: dict[str, Any] | None, finish: str | None = None) -> dict[str, Any]:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        chunk = {
            "id": f"chatcmpl-{turn}",
            "object": "chat.completion.chunk",
            "created": self._created_s,
            "model": MODEL,
            "choices": choices,
        }
        return {**chunk, "usage": None} if self._with_usage else chunk

    def opening(self, turn: str) -> Iterator[bytes]:
        yield sse(self._chunk(turn, {"role": "assistant", "content": ""}))

    def piece(self, turn: str, text: str) -> Iterator[bytes]:
        yield sse(self._chunk(turn, {"content": text}))

    def closing(self, answer: Answer) -> Iterator[bytes]:
        yield sse({**self._chunk(answer.turn, {}, answer.finish), "carapax": answer.own()})
        if self._with_usage:
            yield sse({**self._chunk(answer.turn, None), "usage": _chat_usage(answer.usage)})
        yield DONE


# responses
def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _item(turn: str, status: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": f"msg_{turn}", "type": "message", "role": "assistant", "status": status, "content": parts}


def response_whole(answer: Answer, status: str = "completed") -> dict[str, Any]:
    """The response object; an unfinished one has no output and no usage yet."""
    finished = status == "completed"
    tokens = answer.usage.tokens
    usage = {
        "input_tokens": tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens,
    }
    return {
        "id": f"resp_{answer.turn}",
        "object": "response",
        "created_at": answer.created_s,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": MODEL,
        "output": [_item(answer.turn, status, [_part(answer.text)])] if finished else [],
        "parallel_tool_calls": False,
        "previous_response_id": f"resp_{answer.previous}" if answer.previous else None,
        "conversation": {"id": answer.conversation} if answer.conversation else None,
        "store": True,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": usage if finished else None,
        "carapax": answer.own(),
    }


class ResponseStream:
    """The events of one streamed response, numbered."""

    def __init__(self, created_s: int, previous: str, conversation: str) -> None:
        self._created_s = created_s
        self._previous = previous
        self._conversation = conversation
        self._number = 0
        self._text: list[str] = []

    def _event(self, kind: str, **fields: Any) -> bytes:
        value = {"type": kind, **fields, "sequence_number": self._number}
        self._number += 1
        return sse(value, kind)

    def opening(self, turn: str) -> Iterator[bytes]:
        begun = Answer(turn, "", self._created_s, previous=self._previous, conversation=self._conversation)
        started = response_whole(begun, "in_progress")
        yield self._event("response.created", response=started)
        yield self._event("response.in_progress", response=started)
        yield self._event("response.output_item.added", output_index=0, item=_item(turn, "in_progress", []))
        yield self._event("response.content_part.added", **self._place(turn), part=_part(""))

    def _place(self, turn: str) -> dict[str, Any]:
        return {"item_id": f"msg_{turn}", "output_index": 0, "content_index": 0}

    def piece(self, turn: str, text: str) -> Iterator[bytes]:
        self._text.append(text)
        yield self._event("response.output_text.delta", **self._place(turn), delta=text, logprobs=[])

    def closing(self, answer: Answer) -> Iterator[bytes]:
        """The end of the stream: the text of the whole is what was streamed."""
        text = "".join(self._text)
        turn, place = answer.turn, self._place(answer.turn)
        whole = response_whole(answer)
        item = _item(turn, "completed", [_part(text)])
        whole["output"] = [item]
        yield self._event("response.output_text.done", **place, text=text, logprobs=[])
        yield self._event("response.content_part.done", **place, part=_part(text))
        yield self._event("response.output_item.done", output_index=0, item=item)
        yield self._event("response.completed", response=whole)
