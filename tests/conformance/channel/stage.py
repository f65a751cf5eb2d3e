"""The suite's side of a rig: one loop for each rig, ears that take what comes in, and bounded waits."""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from carapax.core.terms.channel import (
    Feature,
    Heard,
    HookAnswer,
    HookRequest,
    Outgoing,
    Place,
    Received,
)
from carapax.core.terms.error import StoreUnavailable
from carapax.ports.channel import Channel, ChannelFailed, Hear
from tests.conformance.channel.rig import Rig, Seen, Traits

RIGS = Path(__file__).parent / "rigs"
TEST_S = 60
WAIT_S = 15
POLL_S = 0.01
# What a rig may lack beyond its traits and the channel's features.
FREE_NEEDS = frozenset({"quoted", "forwarded", "names", "body_signed", "header_signed", "stale"})
UNASKED = frozenset({"hook", "idempotent"})
_TRAITS = (
    "duplicates", "cuts", "statuses", "refuses", "edits_in", "deletes", "voice", "shows_typing", "redelivers"
)  # fmt: skip
_count = itertools.count(1)


def rig_names() -> list[str]:
    return sorted(path.stem for path in RIGS.glob("*.py") if path.stem != "__init__")


def make_rig(name: str, folder: Path) -> Rig:
    made: Rig = importlib.import_module(f"tests.conformance.channel.rigs.{name}").make_rig(folder)
    return made


def find_lacks(traits: Traits, features: frozenset[Feature]) -> set[str]:
    """Everything that the suite asks for and this platform or its rig has not."""
    lacks = {name for name in _TRAITS if not getattr(traits, name)}
    lacks |= {feature.value for feature in Feature if feature not in features and feature.value not in UNASKED}
    return lacks if traits.group else lacks | {"group"}


def fresh(words: str) -> str:
    """A text that no other test says."""
    return f"{words} {next(_count)}z"


def out(place: Place, text: str, **more: Any) -> Outgoing:
    return Outgoing(place, text, key=f"key-{next(_count)}", **more)


class Stage:
    """A started rig and the loop it lives in."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.rig = make_rig(name, folder)
        self._runner = asyncio.Runner()
        self.run(self.rig.start())

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(TEST_S):
                return await what

        return self._runner.run(bounded())

    def close(self) -> None:
        try:
            self.run(self.rig.stop())
        finally:
            self._runner.close()


def needs(*names: str) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Any]:
    """Run a test `async def test(rig, …)` on every rig that has all of this."""

    def mark(test: Callable[..., Coroutine[Any, Any, None]]) -> Any:
        @functools.wraps(test)
        def run(stage: Stage, **given: Any) -> None:
            stage.run(test(stage.rig, **given))

        given = [*inspect.signature(test).parameters.values()][1:]
        first = inspect.Parameter("stage", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        run.__signature__ = inspect.Signature([first, *given])  # type: ignore[attr-defined]
        run.line = test.__code__.co_firstlineno  # type: ignore[attr-defined]
        del run.__wrapped__  # type: ignore[attr-defined]
        return pytest.mark.parametrize("stage", [n for n in rig_names() if _plays(n, names)], indirect=True)(run)

    return mark


def _plays(name: str, wanted: tuple[str, ...]) -> bool:
    traits = make_rig(name, Path("unused")).traits
    return not traits.gaps.keys() & set(wanted) and (traits.hook or "hook" not in wanted)


class Ears:
    """Takes what comes in. The first `refuse` of it is refused as by a store that is gone; with `hold` nothing is taken."""

    def __init__(self, rig: Rig, *, refuse: int = 0, hold: bool = False) -> None:
        self.rig = rig
        self.heard: list[Heard] = []
        self.offered = 0
        self.lines: list[str] = []
        self.task: asyncio.Task[None] | None = None
        self.channel: Channel | None = None
        self.refuse = refuse
        self._hold = hold

    async def hear(self, heard: Heard) -> None:
        self.offered += 1
        if self._hold:
            await asyncio.Event().wait()
        if self.refuse:
            self.refuse -= 1
            raise StoreUnavailable("The disk is full.")
        self.heard.append(heard)

    async def until(self, wanted: Callable[[Heard], bool]) -> Any:
        """The first heard that is wanted."""
        await wait_for(lambda: any(map(wanted, self.heard)), self)
        return next(filter(wanted, self.heard))

    async def received(self, text: str) -> Received:
        """The first message with these words in it."""
        found = await self.until(lambda heard: isinstance(heard, Received) and text in heard.text)
        assert isinstance(found, Received)
        return found

    def events(self, text: str) -> list[str]:
        return [heard.event for heard in self.heard if isinstance(heard, Received) and text in heard.text]

    @asynccontextmanager
    async def on(self, channel: Channel | None = None) -> AsyncIterator[Channel]:
        """Open (or take) a channel, run it until the end of the block, close it."""
        opened = channel or self.rig.open()
        self.channel = opened
        self.lines = []
        if self.rig.traits.hook:
            self.rig.hooked(opened, self.hear)
        self.task = asyncio.create_task(opened.run(self.hear, self.lines.append))
        try:
            await wait_for(lambda: bool(self.lines), self)
            yield opened
        finally:
            self.task.cancel()
            # A run that failed is the matter of the test that made it fail; `wait_for` shows every other.
            with suppress(asyncio.CancelledError, StoreUnavailable, ChannelFailed):
                await self.task
            await opened.close()


async def wait_for(
    done: Callable[[], bool] | Callable[[], Awaitable[bool]], ears: Ears | None = None, *, what: str = ""
) -> None:
    """Wait until it is so. A run that failed meanwhile is raised here."""
    for _ in range(round(WAIT_S / POLL_S)):
        now = done()
        if now is True or (not isinstance(now, bool) and await now):
            return
        if ears is not None and ears.task is not None and ears.task.done():
            await ears.task  # raises what it failed of; a channel with hooks alone has nothing to hold open
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"It did not come within {WAIT_S} s: {what or (ears.heard if ears else done)}")


async def see(rig: Rig, wanted: Callable[[Seen], bool]) -> Seen:
    """The newest message of the agent on the platform that is wanted, once it is there."""
    found: list[Seen] = []

    async def there() -> bool:
        found[:] = [seen for seen in await rig.seen() if wanted(seen)]
        return bool(found)

    await wait_for(there, what="no such message of the agent is on the platform")
    return found[-1]


async def see_text(rig: Rig, text: str) -> Seen:
    return await see(rig, lambda seen: text in seen.text)


class Tap:
    """A channel whose requests from the platform are kept; with `closed` they go no further."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.requests: list[HookRequest] = []
        self.closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    async def hook(self, request: HookRequest, hear: Hear) -> HookAnswer:
        self.requests.append(request)
        return HookAnswer(503) if self.closed else await self._channel.hook(request, hear)
