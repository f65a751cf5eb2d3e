"""What the store costs: CPU and wall time per call, empty and with a long history, and writes per second.

`python bench/store/run.py [--json FILE] [--rounds N]`. CPU is that of the whole process, its threads included.
The two databases lie beside each other and are measured turn by turn, so that a noisy machine hits both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from carapax.adapters.store import writes
from carapax.adapters.store.link import connect
from carapax.adapters.store.sql_store import SqlStore
from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.approval import Approval, ApprovalState, ArgumentLine
from carapax.core.terms.conversation import PartKind, Turn, TurnState
from carapax.core.terms.ids import ApprovalId, CallId, Digest, RuleId, SessionId, TokenId, TurnId
from carapax.core.terms.label import OWNER, OWNER_ONLY, Integrity, Label, Source
from carapax.core.terms.limit import Usage
from carapax.core.terms.principal import Scope
from carapax.ports.store import NewPart, OpenCall, Token

SESSIONS, PARTS, DAY = 10_000, 5_000, "2026-01-02"
LONG = SessionId("long")
LABEL = Label(Integrity.USER, OWNER_ONLY, frozenset({Source("message", "m1"), Source("tool", "shell")}))
TEXT = "words that a person might well say to an agent, twice over. " * 4


class Wall:
    """The real clock."""

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Milliseconds since some start."""
        return time.monotonic_ns() // 1_000_000


def part() -> NewPart:
    return NewPart(PartKind.USER, TEXT, LABEL)


def turn(id: str, session: SessionId = LONG) -> Turn:
    return Turn(TurnId(id), session, 0, TurnState.ACCEPTED, OWNER, "cli", TEXT, "", 1, None, Usage())


def call(id: str) -> OpenCall:
    return OpenCall(CallId(id), LONG, TurnId("first"), "shell", "run ls", 1)


def approval(id: str) -> Approval:
    lines = (ArgumentLine("command", "rm -r build", "composed by the model"),)
    first = (ApprovalId(id), LONG, TurnId("first"), CallId(id), Digest("d" * 64), "delete 12 files", lines)
    return Approval(*first, RuleId("r"), "why", "a web page", 10, 2**50)


def token(id: str) -> Token:
    return Token(TokenId(id), f"hash-{id}", "laptop", frozenset({Scope.CHAT}), 1, 2**50, False, None)


def fill(path: str) -> None:
    """10,000 sessions with an ended turn, a closed call and an answered approval each, 5,000 parts in one."""
    link = connect(path)
    link.raw.execute("BEGIN")
    for number in range(SESSIONS):
        session, t = SessionId(f"s{number}"), TurnId(f"t{number}")
        writes.open_session(link, session, OWNER, "", number)
        writes.accept_turn(link, turn(t, session), [part()], number)
        c = OpenCall(CallId(f"c{number}"), session, t, "shell", "run ls", 1)
        writes.open_call(link, c)
        writes.close_call(link, c.call, "done", 2, [Change("f", ChangeKind.CREATED, None, Digest("d" * 64), 3)])
        writes.put_approval(link, approval(f"p{number}"))
        writes.answer_approval(link, ApprovalId(f"p{number}"), ApprovalState.DENIED, OWNER, 1)
        writes.set_turn(link, t, TurnState.DONE, (), "done", Usage(1, 1, 1, 1), 5, DAY, number)
    for number in range(PARTS // 50):
        t = TurnId(f"long{number}")
        writes.accept_turn(link, turn(t), [part() for _ in range(50)], number)
        writes.set_turn(link, t, TurnState.DONE, (), "done", None, 5, "", number)
    link.raw.execute("COMMIT")
    link.close()


async def opened(path: str, full: bool) -> SqlStore:
    store = SqlStore.open(path, Wall())
    await store.open_session(LONG, OWNER, "desk", 1)
    if full:
        fill(path)
    await store.accept_turn(turn("first"), [part() for _ in range(50)])
    await store.put_token(token("k"))
    await store.open_call(call("changed"))
    await store.close_call(call("changed").call, "done", 2, [Change("f", ChangeKind.CREATED, None, None, 3)])
    return store


Step = Callable[[SqlStore, str], Awaitable[Any]]


def steps() -> dict[str, Step]:
    """Each call of the port; the string is new for each round. Later ones rely on earlier ones of the same round."""
    used = Usage(5, 5, 5, 5)
    return {
        "open_session": lambda s, n: s.open_session(SessionId(f"n{n}"), OWNER, f"c{n}", 1),
        "accept_turn": lambda s, n: s.accept_turn(turn(f"n{n}"), [part()]),
        "set_turn running": lambda s, n: s.set_turn(TurnId(f"n{n}"), TurnState.RUNNING, parts=[part()]),
        "open_call": lambda s, n: s.open_call(call(f"n{n}")),
        "close_call": lambda s, n: s.close_call(CallId(f"n{n}"), "done", 2, []),
        "put_approval": lambda s, n: s.put_approval(approval(f"n{n}")),
        "answer_approval": lambda s, n: s.answer_approval(ApprovalId(f"n{n}"), ApprovalState.APPROVED, OWNER, 1),
        "set_turn done": lambda s, n: s.set_turn(
            TurnId(f"n{n}"), TurnState.DONE, parts=[part()], reply=TEXT, usage=used, ended_ms=9, day=DAY
        ),
        "touch_token": lambda s, n: s.touch_token(TokenId("k"), int(n) + 5),
        "find_session": lambda s, n: s.find_session(LONG),
        "find_turn": lambda s, n: s.find_turn(TurnId("first")),
        "find_token": lambda s, n: s.find_token("hash-k"),
        "parts 50": lambda s, n: s.parts(LONG, limit=50),
        "list_sessions 50": lambda s, n: s.list_sessions(OWNER),
        "list_turns 50": lambda s, n: s.list_turns(LONG),
        "unfinished_turns": lambda s, n: s.unfinished_turns(),
        "open_calls": lambda s, n: s.open_calls(),
        "changes": lambda s, n: s.changes(),
        "list_approvals": lambda s, n: s.list_approvals(),
        "day_usage": lambda s, n: s.day_usage(DAY),
        "counts": lambda s, n: s.counts(),
    }


async def cost(step: Step, store: SqlStore, number: str) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    await step(store, number)
    return (time.process_time() - cpu) * 1e6, (time.perf_counter() - wall) * 1e6


async def per_call(small: SqlStore, large: SqlStore, rounds: int) -> dict[str, dict[str, float]]:
    seen: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in steps()}
    for number in range(rounds + 20):
        for name, step in steps().items():
            row = (*await cost(step, small, str(number)), *await cost(step, large, str(number)))
            if number >= 20:
                seen[name].append(row)
    columns = ("cpu_us_empty", "wall_us_empty", "cpu_us_full", "wall_us_full")
    return {
        name: {c: statistics.median(r[i] for r in rows) for i, c in enumerate(columns)} for name, rows in seen.items()
    }


async def throughput(store: SqlStore, writers: int, each: int) -> dict[str, float]:
    async def one(name: int) -> None:
        session = SessionId(f"w{writers}-{name}")
        await store.open_session(session, OWNER, "", 1)
        for number in range(each):
            await store.accept_turn(turn(f"w{writers}-{name}-{number}", session), [part()])

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*[one(n) for n in range(writers)])
    took, used = time.perf_counter() - wall, time.process_time() - cpu
    writes_count = writers * (each + 1)
    return {"writers": writers, "writes_per_s": writes_count / took, "cpu_us_per_write": used / writes_count * 1e6}


def fsync_us(folder: str, rounds: int = 100) -> float:
    """The reference: one append of 4 KiB and an fdatasync on the same disk."""
    handle = os.open(f"{folder}/reference", os.O_RDWR | os.O_CREAT, 0o600)
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        os.write(handle, b"x" * 4096)
        os.fdatasync(handle)
        took.append((time.perf_counter() - began) * 1e6)
    os.close(handle)
    return statistics.median(took)


async def measure(folder: str, rounds: int) -> dict[str, Any]:
    small, large = await opened(f"{folder}/small.db", False), await opened(f"{folder}/large.db", True)
    reference = fsync_us(folder)
    calls = await per_call(small, large, rounds)
    search = [(await cost(lambda s, n: s.list_sessions(OWNER, query="no such words"), large, ""))[1] for _ in range(9)]
    speeds = [await throughput(small, 1, 300), await throughput(small, 20, 100)]
    await small.close()
    await large.close()
    began = time.perf_counter()
    again = SqlStore.open(f"{folder}/large.db", Wall())
    open_ms = (time.perf_counter() - began) * 1e3
    await again.close()
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}",
        "sqlite": sqlite3.sqlite_version,
        "history": {"sessions": SESSIONS, "parts_in_one": PARTS},
        "fdatasync_us": reference,
        "open_ms_full": open_ms,
        "search_ms_full": statistics.median(search) / 1e3,
        "calls": calls,
        "throughput": speeds,
    }


def show(found: dict[str, Any]) -> None:
    print(f"{found['machine']}; SQLite {found['sqlite']}; fdatasync {found['fdatasync_us']:.0f} µs")
    print(f"{'call (median)':20} {'CPU µs empty':>13} {'full':>7} {'ratio':>6}   {'wall µs empty':>14} {'full':>7}")
    for name, row in found["calls"].items():
        ratio = row["cpu_us_full"] / row["cpu_us_empty"]
        left = f"{name:20} {row['cpu_us_empty']:13.0f} {row['cpu_us_full']:7.0f} {ratio:6.2f}"
        print(f"{left}   {row['wall_us_empty']:14.0f} {row['wall_us_full']:7.0f}")
    for row in found["throughput"]:
        print(
            f"{row['writers']:2} writers: {row['writes_per_s']:.0f} writes/s, {row['cpu_us_per_write']:.0f} µs CPU each"
        )
    print(f"open with history: {found['open_ms_full']:.1f} ms; search through it: {found['search_ms_full']:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(folder, given.rounds))
    show(found)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
