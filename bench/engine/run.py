"""What durable work costs: kept per second, CPU from start to done, memory, idling, and how soon another takes over.

`python bench/engine/run.py [--json FILE] [--dir FOLDER]`. Each engine is measured in a process of its own: the embedded
one over the SQLite store, DBOS over a SQLite file and, where a server is installed, over PostgreSQL (with fsync, on a
UNIX socket). Pieces do nothing. RSS and import time are what is added to a process that has the store.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from carapax.adapters.store.sql_store import SqlStore  # noqa: E402
from carapax.core.terms.work import Work  # noqa: E402
from carapax.ports.engine import Engine  # noqa: E402

STARTERS, IDLE_S, ALONE, WAITING = 20, 5.0, 40, 10_000
COUNT = {"embedded": 4_000, "dbos": 1_000, "postgres": 1_000}


class Wall:
    """The real clock."""

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Milliseconds since some start."""
        return time.monotonic_ns() // 1_000_000


def rss_mb() -> float:
    """This process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


async def make(engine: str, store: SqlStore, address: str) -> Engine:
    """One of the engines."""
    if engine == "embedded":
        from carapax.adapters.engine.embedded.adapter import EmbeddedEngine

        return EmbeddedEngine(store, Wall())
    from carapax.adapters.engine.dbos.adapter import DbosEngine

    return await DbosEngine.open(address, Wall())


async def starts(engine: Engine, prefix: str, count: int, *, due_ms: int = 0) -> float:
    """Start so many pieces in 100 lanes; per second."""

    async def starter(first: int) -> None:
        for number in range(first, count, STARTERS):
            await engine.start("turn", f"{prefix}{number}", "{}", lane=f"l{number % 100}", due_ms=due_ms)

    started = time.perf_counter()
    await asyncio.gather(*[starter(n) for n in range(STARTERS)])
    return count / (time.perf_counter() - started)


async def measure(engine: str, folder: Path, address: str) -> dict[str, Any]:
    """The figures of one engine, in this process."""
    store = SqlStore.open(str(folder / "carapax.db"), Wall())
    await store.counts()
    before_mb, began = rss_mb(), time.perf_counter()
    live = await make(engine, store, address)
    ran, ran_at, most = asyncio.Queue[float](), 0, COUNT[engine]

    async def run(work: Work) -> None:
        ran.put_nowait(time.perf_counter())

    live.register("turn", run)
    await live.launch()
    opened_s, opened_mb = time.perf_counter() - began, rss_mb()
    cpu = time.process_time()
    await asyncio.sleep(IDLE_S)
    idle = (time.process_time() - cpu) / IDLE_S
    latency = []
    for number in range(ALONE):
        asked = time.perf_counter()
        await live.start("turn", f"alone{number}", "{}", lane="alone")
        latency.append(await ran.get() - asked)
        await asyncio.sleep(0.02)
    cpu, asked = time.process_time(), time.perf_counter()
    kept_per_s = await starts(live, "p", most)
    while ran_at < most:
        await ran.get()
        ran_at += 1
    through_per_s = most / (time.perf_counter() - asked)
    for _ in range(1_000):
        if not live.counts():
            break
        await asyncio.sleep(0.05)
    cpu_ms = (time.process_time() - cpu) * 1e3 / most
    tomorrow = Wall().now_ms() + 86_400_000
    await starts(live, "w", WAITING, due_ms=tomorrow)
    kept_behind_per_s = await starts(live, "x", most, due_ms=tomorrow)
    full_mb = rss_mb()
    await live.close(0)
    await store.close()
    return {
        "open_and_import_s": round(opened_s, 2),
        "added_rss_mb": round(opened_mb - before_mb, 1),
        "idle_cpu_percent": round(idle * 100, 2),
        "kept_per_s": round(kept_per_s),
        "kept_per_s_behind_10000": round(kept_behind_per_s),
        "through_per_s": round(through_per_s),
        "cpu_ms_per_piece": round(cpu_ms, 3),
        "start_to_run_ms": round(statistics.median(latency) * 1e3, 1),
        "rss_mb_with_10000_waiting": round(full_mb, 1),
    }


async def hold(engine: str, folder: Path, address: str) -> None:
    """Run one piece for ever the first time, and say when it began; end the second time."""
    store = SqlStore.open(str(folder / "carapax.db"), Wall())
    live, again = await make(engine, store, address), asyncio.Event()

    async def run(work: Work) -> None:
        print(f"begin {work.attempts} {time.monotonic()}", flush=True)
        if work.attempts == 1:
            await asyncio.Event().wait()
        again.set()

    live.register("turn", run)
    await live.launch()
    print("ready", flush=True)
    await live.start("turn", "held", "{}", lane="l")
    await again.wait()
    await live.close(1)
    await store.close()


def take_over_s(engine: str, folder: Path, address: str) -> float:
    """From SIGKILL to the next try; another process is waiting where the database is shared, else one is started."""

    def begin() -> subprocess.Popen[str]:
        words = [sys.executable, __file__, "--hold", engine, str(folder), address]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def said(process: subprocess.Popen[str], word: str) -> list[str]:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(word):
                return line.split()
        raise RuntimeError("the process ended")

    first = begin()
    said(first, "begin 1")
    other = None
    if engine == "postgres":
        other = begin()
        said(other, "ready")
        time.sleep(1)
    killed = time.monotonic()
    first.send_signal(signal.SIGKILL)
    first.wait()
    other = other or begin()
    again = float(said(other, "begin 2")[2])
    other.wait(30)
    for process in (first, other):
        if process.stdout is not None:
            process.stdout.close()
    return again - killed


def one(engine: str, folder: Path, address: str) -> dict[str, Any]:
    """The figures of one engine."""
    words = [sys.executable, __file__, "--measure", engine, str(folder), address]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr[-2_000:])
    figures: dict[str, Any] = json.loads(done.stdout)
    times = []
    for number in range(3):
        (place := folder / f"hold{number}").mkdir()
        there = address if engine == "postgres" else str(place / "work.db")
        if engine == "postgres":
            from tests.fakes.postgres import shared_server

            there = shared_server().database()
        times.append(take_over_s(engine, place, there))
    figures["take_over_s"] = round(statistics.median(times), 2)
    return figures


def main() -> None:
    """Measure every engine that can be measured here."""
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(asyncio.run(measure(sys.argv[2], Path(sys.argv[3]), sys.argv[4]))))
        return
    if sys.argv[1:2] == ["--hold"]:
        asyncio.run(hold(sys.argv[2], Path(sys.argv[3]), sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--dir", type=Path, help="a folder on the disk to measure; the system's temporary one otherwise"
    )
    options = parser.parse_args()
    from tests.fakes.postgres import PostgresServer, find_binaries

    load, found = os.getloadavg()[0], {}
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        for engine in ("embedded", "dbos"):
            (place := Path(folder) / engine).mkdir()
            found[engine] = one(engine, place, str(place / "work.db"))
        if find_binaries() is not None:
            server = PostgresServer(fsync=True).start()
            try:
                (place := Path(folder) / "postgres").mkdir()
                found["postgres"] = one("postgres", place, server.url)
            finally:
                server.stop()
    names = {"embedded": "embedded", "dbos": "DBOS, SQLite", "postgres": "DBOS, PostgreSQL"}
    print(f"{'':28}" + "".join(f"{names[e]:>18}" for e in found))
    for name in found["embedded"]:
        print(f"{name.replace('_', ' '):28}" + "".join(f"{found[e][name]:>18,}" for e in found))
    machine = (
        f"{platform.machine()}, {os.cpu_count()} CPUs, load {load:.1f} at the start, Python {platform.python_version()}"
    )
    print(f"machine: {machine}")
    if options.json:
        options.json.write_text(json.dumps({**found, "machine": machine}, indent=1) + "\n")


if __name__ == "__main__":
    main()
