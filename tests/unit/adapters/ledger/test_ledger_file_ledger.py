"""The writer: groups, one fdatasync each, failures that leave nothing, one process at a time."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from carapax.adapters.ledger import journal as journal_module
from carapax.adapters.ledger.reader import read_entries, verify_ledger
from carapax.core.terms.error import LedgerUnavailable
from tests.fakes.ledger import ToldClock
from tests.unit.adapters.ledger.ledgers import PUBLIC, fill, newest_size, open_at, open_ledger, reopen, segment


class Syncs:
    """Counts fdatasync per file and holds the next one back until told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()
        self.error: OSError | None = None
        real = os.fdatasync

        def fdatasync(fd: int) -> None:
            self.names.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
            self.reached.set()
            assert self.gate.wait(10)
            if self.error is not None:
                raise self.error
            real(fd)

        monkeypatch.setattr(journal_module.os, "fdatasync", fdatasync)

    def of_entries(self) -> int:
        return sum(name.startswith("entries") for name in self.names)


def test_appends_made_while_the_disk_is_busy_share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside() -> tuple[int, int]:
        ledger = open_ledger(tmp_path / "ledger")
        syncs = Syncs(monkeypatch)
        syncs.gate.clear()
        first = asyncio.create_task(ledger.append("a", {}))
        await asyncio.to_thread(syncs.reached.wait, 10)
        others = [asyncio.create_task(ledger.append("b", {"n": n})) for n in range(20)]
        await asyncio.sleep(0)
        unresolved = ledger.size()
        syncs.gate.set()
        await asyncio.gather(first, *others)
        count = syncs.of_entries()
        await ledger.close()
        return unresolved, count

    assert asyncio.run(inside()) == (0, 2)


def test_an_append_returns_only_after_the_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside() -> None:
        ledger = open_ledger(tmp_path / "ledger")
        syncs = Syncs(monkeypatch)
        syncs.gate.clear()
        task = asyncio.create_task(ledger.append("a", {}))
        await asyncio.to_thread(syncs.reached.wait, 10)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
        assert (ledger.size(), ledger.checkpoint()) == (0, "")
        assert newest_size(tmp_path / "ledger") == 0  # no checkpoint can outlive what it covers
        syncs.gate.set()
        assert await task == 0
        await ledger.close()

    asyncio.run(inside())


def test_a_cancelled_append_harms_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside() -> int:
        ledger = open_ledger(tmp_path / "ledger")
        syncs = Syncs(monkeypatch)
        syncs.gate.clear()
        first = asyncio.create_task(ledger.append("a", {}))
        await asyncio.to_thread(syncs.reached.wait, 10)
        second = asyncio.create_task(ledger.append("b", {}))
        await asyncio.sleep(0)
        first.cancel()
        syncs.gate.set()
        index = await second
        await ledger.close()
        return index

    assert asyncio.run(inside()) == 1
    assert [e.kind for e in read_entries(tmp_path / "ledger")] == ["a", "b"]


def test_close_waits_for_what_was_appended(tmp_path: Path) -> None:
    async def inside() -> list[int]:
        ledger = open_ledger(tmp_path / "ledger")
        tasks = [asyncio.create_task(ledger.append("a", {"n": n})) for n in range(10)]
        await asyncio.sleep(0)
        await ledger.close()
        return list(await asyncio.gather(*tasks))

    assert asyncio.run(inside()) == list(range(10))
    assert verify_ledger(tmp_path / "ledger", PUBLIC).size == 10


def test_time_is_recorded_as_told_even_backwards(tmp_path: Path) -> None:
    clock = ToldClock(5_000)

    async def inside() -> None:
        ledger = open_ledger(tmp_path / "ledger", clock)
        for now in (5_000, -3, 2**53):
            clock.wall_ms = now
            await ledger.append("a", {})
        await ledger.close()

    asyncio.run(inside())
    assert [e.time_ms for e in read_entries(tmp_path / "ledger")] == [5_000, -3, 2**53]


def test_groups_roll_into_the_next_segment(tmp_path: Path) -> None:
    async def inside() -> list[int]:
        ledger = open_ledger(tmp_path / "ledger")
        indexes = await asyncio.gather(*[ledger.append("a", {"n": n}) for n in range(4200)])
        await ledger.close()
        return list(indexes)

    assert asyncio.run(inside()) == list(range(4200))
    assert segment(tmp_path / "ledger", 0).read_bytes().count(b"\n") == 4096
    assert segment(tmp_path / "ledger", 1).name == "entries-000000004096.jsonl"
    assert verify_ledger(tmp_path / "ledger", PUBLIC).size == 4200


def test_two_loops_in_two_threads_can_append(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    seen: list[int] = []

    def worker() -> None:
        async def appends() -> None:
            for n in range(20):
                seen.append(await ledger.append("a", {"n": n}))

        asyncio.run(appends())

    threads = [threading.Thread(target=worker) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    asyncio.run(ledger.close())
    assert sorted(seen) == list(range(40))


def test_a_second_opener_is_refused(tmp_path: Path) -> None:
    async def inside() -> None:
        ledger = open_ledger(tmp_path / "ledger")
        await ledger.append("a", {})
        with pytest.raises(LedgerUnavailable, match="another process") as caught:
            open_ledger(tmp_path / "ledger")
        assert "carapax stop" in caught.value.next_step
        assert await ledger.append("a", {}) == 1
        await ledger.close()

    asyncio.run(inside())
    assert reopen(tmp_path / "ledger") == 2


def test_another_process_is_refused_too(tmp_path: Path) -> None:
    program = """if True:
        import sys
        from pathlib import Path
        from carapax.core.terms.error import LedgerUnavailable
        from tests.unit.adapters.ledger.ledgers import open_ledger
        try:
            open_ledger(Path(sys.argv[1]))
        except LedgerUnavailable as error:
            print(error.code, error.what)
    """
    journal, fd = open_at(tmp_path / "ledger")
    out = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "ledger")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    journal.close()
    os.close(fd)
    assert out.stdout == "ledger.unavailable another process has this ledger open\n"


Break = Callable[[pytest.MonkeyPatch], None]


def fail_writes(to: str, partial: bool) -> Break:
    """The next write to a file of this name fails with a full disk, perhaps after some bytes."""

    def install(monkeypatch: pytest.MonkeyPatch) -> None:
        real, state = os.write, {"left": 1}

        def write(fd: int, content: bytes) -> int:
            name = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
            if name.startswith(to) and state["left"] == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            if name.startswith(to):
                state["left"] = 0
                if partial:
                    return real(fd, bytes(content)[: len(content) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(fd, content)

        monkeypatch.setattr(journal_module.os, "write", write)

    return install


@pytest.mark.parametrize("to", ["entries", "leaves", "checkpoints"])
@pytest.mark.parametrize("partial", [True, False])
def test_a_full_disk_leaves_nothing_and_the_ledger_goes_on_when_space_is_back(
    tmp_path: Path, to: str, partial: bool
) -> None:
    directory = tmp_path / "ledger"

    async def inside() -> None:
        ledger = open_ledger(directory)
        await ledger.append("a", {})
        before = {p.name: p.read_bytes() for p in directory.iterdir()}
        point = ledger.checkpoint()
        with pytest.MonkeyPatch.context() as broken:
            fail_writes(to, partial)(broken)
            for _ in range(2):
                with pytest.raises(LedgerUnavailable, match="No space left") as caught:
                    await ledger.append("b", {})
                assert "Nothing was done" in caught.value.kept
        assert {p.name: p.read_bytes() for p in directory.iterdir()} == before
        assert (ledger.size(), ledger.checkpoint()) == (1, point)
        assert await ledger.append("c", {}) == 1
        await ledger.close()

    asyncio.run(inside())
    assert [e.kind for e in read_entries(directory)] == ["a", "c"]
    assert verify_ledger(directory, PUBLIC).notes == ()


def test_after_a_failed_sync_everything_is_refused_until_reopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "ledger"

    async def inside() -> None:
        ledger = open_ledger(directory)
        await ledger.append("a", {})
        with monkeypatch.context() as broken:
            syncs = Syncs(broken)
            syncs.error = OSError(errno.EIO, "Input/output error")
            results = await asyncio.gather(*[ledger.append("b", {}) for _ in range(5)], return_exceptions=True)
            assert all(isinstance(r, LedgerUnavailable) for r in results)
        for _ in range(3):
            with pytest.raises(LedgerUnavailable, match="did not confirm") as caught:
                await ledger.append("c", {})
            assert "restart" in caught.value.next_step
        assert ledger.size() == 1
        await ledger.close()

    asyncio.run(inside())
    assert reopen(directory) >= 2  # unacknowledged entries may be kept; they are signed and recorded
    assert {e.kind for e in read_entries(directory)} <= {"a", "b", "ledger.recovered"}
    assert verify_ledger(directory, PUBLIC).notes == ()


def test_a_write_that_cannot_be_taken_back_stops_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "ledger"

    def refuse(fd: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async def inside() -> None:
        ledger = open_ledger(directory)
        await ledger.append("a", {})
        with monkeypatch.context() as broken:
            fail_writes("entries", True)(broken)
            broken.setattr(journal_module.os, "ftruncate", refuse)
            with pytest.raises(LedgerUnavailable, match="could not be taken back"):
                await ledger.append("b", {"text": "long enough to be cut"})
        with pytest.raises(LedgerUnavailable, match="could not be taken back"):
            await ledger.append("c", {})
        await ledger.close()

    asyncio.run(inside())
    assert reopen(directory) == 2
    assert [e.kind for e in read_entries(directory)] == ["a", "ledger.recovered"]


def test_a_failed_sync_of_checkpoints_stops_the_ledger_but_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, fd = open_at(tmp_path / "ledger")
    journal.commit([journal_module.Draft(1, "a", b"{}")])
    with monkeypatch.context() as broken:
        Syncs(broken).error = OSError(errno.EIO, "Input/output error")
        journal.sync()
    with pytest.raises(LedgerUnavailable, match="syncing the checkpoints"):
        journal.commit([journal_module.Draft(1, "b", b"{}")])
    journal.close()
    os.close(fd)
    assert verify_ledger(tmp_path / "ledger", PUBLIC).size == 1


def test_a_writer_that_breaks_wakes_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside() -> None:
        ledger = open_ledger(tmp_path / "ledger")
        with monkeypatch.context() as broken:
            broken.setattr(journal_module, "leaf_hash", lambda line: 1 // 0)
            with pytest.raises(LedgerUnavailable, match="ZeroDivisionError"):
                await asyncio.wait_for(ledger.append("a", {}), 10)
        with pytest.raises(LedgerUnavailable):
            await asyncio.wait_for(ledger.append("a", {}), 10)
        await ledger.close()

    asyncio.run(inside())


def test_checkpoints_are_synced_when_it_is_quiet_and_at_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside() -> list[str]:
        ledger = open_ledger(tmp_path / "ledger")
        syncs = Syncs(monkeypatch)
        await ledger.append("a", {})
        await ledger.close()
        return syncs.names

    assert asyncio.run(inside()) == ["entries-000000000000.jsonl", "leaves", "roots", "checkpoints"]


@pytest.mark.parametrize("reopened", [False, True])
def test_everything_before_a_new_segment_is_durable_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reopened: bool
) -> None:
    fill(tmp_path / "ledger", [256] * (16 if reopened else 15))
    syncs = Syncs(monkeypatch)
    journal, fd = open_at(tmp_path / "ledger")
    for size in [1] if reopened else [256, 1]:
        journal.commit([journal_module.Draft(1, "a", b"{}")] * size)
    journal.close()
    os.close(fd)
    new = syncs.names.index("entries-000000004096.jsonl")
    assert syncs.names[new - 3 : new] == ["leaves", "roots", "checkpoints"]


def test_a_kill_before_during_or_after_any_write_is_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, copies = tmp_path / "ledger", tmp_path / "copies"
    real, done = os.write, [0]

    def snapshot() -> None:
        shutil.copytree(directory, copies / f"{len(os.listdir(copies)):03d}-{done[0]}")

    def write(fd: int, content: bytes) -> int:
        snapshot()
        half = real(fd, bytes(content)[: max(1, len(content) // 2)])
        snapshot()
        return half

    copies.mkdir()
    journal, lock = open_at(directory)
    with monkeypatch.context() as watched:
        watched.setattr(journal_module.os, "write", write)
        for size in (1, 3, 2):
            journal.commit([journal_module.Draft(n, "call.judged", b'{"n":1}') for n in range(size)])
            done[0] += size
    journal.close()
    os.close(lock)
    names = sorted(os.listdir(copies))
    assert len(names) > 3 * 3 * 2
    for name in names:
        acknowledged = int(name.partition("-")[2])
        size = reopen(copies / name)
        verified = verify_ledger(copies / name, PUBLIC)
        assert (verified.size, verified.unsigned, verified.notes[1:]) == (size, 0, ())
        assert [e.index for e in read_entries(copies / name)][:acknowledged] == list(range(acknowledged))


def test_a_loop_that_ended_does_not_stop_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    syncs = Syncs(monkeypatch)

    async def abandon() -> None:
        task = asyncio.create_task(ledger.append("a", {}))
        await asyncio.to_thread(syncs.reached.wait, 10)
        task.cancel()

    syncs.gate.clear()
    asyncio.run(abandon())
    syncs.gate.set()

    async def after() -> int:
        index = await ledger.append("b", {})
        await ledger.close()
        return index

    assert asyncio.run(after()) == 1
