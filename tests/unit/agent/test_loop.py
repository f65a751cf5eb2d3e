"""The loop: ends in every case, hands every wish on once, and charges before it acts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from carapax.agent.loop import MAX_REFUSALS, MAX_STEPS, Shown, run_loop
from carapax.core.terms.error import BudgetSpent, ProviderFailed
from carapax.ports.provider import Completion, Prompt, Speaker, TextChunk, Wish
from tests.fakes.provider import ScriptedProvider, says, wishes

PROMPT = Prompt("be good", ())


class Desk:
    """Notes what the loop did."""

    def __init__(self, answer: Callable[[Wish], Shown] = lambda wish: Shown("done")) -> None:
        self.answer = answer
        self.submitted: list[Wish] = []
        self.said: list[str] = []
        self.charged: list[Completion] = []
        self.order: list[str] = []

    async def submit(self, wishes: Sequence[Wish]) -> list[Shown]:
        self.submitted += wishes
        self.order += ["submit"] * len(wishes)
        return [self.answer(wish) for wish in wishes]

    async def charge(self, completion: Completion) -> None:
        self.charged.append(completion)
        self.order.append("charge")

    def run(self, provider: ScriptedProvider) -> str:
        return asyncio.run(run_loop(provider, PROMPT, submit=self.submit, charge=self.charge, say=self.said.append))


def test_a_reply_is_streamed_charged_and_returned() -> None:
    desk = Desk()
    assert desk.run(ScriptedProvider(says("hello"))) == "hello"
    assert desk.said == ["hello"]
    assert len(desk.charged) == 1


def test_every_wish_is_charged_before_it_is_handed_on_and_answered_once() -> None:
    desk = Desk(lambda wish: Shown(f"result of {wish.id}"))
    provider = ScriptedProvider(wishes(("a", "{}"), ("b", "{}")), says("ok"))
    assert desk.run(provider) == "ok"
    assert desk.order == ["charge", "submit", "submit", "charge"]
    wished, first, second = provider.prompts[1].messages
    assert [wish.tool for wish in wished.wishes] == ["a", "b"]
    assert (first.speaker, first.answers, first.text) == (Speaker.TOOL, "w1", "result of w1")
    assert (second.speaker, second.answers, second.text) == (Speaker.TOOL, "w2", "result of w2")


def test_a_result_that_is_the_reply_ends_the_turn() -> None:
    desk = Desk(lambda wish: Shown("Which file?", ends_turn=True))
    provider = ScriptedProvider(wishes(("ask_user", "{}")))
    assert desk.run(provider) == "Which file?"
    assert desk.said == ["Which file?"]


def test_a_refused_question_does_not_end_the_turn() -> None:
    desk = Desk(lambda wish: Shown("refused", refused=True, ends_turn=True))
    assert desk.run(ScriptedProvider(wishes(("ask_user", "{}")), says("well"))) == "well"


def test_a_model_that_repeats_what_is_refused_is_stopped() -> None:
    desk = Desk(lambda wish: Shown("refused", refused=True))
    with pytest.raises(ProviderFailed, match="times in a row"):
        desk.run(ScriptedProvider(wishes(("x", "{}")), last_repeats=True))
    assert len(desk.submitted) == MAX_REFUSALS


def test_a_model_that_never_answers_is_stopped() -> None:
    desk = Desk()
    with pytest.raises(ProviderFailed, match="did not come to an answer"):
        desk.run(ScriptedProvider(wishes(("x", "{}")), last_repeats=True))
    assert len(desk.submitted) == MAX_STEPS


def test_a_budget_stops_before_the_wish_is_handed_on() -> None:
    desk = Desk()

    async def broke(completion: Completion) -> None:
        raise BudgetSpent("used up")

    desk.charge = broke  # type: ignore[method-assign]
    with pytest.raises(BudgetSpent):
        desk.run(ScriptedProvider(wishes(("x", "{}"))))
    assert desk.submitted == []


def test_a_failure_ends_the_turn_and_keeps_what_was_said() -> None:
    desk = Desk()
    provider = ScriptedProvider([TextChunk("half"), ProviderFailed("cut", retriable=True)], says("never"))
    with pytest.raises(ProviderFailed):
        desk.run(provider)
    assert desk.said == ["half"]
    assert len(provider.prompts) == 1


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_answer_is_an_error_not_a_silence(text: str) -> None:
    with pytest.raises(ProviderFailed, match="empty"):
        Desk().run(ScriptedProvider([Completion(text, (), 1, 1, 0)]))


def test_an_answer_cut_at_the_length_limit_says_so() -> None:
    cut = Completion("long", (), 1, 1, 0, cut=True)
    assert Desk().run(ScriptedProvider([cut])) == "long\n[cut at the model's length limit]"
