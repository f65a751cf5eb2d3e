"""One question to a model, answered whole: for steps that nobody watches being written.

Layer: agent. Absent: streaming to a person (`loop`) and any second try.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from carapax.core.terms.error import ProviderFailed
from carapax.ports.provider import Completion, Prompt, Provider

Charge = Callable[[Completion], Awaitable[None]]
"""Takes what a completion cost; raises BudgetSpent."""


async def ask_once(provider: Provider, prompt: Prompt, charge: Charge | None = None) -> Completion:
    """The completion, charged. Raises what the provider and `charge` raise; the stream is closed in any case."""
    stream = provider.stream(prompt)
    try:
        completion = None
        async for chunk in stream:
            if isinstance(chunk, Completion):
                completion = chunk
                break
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
    if completion is None:
        raise ProviderFailed("The model ended without finishing its answer.", retriable=True)
    if charge is not None:
        await charge(completion)
    return completion
