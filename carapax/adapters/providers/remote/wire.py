"""Terms to the model library's messages and back. Pure; the library is imported only inside the functions.

Layer: adapters/providers/remote. Owns the schema of a tool, the shape of a prompt and the reading of an answer's events.
Absent: judging a wish. An unknown tool or arguments that are not JSON pass through as the model wrote them, for the
guard to refuse. Absent too: tools that run at the service's side, which would pass by the guard.
Law: a completion's text is exactly the chunks that were yielded before it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from carapax.adapters.providers.catalogue import Wire
from carapax.core.terms.action import ArgSpec, ToolManifest
from carapax.core.terms.error import ProviderFailed
from carapax.ports.provider import Message, Prompt, Speaker, Wish

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelRequestPart, ModelResponsePart
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.settings import ModelSettings
    from pydantic_ai.tools import ToolDefinition

ID_CHARS = 256
TOOL_CHARS = 256
SCHEMA_NAME = "answer"


@dataclass(frozen=True, slots=True)
class AnswerBounds:
    """How much one answer may hold."""

    text_bytes: int = 1 << 20
    thought_bytes: int = 4 << 20
    wishes: int = 64
    argument_bytes: int = 256 << 10


def tool_schema(manifest: ToolManifest) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments; nothing beyond them is allowed."""
    return {
        "type": "object",
        "properties": {arg.name: _arg_schema(arg) for arg in manifest.args},
        "required": [arg.name for arg in manifest.args if arg.required],
        "additionalProperties": False,
    }


def _arg_schema(arg: ArgSpec) -> dict[str, Any]:
    kind = "string" if arg.type == "text" else arg.type.value
    schema: dict[str, Any] = {"type": kind, "description": arg.description}
    if arg.choices:
        schema["enum"] = list(arg.choices)
    return schema


@lru_cache(maxsize=64)
def _tool_definitions(tools: tuple[ToolManifest, ...]) -> tuple[ToolDefinition, ...]:
    from pydantic_ai.tools import ToolDefinition

    return tuple(
        ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=tool_schema(tool))
        for tool in tools
    )


@lru_cache(maxsize=64)
def _openai_tools(tools: tuple[ToolManifest, ...]) -> list[dict[str, Any]]:
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool_schema(tool)},
        }
        for tool in tools
    ]


def render_settings(prompt: Prompt, wire: Wire) -> ModelSettings:
    """Length and, on the OpenAI wire, the tools: as ready JSON they spare the SDK a walk of 0.2 ms per tool."""
    if wire == "openai" and prompt.tools:
        return {"max_tokens": prompt.max_output_tokens, "extra_body": {"tools": _openai_tools(prompt.tools)}}
    return {"max_tokens": prompt.max_output_tokens}


def render_parameters(prompt: Prompt, wire: Wire) -> ModelRequestParameters:
    """Instructions, schema and, on the Anthropic wire, the tools. That wire gets the schema in words only."""
    from pydantic_ai.messages import InstructionPart
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.output import OutputObjectDefinition

    instructions = prompt.instructions
    output: dict[str, Any] = {}
    if prompt.schema is not None:
        if wire == "openai":
            definition = OutputObjectDefinition(json_schema=dict(prompt.schema), name=SCHEMA_NAME)
            output = {"output_mode": "native", "output_object": definition}
        instructions = f"{instructions}\n\n{_schema_in_words(prompt)}".strip()
    return ModelRequestParameters(
        function_tools=list(_tool_definitions(prompt.tools)) if wire == "anthropic" else [],
        instruction_parts=[InstructionPart(content=instructions)] if instructions else [],
        **output,
    )


def _schema_in_words(prompt: Prompt) -> str:
    schema = json.dumps(prompt.schema, ensure_ascii=False, separators=(",", ":"))
    return f"Answer with one JSON value of this JSON Schema, and nothing before or after it: {schema}"


def render_messages(messages: Sequence[Message]) -> list[ModelMessage]:
    """The conversation. Neighbours of the same side become one message, as the Anthropic wire demands."""
    from pydantic_ai.messages import ModelRequest, ModelResponse

    rendered: list[ModelMessage] = []
    for message in messages:
        if message.speaker is Speaker.ASSISTANT:
            parts = _response_parts(message)
            if parts and rendered and isinstance(rendered[-1], ModelResponse):
                rendered[-1] = ModelResponse(parts=[*rendered[-1].parts, *parts])
            elif parts:
                rendered.append(ModelResponse(parts=parts))
        elif rendered and isinstance(rendered[-1], ModelRequest):
            rendered[-1] = ModelRequest(parts=[*rendered[-1].parts, _request_part(message)])
        else:
            rendered.append(ModelRequest(parts=[_request_part(message)]))
    return rendered


def _request_part(message: Message) -> ModelRequestPart:
    from pydantic_ai.messages import ToolReturnPart, UserPromptPart

    if message.speaker is Speaker.TOOL:
        return ToolReturnPart(tool_name=message.tool, content=message.text, tool_call_id=message.answers)
    return UserPromptPart(content=message.text)


def _response_parts(message: Message) -> list[ModelResponsePart]:
    from pydantic_ai.messages import TextPart, ToolCallPart

    parts: list[ModelResponsePart] = [TextPart(content=message.text)] if message.text else []
    parts += [
        ToolCallPart(tool_name=wish.tool, args=wish.arguments_json, tool_call_id=wish.id) for wish in message.wishes
    ]
    return parts


@dataclass(slots=True)
class Reading:
    """What has been read of one answer so far; refuses what is over its bounds as soon as it is over."""

    bounds: AnswerBounds
    texts: list[str] = field(default_factory=list)
    text_bytes: int = 0
    thought_bytes: int = 0
    argument_bytes: dict[int, int] = field(default_factory=dict)

    def take(self, event: Any) -> str:
        """The text an event adds, "" for any other event. Raises ProviderFailed over a bound."""
        kind = event.event_kind
        if kind == "part_start":
            return self._take_part(event.index, event.part)
        if kind == "part_delta":
            return self._take_delta(event.index, event.delta)
        return ""

    def _take_part(self, index: int, part: Any) -> str:
        if part.part_kind == "text":
            return self._text(part.content)
        if part.part_kind == "thinking":
            self._thought(part.content)
        elif part.part_kind == "tool-call":
            self._arguments(index, part.tool_name, part.args)
        return ""

    def _take_delta(self, index: int, delta: Any) -> str:
        if delta.part_delta_kind == "text":
            return self._text(delta.content_delta)
        if delta.part_delta_kind == "thinking":
            self._thought(delta.content_delta or "")
        elif delta.part_delta_kind == "tool_call":
            self._arguments(index, delta.tool_name_delta, delta.args_delta)
        return ""

    def _text(self, text: str) -> str:
        clean = clean_text(text)
        self.text_bytes += len(clean.encode("utf-8"))
        if self.text_bytes > self.bounds.text_bytes:
            raise ProviderFailed(f"The model's answer is longer than {self.bounds.text_bytes} bytes.")
        if clean:
            self.texts.append(clean)
        return clean

    def _thought(self, text: str) -> None:
        self.thought_bytes += len(text)
        if self.thought_bytes > self.bounds.thought_bytes:
            raise ProviderFailed("The model thought for too long without an answer.")

    def _arguments(self, index: int, name: Any, arguments: Any) -> None:
        size = len(name or "") + len(arguments if isinstance(arguments, str) else json.dumps(arguments or {}))
        self.argument_bytes[index] = self.argument_bytes.get(index, 0) + size
        if len(self.argument_bytes) > self.bounds.wishes:
            raise ProviderFailed(f"The model asked for more than {self.bounds.wishes} tools at once.")
        if self.argument_bytes[index] > self.bounds.argument_bytes:
            raise _arguments_too_long(self.bounds)


def read_wishes(parts: Sequence[Any], bounds: AnswerBounds) -> tuple[Wish, ...]:
    """The tool calls of an answer, unjudged, with the ids they came with. Raises ProviderFailed over a bound."""
    wishes = tuple(_read_wish(part, bounds) for part in parts if part.part_kind == "tool-call")
    if len({wish.id for wish in wishes}) != len(wishes):
        raise ProviderFailed("The model gave the same id to two tool calls.", retriable=True)
    return wishes


def _read_wish(part: Any, bounds: AnswerBounds) -> Wish:
    arguments = part.args if isinstance(part.args, str) else json.dumps(part.args or {}, ensure_ascii=False)
    arguments = clean_text(arguments) or "{}"
    if len(arguments.encode("utf-8")) > bounds.argument_bytes:
        raise _arguments_too_long(bounds)
    ident, tool = clean_text(part.tool_call_id or ""), clean_text(part.tool_name or "")
    if not ident or len(ident) > ID_CHARS or len(tool) > TOOL_CHARS:
        raise ProviderFailed("The model made a tool call whose name or id cannot be used.", retriable=True)
    return Wish(id=ident, tool=tool, arguments_json=arguments)


def _arguments_too_long(bounds: AnswerBounds) -> ProviderFailed:
    return ProviderFailed(f"The arguments of a tool call are longer than {bounds.argument_bytes} bytes.")


def clean_text(text: str) -> str:
    """Text that can be stored as UTF-8: a lone surrogate becomes U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
