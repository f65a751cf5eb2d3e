"""kill -9 at every step of a turn: nothing accepted is lost, no effect happens twice, the ledger verifies.

A child process composes a real gateway (real store, ledger, versions and sandbox; a scripted model) and dies at the
n-th passage through a port, before or after it. A second child starts on what is left and looks.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.ledger.reader import read_entries, verify_ledger
from carapax.app.compose import Running, compose
from carapax.app.home import Home
from carapax.app.keys import ledger_public_key
from carapax.app.settings import Settings
from carapax.core.terms.conversation import Inbound, TurnState
from carapax.core.terms.label import OWNER
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.core.turn.machine import ENDED
from carapax.ports.provider import Prompt, Speaker
from tests.fakes.provider import ScriptedProvider, says, wishes

KILLS = 100
CHILD_S = 60.0
ME = Principal(OWNER, Role.OWNER, frozenset(Scope), "test")
COMMAND = json.dumps({"command": "echo once >> effects.txt"})
WRITE = json.dumps({"path": "b.txt", "content": "b"})

WATCHED = {
    "ledger": ("append",),
    "store": ("open_session", "accept_turn", "set_turn", "open_call", "close_call", "parts"),
    "workspace": ("before", "after"),
    "walls": ("run",),
}


def script() -> ScriptedProvider:
    """A model that goes by what it is shown, so that it also answers in a process that took the turn over."""

    def answer(prompt: Prompt) -> list[object]:
        done = [message.tool for message in prompt.messages if message.speaker is Speaker.TOOL]
        if "run_command" not in done:
            return wishes(("run_command", COMMAND))
        return says("all done") if "write_file" in done else wishes(("write_file", WRITE))

    return ScriptedProvider(answer, last_repeats=True)


async def open_gateway(place: Path, provider: ScriptedProvider) -> Running:
    home, settings = Home(place / "home"), Settings(workspace=str(place / "work"))
    return await compose(home, settings, {}, ask_stop=lambda: None, provider=lambda: provider)


def trip(running: Running, die: Callable[[], None]) -> None:
    """Call `die` before and after every passage through a watched port."""
    owners = {
        "ledger": running._ledger,
        "store": running._store,
        "workspace": running._workspace,
        "walls": running.walls.first,
    }
    for name, methods in WATCHED.items():
        for method in methods:
            setattr(owners[name], method, _tripping(getattr(owners[name], method), die))


def _tripping(inner: Callable[..., Awaitable[Any]], die: Callable[[], None]) -> Callable[..., Awaitable[Any]]:
    async def passage(*args: Any, **named: Any) -> Any:
        die()
        result = await inner(*args, **named)
        die()
        return result

    return passage


async def one_turn(place: Path, die: Callable[[], None], accepted: Callable[[], None]) -> None:
    running = await open_gateway(place, script())
    trip(running, die)
    stream = await running.gateway.submit(ME, Inbound("do it twice", "test", conversation="c"))
    accepted()
    async for _ in stream:
        pass
    await running.close()


def in_child(work: Callable[[], None], *, bound_s: float = CHILD_S) -> int:
    """Run `work` in a forked child; its exit status. The child never returns from here."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - a child's main: whatever it is, it is printed and counted
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    until = time.monotonic() + bound_s
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError(f"the child did not end within {bound_s} s")


def count_passages(place: Path) -> int:
    """How often a whole turn passes a watched port."""
    note = place / "count"
    seen = [0]

    def count() -> None:
        seen[0] += 1

    def work() -> None:
        asyncio.run(one_turn(place, count, lambda: None))
        note.write_text(str(seen[0]))

    assert in_child(work) == 0
    return int(note.read_text())


def die_at(number: int) -> Callable[[], None]:
    left = [number]

    def die() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return die


def die_after(seconds: float) -> Callable[[], None]:
    """Die at a moment of its own, wherever the turn is."""
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return lambda: None


def kill_one(place: Path, seed: int, passages: int) -> tuple[int, bool]:
    """Start a turn that dies; whether it was accepted before."""
    note = place / "accepted"
    rng = random.Random(seed)
    by_count = seed % 4 != 3
    number, seconds = rng.randint(1, passages), rng.uniform(0.001, 0.25)

    def work() -> None:
        die = die_at(number) if by_count else die_after(seconds)
        asyncio.run(one_turn(place, die, lambda: note.write_text("yes")))

    return in_child(work), note.exists()


async def look(place: Path, accepted: bool) -> None:
    """What a restart must find, whatever happened."""
    provider = script()
    running = await open_gateway(place, provider)
    store = running._store
    try:
        sessions = await store.list_sessions(OWNER)
        turns = [turn for session in sessions for turn in await store.list_turns(session.id)]
        assert len(turns) <= 1
        if accepted:
            assert len(turns) == 1, "an accepted message is gone"
        for turn in turns:
            if turn.state not in ENDED:  # it goes on by itself
                async with asyncio.timeout(30):
                    async for _ in await running.gateway.follow(ME, turn.id):
                        pass
                turn = await store.find_turn(turn.id)  # type: ignore[assignment]
            assert turn.state is TurnState.DONE, turn.state
            assert turn.reply.endswith("all done"), turn.reply
        assert await store.open_calls() == []
        effects = place / "work" / "effects.txt"
        assert not effects.exists() or effects.read_text() == "once\n", "an effect happened twice"
    finally:
        await running.close()


def verify(place: Path) -> None:
    """The ledger holds, and every effect has its entry."""
    home = Home(place / "home")
    verify_ledger(home.ledger, ledger_public_key(home))
    entries = read_entries(home.ledger, 0, 1_000)
    calls = [e.body["call"] for e in entries if e.kind == "call"]
    closed = [e.body["call"] for e in entries if e.kind in ("receipt", "unknown")]
    # Killed between a call's entry and its opening, nothing was begun: the next process writes its own entry.
    resumed = sum(e.kind == "resumed" for e in entries)
    assert len(calls) - len(set(calls)) <= resumed, "a call was begun twice in one process"
    assert sorted(closed) == sorted(set(closed)), "a call was closed twice"
    if (place / "work" / "effects.txt").exists():
        assert calls, "an effect without an entry"


@pytest.fixture(scope="module")
def passages(tmp_path_factory: pytest.TempPathFactory) -> int:
    number = count_passages(tmp_path_factory.mktemp("count"))
    assert number >= 40
    return number


@pytest.mark.namespace
@pytest.mark.parametrize("part", range(10))
def test_a_hundred_kills(part: int, passages: int, tmp_path: Path) -> None:
    killed = 0
    for seed in range(part * KILLS // 10, (part + 1) * KILLS // 10):
        place = tmp_path / str(seed)
        place.mkdir()
        code, accepted = kill_one(place, seed, passages)
        assert code in (0, -signal.SIGKILL), f"seed {seed}: the turn ended with {code}"
        killed += code == -signal.SIGKILL
        assert in_child(lambda at=place, was=accepted: asyncio.run(look(at, was))) == 0, f"seed {seed}"  # type: ignore[misc]
        verify(place)
    assert killed >= KILLS // 10 * 0.7
