"""A child for the engines' fault tests; every line it prints is something that happened.

`kill ENGINE FOLDER SEED KILLS PIECES`: workers over one folder are ended with SIGKILL at seeded moments, the last one
finishes. `poison ENGINE FOLDER`: a piece ends its process each time. `worker ADDRESS NAME`: runs pieces and starts
those that it reads from its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from carapax.adapters.engine.dbos.adapter import DbosEngine
from carapax.adapters.engine.dbos.pinned import load_dbos
from carapax.adapters.engine.embedded.adapter import EmbeddedEngine
from carapax.adapters.store.sql_store import SqlStore
from carapax.core.terms.error import StoreUnavailable
from carapax.core.terms.work import Work, WorkState
from carapax.ports.engine import Engine, RetryLater

LANES, LIMIT_S = 5, 90.0


class Wall:
    """The real clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


@asynccontextmanager
async def opened(engine: str, folder: str) -> AsyncIterator[Engine]:
    """An engine over the folder."""
    if engine == "dbos":
        dbos = await DbosEngine.open(f"{folder}/work.db", Wall())
        yield dbos
        await dbos.close(1)
        return
    store = SqlStore.open(f"{folder}/carapax.db", Wall())
    embedded = EmbeddedEngine(store, Wall())
    yield embedded
    await embedded.close(1)
    await store.close()


def pieces(count: int) -> list[tuple[str, str]]:
    """Keys with their lanes; every sixth has none."""
    return [(f"p{n}", f"l{n % 6}" if n % 6 < LANES else "") for n in range(count)]


async def done(engine: Engine, keys: list[str], say: Callable[..., None]) -> None:
    """Wait until all of these are done, and say so of each."""
    for key in keys:
        for _ in range(int(LIMIT_S / 0.01)):
            work = await engine.find("turn", key)
            if work is not None and work.state is WorkState.DONE:
                break
            await asyncio.sleep(0.01)
        say("done", key)


async def carry(engine: str, folder: str, seed: int, count: int, out: int) -> None:
    """Start every piece and run until all are done."""
    chance = random.Random(seed)

    def say(*words: object) -> None:
        os.write(out, (" ".join(map(str, words)) + "\n").encode())

    async def run(work: Work) -> None:
        say("begin", work.key, work.attempts)
        await asyncio.sleep(chance.random() / 500)
        if chance.random() < 0.1:
            raise RetryLater("chance", after_ms=1)
        say("end", work.key)

    async with opened(engine, folder) as live:
        live.register("turn", run, tries=10_000)
        await live.launch()
        async with asyncio.TaskGroup() as group:
            group.create_task(done(live, [key for key, _ in pieces(count)], say))
            for key, lane in pieces(count):
                if await live.start("turn", key, "{}", lane=lane):
                    say("kept", key)


def fork(engine: str, folder: str, seed: int, count: int, until: int) -> list[str]:
    """What a worker said until it was killed; `until` 0 lets it finish."""
    come, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(come)
        with contextlib.suppress(BaseException):
            asyncio.run(asyncio.wait_for(carry(engine, folder, seed, count, go), LIMIT_S))
            os._exit(0)
        os._exit(1)
    os.close(go)
    with os.fdopen(come) as lines:
        seen, did = [], 0
        for line in lines:
            if line.endswith("\n"):
                seen.append(line.strip())
                did += not line.startswith("done")
            if did == until and not line.startswith("done"):
                os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return [*seen, "killed" if os.WIFSIGNALED(status) else f"ended {os.waitstatus_to_exitcode(status)}"]


def kill(engine: str, folder: str, seed: int, kills: int, count: int) -> list[list[str]]:
    """What every worker said."""
    chance = random.Random(seed)
    most = max(2, 3 * count // kills)
    said = [fork(engine, folder, seed + n, count, chance.randrange(1, most)) for n in range(kills)]
    return [*said, fork(engine, folder, seed, count, 0)]


async def poisoned(engine: str, folder: str, out: int) -> None:
    """A piece that kills, one behind it in its lane."""

    async def run(work: Work) -> None:
        os.write(out, f"begin {work.key} {work.attempts}\n".encode())
        if work.key == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError("it lives")

    async with opened(engine, folder) as live:
        live.register("turn", run, tries=3)
        await live.launch()
        for key in ("poison", "next"):
            await live.start("turn", key, "{}", lane="l")
        await done(live, ["next"], lambda *_: None)
        (dead,) = await live.dead()
        os.write(out, f"dead {dead.key} {dead.attempts} {dead.error}\n".encode())


def poison(engine: str, folder: str) -> list[list[str]]:
    """What every worker said, until one finishes; at most ten."""
    said = []
    for _ in range(10):
        come, go = os.pipe()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                asyncio.run(asyncio.wait_for(poisoned(engine, folder, go), LIMIT_S))
                os._exit(0)
            os._exit(1)
        os.close(go)
        with os.fdopen(come) as lines:
            said.append([line.strip() for line in lines])
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
    return said


async def worker(address: str, name: str) -> None:
    """Run pieces; one whose body is "hold" runs until its process dies, on its first try."""

    def say(word: str, **more: object) -> None:
        print(json.dumps({"word": word, "who": name, "at": time.monotonic(), **more}), flush=True)

    async def run(work: Work) -> None:
        say("begin", key=work.key, attempts=work.attempts)
        try:
            if work.body == "hold" and work.attempts == 1:
                await asyncio.Event().wait()
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            say("cut", key=work.key)
            raise
        say("end", key=work.key)

    engine = await DbosEngine.open(address, Wall())
    engine.register("turn", run)
    await engine.launch()
    say("ready")
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        key, lane, body = json.loads(line)
        try:
            say("kept", key=key, new=await engine.start("turn", key, body, lane=lane))
        except StoreUnavailable as error:
            say("refused", key=key, what=error.what)
    await engine.close(1)
    say("closed")


def main() -> None:
    """See the module."""
    match sys.argv[1:]:
        case ["kill", engine, folder, seed, kills, count]:
            if engine == "dbos":
                load_dbos()  # once for all forks
            for said in kill(engine, folder, int(seed), int(kills), int(count)):
                print(json.dumps(said), flush=True)
        case ["poison", engine, folder]:
            for said in poison(engine, folder):
                print(json.dumps(said), flush=True)
        case ["worker", address, name]:
            asyncio.run(worker(address, name))


if __name__ == "__main__":
    main()
