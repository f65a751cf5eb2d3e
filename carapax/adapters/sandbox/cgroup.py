"""Control groups: one per job, for memory and process ceilings, for halting it, and for a certain end.

Layer: adapters/sandbox. Owns finding a place where groups can be made (version 2 or 1), making one, halting and
ending what is in it, and removing it, which the kernel allows only when no process of the job is left.
Absent: CPU shares.
Laws: a group lies below or beside the gateway's own, so the operator's ceilings on the gateway still hold; a
group of version 1 can be halted only where the freezer is mounted too.
Source: kernel documentation, cgroup-v2.rst, cgroup-v1/memory.rst, pids.rst, freezer-subsystem.rst.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.mark import PREFIX, is_abandoned, own_mark
from carapax.core.terms.error import SandboxUnavailable

_GATEWAY = "carapax-gateway"
EMPTY_WITHIN_MS = 5_000
HALT_WITHIN_MS = 200  # until the kernel says that every process stands; the order itself holds at once
_CONTROLLERS = ("memory", "pids", "freezer")
_SEQUENCE = itertools.count(1)
_OUR_PROCESSES = 2  # bubblewrap outside and its reaper inside, counted with the job's own


@dataclass(frozen=True, slots=True)
class Tree:
    """Where groups can be made: the folders under which each job gets one."""

    version: int
    bases: tuple[Path, ...]  # one for version 2; memory, then pids for version 1
    freezer: Path | None = None  # of version 1, where it is mounted

    def make(self, memory_bytes: int, processes: int) -> Group:
        """A new group with its ceilings set. Raises SandboxUnavailable; nothing is left then."""
        name = f"{own_mark()}-{next(_SEQUENCE)}"
        freezer = self.freezer / name if self.freezer is not None else None
        group = Group(self.version, tuple(base / name for base in self.bases), freezer)
        try:
            for path in group.everywhere:
                path.mkdir()
            for path, name, value in _ceilings(group, memory_bytes, processes):
                (path / name).write_text(str(value))
            _no_swap(group, memory_bytes)
        except OSError as error:
            group.discard()
            raise SandboxUnavailable(
                f"a control group for the job could not be made: {error}",
                next_step="See that the gateway may write its control group (systemd: `Delegate=yes`), then restart it.",
            ) from error
        return group

    def sweep(self) -> None:
        """End and remove what gateways that were killed left behind."""
        bases = self.bases if self.freezer is None else (*self.bases, self.freezer)
        for path in (child for base in bases for child in base.glob(f"{PREFIX}*-*-*")):
            if is_abandoned(path.name):
                Group(self.version, (path,), path if path.parent == self.freezer else None).discard()


@dataclass(frozen=True, slots=True)
class Group:
    """One job's group: memory and processes counted together."""

    version: int
    paths: tuple[Path, ...]
    freezer: Path | None = None

    @property
    def everywhere(self) -> tuple[Path, ...]:
        """Its folders in every hierarchy."""
        return self.paths if self.freezer is None else (*self.paths, self.freezer)

    @property
    def doors(self) -> tuple[Path, ...]:
        """The files by which a process of one thread steps in itself, writing "0".

        In version 1 by `tasks`: through `cgroup.procs` the kernel first waits until no process forks or ends, 5 to 15 ms.
        """
        return tuple(path / ("cgroup.procs" if self.version == 2 else "tasks") for path in self.everywhere)

    @property
    def halts(self) -> bool:
        """Can `freeze` halt it?"""
        return self.version == 2 or self.freezer is not None

    def add(self, pid: int) -> None:
        """Move one process in; its children follow. Raises OSError."""
        for path in self.everywhere:
            (path / "cgroup.procs").write_text(str(pid))

    def holds(self, pid: int) -> bool:
        """Is the process in it, in every hierarchy? Raises OSError."""
        rows = Path("/proc", str(pid), "cgroup").read_text().splitlines()
        return sum(row.rpartition("/")[2] == self.paths[0].name for row in rows) >= len(self.everywhere)

    def freeze(self) -> None:
        """Halt every process in it and wait, within HALT_WITHIN_MS, until each stands. Raises OSError."""
        self._order_halt(halted=True)
        give_up = time.monotonic() + HALT_WITHIN_MS / 1000
        while not self._stands():
            if time.monotonic() > give_up:
                raise TimeoutError("a process of the job does not halt")
            time.sleep(0.0002)

    def thaw(self) -> None:
        """Let every process in it go on. Raises OSError."""
        self._order_halt(halted=False)

    def kill(self) -> None:
        """End every process in it, halted or not, without waiting until they are gone. Raises OSError."""
        for path in self.everywhere:
            self._kill(path)
        if self.version == 1 and self.freezer is not None:
            self._order_halt(halted=False)  # version 1 keeps even the killed standing until it is told to go on

    def _order_halt(self, *, halted: bool) -> None:
        if self.version == 2:
            (self.paths[0] / "cgroup.freeze").write_text("1" if halted else "0")
        elif self.freezer is not None:
            (self.freezer / "freezer.state").write_text("FROZEN" if halted else "THAWED")
        else:
            raise OSError(errno.ENOTSUP, "no freezer is mounted")

    def _stands(self) -> bool:
        if self.version == 2:
            return "frozen 1" in (self.paths[0] / "cgroup.events").read_text().splitlines()
        return self.freezer is not None and (self.freezer / "freezer.state").read_text().strip() == "FROZEN"

    def memory_ended(self) -> bool:
        """True when the kernel ended a process of this job for want of memory."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        try:
            rows = (self.paths[0] / name).read_text().split("\n")
        except OSError:
            return False
        return any(row.startswith("oom_kill ") and row != "oom_kill 0" for row in rows)

    def remove(self) -> None:
        """End every process still inside and remove the group. Raises OSError when one will not go."""
        give_up = time.monotonic() + EMPTY_WITHIN_MS / 1000
        left = [path for path in self.everywhere if path.exists()]
        while left:
            for path in tuple(left):
                try:
                    path.rmdir()
                    left.remove(path)
                except OSError:
                    if time.monotonic() > give_up:
                        raise
                    self._kill(path)
                    with contextlib.suppress(OSError):  # what is halted cannot go
                        self._order_halt(halted=False)
            if left:
                time.sleep(0.001)

    def discard(self) -> None:
        """Remove what there is of it, without complaint."""
        with contextlib.suppress(OSError):
            self.remove()

    def _kill(self, path: Path) -> None:
        if self.version == 2:
            with contextlib.suppress(OSError):  # kernels before 5.14 lack it
                (path / "cgroup.kill").write_text("1")
                return
        with contextlib.suppress(OSError):
            for pid in map(int, (path / "cgroup.procs").read_text().split()):
                if pid > 0:  # 0 stands for a process of another namespace, and to kill(2) for our own group
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


def _ceilings(group: Group, memory_bytes: int, processes: int) -> list[tuple[Path, str, int]]:
    count = processes + _OUR_PROCESSES
    if group.version == 2:
        only = group.paths[0]
        return [(only, "memory.max", memory_bytes), (only, "memory.oom.group", 1), (only, "pids.max", count)]
    memory, pids = group.paths
    return [(memory, "memory.limit_in_bytes", memory_bytes), (pids, "pids.max", count)]


def _no_swap(group: Group, memory_bytes: int) -> None:
    # Kernels without swap accounting lack these files; then the host's own swap ceiling holds.
    path = group.paths[0]
    name, value = ("memory.swap.max", 0) if group.version == 2 else ("memory.memsw.limit_in_bytes", memory_bytes)
    if (path / name).exists():
        (path / name).write_text(str(value))


def find_tree(mounts: str, own: str, me: int) -> Tree | None:
    """Where this process may make groups, or None. `mounts` and `own` are /proc/self/mounts and /proc/self/cgroup."""
    where = _own_paths(own)
    points = _mount_points(mounts)
    if "" in points and (base := _version_2(points[""], where.get("", "/"), me)):
        return Tree(2, (base,))
    if "memory" in points and "pids" in points:
        bases = tuple(_version_1(points[name], where.get(name, "/")) for name in ("memory", "pids"))
        freezer = _version_1(points["freezer"], where.get("freezer", "/")) if "freezer" in points else None
        if all(os.access(base, os.W_OK) for base in bases):
            return Tree(1, bases, freezer if freezer is not None and os.access(freezer, os.W_OK) else None)
    return None


def _own_paths(own: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in own.splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        found |= dict.fromkeys(names.split(","), path)
    return found


def _mount_points(mounts: str) -> dict[str, Path]:
    """Controller to mount point; "" is version 2."""
    found: dict[str, Path] = {}
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        if fields[2] == "cgroup2":
            found[""] = Path(fields[1])
        elif fields[2] == "cgroup":
            found |= {option: Path(fields[1]) for option in fields[3].split(",") if option in _CONTROLLERS}
    return found


def _version_1(point: Path, own: str) -> Path:
    below = point / own.lstrip("/")
    return below if below.is_dir() else point


def _version_2(point: Path, own: str, me: int) -> Path | None:
    below = point / own.lstrip("/")
    if not below.is_dir() or ".." in Path(own).parts:
        below = point
    if below.name == _GATEWAY and _gives(below.parent):
        return below.parent
    if _gives(below) or _delegated(below, me):
        return below
    # A group that holds processes cannot hold ruled groups; one beside it can, where we may write.
    beside = below.parent
    return beside if below != point and _gives(beside) else None


def _gives(path: Path) -> bool:
    """May groups with memory and process ceilings be made here, and processes moved in?"""
    try:
        given = (path / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False
    return {"memory", "pids"} <= set(given) and os.access(path, os.W_OK) and os.access(path / "cgroup.procs", os.W_OK)


def _delegated(path: Path, me: int) -> bool:
    """Take over a group that is ours alone: step into a child of it, then hand the controllers down."""
    try:
        if set((path / "cgroup.procs").read_text().split()) - {str(me)} or not os.access(path, os.W_OK):
            return False
        (path / _GATEWAY).mkdir(exist_ok=True)
        (path / _GATEWAY / "cgroup.procs").write_text(str(me))
        (path / "cgroup.subtree_control").write_text("+memory +pids")
    except OSError:
        return False
    return _gives(path)
