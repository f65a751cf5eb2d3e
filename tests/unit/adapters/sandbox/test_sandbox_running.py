"""The registry of running jobs: halting and ending them from any thread, and from a process that knows only files."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox import halt
from carapax.adapters.sandbox.bwrap import BwrapSandbox
from carapax.adapters.sandbox.cgroup import Group, Tree, find_tree
from carapax.adapters.sandbox.mark import started
from carapax.adapters.sandbox.running import Reach, Record, RunningJobs, kill_recorded, reach_group
from carapax.core.terms.error import SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.ports.sandbox import Job, Mount, Ran
from tests.attacks.sealing import KEY, WallClock, mint

A, B = SessionId("a"), SessionId("b")
ONE, TWO = CallId("one"), CallId("two")


class Seen:
    """A reach that only notes what was asked of it."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked: list[str] = []
        self._fails = fails

    def _note(self, word: str) -> None:
        self.asked.append(word)
        if self._fails:
            raise OSError("no")

    @property
    def reach(self) -> Reach:
        return Reach(*(lambda word=word: self._note(word) for word in ("freeze", "thaw", "kill")))  # type: ignore[misc]


def two_jobs() -> tuple[RunningJobs, Seen, Seen]:
    jobs, one, two = RunningJobs(), Seen(), Seen()
    jobs.add(ONE, A, one.reach)
    jobs.add(TWO, B, two.reach)
    return jobs, one, two


def test_a_session_is_halted_and_the_others_are_not() -> None:
    jobs, one, two = two_jobs()
    assert jobs.freeze(A) == (ONE,)
    assert jobs.thaw(A) == (ONE,)
    assert jobs.kill(B) == (TWO,)
    assert (one.asked, two.asked) == (["freeze", "thaw"], ["kill"])


def test_none_means_all_and_a_removed_job_is_not_reached() -> None:
    jobs, one, two = two_jobs()
    assert jobs.freeze(None) == (ONE, TWO)
    jobs.remove(ONE)
    assert jobs.kill(None) == (TWO,)
    assert (one.asked, two.asked) == (["freeze"], ["freeze", "kill"])
    assert jobs.calls() == (TWO,)


def test_one_that_cannot_be_reached_keeps_no_other_from_its_end() -> None:
    jobs, one, two = RunningJobs(), Seen(fails=True), Seen()
    jobs.add(ONE, A, one.reach)
    jobs.add(TWO, A, two.reach)
    assert jobs.kill(A) == (TWO,)
    assert two.asked == ["kill"]


@pytest.mark.parametrize("session", [None, A])
def test_what_begins_in_a_halted_session_begins_halted(session: SessionId | None) -> None:
    jobs, late, after = RunningJobs(), Seen(), Seen()
    jobs.freeze(session)
    jobs.add(ONE, A, late.reach)
    assert late.asked == ["freeze"]
    jobs.thaw(session)
    jobs.add(TWO, A, after.reach)
    assert after.asked == []


def test_what_is_ended_while_it_is_built_never_begins() -> None:
    jobs, seen = RunningJobs(), Seen()
    jobs.expect(ONE, A)
    assert jobs.freeze(B) == ()
    assert jobs.kill(A) == (ONE,)
    with pytest.raises(SandboxUnavailable, match="before it began"):
        jobs.add(ONE, A, seen.reach)
    jobs.remove(ONE)
    jobs.expect(ONE, A)
    jobs.add(ONE, A, seen.reach)


def test_a_job_that_cannot_be_recorded_does_not_begin(tmp_path: Path) -> None:
    jobs = RunningJobs(tmp_path / "jobs")
    (tmp_path / "jobs").rmdir()
    with pytest.raises(SandboxUnavailable, match="recorded"):
        jobs.add(ONE, A, Seen().reach, Record((os.getpid(),)))


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Sixty processes that would sleep long; ended by whoever is tested, and surely at the end."""
    made = [subprocess.Popen(["sleep", "600"]) for _ in range(60)]
    yield made
    for process in made:
        process.kill()
        process.wait()


@pytest.fixture
def group() -> Iterator[Group]:
    tree = find_tree(Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text(), os.getpid())
    if tree is None:
        pytest.skip("no control group can be made here")
    made = tree.make(64 << 20, 100)
    if not made.halts:
        made.discard()
        pytest.skip("no freezer is mounted here")
    yield made
    made.discard()


def scheduled(pid: int) -> int:
    """How often the kernel let it run."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[2])


def test_a_real_group_halts_goes_on_and_ends_while_halted(group: Group) -> None:
    counter = subprocess.Popen(
        [sys.executable, "-c", "import time\nwhile 1: time.sleep(0.001)"], stdout=subprocess.PIPE
    )
    try:
        group.add(counter.pid)
        group.freeze()
        before = scheduled(counter.pid)
        counter.send_signal(0)
        with pytest.raises(subprocess.TimeoutExpired):
            counter.wait(0.05)
        assert scheduled(counter.pid) == before
        group.thaw()
        for _ in range(2_000_000):
            if scheduled(counter.pid) > before:
                break
        assert scheduled(counter.pid) > before
        group.freeze()
        group.kill()
        assert counter.wait(10) == -9
    finally:
        counter.kill()
        group.thaw()
        counter.wait(10)
        assert counter.stdout is not None
        counter.stdout.close()


def test_sixty_processes_end_together(group: Group, sleepers: list[subprocess.Popen[bytes]]) -> None:
    for process in sleepers:
        group.add(process.pid)
    pidfd = os.pidfd_open(sleepers[0].pid)
    jobs = RunningJobs()
    jobs.add(ONE, A, reach_group(group, sleepers[0].pid, pidfd))
    assert jobs.freeze(A) == (ONE,)
    assert jobs.kill(A) == (ONE,)
    assert {process.wait(10) for process in sleepers} == {-9}
    os.close(pidfd)


def test_a_group_without_a_freezer_says_so(tmp_path: Path) -> None:
    group = Group(1, (tmp_path,))
    assert not group.halts
    with pytest.raises(OSError, match="no freezer"):
        group.freeze()


def test_version_2_is_halted_by_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    group = Group(2, (tmp_path,))
    group.freeze()
    assert (tmp_path / "cgroup.freeze").read_text() == "1"
    group.thaw()
    assert (tmp_path / "cgroup.freeze").read_text() == "0"
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    with pytest.raises(TimeoutError):
        group.freeze()
    group.kill()
    assert (tmp_path / "cgroup.kill").read_text() == "1"


def test_version_1_has_its_freezer_where_one_is_mounted(tmp_path: Path) -> None:
    for name in ("memory", "pids", "freezer"):
        (tmp_path / name).mkdir()
    mounts = "".join(f"cgroup {tmp_path / n} cgroup rw,{n} 0 0\n" for n in ("memory", "pids", "freezer"))
    found = find_tree(mounts, "", os.getpid())
    assert found == Tree(1, (tmp_path / "memory", tmp_path / "pids"), tmp_path / "freezer")


def recorded(folder: Path) -> dict[str, object]:
    (path,) = folder.glob("*.json")
    told: dict[str, object] = json.loads(path.read_text())
    return told


def test_a_separate_process_ends_a_recorded_job(tmp_path: Path, group: Group) -> None:
    sleeper, other = subprocess.Popen(["sleep", "600"]), subprocess.Popen(["sleep", "600"])
    try:
        group.add(other.pid)
        RunningJobs(tmp_path).add(ONE, A, Seen().reach, Record((sleeper.pid,), group))
        assert recorded(tmp_path)["call"] == "one"
        told = subprocess.run(
            [sys.executable, "-c", KILL, str(tmp_path)],
            capture_output=True,
            text=True,
            cwd=Path(__file__).resolve().parents[4],
            check=True,
        )
        assert told.stdout == "1\n"
        assert (sleeper.wait(10), other.wait(10)) == (-9, -9)
        assert list(tmp_path.iterdir()) == []
    finally:
        for process in (sleeper, other):
            process.kill()
            process.wait()


def test_another_process_under_a_recorded_number_is_left_alone(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        RunningJobs(tmp_path).add(ONE, A, Seen().reach, Record((sleeper.pid,)))
        (path,) = tmp_path.glob("*.json")
        told = json.loads(path.read_text())
        assert told["processes"] == [[sleeper.pid, started(sleeper.pid)]]
        for lie in (
            {"processes": [[sleeper.pid, "1"]]},
            {"processes": [[sleeper.pid, ""]]},
            {"namespace": 1},
            {"processes": "x"},
        ):
            path.write_text(json.dumps(told | lie))
            assert kill_recorded(tmp_path) == 0
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "nul", '{"processes": []}', "x" * 9_000])
def test_a_file_that_does_not_parse_ends_nothing_and_stops_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "0.json").write_text(text)
    assert kill_recorded(tmp_path) == 0
    assert kill_recorded(tmp_path / "gone") == 0


def test_a_group_that_is_not_ours_is_never_ended(tmp_path: Path) -> None:
    outside = tmp_path / "system.slice"
    outside.mkdir()
    (outside / "cgroup.procs").write_text("1\n")
    jobs = RunningJobs(tmp_path / "jobs")
    jobs.add(ONE, A, Seen().reach, Record((), Group(2, (outside,))))
    assert kill_recorded(tmp_path / "jobs") == 0
    assert not (outside / "cgroup.kill").exists()


def test_without_groups_a_whole_namespace_is_halted_and_let_go_on() -> None:
    made = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", "sleep 600 & sleep 600 & echo up; wait"],
        stdout=subprocess.PIPE,
    )
    try:
        assert made.stdout is not None
        assert made.stdout.readline() == b"up\n"
        first = int(Path(f"/proc/{made.pid}/task/{made.pid}/children").read_text().split()[0])
        namespace = halt.namespace_of(first)
        assert namespace != halt.namespace_of(os.getpid())
        inside = list(halt._members(namespace))
        assert len(inside) == 3
        halt.stop_namespace(namespace)
        assert {halt._state(pid) for pid in inside} == {"T"}
        halt.continue_namespace(namespace)
        assert "T" not in {halt._state(pid) for pid in inside}
    finally:
        made.kill()
        made.wait()
        assert made.stdout is not None
        made.stdout.close()


KILL = (
    "import sys; from pathlib import Path; from carapax.adapters.sandbox.running import kill_recorded;"
    "print(kill_recorded(Path(sys.argv[1])))"
)


@pytest.mark.parametrize("halted", [False, True])
def test_a_real_job_is_ended_by_a_process_that_knows_only_the_folder(tmp_path: Path, halted: bool) -> None:
    (tmp_path / "w").mkdir()
    sandbox = BwrapSandbox(tmp_path / "w", KEY, WallClock(), jobs=RunningJobs(tmp_path / "jobs"))
    outcome: list[Ran] = []
    job = Job(("sh", "-c", "touch begun; sleep 600 & sleep 600"), mount=Mount.WRITE)
    thread = threading.Thread(target=lambda: outcome.append(asyncio.run(sandbox.run(mint(call="long"), job))))
    thread.start()
    try:
        for _ in range(4_000):
            if (tmp_path / "w" / "begun").exists():
                break
            thread.join(0.005)
        assert recorded(tmp_path / "jobs")["call"] == "long"
        if halted:
            assert sandbox.freeze(SessionId("s")) == ("long",)
        told = subprocess.run(
            [sys.executable, "-c", KILL, str(tmp_path / "jobs")],
            capture_output=True,
            text=True,
            cwd=Path(__file__).resolve().parents[4],
            check=True,
        )
        thread.join(20)
        assert (told.stdout, [ran.exit_code for ran in outcome]) == ("1\n", [137])
    finally:
        sandbox.kill(None)
        thread.join(20)
        sandbox.close()
    assert list((tmp_path / "jobs").iterdir()) == []
