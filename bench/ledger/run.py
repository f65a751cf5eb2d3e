"""What the ledger costs: durable appends per second against the disk's own syncs, CPU per append, verifying, opening.

`python bench/ledger/run.py [--json FILE] [--rounds N] [--dir FOLDER]`. The reference is a bare loop of one write of the same
bytes and one fdatasync, on the same disk, measured turn by turn with the appends so that a noisy machine hits both.
CPU is that of the whole process, its writer thread and the kernel's part included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from carapax.adapters.ledger.file_ledger import FileLedger
from carapax.adapters.ledger.reader import prove_entry, read_entries, verify_ledger

SEED, ORIGIN = bytes(32), "carapax.bench/ledger"
REFERENCE, SINGLE, GROUPED, WRITERS = 1_500, 1_000, 10_000, 20
BODY = {
    "session": "01HF4Z6T2W8QX5Y9K3M7N1P0R4",
    "turn": "01HF4Z6T2W8QX5Y9K3M7N1P0R5",
    "tool": "write_file",
    "arguments": {"path": "notes/hello.py", "content": "print('hello')\n" * 6},
    "digest": "9f3c" * 16,
    "rule": "workspace.write",
    "sources": ["owner", "message:m1"],
}


class Wall:
    """The real clock."""

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Milliseconds since some start."""
        return time.monotonic_ns() // 1_000_000


def disk(folder: Path, size: int) -> float:
    """Appends of `size` bytes with one fdatasync each, per second."""
    content, path = b"x" * size, folder / "reference"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    started = time.perf_counter()
    for _ in range(REFERENCE):
        os.write(fd, content)
        os.fdatasync(fd)
    seconds = time.perf_counter() - started
    os.close(fd)
    path.unlink()
    return REFERENCE / seconds


async def appends(ledger: FileLedger, writers: int, count: int) -> tuple[float, float]:
    """Appends per second and CPU microseconds per append."""

    async def writer() -> None:
        for _ in range(count // writers):
            await ledger.append("call.judged", BODY)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*[writer() for _ in range(writers)])
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    return count / seconds, cpu_seconds * 1e6 / count


async def measure(folder: Path, rounds: int) -> dict[str, Any]:
    directory = folder / "ledger"
    ledger = FileLedger.open(directory, SEED, ORIGIN, Wall())
    await ledger.append("call.judged", BODY)
    entry_bytes = (directory / "entries-000000000000.jsonl").stat().st_size
    found: dict[str, list[float]] = {
        k: [] for k in ("disk", "one", "one_cpu", "twenty", "twenty_cpu", "one_share", "twenty_share")
    }
    for _ in range(rounds):
        reference = disk(folder, entry_bytes)
        one, one_cpu = await appends(ledger, 1, SINGLE)
        twenty, twenty_cpu = await appends(ledger, WRITERS, GROUPED)
        reference = (reference + disk(folder, entry_bytes)) / 2
        for key, value in (
            ("disk", reference),
            ("one", one),
            ("one_cpu", one_cpu),
            ("twenty", twenty),
            ("twenty_cpu", twenty_cpu),
        ):
            found[key].append(value)
        found["one_share"].append(one / reference)
        found["twenty_share"].append(twenty / reference)
    await ledger.close()
    middle = {key: statistics.median(values) for key, values in found.items()}
    started = time.perf_counter()
    ledger = FileLedger.open(directory, SEED, ORIGIN, Wall())
    open_ms = (time.perf_counter() - started) * 1e3
    await ledger.close()
    verified = [verify_ledger(directory, ledger.public_key) for _ in range(3)]
    started = time.perf_counter()
    read_entries(directory, newest=True, limit=20)
    show_ms = (time.perf_counter() - started) * 1e3
    started = time.perf_counter()
    prove_entry(directory, 0)
    prove_ms = (time.perf_counter() - started) * 1e3
    return {
        "disk_syncs_per_s": round(middle["disk"]),
        "entry_bytes": entry_bytes,
        "one_writer_appends_per_s": round(middle["one"]),
        "one_writer_share_of_disk": round(middle["one_share"], 3),
        "one_writer_cpu_us_per_append": round(middle["one_cpu"]),
        "twenty_writers_appends_per_s": round(middle["twenty"]),
        "twenty_writers_share_of_disk": round(middle["twenty_share"], 3),
        "twenty_writers_cpu_us_per_append": round(middle["twenty_cpu"]),
        "entries": verified[0].size,
        "verify_entries_per_s": round(max(v.size / v.seconds for v in verified)),
        "open_ms": round(open_ms, 1),
        "show_20_ms": round(show_ms, 1),
        "prove_ms": round(prove_ms, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--dir", type=Path, help="a folder on the disk to measure; the system's temporary one otherwise"
    )
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        figures = asyncio.run(measure(Path(folder), options.rounds))
    figures["machine"] = (
        f"{platform.machine()}, {os.cpu_count()} CPUs, load {load:.1f} at the start, Python {platform.python_version()}"
    )
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):36} {value:>12,}" if not isinstance(value, str) else f"{name:36} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
