"""SmallModel: a provider that asks another one with the small-model profile.

Layer: agent/small; holds no authority, its wishes are proposals like any other.
Owns one step: schema, fixed part, history; a call comes back as a Wish, a reply streams as it is written.
Absent: the loop over steps and its budgets (the caller's). Prompts with a schema or without tools pass through unchanged.
Laws: at most two questions to the inner provider per step; never the same call twice in a row; never over the caller's output limit.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from carapax.agent.small.history import show_history, wishes_of_turn
from carapax.agent.small.language import Language, find_language
from carapax.agent.small.profile import fixed_part, offered_tools
from carapax.agent.small.steps import Call, ReplyText, parse_step, step_schema
from carapax.core.terms.action import ToolManifest
from carapax.ports.provider import Completion, Message, Prompt, Provider, ProviderFacts, Speaker, TextChunk, Wish

STEP_TOKENS = 1_200
CALLS_A_TURN = 8  # then it must answer
_LEFT_KEPT = 256
_READ, _LOOK_FIRST = "read_file", "Read the file first"  # the file tools' own words
_TOO_LONG = {
    Language.ENGLISH: "That is too long for me to write in one step. Please ask for a smaller piece.",
    Language.FRENCH: "C'est trop long pour que je l'écrive en une fois. Demande-moi un morceau plus petit.",
}
_EMPTY_REPLY = {
    Language.ENGLISH: "I could not finish this. Please ask in another way.",
    Language.FRENCH: "Je n'ai pas pu terminer. Demande-le autrement, s'il te plaît.",
}

Warm = Callable[[Prompt], Awaitable[None]]


class SmallModel:
    """`ports.provider.Provider` around another; `warm` reads a prompt's fixed part ahead, when the inner one can."""

    def __init__(self, provider: Provider, *, warm: Warm | None = None) -> None:
        self._inner = provider
        self._warm = warm
        self._warmed: set[str] = set()
        self._left: OrderedDict[str, str] = OrderedDict()  # by wish id; forgotten ones only cost a hint

    def facts(self) -> ProviderFacts:
        """The inner provider's."""
        return self._inner.facts()

    async def close(self) -> None:
        """Close the inner provider."""
        await self._inner.close()

    async def warm(self, tools: Sequence[ToolManifest], language: Language = Language.ENGLISH) -> None:
        """Read the fixed part ahead (seconds the first time, then restored), so that the first request is answered soon."""
        await self._read_ahead(fixed_part(language, offered_tools(tools)))

    async def stream(self, prompt: Prompt) -> AsyncIterator[TextChunk | Completion]:
        """One step. Raises what the inner provider raises."""
        plain = prompt.schema is not None or not prompt.tools
        async with _closing(self._inner.stream(prompt) if plain else self._step(prompt)) as answers:
            async for answer in answers:
                yield answer

    async def _step(self, prompt: Prompt) -> AsyncIterator[TextChunk | Completion]:
        tools = offered_tools(prompt.tools)
        language = find_language(_words_of_person(prompt.messages))
        fixed = fixed_part(language, tools)
        await self._read_ahead(fixed)
        made = wishes_of_turn(prompt.messages)
        asked = Prompt(
            fixed.instructions,
            (*fixed.messages, *show_history(prompt.messages, self._left)),
            max_output_tokens=min(prompt.max_output_tokens, STEP_TOKENS),
            schema=_next_schema(prompt.messages, tools, len(made)),
        )
        names = frozenset(tool.name for tool in tools)
        spent = Completion("", (), 0, 0, 0)
        for last in (False, True):
            reply, end, streamed = ReplyText(), None, ""
            async with _closing(self._inner.stream(asked)) as answers:
                async for answer in answers:
                    if isinstance(answer, Completion):
                        end = answer
                    elif text := reply.feed(answer.text):
                        streamed += text
                        yield TextChunk(text)
            if end is None:
                return
            spent = _sum(spent, end)
            step = parse_step(end.text, names)
            if isinstance(step, Call) and not last and _repeats(step, made):
                asked = replace(asked, schema=step_schema(()))
                continue
            if isinstance(step, Call):
                yield replace(spent, wishes=(self._wish(step),))
                return
            unfinished = end.cut and not streamed and step.text.startswith("{")
            text = _TOO_LONG[language] if unfinished else step.text or streamed or _EMPTY_REPLY[language]
            if text.startswith(streamed) and len(text) > len(streamed):
                yield TextChunk(text[len(streamed) :])
            yield replace(spent, text=text, cut=end.cut and not unfinished)
            return

    async def _read_ahead(self, fixed: Prompt) -> None:
        if self._warm is not None and fixed.instructions not in self._warmed:
            await self._warm(fixed)
            self._warmed.add(fixed.instructions)

    def _wish(self, step: Call) -> Wish:
        wish = Wish(f"step-{uuid.uuid4().hex[:12]}", step.tool, _arguments(step))
        self._left[wish.id] = step.then
        while len(self._left) > _LEFT_KEPT:
            self._left.popitem(last=False)
        return wish


@contextlib.asynccontextmanager
async def _closing(
    answers: AsyncIterator[TextChunk | Completion],
) -> AsyncIterator[AsyncIterator[TextChunk | Completion]]:
    """Closed on the way out, also when the caller stops in the middle."""
    try:
        yield answers
    finally:
        close = getattr(answers, "aclose", None)
        if close is not None:
            await close()


def _words_of_person(messages: Sequence[Message]) -> list[str]:
    """What the person typed, newest first; the gateway's own notes are in brackets."""
    said = [m.text for m in messages if m.speaker is Speaker.USER and not m.text.startswith("[Carapax:")]
    return said[::-1]


def _next_schema(messages: Sequence[Message], tools: Sequence[ToolManifest], made: int) -> dict[str, Any]:
    """What may come next: nothing but an answer after many calls; a look at the file where an edit guessed its text."""
    if made >= CALLS_A_TURN:
        return step_schema(())
    reading = [tool for tool in tools if tool.name == _READ]
    if reading and messages[-1].speaker is Speaker.TOOL and _LOOK_FIRST in messages[-1].text:
        return step_schema(reading, may_reply=False)  # left to itself it claims that the edit was done
    return step_schema(tools)


def _repeats(step: Call, made: Sequence[Wish]) -> bool:
    if not made or made[-1].tool != step.tool:
        return False
    try:
        return bool(json.loads(made[-1].arguments_json) == dict(step.arguments))
    except ValueError:
        return False


def _arguments(step: Call) -> str:
    return json.dumps(dict(step.arguments), ensure_ascii=False)


def _sum(one: Completion, two: Completion) -> Completion:
    known = one.usd_micro is not None and two.usd_micro is not None
    usd = (one.usd_micro or 0) + (two.usd_micro or 0) if known else None
    return Completion("", (), one.prompt_tokens + two.prompt_tokens, one.output_tokens + two.output_tokens, usd)
