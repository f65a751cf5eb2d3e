"""Worker: one process of the Monty interpreter, behind bubblewrap, started ahead of its one job and then thrown away.

Layer: adapters/sandbox/pure. Blocking; runs in threads. Owns the process's folder, group and wall.
Why a wall around an interpreter without system access: a fault of the interpreter's own then still meets one.
Absent: external functions, mounts, the host's clock settings; none is ever handed in.
Laws: a worker serves one job; what ends a job ends its worker; no wait is unbounded.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carapax.adapters.sandbox.bwrap.mechanism import Walls
from carapax.adapters.sandbox.cgroup import Group
from carapax.adapters.sandbox.mark import PREFIX, is_abandoned, own_mark
from carapax.core.terms.error import SandboxUnavailable
from carapax.ports.sandbox import Ran

HEAP_BYTES = 16 << 20
MOST_MS = 5_000
MAX_DEPTH = 200
GROUP_BYTES = 256 << 20  # of the whole process, a ceiling for the interpreter's own faults
ADDRESS_BYTES = 2 << 30
_PROCESSES = 4
_OVERTIME_MS = 1_000
_START_WITHIN_MS = 10_000
_BUSY_TRIES, _BUSY_PAUSE_S = 200, 0.005
_FAULT, _KILLED = 1, 137
_INSTALL = "Install it with Carapax's locked dependencies (`make setup`: pydantic-monty)."
_BUBBLEWRAP = (
    *("--unshare-all", "--as-pid-1", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
    *("--uid", "1000", "--gid", "1000", "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib"),
    *("--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--seccomp", "9"),
)


def find_program() -> Path:
    """The interpreter's program, from Carapax's own environment alone. Raises SandboxUnavailable."""
    program = Path(sysconfig.get_path("scripts"), "monty").resolve()
    if not program.is_file():
        raise SandboxUnavailable("the interpreter of tier 0 (Monty) is not installed", next_step=_INSTALL)
    return program


@dataclass(frozen=True, slots=True)
class _Ceilings:
    """Of one computation."""

    time_ms: int
    output_bytes: int
    heap_bytes: int


class Worker:
    """Started when made. `run` may be called once, then `close`; `freeze`, `thaw`, `kill` from any thread."""

    def __init__(self, walls: Walls, program: Path) -> None:
        import pydantic_monty

        self._monty = pydantic_monty
        self._stack = contextlib.ExitStack()
        self._ended = False
        try:
            self.group = self._make_group(walls)
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{own_mark()}-pure-")))
            self._pid_file, self._begun = folder / "pid", folder / "begun"
            (folder / "filter").write_bytes(walls.filter)
            wrapper = folder / "monty"
            wrapper.write_text(self._script(walls.bubblewrap, program, folder))
            wrapper.chmod(0o700)
            self._pool = self._open_pool(wrapper)
        except OSError as error:
            self.close()
            raise SandboxUnavailable(f"a computation could not be walled in: {error}", next_step=_INSTALL) from error
        except BaseException:
            self.close()
            raise

    def _open_pool(self, wrapper: Path) -> Any:
        """The pool of one worker, begun. Raises SandboxUnavailable."""
        for left in reversed(range(_BUSY_TRIES)):
            pool = self._monty.Monty(
                binary_path=wrapper,
                min_processes=1,
                max_processes=1,
                max_checkouts_per_worker=1,
                checkout_timeout=_START_WITHIN_MS / 1000,
                request_timeout=(MOST_MS + _OVERTIME_MS) / 1000,
            )
            try:
                return self._stack.enter_context(pool)
            except RuntimeError as error:
                # A process forked meanwhile by another thread holds the file that was just written, until its exec.
                if left == 0 or "busy" not in str(error):
                    raise _not_started(error) from error
                time.sleep(_BUSY_PAUSE_S)
        raise _not_started(TimeoutError("its file stays busy"))

    def _make_group(self, walls: Walls) -> Group | None:
        if walls.tree is None:
            return None
        group = walls.tree.make(GROUP_BYTES, _PROCESSES)
        self._stack.callback(group.discard)
        return group

    def _script(self, bubblewrap: str, program: Path, folder: Path) -> str:
        """What the pool starts in the interpreter's place: into the group, under its limits, behind the wall."""
        quote = shlex.quote
        joined = () if self.group is None else self.group.everywhere
        words = [bubblewrap, *_BUBBLEWRAP, "--ro-bind", str(program), "/monty", "--remount-ro", "/", "--", "/monty"]
        lines = (
            "#!/bin/sh",
            f"echo $$ > {quote(str(self._pid_file))} || exit 1",
            *(f"echo $$ > {quote(str(path / 'cgroup.procs'))} || exit 1" for path in joined),
            "exec 2> /dev/null",  # what the interpreter says of itself is not for the gateway's own terminal
            f"mkdir {quote(str(self._begun))} || exit 1",  # the pool would replace a worker that was ended
            f"ulimit -c 0 && ulimit -f 0 && ulimit -n 64 && ulimit -v {ADDRESS_BYTES >> 10} || exit 1",
            f'exec {" ".join(map(quote, words))} "$@" 9< {quote(str(folder / "filter"))}',
        )
        return "\n".join(lines) + "\n"

    def pid(self) -> int:
        """The process's number, 0 before it began."""
        with contextlib.suppress(OSError, ValueError):
            return int(self._pid_file.read_text())
        return 0

    def run(self, code: str, time_ms: int, output_bytes: int, heap_bytes: int) -> Ran:
        """Compute once. Raises SandboxUnavailable when the interpreter could not be started."""
        began = time.monotonic()
        told = _Told(output_bytes, self.kill)
        ceilings = _Ceilings(min(time_ms, MOST_MS), output_bytes, min(heap_bytes, HEAP_BYTES))
        ended_by, code_out = self._feed(code, ceilings, told)
        ended_by = "output" if told.over else ended_by
        took_ms = int((time.monotonic() - began) * 1000)
        return Ran(None if ended_by else code_out, told.kept, told.over, ended_by, took_ms)

    def _feed(self, code: str, ceilings: _Ceilings, told: _Told) -> tuple[str, int]:
        monty, limit_s = self._monty, ceilings.time_ms / 1000
        limits = monty.ResourceLimits(
            max_feed_duration_secs=limit_s,
            max_memory=ceilings.heap_bytes,
            max_recursion_depth=MAX_DEPTH,
            max_total_sleep_secs=limit_s,
        )
        began = time.monotonic()
        try:
            with self._pool.checkout(script_name="expression", limits=limits) as session:
                began = time.monotonic()
                value = session.feed_run(code, print_callback=told.take)
            if value is not None:
                told.take("stdout", f"{value!r}\n")
        except monty.MontySyntaxError as error:
            told.take("stderr", f"{error.display()}\n")
            return "", _FAULT
        except monty.MontyRuntimeError as error:
            if isinstance(error.exception(), MemoryError):
                return "memory", _FAULT
            if isinstance(error.exception(), TimeoutError) and time.monotonic() - began >= limit_s:
                return "time", _FAULT
            told.take("stderr", f"{error.display()}\n")
            return "", _FAULT
        except monty.MontyCrashedError as error:
            if not self._ended and self.pid() == 0:
                raise _not_started(error) from error
            return ("time" if error.timed_out else ""), _KILLED
        except (TimeoutError, OSError, monty.MontyError) as error:
            if self._ended:
                return "", _KILLED
            raise _not_started(error) from error
        return "", 0

    def freeze(self) -> None:
        """Halt it. Raises OSError."""
        if self.group is not None and self.group.halts:
            self.group.freeze()
        else:
            self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on. Raises OSError."""
        if self.group is not None and self.group.halts:
            self.group.thaw()
        else:
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it, or keep it from beginning. Raises OSError."""
        self._ended = True
        # Whoever makes this folder first goes on. A program that made it stands in its group, and is met there.
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            self._begun.mkdir()
        if self.group is not None:
            self.group.kill()
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # The interpreter is the first process of its namespace, a child of the bubblewrap whose number we know.
        pid = self.pid()
        if pid == 0:
            return
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for each in (*map(int, children), pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, number)

    def close(self) -> None:
        """End it and take away what was made for it."""
        self._stack.close()


def _not_started(error: Exception) -> SandboxUnavailable:
    return SandboxUnavailable(f"the interpreter of tier 0 did not start: {error}", next_step=_INSTALL)


class _Told:
    """What a computation printed, up to a ceiling; over it, the computation is ended."""

    def __init__(self, ceiling: int, end: Any) -> None:
        self._ceiling, self._end = ceiling, end
        self._kept = bytearray()
        self.over = False

    @property
    def kept(self) -> bytes:
        return bytes(self._kept)

    def take(self, stream: str, text: str) -> None:
        piece = text.encode("utf-8", "replace")
        room = self._ceiling - len(self._kept)
        self._kept += piece[:room]
        if len(piece) > room and not self.over:
            self.over = True
            with contextlib.suppress(OSError):
                self._end()


def sweep_workers() -> None:
    """Remove the folders of workers whose gateway is gone."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-pure-*"):
        with contextlib.suppress(OSError):
            if is_abandoned(path.name) and path.lstat().st_uid == os.geteuid() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
