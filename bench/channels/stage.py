"""One real gateway in a process of its own, platforms around it, and a model that answers at once with what it read."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.channels.book import NUMBER, Book
from bench.channels.peers import Peer
from tests.fakes.model_server import ModelServer, Says, Seen
from tests.journeys.gate import Gate

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
LIMITS, FIGURE = ("messages_minute", "hosts_minute", "hosts_run", "files_minute"), 1_000_000


class Model(ModelServer):
    """Answers with the numbers of what was not answered before; the book is told when the last token went out."""

    def __init__(self, book: Book) -> None:
        super().__init__(self._read, last_repeats=True)
        self._book = book
        self.requests = deque(maxlen=16)  # type: ignore[assignment]
        self.pause_s = 0.0  # how long it thinks

    def _read(self, seen: Seen) -> Says:
        return Says(["read ", " ".join(numbers_in(seen))])

    async def _answer(self, seen: Seen, reader: Any, writer: Any) -> bool:
        if self.pause_s:
            await asyncio.sleep(self.pause_s)
        goes_on = await super()._answer(seen, reader, writer)
        now_s = time.monotonic()
        for number in numbers_in(seen):
            self._book.modelled[number] = now_s
        return goes_on


def numbers_in(seen: Seen) -> list[str]:
    """The numbers in what the person wrote since the model's last answer."""
    found: list[str] = []
    for message in reversed(seen.json()["messages"]):
        if message["role"] == "assistant":
            break
        if message["role"] == "user":
            found = [*NUMBER.findall(str(message["content"])), *found]
    return found or ["nothing"]


class Stage:
    """The gateway, its platforms and the book."""

    def __init__(self, place: Path, model: Model, book: Book, peers: Sequence[Peer]) -> None:
        self.gate = Gate(place, model.openai_url)
        self.model, self.book, self.peers = model, book, peers

    async def begin(self) -> None:
        """Start everything, connect every channel, and pair everybody with the owner."""
        await asyncio.to_thread(self._loosen)
        await asyncio.to_thread(self.gate.start)
        for peer in self.peers:
            await peer.start(self.gate, self.book)
        for peer in self.peers:
            await self.add(peer)

    def _loosen(self) -> None:
        """A policy whose breaker lets as much through as is measured; as delivered it halts at 120 messages a minute."""
        if self.gate.command("policy", "init").returncode:
            raise SystemExit("no policy was made")
        file = self.gate.home / "policy" / "home.yaml"
        text = file.read_text()
        limits = "".join(f"\n  {name}: {FIGURE}" for name in LIMITS)
        file.write_text(text.replace("\nbreaker: {}\n", f"\nbreaker:{limits}\n").replace("serial: 1", "serial: 2"))
        signed = self.gate.command("policy", "sign", "--yes")
        if signed.returncode:
            raise SystemExit(f"the policy was not signed: {signed.stdout}{signed.stderr}")

    async def add(self, peer: Peer) -> None:
        await asyncio.to_thread(self._add, peer)
        await self.all_up()  # a first connection hears nothing of what was said before it
        for who in peer.people:
            _, made = await self.ask("POST", "/api/pairings", {"channel": peer.name})
            count = len(self.book.notices)
            await peer.say(who, f"pair-{who}", made["code"])
            await until(lambda count=count: len(self.book.notices) > count, 30, f"{peer.name} pairs {who}")

    def _add(self, peer: Peer) -> None:
        values, hidden = peer.answers()
        argv = ["channels", "add", peer.kind, "--name", peer.name, "--json"]
        for key, value in values.items():
            argv += ["--set", f"{key}={value}"]
        for key, value in hidden.items():
            self.gate._env[f"BENCH_{key.upper()}"] = value
            argv += ["--secret", f"{key}=env:BENCH_{key.upper()}"]
        ran = self.gate.command(*argv)
        if ran.returncode:
            raise SystemExit(f"{peer.name} was not added: {ran.stdout} {ran.stderr} {self.gate.said()}")

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return await asyncio.to_thread(self.gate.request, method, path, body)

    async def all_up(self, seconds: float = 60.0) -> None:
        """Every channel stands. Raises AssertionError."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            states = (await self.ask("GET", "/api/channels"))[1]["channels"]
            if all(each["state"] == "up" for each in states):
                return
            await asyncio.sleep(0.2)
        raise AssertionError(f"not all are up: {states}")

    async def say(self, peer: Peer, who: str) -> str:
        number, text = self.book.say(peer.name, who)
        await peer.say(who, number, text)
        return number

    async def drained(self, seconds: float) -> bool:
        """Wait until every message has an answer."""
        with contextlib.suppress(AssertionError):
            await until(lambda: self.book.open() <= 0, seconds, "answers")
        return self.book.open() <= 0

    async def end(self) -> None:
        for peer in self.peers:
            with contextlib.suppress(AttributeError):  # one that was never started
                await peer.stop()
        began_s = time.monotonic()
        try:
            await asyncio.to_thread(self.gate.stop)
        except subprocess.TimeoutExpired:  # it was killed then; that it did not end by itself is a finding
            print(f"The gateway did not end within {time.monotonic() - began_s:.0f} s of SIGTERM.", file=sys.stderr)

    # looking at the processes

    def pids(self) -> list[int]:
        """The gateway and its children: the egress proxy, and what else it started."""
        found = [self.gate.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += [int(child) for child in task.read_text().split() if int(child) not in found]
        return found

    def rss_mb(self) -> float:
        """Resident memory of all of them."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids()]
        return sum(pages) * PAGE / 1e6

    def cpu_s(self) -> float:
        """CPU that all of them used so far."""
        total = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def sizes_mb(self) -> tuple[float, float]:
        """The store's and the ledger's files."""
        home = self.gate.home
        store = sum(path.stat().st_size for path in home.glob("store.sqlite*"))
        ledger = sum(path.stat().st_size for path in (home / "ledger").rglob("*") if path.is_file())
        return store / 1e6, ledger / 1e6

    def dead(self) -> list[tuple[str, str, str]]:
        """Kind, body and error of what was given up, from the store itself."""
        with contextlib.closing(sqlite3.connect(f"file:{self.gate.home}/store.sqlite?mode=ro", uri=True)) as store:
            return store.execute("SELECT kind, body, error FROM works WHERE state = 'dead'").fetchall()

    def standing(self) -> int:
        """Pieces of work that are not done."""
        with contextlib.closing(sqlite3.connect(f"file:{self.gate.home}/store.sqlite?mode=ro", uri=True)) as store:
            return int(store.execute("SELECT count(*) FROM works WHERE state NOT IN ('done', 'dead')").fetchone()[0])


@asynccontextmanager
async def staged(peers: Sequence[Peer]) -> AsyncIterator[Stage]:
    """A stage that is taken down at the end."""
    book = Book()
    with (
        tempfile.TemporaryDirectory(prefix="carapax-bench-", ignore_cleanup_errors=True) as folder,
        Model(book) as model,
    ):
        stage = Stage(Path(folder), model, book, peers)
        try:
            await stage.begin()
            yield stage
        finally:
            await stage.end()


async def until(holds: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition. Raises AssertionError."""
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            raise AssertionError(f"{what}: not within {seconds} s")
        await asyncio.sleep(0.005)
