"""A provider that says what a test wrote down.

A script is a list of answers, one per request. An answer is a list of steps: a TextChunk or a Completion is yielded,
an exception is raised, an `asyncio.Event` is awaited (with the test's own bound), a callable is called with the prompt
and must return a step or a list of steps. An answer without Completion or exception gets a Completion of its chunks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from carapax.core.terms.error import ProviderFailed
from carapax.ports.provider import Completion, Prompt, ProviderFacts, TextChunk, Wish

Step = TextChunk | Completion | BaseException | asyncio.Event | Callable[[Prompt], Any]
Answer = Step | str | Sequence[Step | str]

FACTS = ProviderFacts(
    name="scripted", model="script-1", small=False, context_tokens=128_000, remote_host="", price_known=True
)


def says(text: str, *, prompt_tokens: int = 10, output_tokens: int = 5, usd_micro: int | None = 0) -> list[Step]:
    """An answer of one chunk and its completion."""
    chunks: list[Step] = [TextChunk(text)] if text else []
    return [*chunks, Completion(text, (), prompt_tokens, output_tokens, usd_micro)]


def wishes(*calls: tuple[str, str], text: str = "") -> list[Step]:
    """An answer that asks for tools: (tool, arguments_json) pairs get the ids w1, w2, …"""
    made = tuple(Wish(id=f"w{n}", tool=tool, arguments_json=args) for n, (tool, args) in enumerate(calls, 1))
    chunks: list[Step] = [TextChunk(text)] if text else []
    return [*chunks, Completion(text, made, 10, 5, 0)]


class ScriptedProvider:
    """Implements ports.provider.Provider. Keeps every prompt in `prompts`; `closed_early` counts abandoned streams."""

    def __init__(self, *script: Answer, facts: ProviderFacts = FACTS, last_repeats: bool = False) -> None:
        self._script = list(script)
        self._facts = facts
        self._last_repeats = last_repeats
        self.prompts: list[Prompt] = []
        self.closed_early = 0
        self.closed = False

    def facts(self) -> ProviderFacts:
        return self._facts

    def add(self, *answers: Answer) -> None:
        """Append answers to the script."""
        self._script.extend(answers)

    async def stream(self, prompt: Prompt) -> AsyncIterator[TextChunk | Completion]:
        self.prompts.append(prompt)
        steps = self._next_answer()
        said: list[str] = []
        try:
            while steps:
                step = steps.pop(0)
                if callable(step) and not isinstance(step, BaseException):
                    made = step(prompt)
                    steps[:0] = list(made) if isinstance(made, list | tuple) else [made]
                    continue
                if isinstance(step, asyncio.Event):
                    await step.wait()
                    continue
                if isinstance(step, BaseException):
                    raise step
                chunk = TextChunk(step) if isinstance(step, str) else step
                if isinstance(chunk, TextChunk):
                    said.append(chunk.text)
                yield chunk
                if isinstance(chunk, Completion):
                    return
            yield Completion("".join(said), (), 10, len(said), 0)
        except (GeneratorExit, asyncio.CancelledError):
            self.closed_early += 1
            raise

    async def close(self) -> None:
        self.closed = True

    def _next_answer(self) -> list[Any]:
        if not self._script:
            raise ProviderFailed("the script has no more answers")
        answer = self._script[0] if self._last_repeats and len(self._script) == 1 else self._script.pop(0)
        return list(answer) if isinstance(answer, list | tuple) else [answer]
