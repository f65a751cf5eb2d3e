"""The pure tier with the real interpreter behind its real wall: what comes out, every end, and what it refuses."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.mark import own_mark
from carapax.adapters.sandbox.pure import PureSandbox, worker
from carapax.adapters.sandbox.pure.probe import ATTEMPTS, judge
from carapax.adapters.sandbox.running import RunningJobs
from carapax.core.terms.check import Standing
from carapax.core.terms.egress import Way
from carapax.core.terms.error import AuthorityInvalid, Malformed, SandboxUnavailable
from carapax.core.terms.ids import CallId
from carapax.core.terms.tier import Provenance
from carapax.ports.sandbox import Job, Ran
from tests.attacks.sealing import KEY, WallClock, mint


@pytest.fixture
def box() -> Iterator[PureSandbox]:
    made = PureSandbox(KEY, WallClock())
    yield made
    made.close()
    assert list(Path(tempfile.gettempdir()).glob(f"{own_mark()}-pure-*")) == []


def expression(code: str, timeout_ms: int = 3_000, output_bytes: int = 4_096) -> Job:
    return Job(("expression", code), timeout_ms=timeout_ms, output_bytes=output_bytes, provenance=Provenance.EXPRESSION)


def compute(box: PureSandbox, code: str, timeout_ms: int = 3_000, output_bytes: int = 4_096) -> Ran:
    return asyncio.run(box.run(mint(), expression(code, timeout_ms, output_bytes)))


def test_what_is_printed_comes_first_then_the_value_of_the_last_line(box: PureSandbox) -> None:
    assert compute(box, "print('a')\nprint('é')\n1 + 2").output == "a\né\n3\n".encode()
    assert compute(box, "x = 1").output == b""
    assert compute(box, "'text'").output == b"'text'\n"


def test_faults_are_the_programs_own_end(box: PureSandbox) -> None:
    for code, name in (
        ("1 / 0", b"ZeroDivisionError"),
        ("(", b"SyntaxError"),
        ("raise ValueError('x')", b"ValueError"),
    ):
        ran = compute(box, code)
        assert (ran.exit_code, ran.ended_by) == (1, "")
        assert name in ran.output.rsplit(b"\n", 2)[-2]


def test_limits_are_said(box: PureSandbox) -> None:
    assert compute(box, "while True:\n    pass", timeout_ms=100).ended_by == "time"
    assert compute(box, "'x' * 10**9").ended_by == "memory"
    flooded = compute(box, "while True:\n    print('flood')", output_bytes=100)
    assert (flooded.ended_by, flooded.truncated, len(flooded.output)) == ("output", True, 100)
    cut = compute(box, "'x' * 1000", output_bytes=100)
    assert (cut.ended_by, cut.output) == ("output", b"'" + b"x" * 99)


def test_a_value_nested_without_end_is_only_a_value(box: PureSandbox) -> None:
    ran = compute(box, "x = []\nfor i in range(50000):\n    x = [x]\nx", output_bytes=50)
    assert ran.output[:50] in (b"[" * 50, b"") or ran.exit_code == 1


def test_nothing_stays_between_two_computations(box: PureSandbox) -> None:
    compute(box, "import json\nkept = 1\njson.kept = 1")
    assert b"NameError" in compute(box, "kept").output


def test_a_worker_is_another_process_each_time(box: PureSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = worker.Worker.run

    def noting(self: worker.Worker, *words: object) -> Ran:
        ran = real(self, *words)  # type: ignore[arg-type] # the same words
        seen.append(self.pid())
        return ran

    monkeypatch.setattr(worker.Worker, "run", noting)
    for _ in range(3):
        compute(box, "1")
    assert len(set(seen)) == 3
    assert 0 not in seen


@pytest.mark.parametrize(
    "job",
    [
        Job(("python3", "-c", "1"), provenance=Provenance.EXPRESSION),
        Job(("expression",), provenance=Provenance.EXPRESSION),
        Job(("expression", "1"), provenance=Provenance.EXPRESSION, stdin=b"x"),
        Job(("expression", "1"), provenance=Provenance.EXPRESSION, variables=(("A", "b"),)),
    ],
)
def test_what_is_no_expression_is_malformed(box: PureSandbox, job: Job) -> None:
    with pytest.raises(Malformed):
        asyncio.run(box.run(mint(), job))


@pytest.mark.parametrize("provenance", [one for one in Provenance if one is not Provenance.EXPRESSION])
def test_other_code_is_never_computed_here(box: PureSandbox, provenance: Provenance) -> None:
    with pytest.raises(SandboxUnavailable, match="nothing else"):
        asyncio.run(box.run(mint(), Job(("expression", "1"), provenance=provenance)))


def test_authority_is_checked_and_used_once(box: PureSandbox) -> None:
    sealed = mint()
    asyncio.run(box.run(sealed, expression("1")))
    for bad in (sealed, mint(key=b"x" * 32), mint(deadline_ms=0)):
        with pytest.raises(AuthorityInvalid):
            asyncio.run(box.run(bad, expression("1")))
    led = Job(("expression", "1"), provenance=Provenance.EXPRESSION, way=Way(CallId("other"), "t"))
    with pytest.raises(AuthorityInvalid):
        asyncio.run(box.run(mint(), led))


async def freeze_when_it_stands(jobs: RunningJobs) -> None:
    for _ in range(5_000):
        if jobs.freeze(None):
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never stood")


def test_a_running_one_is_halted_and_ended() -> None:
    jobs = RunningJobs()
    box = PureSandbox(KEY, WallClock(), jobs=jobs)

    async def act() -> Ran:
        sealed = mint()
        task = asyncio.create_task(box.run(sealed, expression("while True:\n    pass", timeout_ms=5_000)))
        for _ in range(2_000):
            if jobs.calls() or task.done():
                break
            await asyncio.sleep(0.001)
        await freeze_when_it_stands(jobs)
        assert box.kill(sealed.call.session) == (sealed.call.call,)
        return await asyncio.wait_for(task, 20)

    ran = asyncio.run(act())
    assert (ran.exit_code, ran.ended_by) == (137, "")
    assert jobs.calls() == ()
    box.close()


def test_one_that_was_ended_before_it_began_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool would start another worker in the place of one that is gone."""
    box = PureSandbox(KEY, WallClock())
    real, script = worker.Worker.run, worker.Worker._script

    def slow(self: worker.Worker, *words: object) -> str:
        return script(self, *words).replace("mkdir ", "sleep 0.2; mkdir ")  # type: ignore[arg-type] # the same words

    monkeypatch.setattr(worker.Worker, "_script", slow)

    def ended_first(self: worker.Worker, *words: object) -> Ran:
        self.kill()
        return real(self, *words)  # type: ignore[arg-type] # the same words

    monkeypatch.setattr(worker.Worker, "run", ended_first)
    for _ in range(3):
        ran = compute(box, "1 + 1")
        assert (ran.exit_code, ran.output, ran.ended_by) == (137, b"", "")
    box.close()


def test_a_cancelled_turn_ends_it() -> None:
    jobs = RunningJobs()
    box = PureSandbox(KEY, WallClock(), jobs=jobs)

    async def act() -> None:
        task = asyncio.create_task(box.run(mint(), expression("while True:\n    pass", timeout_ms=5_000)))
        for _ in range(2_000):
            if jobs.thaw(None):  # it can be reached, so it stands
                break
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(act())
    assert jobs.calls() == ()
    box.close()


def test_a_missing_interpreter_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("carapax.adapters.sandbox.pure.worker.sysconfig.get_path", lambda name: str(tmp_path))
    monkeypatch.setenv("MONTY_BIN", "/bin/true")  # what somebody set in the environment is not trusted
    box = PureSandbox(KEY, WallClock())
    with pytest.raises(SandboxUnavailable, match="Monty") as caught:
        compute(box, "1")
    assert "make setup" in caught.value.next_step
    (failed,) = asyncio.run(box.probe())
    assert failed.standing is Standing.FAILED
    box.close()


def test_the_interpreter_itself_stands_behind_a_wall(box: PureSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen from the host while it computes: no privilege, a filter, and no namespace of the gateway's."""
    seen: dict[str, str] = {}

    def look(self: worker._Told, stream: str, text: str) -> None:
        if "pid" in seen:
            return
        outer = next(path for path in Path(tempfile.gettempdir()).glob(f"{own_mark()}-pure-*/pid"))
        pid = outer.read_text().strip()
        inner = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        rows = dict(
            row.split(":\t", 1) for row in Path(f"/proc/{inner}/status").read_text().splitlines() if ":\t" in row
        )
        seen.update(rows, pid=inner)
        for name in ("net", "mnt", "pid", "ipc", "user"):
            seen[name] = os.readlink(f"/proc/{inner}/ns/{name}")

    monkeypatch.setattr(worker._Told, "take", look)
    compute(box, "print('x')\nfor i in range(10**6):\n    pass")
    assert seen["CapEff"].strip("0") == seen["CapPrm"].strip("0") == ""
    assert (seen["Seccomp"], seen["NoNewPrivs"]) == ("2", "1")
    for name in ("net", "mnt", "pid", "ipc", "user"):
        assert seen[name] != os.readlink(f"/proc/self/ns/{name}")


def test_the_self_test_tries_everything(box: PureSandbox) -> None:
    checks = asyncio.run(box.probe())
    assert checks[0].standing is (Standing.OK if os.geteuid() else Standing.WARNING)
    assert "Monty" in checks[0].found
    assert [check for check in checks[1:] if check.standing is not Standing.OK] == []
    assert len({check.name for check in checks}) == len(checks) == len(ATTEMPTS) + 3


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.words.replace(" ", "-"))
def test_an_attempt_that_succeeds_is_a_failed_check(attempt: object) -> None:
    open_door = Ran(0, b"root:x:0:0\n", False, "", 1)
    assert not judge(attempt, open_door)  # type: ignore[arg-type] # one of ATTEMPTS
    assert not judge(attempt, Ran(137, b"", False, "", 1))  # type: ignore[arg-type] # one of ATTEMPTS
