"""Prompt → the model's own text format, and the frames between gateway and worker.

Layer: adapters/providers/embedded; pure. Owns ChatML rendering and the line frames.
Absent: native tool calls: this model is asked through `agent/small`, which constrains its steps by a schema.
Source: Qwen2.5 model card (ChatML).
Laws: text of a message cannot open or close a message; one frame is one line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from carapax.core.terms.error import Malformed
from carapax.ports.provider import Message, Prompt, Speaker

MAX_FRAME_BYTES = 1 << 22
_ROUND_LETTERS, _PERIOD_LETTERS = 480, 120
_ANSWER = "<|im_start|>assistant\n"


def render_prefix(prompt: Prompt) -> str:
    """The prompt's text up to the place where the next message would begin."""
    turns = [_turn("system", prompt.instructions)] if prompt.instructions else []
    turns += [_turn(_role(message), _said(message)) for message in prompt.messages]
    return "".join(turns)


def render_prompt(prompt: Prompt) -> str:
    """The prompt's text, ending where the model speaks."""
    return render_prefix(prompt) + _ANSWER


def disarm(text: str) -> str:
    """Text whose special tokens are only text: `<|im_start|>` inside a message stays a quotation."""
    return text.replace("<|", "<\u200b|")


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with the spacing our examples use, so that no tokens go into blanks."""
    spacing = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    return {**schema, "x-guidance": spacing}


def goes_round(text: str) -> bool:
    """Whether the text's end is the same short piece again and again: a small model that will not find its way out."""
    end = text[-_ROUND_LETTERS:]
    return len(end) == _ROUND_LETTERS and any(end[period:] == end[:-period] for period in range(1, _PERIOD_LETTERS))


def render_frame(frame: Mapping[str, Any]) -> bytes:
    """One frame as one line."""
    return json.dumps(frame, separators=(",", ":")).encode("ascii") + b"\n"


def parse_frame(line: bytes) -> dict[str, Any]:
    """The frame of one line. Raises Malformed."""
    if len(line) > MAX_FRAME_BYTES:
        raise Malformed("a frame of the embedded model is too long")
    try:
        frame = json.loads(line)
    except ValueError as error:
        raise Malformed("a frame of the embedded model is not JSON") from error
    if not isinstance(frame, dict):
        raise Malformed("a frame of the embedded model is not an object")
    return frame


def _turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{disarm(text)}<|im_end|>\n"


def _role(message: Message) -> str:
    return "assistant" if message.speaker is Speaker.ASSISTANT else "user"


def _said(message: Message) -> str:
    if message.speaker is Speaker.TOOL:
        return f"Result of {message.tool}:\n{message.text}"
    calls = [f"{wish.tool} {wish.arguments_json}" for wish in message.wishes]
    return "\n".join([message.text, *calls]) if calls else message.text
