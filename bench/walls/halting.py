"""How fast everything is halted: a freeze, a kill of sixty processes, a trip of the breaker, and a stop from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from bench.walls.figures import KEY, Figure, Missing, WallClock, at_most, median, sealed, told
from carapax.adapters.sandbox.bwrap import BwrapSandbox
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Job, Mount, Ran

ROUNDS = 10
PROCESSES = 60
WAIT_S = 20
_MANY = "i=1; while [ $i -lt {count} ]; do sleep 300 & i=$((i+1)); done; touch up; wait"


@contextlib.asynccontextmanager
async def busy(folder: Path, sandbox: BwrapSandbox, *, session: str = "s") -> AsyncIterator[asyncio.Task[Ran]]:
    """A job of sixty processes, all of them up; it is ended on the way out."""
    up = folder / "up"
    up.unlink(missing_ok=True)
    words = ("sh", "-c", _MANY.format(count=PROCESSES - 1))  # the shell is one of them, its first process another
    job = Job(words, mount=Mount.WRITE, timeout_ms=60_000, processes=128)
    running = asyncio.ensure_future(sandbox.run(sealed(session), job))
    try:
        await until(up.exists, running)
        yield running
    finally:
        sandbox.kill(None)
        await asyncio.gather(running, return_exceptions=True)
        sandbox.thaw(None)  # what was halted holds for the next job too, until it is lifted


async def until(true: object, running: asyncio.Task[Ran]) -> None:
    """Wait until something is so, at most 20 s. Raises Missing when the job ended before."""
    assert callable(true)
    for _ in range(WAIT_S * 200):
        if true():
            return
        if running.done():
            try:
                ran: object = running.result()
            except SandboxUnavailable as error:
                ran = error.what
            raise Missing(f"the job of {PROCESSES} processes did not come up: {ran}")
        await asyncio.sleep(0.005)
    raise Missing(f"the job of {PROCESSES} processes did not come up in {WAIT_S} s")


async def measure_halt(folder: Path) -> list[Figure]:
    """Freeze, and kill until every process is gone."""
    sandbox = BwrapSandbox(folder, KEY, WallClock())
    freezes: list[float] = []
    kills: list[float] = []
    try:
        for _ in range(ROUNDS):
            async with busy(folder, sandbox) as running:
                began = time.perf_counter()
                halted = sandbox.freeze(None)
                freezes.append(time.perf_counter() - began)
                if len(halted) != 1:
                    raise Missing(f"a freeze halted {len(halted)} jobs instead of one")
                began = time.perf_counter()
                killed = sandbox.kill(None)
                await running  # returns when every process of the job is gone
                kills.append(time.perf_counter() - began)
                if len(killed) != 1:
                    raise Missing(f"a kill ended {len(killed)} jobs instead of one")
    finally:
        sandbox.close()
    return [
        at_most(f"freeze of {PROCESSES} processes, median", median(freezes), "ms", 5),
        told(f"freeze of {PROCESSES} processes, slowest of {ROUNDS}", max(freezes) * 1000, "ms"),
        at_most(f"kill of {PROCESSES} frozen processes, median", median(kills), "ms", 50),
        told(f"kill of {PROCESSES} frozen processes, slowest of {ROUNDS}", max(kills) * 1000, "ms"),
    ]


async def measure_trip(folder: Path) -> list[Figure]:
    """From the signal that is too much until the session's processes stand still, and until people are told."""
    try:
        from carapax.adapters.ledger.file_ledger import FileLedger
        from carapax.app.breaker import Breaker, Reach
        from carapax.app.hold import Hold
        from carapax.app.incident_files import IncidentFiles
        from carapax.core.breaker.limits import Limits
        from carapax.core.terms.ids import SessionId
        from carapax.core.terms.incident import Incident
        from carapax.core.terms.signal import Signal, SignalKind
    except ImportError as error:
        raise Missing(f"the breaker is not in this tree: {error}") from error
    work, state = folder / "work", folder / "state"
    for place in (work, state):
        place.mkdir()
    clock = WallClock()
    ledger = FileLedger.open(state / "ledger", bytes(range(32)), "bench.example/ledger", clock)
    frozen: list[float] = []
    reached: list[float] = []
    try:
        for turn in range(ROUNDS):
            sandbox = BwrapSandbox(work, KEY, clock)
            informed: asyncio.Future[float] = asyncio.get_running_loop().create_future()

            def tell(incident: Incident, informed: asyncio.Future[float] = informed) -> None:
                frozen.append(incident.to_frozen_us / 1_000_000)
                informed.set_result(time.perf_counter())

            reach = Reach(sandbox.freeze, lambda session: None, state / "jobs")
            breaker = Breaker(
                limits=Limits, reach=reach, hold=Hold(state / f"stopped-{turn}"), files=IncidentFiles(state / "incidents"),
                ledger=ledger, tell=tell, clock=clock,
            )  # fmt: skip
            session = f"s{turn}"
            try:
                async with busy(work, sandbox, session=session):
                    began = time.perf_counter()
                    breaker.saw(Signal(SignalKind.CANARY_USED, SessionId(session), detail="bench"))
                    reached.append(await asyncio.wait_for(informed, WAIT_S) - began)
            finally:
                await breaker.close()
                sandbox.close()
    finally:
        await ledger.close()
    return [
        told("trip → frozen, median", median(frozen), "ms"),
        told(f"trip → frozen, slowest of {ROUNDS}", max(frozen) * 1000, "ms"),
        told("trip → recorded and told, median", median(reached), "ms"),
    ]


async def measure_stop(folder: Path) -> list[Figure]:
    """`stop --all` against a process whose loop is stuck while a job of sixty processes runs."""
    try:
        from carapax.adapters.sandbox.running import kill_recorded
        from carapax.app.stopping import stop_everything
    except ImportError as error:
        raise Missing(f"stopping everything is not in this tree: {error}") from error
    times: list[float] = []
    for turn in range(5):
        place = folder / f"stop-{turn}"
        with stuck(place) as members:
            began = time.perf_counter()
            stopped = await asyncio.to_thread(stop_everything, place / "run", kill_recorded, WallClock().now_ms())
            left = [pid for pid in members if alive(pid)]
            for _ in range(400):  # the last of them are reaped, not killed, here
                if not left:
                    break
                await asyncio.sleep(0.0025)
                left = [pid for pid in left if alive(pid)]
            times.append(time.perf_counter() - began)
            if left or stopped.jobs < 1:
                raise Missing(f"a stop of everything left {len(left)} processes and ended {stopped.jobs} jobs")
    return [
        at_most("stop --all, loop stuck, median", median(times), "ms", 1_000),
        told("stop --all, loop stuck, slowest of 5", max(times) * 1000, "ms"),
    ]


@contextlib.contextmanager
def stuck(place: Path) -> Iterator[list[int]]:
    """Another process with a job, and then a loop that does not turn; gives the pids of the job."""
    for name in ("work", "run/jobs"):
        (place / name).mkdir(parents=True)
    words = [sys.executable, "-m", "bench.walls.halting", str(place)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            said = child.stdout.readline().split()
            if len(said) < PROCESSES // 2:
                raise Missing(f"the other process did not start its job: {' '.join(said)}")
            yield [int(pid) for pid in said]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process is there and more than a row in a table."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def below(pid: int) -> list[int]:
    """Every process below one."""
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                children = [int(child) for child in (task / "children").read_text().split()]
                found += children
                todo += children
    return found


async def _hang(place: Path) -> None:
    """The other process: a job comes up, its pids are told, and nothing turns any more."""
    from carapax.adapters.sandbox.running import RunningJobs

    sandbox = BwrapSandbox(place / "work", KEY, WallClock(), jobs=RunningJobs(place / "run" / "jobs"))
    try:
        async with busy(place / "work", sandbox):
            print(*below(os.getpid()), flush=True)
            time.sleep(60)  # noqa: ASYNC251 - that is what stuck means
    except Missing as error:
        print(error, flush=True)


if __name__ == "__main__":
    asyncio.run(_hang(Path(sys.argv[1])))
