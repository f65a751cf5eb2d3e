"""One question, one completion, the stream closed, the cost charged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from carapax.agent.ask import ask_once
from carapax.core.terms.error import BudgetSpent, ProviderFailed
from carapax.ports.provider import Completion, Prompt, ProviderFacts, TextChunk
from tests.fakes.provider import FACTS, ScriptedProvider, says

PROMPT = Prompt("", ())
END = Completion("end", (), 1, 1, 0)


class Watched:
    """A provider whose stream notes that it was closed."""

    def __init__(self, *chunks: TextChunk | Completion | BaseException) -> None:
        self.chunks = list(chunks)
        self.closed = 0

    def facts(self) -> ProviderFacts:
        return FACTS

    def stream(self, prompt: Prompt) -> AsyncIterator[TextChunk | Completion]:
        return self  # type: ignore[return-value]

    def __aiter__(self) -> Watched:
        return self

    async def __anext__(self) -> TextChunk | Completion:
        if not self.chunks:
            raise StopAsyncIteration
        chunk = self.chunks.pop(0)
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    async def aclose(self) -> None:
        self.closed += 1

    async def close(self) -> None:
        pass


def test_the_completion_is_given_and_the_rest_is_left() -> None:
    provider = Watched(TextChunk("e"), END, TextChunk("more"))
    assert asyncio.run(ask_once(provider, PROMPT)) == END
    assert provider.closed == 1
    assert len(provider.chunks) == 1


@pytest.mark.parametrize("chunks", [(), (TextChunk("half"),), (TextChunk("half"), ProviderFailed("down"))])
def test_without_a_completion_it_fails_and_the_stream_is_closed(chunks: tuple[TextChunk, ...]) -> None:
    provider = Watched(*chunks)
    with pytest.raises(ProviderFailed):
        asyncio.run(ask_once(provider, PROMPT))
    assert provider.closed == 1


def test_it_is_charged_once() -> None:
    async def charge(completion: Completion) -> None:
        raise BudgetSpent(completion.text)

    with pytest.raises(BudgetSpent, match="hello"):
        asyncio.run(ask_once(ScriptedProvider(says("hello")), PROMPT, charge))
