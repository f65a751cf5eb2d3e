"""Port: a language model. Streams text, then ends with exactly one Completion."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from carapax.core.terms.action import ToolManifest


class Speaker(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Wish:
    """A tool call as the model wrote it: unchecked, any name, any text as arguments."""

    id: str
    tool: str
    arguments_json: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt. `wishes` for ASSISTANT, `answers` (a Wish id) and `tool` for TOOL."""

    speaker: Speaker
    text: str
    wishes: tuple[Wish, ...] = ()
    answers: str = ""
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Everything a model is shown. With `schema`, the text must be one JSON value of that JSON Schema (and `tools` is empty)."""

    instructions: str
    messages: tuple[Message, ...]
    tools: tuple[ToolManifest, ...] = ()
    max_output_tokens: int = 4096
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TextChunk:
    text: str


@dataclass(frozen=True, slots=True)
class Completion:
    """The end of an answer: whole text, tool wishes, what it cost. `usd_micro` None: the price is unknown."""

    text: str
    wishes: tuple[Wish, ...]
    prompt_tokens: int
    output_tokens: int
    usd_micro: int | None
    cut: bool = False  # ended by max_output_tokens


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """What is known without asking. `small`: use the small-model profile (schema-constrained steps, worked examples)."""

    name: str  # "embedded", "openai", …
    model: str
    small: bool
    context_tokens: int
    remote_host: str  # "" when nothing leaves this machine
    price_known: bool


class Provider(Protocol):
    def facts(self) -> ProviderFacts: ...

    def stream(self, prompt: Prompt) -> AsyncIterator[TextChunk | Completion]:
        """Ask once. Raises ProviderFailed (with `retriable`) and ModelMissing; bounded in time and bytes.

        Closing the iterator early ends the request.
        """
        ...

    async def close(self) -> None: ...
