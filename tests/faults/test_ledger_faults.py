"""Faults: kill -9 while appending, a disk that is full, many writers, a clock that jumps."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from carapax.adapters.ledger.reader import newest_checkpoint, read_entries, verify_ledger
from tests.fakes.ledger import ToldClock
from tests.unit.adapters.ledger.ledgers import PUBLIC, open_ledger, reopen

KILLS = 20

APPENDER = """if True:
    import asyncio, os, sys
    from pathlib import Path
    from tests.unit.adapters.ledger.ledgers import open_ledger

    async def writer(ledger, name):
        for n in range(400):
            index = await ledger.append("call.judged", {"writer": name, "n": n, "text": "x" * (n % 50)})
            os.write(1, b"%d %d %d\\n" % (index, name, n))

    async def main():
        ledger = open_ledger(Path(sys.argv[1]))
        os.write(1, b"open %d\\n" % ledger.size())
        await asyncio.gather(*[writer(ledger, int(sys.argv[2]) * 100 + w) for w in range(int(sys.argv[3]))])
        await ledger.close()

    asyncio.run(main())
"""


def test_twenty_kills_lose_no_acknowledged_entry(tmp_path: Path) -> None:
    chance, directory = random.Random(6962), tmp_path / "ledger"
    acknowledged: dict[int, tuple[int, int]] = {}
    kept = ""
    for kill in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(directory), str(kill), str(chance.choice([1, 3, 20]))],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        try:
            for _ in range(chance.randrange(1, 120)):
                line = child.stdout.readline().split()
                if line[0] != b"open":
                    acknowledged[int(line[0])] = (int(line[1]), int(line[2]))
        finally:
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read().split(b"\n")[:-1]
            child.stdout.close()
            child.wait(30)
        for line in (raw.split() for raw in rest if not raw.startswith(b"open")):
            acknowledged[int(line[0])] = (int(line[1]), int(line[2]))
        before = verify_ledger(directory, PUBLIC, kept or None)  # also before anything is repaired
        assert max(acknowledged, default=-1) < before.size + before.unsigned
        kept = newest_checkpoint(directory)
    reopen(directory)
    assert verify_ledger(directory, PUBLIC, kept).unsigned == 0
    entries = {e.index: e for e in read_entries(directory, limit=10**6)}
    assert len(acknowledged) > KILLS
    for index, (writer, n) in acknowledged.items():
        assert (entries[index].body["writer"], entries[index].body["n"]) == (writer, n)
    seen = [(e.body["writer"], e.body["n"]) for e in entries.values() if e.kind == "call.judged"]
    assert len(seen) == len(set(seen))


FILLER = """if True:
    import asyncio, os, sys
    from pathlib import Path
    from carapax.adapters.ledger.reader import verify_ledger
    from carapax.core.terms.error import LedgerUnavailable
    from tests.unit.adapters.ledger.ledgers import PUBLIC, open_ledger

    async def fill(ledger):
        count = 0
        while count < 2000:
            results = await asyncio.gather(
                *[ledger.append("call.judged", {"n": count, "text": "x" * 500}) for _ in range(3)], return_exceptions=True
            )
            count += sum(type(r) is int for r in results)
            failed = [r for r in results if type(r) is not int]
            if failed:
                assert all(type(r) is LedgerUnavailable for r in failed), failed
                return count
        raise AssertionError("the disk never filled")

    async def main():
        directory = Path(sys.argv[1])
        ballast = directory.parent / "ballast"
        if sys.argv[2] == "disk":
            ballast.write_bytes(bytes(60_000))
        ledger = open_ledger(directory)
        if sys.argv[2] == "limit":
            import resource
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        count = await fill(ledger)
        assert count >= 10 and ledger.size() == count, (count, ledger.size())
        verified = verify_ledger(directory, PUBLIC)
        assert (verified.size, verified.unsigned, verified.notes) == (count, 0, ()), verified
        if sys.argv[2] == "disk":
            ballast.unlink()
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert await ledger.append("call.judged", {}) == count
        await ledger.close()
        assert verify_ledger(directory, PUBLIC).size == count + 1
        print("ok", count)

    asyncio.run(main())
"""


def test_a_full_disk_refuses_and_keeps_what_was_recorded(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=300k none "$1" && exec "$2" -c "$3" "$1/ledger" disk'
    out = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            mount,
            "sh",
            str(tmp_path),
            sys.executable,
            FILLER,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (out.returncode, out.stdout[:3]) == (0, "ok "), out.stderr


def test_a_file_size_limit_is_like_a_full_disk(tmp_path: Path) -> None:
    out = subprocess.run(
        [sys.executable, "-c", FILLER, str(tmp_path / "ledger"), "limit"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (out.returncode, out.stdout[:3]) == (0, "ok "), out.stderr


def test_twenty_writers_at_once(tmp_path: Path) -> None:
    directory = tmp_path / "ledger"

    async def writer(append: object, name: int) -> list[int]:
        return [await append("call.judged", {"writer": name, "n": n}) for n in range(30)]  # type: ignore[operator]

    async def inside() -> list[list[int]]:
        ledger = open_ledger(directory)
        try:
            return list(await asyncio.gather(*[writer(ledger.append, name) for name in range(20)]))
        finally:
            await ledger.close()

    indexes = asyncio.run(inside())
    assert sorted(i for own in indexes for i in own) == list(range(600))
    assert all(own == sorted(own) for own in indexes)
    entries = read_entries(directory, limit=600)
    for name, own in enumerate(indexes):
        assert [entries[i].body for i in own] == [{"writer": name, "n": n} for n in range(30)]
    assert verify_ledger(directory, PUBLIC).size == 600


def test_a_clock_that_jumps_both_ways(tmp_path: Path) -> None:
    directory, clock = tmp_path / "ledger", ToldClock(10_000)

    async def inside() -> None:
        ledger = open_ledger(directory, clock)
        for now in (10_000, 4_102_444_800_000, 0, 10_001):
            clock.wall_ms = now
            await ledger.append("call.judged", {"now": now})
        await ledger.close()

    asyncio.run(inside())
    assert reopen(directory) == 4
    assert verify_ledger(directory, PUBLIC).notes == ("the clock went back 4102444800000 ms at entry 2",)
    assert [e.time_ms for e in read_entries(directory)] == [10_000, 4_102_444_800_000, 0, 10_001]


def test_reading_and_verifying_beside_a_running_writer(tmp_path: Path) -> None:
    directory = tmp_path / "ledger"
    child = subprocess.Popen([sys.executable, "-c", APPENDER, str(directory), "0", "3"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"open 0\n"
        drain = os.dup(child.stdout.fileno())
        sizes = []
        for _ in range(30):
            os.read(drain, 65_536)
            verified = verify_ledger(directory, PUBLIC)
            sizes.append(verified.size)
            assert read_entries(directory, limit=3, newest=True)
        os.close(drain)
    finally:
        child.kill()
        child.stdout.close()
        child.wait(30)
    assert sizes == sorted(sizes)
