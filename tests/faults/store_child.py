"""A child for the store's fault tests: `kill SEED FOLDER…`, `fill PATH BYTES` or `share ADDRESS NAME COUNT`.

Prints what was acknowledged.

`kill` forks a writer per seed, ends it with SIGKILL after a seeded number of acknowledgements, and prints one
line of JSON per seed. `fill` writes under a file-size limit until the store refuses. `share` is one gateway of several
on one database: it waits for a line, then writes turns and work, one line of output for each acknowledgement.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import sys

from carapax.adapters.store.sql_store import SqlStore
from carapax.core.terms.conversation import PartKind, Turn, TurnState
from carapax.core.terms.error import CarapaxError
from carapax.core.terms.ids import SessionId, TurnId
from carapax.core.terms.label import OWNER, OWNER_ONLY, Integrity, Label
from carapax.core.terms.limit import Usage
from carapax.core.terms.work import Work
from carapax.ports.store import NewPart

LABEL = Label(Integrity.USER, OWNER_ONLY)
WRITERS, MOST = 5, 400


class Still:
    """A clock that stands."""

    def now_ms(self) -> int:
        return 1

    def monotonic_ms(self) -> int:
        return 1


def turn(id: str, session: str) -> Turn:
    return Turn(TurnId(id), SessionId(session), 0, TurnState.ACCEPTED, OWNER, "cli", id, "", 1, None, Usage())


async def write(path: str, out: int) -> None:
    """Sessions that write at the same time; each acknowledgement is one line."""
    store = SqlStore.open(path, Still())

    async def one(name: str) -> None:
        await store.open_session(SessionId(name), OWNER, name, 1)
        for number in range(MOST):
            id = f"{name}.{number}"
            await store.accept_turn(turn(id, name), [NewPart(PartKind.USER, id, LABEL)] * 2)
            os.write(out, f"accepted {id}\n".encode())
            await store.set_turn(
                TurnId(id), TurnState.DONE, parts=[NewPart(PartKind.REPLY, id, LABEL)], usage=Usage(1), day="d"
            )
            os.write(out, f"done {id}\n".encode())

    await asyncio.gather(*[one(f"w{n}") for n in range(WRITERS)])


def kill(seed: int, folder: str) -> list[str]:
    """What a writer acknowledged before it was killed."""
    come, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(come)
        asyncio.run(write(f"{folder}/a.db", go))
        os._exit(0)
    os.close(go)
    until = random.Random(seed).randrange(1, 300)
    with os.fdopen(come) as lines:
        seen = [line for _, line in zip(range(until), lines, strict=False)]
        os.kill(child, signal.SIGKILL)
        seen += [line for line in lines if line.endswith("\n")]
    os.waitpid(child, 0)
    return [line.strip() for line in seen]


async def fill(path: str, limit: int) -> dict[str, object]:
    """Write until the store says no, then once more."""
    store = SqlStore.open(path, Still())
    await store.open_session(SessionId("s"), OWNER, "", 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    kept, refused = [], []
    for number in range(200):
        try:
            await store.accept_turn(turn(f"t{number}", "s"), [NewPart(PartKind.USER, "x" * 20_000, LABEL)])
            kept.append(f"t{number}")
        except CarapaxError as error:
            refused.append([type(error).__name__, error.what, error.kept, error.next_step])
            if len(refused) == 3:
                break
    await store.close()
    return {"kept": kept, "refused": refused}


async def share(address: str, name: str, count: int) -> None:
    """Turns of four sessions that everybody writes to, and work of which everybody tries to keep the same pieces."""
    store = SqlStore.open(address, Still())
    print("ready", flush=True)
    sys.stdin.readline()

    async def one(session: str) -> None:
        await store.open_session(SessionId(f"{name}{session}"), OWNER, session, 1)  # all get the first one's
        (found,) = [s for s in await store.list_sessions(OWNER) if s.id.endswith(session)]
        for number in range(count):
            id = f"{name}.{session}.{number}"
            await store.accept_turn(turn(id, found.id), [NewPart(PartKind.USER, id, LABEL)] * 2)
            os.write(1, f"accepted {id}\n".encode())
            if await store.put_work(Work("share", f"{session}.{number}", session, name, 1)):
                os.write(1, f"kept {session}.{number}\n".encode())
            await store.set_turn(
                TurnId(id), TurnState.DONE, parts=[NewPart(PartKind.REPLY, id, LABEL)], usage=Usage(1), day="d"
            )
            os.write(1, f"done {id}\n".encode())

    await asyncio.gather(*[one(f"s{n}") for n in range(4)])
    await store.close()


if __name__ == "__main__":
    if sys.argv[1] == "kill":
        for number, place in enumerate(sys.argv[3:]):
            print(json.dumps(kill(int(sys.argv[2]) + number, place)), flush=True)
    elif sys.argv[1] == "share":
        asyncio.run(share(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    else:
        print(json.dumps(asyncio.run(fill(sys.argv[2], int(sys.argv[3])))))
