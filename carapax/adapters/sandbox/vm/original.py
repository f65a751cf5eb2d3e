"""Original: the one machine that is really booted, and the snapshot that every copy begins from.

Layer: adapters/sandbox/vm. Owns the boot within a bound, the choice of accelerator, and the sealed snapshot.
Boot probe: /dev/kvm may open and still boot nothing, so what counts is the guest's ready word; else emulation.
The snapshot is two sealed files in memory: the guest's memory, which copies map and none can change, and the devices'
state. It is never on a disk, and it is made anew by every gateway: nothing of it can be swapped between two runs.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.bwrap.recipe import System
from carapax.adapters.sandbox.cgroup import Tree
from carapax.adapters.sandbox.mark import own_mark
from carapax.adapters.sandbox.vm.guest import build_archive, build_program
from carapax.adapters.sandbox.vm.kernel import find_kernel, read_image
from carapax.adapters.sandbox.vm.qemu import MEMORY_BYTES, Machine, Share
from carapax.adapters.sandbox.vm.spawn import Inner, Spawned
from carapax.adapters.sandbox.vm.wire import Frames
from carapax.core.terms.error import Malformed, SandboxUnavailable

BOOT_KVM_MS = 15_000
BOOT_EMULATED_MS = 180_000
SNAPSHOT_WITHIN_MS = 60_000
MAX_STATE_BYTES = 64 << 20
_MAX_REPLY_BYTES = 1 << 20
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
_INSTALL = "Install it (Debian, Ubuntu: `apt install qemu-system-x86`), then run `carapax doctor --walls`."
IGNORE_SHARED = {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}


@dataclass(frozen=True, slots=True)
class Needs:
    """What a snapshot is made from."""

    bubblewrap: str
    tree: Tree | None
    system: System
    shares: tuple[Share, ...]
    kernels: tuple[Path, ...]  # folders laid out as a kernel package


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A booted machine at its ready word, sealed. The descriptors are open for as long as the sandbox lives."""

    machine: Machine
    memory: int
    state: int
    kernel: str
    qemu: str
    booted_ms: int


class Original:
    """Makes the snapshot once, at the first need; a machine that is mended needs no restart."""

    def __init__(self, plan: Callable[[], Needs]) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None

    def get_snapshot(self) -> Snapshot:
        """The snapshot, made now if there is none. Raises SandboxUnavailable naming what is missing."""
        with self._lock:
            if self._snapshot is None:
                self._snapshot = take_snapshot(self._plan())
            return self._snapshot

    def close(self) -> None:
        """Forget it. No copy may be starting."""
        with self._lock:
            if self._snapshot is not None:
                os.close(self._snapshot.memory)
                os.close(self._snapshot.state)
                self._snapshot = None


def take_snapshot(needs: Needs) -> Snapshot:
    """Boot the original and seal it. Raises SandboxUnavailable."""
    if os.uname().machine != "x86_64":
        raise SandboxUnavailable("disposable machines need an x86-64 processor", next_step="Use the strong tier here.")
    qemu = shutil.which("qemu-system-x86_64", path="/usr/local/bin:/usr/bin:/bin")
    if qemu is None:
        raise SandboxUnavailable("qemu is not installed", next_step=_INSTALL)
    kernel = find_kernel(needs.kernels)
    initial, image = build_archive(build_program(), kernel, needs.system), _image(kernel.image)
    failed: SandboxUnavailable | None = None
    for accelerator in _accelerators():
        machine = Machine(qemu, needs.bubblewrap, accelerator, needs.shares, needs.system.links)
        began = time.monotonic()
        try:
            memory, state = _boot(machine, image, initial, needs.tree)
        except SandboxUnavailable as error:
            failed = error
            continue
        return Snapshot(machine, memory, state, kernel.version, _version(qemu), _since_ms(began))
    raise failed or SandboxUnavailable("no accelerator can be used", next_step=_INSTALL)


def _image(path: Path) -> bytes:
    try:
        return read_image(path)
    except OSError as error:
        raise SandboxUnavailable(
            f"the guest's kernel cannot be read: {error}", next_step="Run `carapax doctor`."
        ) from error


def _accelerators() -> tuple[str, ...]:
    # Root's machines run as another user, so what root may open does not count.
    usable = os.geteuid() != 0 and os.access("/dev/kvm", os.R_OK | os.W_OK)
    return ("kvm", "tcg") if usable else ("tcg",)


def _boot(machine: Machine, image: bytes, initial: bytes, tree: Tree | None) -> tuple[int, int]:
    with contextlib.ExitStack() as owner, contextlib.ExitStack() as kept:
        kernel = memory_file("kernel", image)
        owner.callback(os.close, kernel)
        first = memory_file("initial", initial)
        owner.callback(os.close, first)
        memory = memory_file(own_mark())
        kept.callback(os.close, memory)
        os.ftruncate(memory, MEMORY_BYTES)
        state = memory_file("state")
        kept.callback(os.close, state)
        spawned = Spawned(machine, Inner(memory, kernel=kernel, initial=first), tree, owner)
        spawned.open()
        _await_ready(spawned, BOOT_KVM_MS if machine.accelerator == "kvm" else BOOT_EMULATED_MS)
        _save(spawned.monitor, state)
        spawned.end()
        for descriptor in (memory, state):  # possible only now that nobody maps it for writing
            _seal(descriptor)
        kept.pop_all()
        return memory, state


def memory_file(name: str, content: bytes = b"") -> int:
    """A file in memory that can be sealed."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _seal(descriptor: int) -> None:
    give_up = time.monotonic() + SNAPSHOT_WITHIN_MS / 1000
    while True:
        try:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            return
        except OSError as error:
            if time.monotonic() > give_up:
                raise SandboxUnavailable(
                    "the snapshot could not be sealed", next_step="Run `carapax doctor`."
                ) from error
            time.sleep(0.005)  # the kernel is still taking the ended machine's memory apart


def _await_ready(original: Spawned, within_ms: int) -> None:
    control = original.control
    frames, give_up = Frames(), time.monotonic() + within_ms / 1000
    while (left := give_up - time.monotonic()) > 0:
        control.settimeout(left)
        try:
            piece = control.recv(_MAX_REPLY_BYTES)
            told = [*frames.feed(piece)]
        except TimeoutError:
            break
        except (OSError, Malformed) as error:
            raise _no_boot(str(error)) from error
        if not piece:
            raise _no_boot(original.said() or "it ended before its ready word")
        for kind, content in told:
            if kind == "R":
                return
            raise _no_boot(content.decode("utf-8", "replace")[:200])
    raise _no_boot(f"it was not ready within {within_ms // 1000} s")


def _no_boot(why: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"the disposable machine did not boot: {why}",
        next_step="Fetch another kernel for it with `sh scripts/guest_kernel.sh FOLDER`, then run `carapax doctor --walls`.",
    )


def _save(monitor: socket.socket, state: int) -> None:
    """Have the machine write the state of its devices; its memory is the shared file already."""
    monitor.settimeout(SNAPSHOT_WITHIN_MS / 1000)
    with monitor.makefile("rb") as replies:
        try:
            replies.readline(_MAX_REPLY_BYTES)
            for name, given in (("qmp_capabilities", {}), ("migrate-set-capabilities", IGNORE_SHARED)):
                _ask(monitor, replies.readline, name, given)
            _ask(monitor, replies.readline, "getfd", {"fdname": "state"}, state)
            _ask(monitor, replies.readline, "migrate", {"uri": "fd:state"})
            give_up = time.monotonic() + SNAPSHOT_WITHIN_MS / 1000
            while time.monotonic() < give_up:
                found = _ask(monitor, replies.readline, "query-migrate", {})
                if found.get("status") == "completed":
                    break
                if found.get("status") == "failed":
                    raise _no_snapshot("qemu failed")
                time.sleep(0.005)
            else:
                raise _no_snapshot("it took too long")
        except (OSError, ValueError) as error:
            raise _no_snapshot(str(error)) from error
    if not 0 < os.fstat(state).st_size <= MAX_STATE_BYTES:
        raise _no_snapshot("its size is not plausible")


def _ask(
    monitor: socket.socket, reply: Callable[[int], bytes], name: str, given: object, descriptor: int = -1
) -> dict[str, object]:
    handed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))] if descriptor >= 0 else []
    monitor.sendmsg([monitor_word(name, given)], handed)
    for _ in range(100):  # events come between
        told = json.loads(reply(_MAX_REPLY_BYTES))
        if "error" in told:
            raise _no_snapshot(str(told["error"].get("desc")))
        if "return" in told:
            found: dict[str, object] = told["return"]
            return found
    raise _no_snapshot("qemu does not answer")


def monitor_word(name: str, given: object) -> bytes:
    """One command to qemu's monitor."""
    return json.dumps({"execute": name, "arguments": given}).encode() + b"\n"


def _no_snapshot(why: str) -> SandboxUnavailable:
    return SandboxUnavailable(f"no snapshot of the machine could be taken: {why}", next_step=_INSTALL)


def _since_ms(began: float) -> int:
    return int((time.monotonic() - began) * 1000)


def _version(qemu: str) -> str:
    try:
        done = subprocess.run([qemu, "--version"], env={}, capture_output=True, check=True, timeout=10, text=True)  # noqa: S603 - a fixed program
    except (OSError, subprocess.SubprocessError):
        return "qemu"
    return done.stdout.partition("\n")[0].partition("(")[0].strip()
