"""Running jobs: which there are, and how each is halted, let go on, or ended, from any thread or another process.

Layer: adapters/sandbox; shared by all tiers. Owns the registry and one small file per running job.
Order for a tier: `expect` when the call is taken in, `add` after its walls stand and before its program begins,
`remove` when no process is left.
Why files: while the gateway hangs, a separate process must still be able to end every job (`kill_recorded`).
Laws: what was ended while it was still expected never begins; what begins in a halted session begins halted; a
process is ended by its record only while its start mark is still the recorded one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.cgroup import Group
from carapax.adapters.sandbox.halt import continue_namespace, namespace_of, stop_namespace
from carapax.adapters.sandbox.mark import PREFIX, started
from carapax.core.terms.error import SandboxUnavailable
from carapax.core.terms.ids import CallId, SessionId

MAX_RECORDS = 4_096
MAX_RECORD_BYTES = 8_192
_ENDED = "the job was ended before it began"


@dataclass(frozen=True, slots=True)
class Reach:
    """How one job is reached. Each may raise OSError and is called with the registry's lock held, from any thread."""

    freeze: Callable[[], None]
    thaw: Callable[[], None]
    kill: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Record:
    """What a separate process needs to end the job: processes whose end ends it, and its control group."""

    processes: tuple[int, ...]
    group: Group | None = None


def reach_group(group: Group | None, first: int, first_pidfd: int) -> Reach:
    """Reach a job by its control group, or else by the process namespace whose first process is `first`.

    The descriptor must stay open until the job is removed from the registry. Raises OSError.
    """
    namespace = 0 if group is not None and group.halts else namespace_of(first)

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):  # the namespace's first process takes all others along
            signal.pidfd_send_signal(first_pidfd, signal.SIGKILL)
        if group is not None:
            group.kill()

    if group is not None and group.halts:
        return Reach(group.freeze, group.thaw, kill)
    return Reach(lambda: stop_namespace(namespace), lambda: continue_namespace(namespace), kill)


@dataclass(slots=True)
class _Running:
    session: SessionId
    reach: Reach | None = None  # None while its walls are being built
    ended: bool = False


class RunningJobs:
    """The jobs of one gateway. With a folder, each running job also has a file there."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._jobs: dict[CallId, _Running] = {}
        self._halted: set[SessionId | None] = set()
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def expect(self, call: CallId, session: SessionId) -> None:
        """A job is about to be built; until `add` it can be ended but not halted."""
        with self._lock:
            self._jobs[call] = _Running(session)

    def add(self, call: CallId, session: SessionId, reach: Reach, record: Record | None = None) -> None:
        """The job stands behind its walls and may begin after this. Raises SandboxUnavailable when it may not."""
        with self._lock:
            known = self._jobs.setdefault(call, _Running(session))
            if known.ended:
                raise SandboxUnavailable(_ENDED, next_step="See why it was stopped (`carapax incidents`).")
            try:
                if self._folder is not None and record is not None:
                    _write(self._folder, call, session, record)
                if self._halted & {None, session}:
                    reach.freeze()
            except OSError as error:
                raise SandboxUnavailable(
                    f"the running job could not be recorded or halted: {error}", next_step="Run `carapax doctor`."
                ) from error
            known.reach = reach

    def remove(self, call: CallId) -> None:
        """No process of the job is left, or it never began."""
        with self._lock:
            self._jobs.pop(call, None)
            if self._folder is not None:
                (self._folder / _file_name(call)).unlink(missing_ok=True)

    def calls(self, session: SessionId | None = None) -> tuple[CallId, ...]:
        """The calls whose jobs are running or being built."""
        with self._lock:
            return tuple(call for call, _ in self._of(session))

    def freeze(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Halt the running jobs of a session (None: all), and those that begin before `thaw`; returns their calls."""
        with self._lock:
            self._halted.add(session)
            return self._each(session, lambda reach: reach.freeze())

    def thaw(self, session: SessionId | None) -> tuple[CallId, ...]:
        """Let halted jobs go on. None lets every session's go on."""
        with self._lock:
            self._halted = set() if session is None else self._halted - {session}
            return self._each(session, lambda reach: reach.thaw())

    def kill(self, session: SessionId | None) -> tuple[CallId, ...]:
        """End the running jobs of a session (None: all), and those still being built; returns their calls."""
        with self._lock:
            for _, job in self._of(session):
                job.ended = True
            return self._each(session, lambda reach: reach.kill(), unbuilt=True)

    def _of(self, session: SessionId | None) -> list[tuple[CallId, _Running]]:
        return [(call, job) for call, job in self._jobs.items() if session is None or job.session == session]

    def _each(
        self, session: SessionId | None, act: Callable[[Reach], None], *, unbuilt: bool = False
    ) -> tuple[CallId, ...]:
        """Act on each; one that fails does not keep the others from it."""
        done: list[CallId] = []
        for call, job in self._of(session):
            if job.reach is None:
                done += [call] if unbuilt else []
                continue
            with contextlib.suppress(OSError):
                act(job.reach)
                done.append(call)
        return tuple(done)


def kill_recorded(folder: Path) -> int:
    """End every job that has a file in the folder, from any process on this machine; returns how many were alive."""
    ended = 0
    try:
        paths = sorted(folder.glob("*.json"))[:MAX_RECORDS]
    except OSError:
        return 0
    for path in paths:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            ended += _end_recorded(json.loads(path.read_bytes()[:MAX_RECORD_BYTES]))
        path.unlink(missing_ok=True)
    return ended


def _end_recorded(told: dict[str, object]) -> bool:
    alive = False
    pairs = told["processes"]
    if told["namespace"] == namespace_of(os.getpid()) and isinstance(pairs, list):
        for pid, since in pairs:
            alive |= _end_process(int(pid), str(since))
    paths, freezer, version = told["groups"], told["freezer"], told["version"]
    if not isinstance(paths, list) or not isinstance(version, int) or not paths:
        return alive
    group = Group(version, tuple(map(Path, paths)), Path(freezer) if isinstance(freezer, str) else None)
    if all(_is_ours(path) for path in group.everywhere):
        # Its gateway may remove the group at any moment; what was ended before that counts all the same.
        with contextlib.suppress(OSError):
            alive |= any(
                (path / "cgroup.procs").read_text().strip() != "" for path in group.everywhere if path.exists()
            )
        with contextlib.suppress(OSError):
            group.kill()
    return alive


def _is_ours(path: Path) -> bool:
    return path.name.startswith(PREFIX) and ".." not in path.parts and (path / "cgroup.procs").exists()


def _end_process(pid: int, since: str) -> bool:
    if pid <= 1 or not since or started(pid) != since:
        return False
    pidfd = os.pidfd_open(pid)
    try:
        if started(pid) != since:  # held now: what is ended is what was looked at
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)
    return True


def _file_name(call: CallId) -> str:
    return hashlib.sha256(call.encode("utf-8", "surrogateescape")).hexdigest()[:40] + ".json"


def _write(folder: Path, call: CallId, session: SessionId, record: Record) -> None:
    group = record.group
    told = {
        "call": call,
        "session": session,
        "namespace": namespace_of(os.getpid()),
        "processes": [[pid, started(pid)] for pid in record.processes],
        "version": group.version if group is not None else 0,
        "groups": [str(path) for path in group.paths] if group is not None else [],
        "freezer": str(group.freezer) if group is not None and group.freezer is not None else None,
    }
    target = folder / _file_name(call)
    written = target.with_suffix(".new")
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:
        json.dump(told, file)
    written.rename(target)
