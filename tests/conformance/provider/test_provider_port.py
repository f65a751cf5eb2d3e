"""What every provider does, run against each adapter and each fake."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from carapax.core.terms.error import ProviderFailed
from carapax.ports.provider import Completion, Message, Prompt, Provider, Speaker, TextChunk, Wish
from tests.conformance.provider.subjects import ENDLESS, FAILING, SUBJECTS, Good, Opened, Planned, Subject

PROMPT = Prompt("Be short.", (Message(Speaker.USER, "hello"),))
POLL_COUNT = 500


@pytest.fixture(params=SUBJECTS)
def opened(request: pytest.FixtureRequest) -> Opened:
    return SUBJECTS[request.param]


def run(opened: Opened, use: Callable[[Subject], Awaitable[Any]], *plan: Planned) -> Any:
    async def main(subject: Subject) -> Any:
        try:
            return await use(subject)
        finally:
            await subject.provider.close()

    with opened(*plan) as subject:
        return asyncio.run(main(subject))


async def collect(provider: Provider) -> list[TextChunk | Completion]:
    return [step async for step in provider.stream(PROMPT)]


def test_one_completion_ends_the_answer_and_holds_its_text(opened: Opened) -> None:
    steps = run(opened, lambda s: collect(s.provider), Good(("Grüße, ", "", "world 👋")))
    assert [type(step) for step in steps].count(Completion) == 1 and isinstance(steps[-1], Completion)
    assert "".join(step.text for step in steps[:-1]) == steps[-1].text == "Grüße, world 👋"


def test_wishes_keep_ids_order_and_arguments(opened: Opened) -> None:
    wishes = (Wish("a-1", "read_file", '{"path": "x"}'), Wish("a-2", "no_such_tool", "{broken"), Wish("a-3", "t", "{}"))
    steps = run(opened, lambda s: collect(s.provider), Good(("Look: ",), wishes))
    assert steps[-1].wishes == wishes


def test_what_was_used_is_counted(opened: Opened) -> None:
    done = run(opened, lambda s: collect(s.provider), Good(("x",)))[-1]
    assert done.prompt_tokens > 0 and done.output_tokens > 0
    assert done.usd_micro is None or done.usd_micro >= 0


def test_a_failure_is_a_provider_failed_and_the_next_request_works(opened: Opened) -> None:
    async def use(subject: Subject) -> Any:
        with pytest.raises(ProviderFailed) as caught:
            await collect(subject.provider)
        assert caught.value.what and caught.value.next_step
        return await collect(subject.provider)

    assert run(opened, use, FAILING, Good(("again",)))[-1].text == "again"


def test_closing_early_ends_the_request(opened: Opened) -> None:
    async def use(subject: Subject) -> bool:
        async with aclosing(subject.provider.stream(PROMPT)) as steps:  # type: ignore[type-var]
            assert isinstance(await anext(steps), TextChunk)
        for _ in range(POLL_COUNT):
            if subject.left_early():
                break
            await asyncio.sleep(0.01)
        return subject.left_early()

    assert run(opened, use, ENDLESS)


def test_facts_are_known_without_asking(opened: Opened) -> None:
    async def use(subject: Subject) -> Any:
        return subject.provider.facts()

    facts = run(opened, use)
    assert facts.name and facts.model and facts.context_tokens > 0


def test_closing_twice_is_closing_once(opened: Opened) -> None:
    async def use(subject: Subject) -> None:
        await collect(subject.provider)
        await subject.provider.close()
        await subject.provider.close()

    run(opened, use, Good(("x",)))
