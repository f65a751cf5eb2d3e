"""Launch: one job in one copy of the machine, from the restore until the copy is gone. Blocking; runs in a thread.

Layer: adapters/sandbox/vm. Owns the talk with the copy, the bounded reading of output, and the early end.
Order: copy the workspace → restore, held at its gate → ceilings, registry → fresh randomness and the job → its output
→ what it changed → the copy is gone → what it changed is written back.
Laws: a copy runs one job and is never used again; at most the ceiling of output is kept; nothing is written on the
host before the copy is gone; a job ended by a person or by its turn brings nothing back.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.recipe import INSIDE, System
from carapax.adapters.sandbox.cgroup import Tree
from carapax.adapters.sandbox.vm.copy import MAX_COPY_FILES, Brought, know, read_workspace, write_back
from carapax.adapters.sandbox.vm.mux import Attach, open_way
from carapax.adapters.sandbox.vm.original import IGNORE_SHARED, Snapshot, monitor_word
from carapax.adapters.sandbox.vm.qemu import MEMORY_BYTES
from carapax.adapters.sandbox.vm.spawn import Inner, Spawned
from carapax.adapters.sandbox.vm.wire import (
    SEED_BYTES,
    Ceilings,
    Frames,
    Order,
    Record,
    parse_archive,
    render_archive,
    render_order,
    render_seed,
)
from carapax.adapters.sandbox.way import CA_INSIDE, way_variables
from carapax.core.terms.error import Malformed, SandboxUnavailable
from carapax.ports.sandbox import Job, Mount, Ran

GUEST_KEEPS_BYTES = 192 << 20  # of the guest's memory, for its kernel and the workspace's copy
MAX_BROUGHT_BYTES = 128 << 20
STOP_WITHIN_MS = 5_000  # for a job that met a limit to hand over what it changed
MAX_NAMED = 5
_CHUNK_BYTES = 262_144
_KILLED = 137
_FIXED = {"HOME": "/tmp", "LANG": "C.UTF-8", "TERM": "dumb", "USER": "agent", "PWD": INSIDE}  # noqa: S108 - inside
_BROKEN = "Run `carapax doctor --walls`; if it repeats, fetch another kernel with `sh scripts/guest_kernel.sh FOLDER`."


@dataclass(frozen=True, slots=True)
class Plan:
    """What all jobs of one sandbox share."""

    snapshot: Snapshot
    tree: Tree | None
    system: System
    filter: bytes
    bounds: Bounds
    interpreter: str  # its folder when it is shown beside /usr
    library: str
    attach: Attach | None = None  # hands the proxy a listener


@dataclass(frozen=True, slots=True)
class Launch:
    """One job, and what its launch tells others."""

    job: Job
    workspace: Path
    cancelled: int  # turns readable when the job must end early
    standing: Callable[[Spawned], None]  # it may begin after this; raises SandboxUnavailable when it may not
    ended: Callable[[], None]


def launch(plan: Plan, errand: Launch) -> Ran:
    """Run a bounded job to its end. Raises SandboxUnavailable; unless its text says otherwise, nothing was run."""
    began = time.monotonic()
    job = errand.job
    taken = read_workspace(errand.workspace) if job.mount is not Mount.NONE else ()
    with contextlib.ExitStack() as owner:
        state = os.open(f"/proc/self/fd/{plan.snapshot.state}", os.O_RDONLY | os.O_CLOEXEC)
        owner.callback(os.close, state)
        copy = Spawned(plan.snapshot.machine, Inner(plan.snapshot.memory, state=state), plan.tree, owner)
        owner.callback(errand.ended)
        if job.way is not None:
            owner.enter_context(open_way(copy.way, plan.attach, job.way))
        errand.standing(copy)
        with contextlib.suppress(OSError):  # it was killed meanwhile; the talk will find it gone
            copy.monitor.sendall(_restore_words(copy))
        copy.open()
        talk = _Talk(copy, job, _message(plan, job, taken))
        ended_by = talk.follow(began + job.timeout_ms / 1000, errand.cancelled)
        talk.said = "" if talk.done else copy.said()
        copy.end()
        if not talk.done and copy.group is not None and copy.group.memory_ended():
            raise _broken("its own process took more memory than it may")
    ended_by = ended_by or talk.ended_by()
    notes = b""
    if talk.done and job.mount is Mount.WRITE:
        notes = _bring_back(errand.workspace, taken, bytes(talk.archive))
    output = bytes(talk.kept) + notes[: max(job.output_bytes - len(talk.kept), 0)]
    code = None if ended_by else talk.code
    return Ran(code, output, talk.over, ended_by, int((time.monotonic() - began) * 1000))


def _restore_words(copy: Spawned) -> bytes:
    begin = {"uri": f"fd:{copy.ends.state}"}
    words: tuple[tuple[str, object], ...]
    words = (("qmp_capabilities", {}), ("migrate-set-capabilities", IGNORE_SHARED), ("migrate-incoming", begin))
    return b"".join(monitor_word(name, given) for name, given in words)


def _message(plan: Plan, job: Job, taken: tuple[Record, ...]) -> bytes:
    bounds = plan.bounds
    memory = min(job.memory_bytes, MEMORY_BYTES - GUEST_KEEPS_BYTES)
    authority = job.way.authority if job.way is not None else b""
    order = Order(
        argv=job.argv,
        variables={**_FIXED, "PATH": plan.system.path, **dict(way_variables(job.way)), **dict(job.variables)},
        mount=job.mount.value[0],
        ceilings=Ceilings(
            memory, job.processes, bounds.tmp_bytes, bounds.shm_bytes, bounds.file_bytes, bounds.open_files
        ),
        filter=plan.filter,
        files={Path(CA_INSIDE).name: authority} if authority else {},
        stdin=job.stdin,
        archive=render_archive(taken),
        interpreter=plan.interpreter,
        library=plan.library if job.library else "",
        way=job.way is not None,
    )
    return render_seed(secrets.token_bytes(SEED_BYTES), time.time_ns()) + render_order(order)


@dataclass(slots=True)
class _Talk:
    """What is said to a copy and what it answers."""

    copy: Spawned
    job: Job
    message: bytes
    kept: bytearray = field(default_factory=bytearray)
    archive: bytearray = field(default_factory=bytearray)
    over: bool = False
    done: bool = False  # it told its program's end, and all that it changed
    code: int | None = None
    memory: bool = False
    said: str = ""
    _sent: int = 0
    _frames: Frames = field(default_factory=Frames)

    def follow(self, deadline: float, cancelled: int) -> str:
        """Talk until the job ends by itself ("") or meets a limit ("time", "output"); cancelled is "time"."""
        self.copy.control.setblocking(False)
        ended_by = ""
        while not self.done:
            ready = self._wait(deadline, cancelled)
            if cancelled in ready:
                return "time"
            if not ready and ended_by:
                return ended_by
            if self._said(ready) or (self.copy.outside in ready and self._said({self.copy.control.fileno()})):
                return ended_by
            limit = "output" if self.over else "" if ready else "time"
            if limit and not ended_by and not self.done:
                ended_by, deadline = limit, time.monotonic() + STOP_WITHIN_MS / 1000
                if not self._stop():
                    return ended_by
        return ended_by

    def ended_by(self) -> str:
        """The limit that the copy itself enforced; raises SandboxUnavailable when it broke."""
        if self.done:
            return "memory" if self.memory and self.code != 0 else ""
        if self.copy.process.returncode < 0:  # killed from outside: a person, or the breaker
            self.code = _KILLED
            return ""
        raise _broken(self.said or "it stopped by itself")

    def _wait(self, deadline: float, cancelled: int) -> set[int]:
        waiting = select.poll()
        waiting.register(cancelled, select.POLLIN)
        waiting.register(self.copy.outside, select.POLLIN)
        wish = select.POLLIN | (select.POLLOUT if self._sent < len(self.message) else 0)
        waiting.register(self.copy.control, wish)
        left_ms = (deadline - time.monotonic()) * 1000
        return {descriptor for descriptor, _ in waiting.poll(left_ms)} if left_ms > 0 else set()

    def _stop(self) -> bool:
        """Ask the copy to end its job and hand over what it changed; False when there is nothing to hand over."""
        if self.job.mount is not Mount.WRITE or self._sent < len(self.message):
            return False
        with contextlib.suppress(OSError):
            return self.copy.control.send(b"k") == 1
        return False

    def _said(self, ready: set[int]) -> bool:
        """Pass on and take in what can be now; True when the copy is gone."""
        if self.copy.control.fileno() not in ready:
            return self.copy.outside in ready
        try:
            if self._sent < len(self.message):
                with contextlib.suppress(BlockingIOError):
                    self._sent += self.copy.control.send(self.message[self._sent : self._sent + _CHUNK_BYTES])
            piece = self.copy.control.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            return True
        try:
            for kind, content in self._frames.feed(piece):
                self._take(kind, content)
        except Malformed as error:
            raise _broken(error.what) from error
        return not piece

    def _take(self, kind: str, content: bytes) -> None:
        match kind:
            case "O":
                room = self.job.output_bytes - len(self.kept)
                self.kept += content[:room]
                self.over = self.over or len(content) > room
            case "W":
                self.archive += content
                if len(self.archive) > MAX_BROUGHT_BYTES:
                    raise Malformed("its workspace grew beyond what is brought back")
            case "E" if len(content) == 2:
                self.code, self.memory, self.done = content[0], bool(content[1]), True
            case "F":
                raise SandboxUnavailable(
                    f"the machine could not build the job: {content.decode('utf-8', 'replace')[:200]}",
                    next_step=_BROKEN,
                )
            case _:
                raise Malformed("it said something out of turn")


def _broken(why: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"the disposable machine broke: {why}",
        kept="Nothing of the job came out of the machine; the workspace is as it was.",
        next_step=_BROKEN,
    )


def _bring_back(workspace: Path, taken: tuple[Record, ...], archive: bytes) -> bytes:
    try:
        after = parse_archive(archive, MAX_COPY_FILES)
    except Malformed as error:
        raise _broken(error.what) from error
    brought = write_back(workspace, {record.path: know(record) for record in taken}, after)
    return _notes(brought)


def _notes(brought: Brought) -> bytes:
    lines = [
        _note("kept as somebody else changed it meanwhile", brought.kept),
        _note("protected, so not changed", brought.protected),
    ]
    return b"".join(line for line in lines if line)


def _note(words: str, paths: tuple[bytes, ...]) -> bytes:
    if not paths:
        return b""
    named = ", ".join(repr(path.decode("utf-8", "replace")) for path in paths[:MAX_NAMED])
    more = f" and {len(paths) - MAX_NAMED} more" if len(paths) > MAX_NAMED else ""
    return f"[carapax: {words}: {named}{more}]\n".encode()
