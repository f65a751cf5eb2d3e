"""Worked examples: short conversations that show a small model how to act, read from `examples_*.toml`.

Layer: agent/small. Owns the format: each turn is a list of lines `user:`, `call: TOOL JSON => what is left`,
`result:`, `reply:`.
Law: an example whose tools are not all on offer is not shown.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from carapax.agent.small.language import Language
from carapax.agent.small.steps import ANSWER, render_call, render_reply
from carapax.ports.provider import Message, Speaker


@dataclass(frozen=True, slots=True)
class Example:
    """One worked conversation: the tools it uses and its messages as the model sees them."""

    tools: frozenset[str]
    messages: tuple[Message, ...]


@cache
def load_examples(language: Language) -> tuple[Example, ...]:
    """The bank of one language, in the order it is shown."""
    text = resources.files("carapax.agent.small").joinpath(f"examples_{language.value}.toml").read_text("utf-8")
    return tuple(parse_example(entry["turn"]) for entry in tomllib.loads(text)["example"])


def parse_example(lines: Sequence[str]) -> Example:
    """An example from its lines. Raises ValueError for a line of no known kind."""
    tools: list[str] = []
    messages: list[Message] = []
    left = ANSWER
    for line in lines:
        kind, _, rest = line.partition(": ")
        match kind:
            case "user":
                messages.append(Message(Speaker.USER, rest))
            case "call":
                said, _, then = rest.partition(" => ")
                name, _, arguments = said.partition(" ")
                tools.append(name)
                left = then or ANSWER
                messages.append(Message(Speaker.ASSISTANT, render_call(name, json.loads(arguments or "{}"), left)))
            case "result":
                messages.append(Message(Speaker.USER, render_result(tools[-1], rest, left)))
            case "reply":
                messages.append(Message(Speaker.ASSISTANT, render_reply(rest)))
            case _:
                raise ValueError(f"not a line of an example: {line}")
    return Example(frozenset(tools), tuple(messages))


def render_result(tool: str, text: str, left: str = "") -> str:
    """A tool's result as the model is shown it, with what it said is left to do."""
    shown = f"Result of {tool}:\n{text}"
    return f"{shown}\nNow: {left}" if left not in ("", ANSWER) else shown
