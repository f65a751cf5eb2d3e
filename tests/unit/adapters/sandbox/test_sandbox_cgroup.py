"""Finding, making and removing control groups, against folders that look like the kernel's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from carapax.adapters.sandbox import cgroup
from carapax.adapters.sandbox.bwrap import mechanism
from carapax.adapters.sandbox.cgroup import Group, Tree, find_tree
from carapax.adapters.sandbox.mark import is_abandoned, own_mark
from carapax.core.terms.error import SandboxUnavailable

ME = os.getpid()
NAMESPACE = os.stat("/proc/self/ns/pid").st_ino


def folder(path: Path, given: str = "", procs: str = "") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "cgroup.subtree_control").write_text(given)
    (path / "cgroup.procs").write_text(procs)
    return path


def v2(root: Path) -> str:
    return f"proc /proc proc rw 0 0\ncgroup2 {root} cgroup2 rw,nosuid 0 0\n"


def test_version_2_at_the_root(tmp_path: Path) -> None:
    folder(tmp_path, "cpu memory pids")
    assert find_tree(v2(tmp_path), "0::/\n", ME) == Tree(2, (tmp_path,))


def test_version_2_delegated_to_us_alone(tmp_path: Path) -> None:
    own = folder(tmp_path / "carapax.service", "", f"{ME}\n")
    folder(own / "carapax-gateway")
    monkey = find_tree(v2(tmp_path), "0::/carapax.service\n", ME)
    assert (own / "carapax-gateway" / "cgroup.procs").read_text() == str(ME)
    assert (own / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert monkey is None  # plain files do not turn "+memory" into "memory"; the kernel does, as in the next test
    (own / "cgroup.subtree_control").write_text("memory pids")
    assert find_tree(v2(tmp_path), "0::/carapax.service/carapax-gateway\n", ME) == Tree(2, (own,))


def test_version_2_with_others_in_our_group_goes_beside(tmp_path: Path) -> None:
    folder(tmp_path / "user.slice", "memory pids")
    folder(tmp_path / "user.slice" / "session-1.scope", "", f"{ME}\n1\n")
    assert find_tree(v2(tmp_path), "0::/user.slice/session-1.scope\n", ME) == Tree(2, (tmp_path / "user.slice",))


def test_version_2_without_the_controllers_is_none(tmp_path: Path) -> None:
    folder(tmp_path, "cpu")
    folder(tmp_path / "a", "pids", "1\n")
    assert find_tree(v2(tmp_path), "0::/a\n", ME) is None


def test_version_1_under_our_own_groups(tmp_path: Path) -> None:
    for name in ("memory", "pids"):
        (tmp_path / name / "own").mkdir(parents=True)
    mounts = "".join(f"cgroup {tmp_path / n} cgroup rw,{n} 0 0\n" for n in ("memory", "pids"))
    own = "4:memory:/own\n8:pids:/elsewhere\n"
    assert find_tree(mounts, own, ME) == Tree(1, (tmp_path / "memory" / "own", tmp_path / "pids"))


def test_version_1_with_one_controller_missing_is_none(tmp_path: Path) -> None:
    assert find_tree(f"cgroup {tmp_path} cgroup rw,memory 0 0\n", "4:memory:/\n", ME) is None


def test_nothing_mounted_is_none() -> None:
    assert find_tree("", "", ME) is None
    assert find_tree("x\n", "y\n", ME) is None


def test_root_without_control_groups_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanism, "find_tree", lambda *_: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SandboxUnavailable, match="do not bind root") as refused:
        mechanism.find_walls()
    assert "ordinary user" in refused.value.next_step
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "per-process" in mechanism.find_walls().ceilings


def test_the_ceilings_of_version_2_are_written(tmp_path: Path) -> None:
    group = Tree(2, (tmp_path,)).make(1 << 20, 10)
    (only,) = group.paths
    written = {path.name: path.read_text() for path in only.iterdir()}
    assert written == {"memory.max": "1048576", "memory.oom.group": "1", "pids.max": "12"}


@pytest.mark.parametrize(
    ("version", "name", "text", "ended"),
    [
        (2, "memory.events", "low 0\noom 1\noom_kill 1\noom_group_kill 0\n", True),
        (2, "memory.events", "low 0\noom 3\noom_kill 0\noom_group_kill 0\n", False),
        (1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", True),
        (1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", False),
    ],
)
def test_an_end_for_want_of_memory_is_seen(tmp_path: Path, version: int, name: str, text: str, ended: bool) -> None:
    (tmp_path / name).write_text(text)
    assert Group(version, (tmp_path,)).memory_ended() is ended


def test_a_group_that_cannot_be_made_names_the_fault(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="could not be made"):
        Tree(2, (tmp_path / "gone",)).make(1, 1)


def real_tree() -> Tree:
    tree = find_tree(Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text(), ME)
    if tree is None:
        pytest.skip("no control group can be made here")
    return tree


def test_removing_a_real_group_ends_what_is_in_it() -> None:
    group = real_tree().make(64 << 20, 10)
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        group.add(sleeper.pid)
        group.remove()
        assert sleeper.wait(10) == -9
        assert not any(path.exists() for path in group.paths)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_what_a_dead_gateway_left_is_swept_and_a_live_ones_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = real_tree()
    mine = tree.make(64 << 20, 10)
    monkeypatch.setattr(cgroup, "own_mark", lambda: f"carapax-{NAMESPACE}-{ME}-1")  # the same pid, another process
    stale = tree.make(64 << 20, 10)
    monkeypatch.undo()
    try:
        tree.sweep()
        assert all(path.exists() for path in mine.paths)
        assert not any(path.exists() for path in stale.paths)
    finally:
        mine.discard()
        stale.discard()


def test_only_a_dead_gateways_mark_counts_as_abandoned() -> None:
    assert not is_abandoned(f"{own_mark()}-3")
    assert is_abandoned(f"carapax-{NAMESPACE}-{ME}-1-3")
    assert not is_abandoned(f"carapax-{NAMESPACE + 1}-{ME}-1-3")  # another container's; it may well be alive
    for other in ("filter", "carapax-gateway", f"carapax-x-{ME}-1", f"other-{NAMESPACE}-{ME}-1", "carapax-1-2"):
        assert not is_abandoned(other)


def test_a_process_of_another_namespace_in_a_group_is_never_signalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signalled: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: signalled.append(pid))
    (tmp_path / "cgroup.procs").write_text("0\n5\n0\n")
    Group(1, (tmp_path,))._kill(tmp_path)
    assert signalled == [5]


def test_a_process_steps_in_by_the_file_that_makes_it_wait_for_nobody(tmp_path: Path) -> None:
    memory, pids, freezer = (tmp_path / name for name in ("memory", "pids", "freezer"))
    assert Group(1, (memory, pids), freezer).doors == (memory / "tasks", pids / "tasks", freezer / "tasks")
    # Version 2 refuses single threads in a group of whole processes.
    assert Group(2, (memory,)).doors == (memory / "cgroup.procs",)


def test_what_steps_in_by_a_door_is_held_with_its_children() -> None:
    tree = mechanism.find_walls().tree
    if tree is None:
        pytest.skip("no control group can be made here")
    group = tree.make(64 << 20, 8)
    steps = " && ".join(f"echo 0 > {door}" for door in group.doors)
    child = subprocess.Popen(["/bin/sh", "-c", f"{steps} && cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(b"in\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"in\n"
        assert group.holds(child.pid)
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        assert all(group.holds(int(pid)) for pid in children)
    finally:
        child.kill()
        child.communicate(timeout=10)
        group.remove()
