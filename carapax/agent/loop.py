"""The loop: ask the model, hand its wishes on, show it what came back, until it answers.

Layer: agent. Model-neutral; holds no authority: `submit` is the only thing it can do with a wish.
Absent: budgets (the caller's `charge` raises BudgetSpent), labels and records (the caller's `submit` keeps them).
Laws: every completion is charged before its wishes are handed on; every wish is answered exactly once in the prompt;
the loop ends: by a reply, by a bound, or because the model repeats what was refused. What the person says meanwhile is
shown at the next step.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from carapax.core.terms.error import ProviderFailed
from carapax.ports.provider import Completion, Message, Prompt, Provider, Speaker, Wish

MAX_STEPS = 64
"""Completions in one turn, whatever the budgets say."""

MAX_REFUSALS = 4
"""Refused or malformed wishes in a row before the loop gives up."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a wish came to, as the model may see it."""

    text: str
    refused: bool = False
    ends_turn: bool = False


Submit = Callable[[Sequence[Wish]], Awaitable[Sequence[Shown]]]
"""Hands on the wishes of one completion together, so that a person is asked once; answers in their order."""

Charge = Callable[[Completion], Awaitable[None]]
Say = Callable[[str], None]
Heard = Callable[[], Awaitable[Sequence[str]]]
"""What the person said since it was last asked."""


async def _nothing() -> Sequence[str]:
    return ()


async def run_loop(
    provider: Provider,
    prompt: Prompt,
    *,
    submit: Submit,
    charge: Charge,
    say: Say,
    heard: Heard = _nothing,
    left: Sequence[Wish] = (),
) -> str:
    """The reply. `left` are wishes of a completion from before a restart: they are handed on first.

    Raises ProviderFailed, ModelMissing and whatever `submit`, `charge` and `heard` raise.
    """
    refusals = 0
    for _ in range(MAX_STEPS):
        if left:
            completion, left = Completion("", tuple(left), 0, 0, None), ()
        else:
            said = tuple(Message(Speaker.USER, text) for text in await heard())
            prompt = replace(prompt, messages=(*prompt.messages, *said))
            completion = await _complete(provider, prompt, say)
            await charge(completion)
        if not completion.wishes:
            return _reply(completion)
        messages = [Message(Speaker.ASSISTANT, completion.text, wishes=completion.wishes)]
        for wish, shown in zip(completion.wishes, await submit(completion.wishes), strict=True):
            if shown.ends_turn and not shown.refused:
                say(shown.text)
                return shown.text
            messages.append(Message(Speaker.TOOL, shown.text, answers=wish.id, tool=wish.tool))
            refusals = refusals + 1 if shown.refused else 0
            if refusals >= MAX_REFUSALS:
                raise ProviderFailed(
                    f"The model asked {refusals} times in a row for something that is refused or cannot be done: {shown.text}",
                    next_step="Say it differently, or choose a stronger model (`carapax model`).",
                )
        prompt = replace(prompt, messages=(*prompt.messages, *messages))
    raise ProviderFailed(
        f"The model did not come to an answer in {MAX_STEPS} steps.",
        next_step="Ask for a smaller piece of the work.",
    )


async def _complete(provider: Provider, prompt: Prompt, say: Say) -> Completion:
    """One completion. Asking again after a passing failure is the provider's own business."""
    stream = provider.stream(prompt)
    try:
        async for chunk in stream:
            if isinstance(chunk, Completion):
                return chunk
            say(chunk.text)
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
    raise ProviderFailed("The model ended without finishing its answer.", retriable=True)


def _reply(completion: Completion) -> str:
    text = completion.text.strip()
    if not text:
        raise ProviderFailed("The model gave an empty answer.", retriable=True)
    return f"{text}\n[cut at the model's length limit]" if completion.cut else text
