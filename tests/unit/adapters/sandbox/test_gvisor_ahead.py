"""Boxes made ahead: used once, only by a job of their shape, only while what they show is still what is there."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.recipe import find_system
from carapax.adapters.sandbox.follow import wait_ready
from carapax.adapters.sandbox.gvisor import GvisorSandbox, launch
from carapax.adapters.sandbox.gvisor.box import Box, Plan, Shape, can_be_told, shape_of
from carapax.adapters.sandbox.gvisor.launch import Ahead
from carapax.adapters.sandbox.gvisor.mechanism import FOLDER_MARK, find_runtime
from carapax.adapters.sandbox.mark import own_mark
from carapax.adapters.sandbox.relay import MAX_TOLD_BYTES, tell_program
from carapax.adapters.sandbox.running import RunningJobs
from carapax.adapters.sandbox.tier import Errand
from carapax.core.terms.error import SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId
from carapax.ports.sandbox import Job, Mount, Ran
from tests.attacks.sealing import KEY, Inside, WallClock, mint


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def plan() -> Plan:
    return Plan(find_runtime(), find_system(None), Bounds(), RunningJobs(), None)


@pytest.fixture
def cancelled() -> Iterator[int]:
    descriptor = os.eventfd(0, os.EFD_CLOEXEC)
    yield descriptor
    os.close(descriptor)


def shape(workspace: Path, mount: Mount = Mount.READ) -> Shape:
    return Shape(workspace, mount, 256 << 20, 16, library=False, led=False)


def errand(workspace: Path, cancelled: int, *argv: str, mount: Mount = Mount.READ) -> Errand:
    job = Job(argv, mount=mount, memory_bytes=256 << 20, processes=16, timeout_ms=30_000)
    return Errand(job, workspace, CallId("c"), SessionId("s"), cancelled)


def leftovers() -> list[str]:
    return [path.name for path in Path(tempfile.gettempdir()).glob(f"{own_mark()}{FOLDER_MARK}*")]


def test_jobs_one_after_another_get_boxes_made_ahead_and_carry_nothing_over(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Box | None] = []
    real = Ahead.take

    def noting(self: Ahead, wanted: Shape) -> Box | None:
        taken.append(real(self, wanted))
        return taken[-1]

    monkeypatch.setattr(launch.Ahead, "take", noting)
    box = GvisorSandbox(workspace, KEY, WallClock())
    inside = Inside(box, workspace)
    said = []
    for _ in range(4):
        said.append(inside.shell("cat /tmp/kept 2>/dev/null; echo x > /tmp/kept; echo end; echo $0 $PWD").output)
        for _ in range(1_000):
            if box._ahead._box is not None:
                break
            time.sleep(0.01)
    box.close()
    assert said == [b"end\n/bin/bash /workspace\n"] * 4
    assert [one is not None for one in taken] == [False, True, True, True]
    assert len({id(one) for one in taken}) == 4
    assert leftovers() == []


def test_only_a_box_of_the_same_shape_is_taken(workspace: Path, plan: Plan) -> None:
    ahead = Ahead()
    ahead.prepare(plan, shape(workspace))
    assert ahead.take(shape(workspace, Mount.WRITE)) is None
    assert leftovers() == []
    ahead.prepare(plan, shape(workspace))
    made = ahead.take(shape(workspace))
    assert made is not None
    assert ahead.take(shape(workspace)) is None
    made.close()
    ahead.close()
    ahead.prepare(plan, shape(workspace))
    assert leftovers() == []


def test_a_box_that_would_show_git_unpinned_is_not_taken(workspace: Path, plan: Plan) -> None:
    ahead = Ahead()
    ahead.prepare(plan, shape(workspace, Mount.WRITE))
    (workspace / ".git" / "hooks").mkdir(parents=True)
    assert ahead.take(shape(workspace, Mount.WRITE)) is None
    ahead.prepare(plan, shape(workspace, Mount.WRITE))
    (workspace / ".git" / "hooks").rename(workspace / "old")
    (workspace / ".git" / "hooks").mkdir()
    assert ahead.take(shape(workspace, Mount.WRITE)) is None
    ahead.prepare(plan, shape(workspace, Mount.WRITE))
    same = ahead.take(shape(workspace, Mount.WRITE))
    assert same is not None
    same.close()
    assert leftovers() == []


def test_a_box_that_has_ended_is_not_taken(workspace: Path, plan: Plan) -> None:
    ahead = Ahead()
    ahead.prepare(plan, shape(workspace))
    assert ahead._box is not None
    ahead._box._kill()
    assert wait_ready(ahead._box._pidfd, 10_000)
    assert ahead.take(shape(workspace)) is None
    assert leftovers() == []


def test_when_its_gateway_is_gone_a_waiting_box_ends_by_itself(workspace: Path, plan: Plan) -> None:
    box = Box(plan, shape(workspace), None)
    box._shut_gate()  # what the kernel does for a gateway that died
    assert wait_ready(box._pidfd, 20_000)
    assert box.process.wait(10) != 0
    box.close()


def test_when_its_gateway_is_gone_a_built_in_job_never_begins(workspace: Path, plan: Plan) -> None:
    job = Job(("touch", "ran"), mount=Mount.WRITE)
    box = Box(plan, shape(workspace, Mount.WRITE), job)
    box._shut_gate()
    assert wait_ready(box._pidfd, 20_000)
    assert box.process.wait(10) != 0
    box.close()
    assert list(workspace.iterdir()) == []


def test_a_box_ended_while_it_was_told_runs_nothing(workspace: Path, plan: Plan, cancelled: int) -> None:
    plan.running.expect(CallId("c"), SessionId("s"))
    plan.running.kill(SessionId("s"))
    box = Box(plan, shape(workspace, Mount.WRITE), None)
    with pytest.raises(SandboxUnavailable, match="ended before it began"):
        box.begin(errand(workspace, cancelled, "touch", "ran", mount=Mount.WRITE))
    box.close()
    assert list(workspace.iterdir()) == []


@pytest.mark.parametrize(
    "argv", [("printf", "%s|", "", "a b", "é", "\n", "$x"), ("/bin/echo", "--", "-n"), ("true",), ("sh", "-c", "env")]
)
def test_what_is_told_is_what_runs(workspace: Path, plan: Plan, cancelled: int, argv: tuple[str, ...]) -> None:
    said = []
    for built_in in (True, False):
        wish = errand(workspace, cancelled, *argv)
        box = Box(plan, shape(workspace), wish.job if built_in else None)
        box.begin(wish)
        assert box.follow(wish) == ""
        box.end()
        ran: Ran = box.report(wish.job, "", time.monotonic())
        box.close()
        plan.running.remove(wish.call)
        assert ran.exit_code == 0
        said.append(sorted(ran.output.split(b"\n")))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"\1",
        bytes(8),
        tell_program(("touch", "/workspace/ran"), {})[:-1],
        b"\xff\xff\xff\xff\1\0\0\0touch\0",
        b"\6\0\0\0\7\0\0\0touch\0",
        b"\6\0\0\0\3\0\0\0touch\0",
        b"\5\0\0\0\1\0\0\0touch",
    ],
)
def test_a_garbled_telling_runs_nothing(workspace: Path, plan: Plan, told: bytes) -> None:
    box = Box(plan, shape(workspace, Mount.WRITE), None)
    os.write(box._gate, told)
    box._shut_gate()
    assert wait_ready(box._pidfd, 20_000)
    assert box.process.wait(10) == 125
    box.close()
    assert list(workspace.iterdir()) == []


def test_a_jobs_time_begins_with_the_job(workspace: Path, plan: Plan, cancelled: int) -> None:
    """When it begins, the box stands and waits; of the relay's word nothing is left in the output."""
    job = Job(("true",), memory_bytes=256 << 20, processes=16, timeout_ms=30_000)
    wish = Errand(job, workspace, CallId("c"), SessionId("s"), cancelled)
    box = Box(plan, shape(workspace), None)
    box.begin(wish)
    assert box.follow(wish) == ""
    box.end()
    assert box.report(job, "", time.monotonic()).output == b""
    box.close()
    plan.running.remove(wish.call)


def test_a_box_that_fails_to_stand_says_why_and_runs_nothing(workspace: Path, plan: Plan, cancelled: int) -> None:
    broken = dataclasses.replace(plan, runtime=dataclasses.replace(plan.runtime, options=("--no-such-option",)))
    box = Box(broken, shape(workspace, Mount.WRITE), None)
    with pytest.raises(SandboxUnavailable, match="no-such-option"):
        box.begin(errand(workspace, cancelled, "touch", "ran", mount=Mount.WRITE))
    box.close()
    assert plan.running.calls() == ()
    assert list(workspace.iterdir()) == []


def test_a_turn_that_is_stopped_meanwhile_does_not_wait(workspace: Path, plan: Plan, cancelled: int) -> None:
    os.eventfd_write(cancelled, 1)
    box = Box(plan, shape(workspace, Mount.WRITE), None)
    with pytest.raises(SandboxUnavailable, match="stopped meanwhile"):
        box.begin(errand(workspace, cancelled, "touch", "ran", mount=Mount.WRITE))
    box.close()
    assert list(workspace.iterdir()) == []


def test_what_cannot_be_told_is_built_in(workspace: Path) -> None:
    assert can_be_told(Job(("true",)))
    assert not can_be_told(Job(("true",), stdin=b"x"))
    assert not can_be_told(Job(("true", "é" * (MAX_TOLD_BYTES // 4))))
    box = GvisorSandbox(workspace, KEY, WallClock())
    inside = Inside(box, workspace)
    assert inside.shell("echo ${#1}", timeout_ms=30_000).exit_code == 0
    assert inside.run("/bin/sh", "-c", "echo ${#1}", "x", "y" * 100_000).output == b"100000\n"
    assert inside.run("cat", stdin=b"given").output == b"given"
    box.close()


def test_a_told_environment_is_the_jobs_own(workspace: Path) -> None:
    box = GvisorSandbox(workspace, KEY, WallClock())
    said = [
        asyncio.run(box.run(mint(), Job(("env",), variables=(pair,), timeout_ms=30_000))).output
        for pair in (("A", "first"), ("B", "second"))
    ]
    box.close()
    assert (b"A=first" in said[0], b"B=" in said[0]) == (True, False)
    assert (b"A=" in said[1], b"B=second" in said[1]) == (False, True)


def test_the_shape_is_all_that_a_box_is_built_from(workspace: Path) -> None:
    job = Job(("true",), mount=Mount.NONE, memory_bytes=5, processes=6, library=True)
    assert shape_of(job, workspace) == Shape(workspace, Mount.NONE, 5, 6, library=True, led=False)
