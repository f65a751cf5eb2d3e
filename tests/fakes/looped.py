"""A coroutine as a test: run in a loop of its own, for at most a minute."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

MOST_S = 60


def looped(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test as a function that pytest can call."""

    @functools.wraps(test)
    def run(*args: Any, **given: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(MOST_S):
                await test(*args, **given)

        asyncio.run(bounded())

    return run
