"""Mechanisms: the gVisor runtime of this machine, found once, with the options it knows.

Layer: adapters/sandbox/gvisor. Owns finding `runsc` and the control groups that bound it, and the sweep of folders
that killed gateways left. Absent: trying it out (that is the probe) and any weaker stand-in.
Law: `find_runtime` returns all of them or raises.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.cgroup import Tree, find_tree
from carapax.adapters.sandbox.mark import PREFIX, is_abandoned
from carapax.core.terms.error import SandboxUnavailable

SEARCHED = "/usr/local/bin:/usr/bin:/bin"
FOLDER_MARK = "-gvisor-"
INSTALL = (
    "Install gVisor (Debian, Ubuntu: `apt install runsc`; newer: the release on gvisor.dev, into /usr/local/bin), "
    "then run `carapax doctor --walls`."
)
_WITHIN_S = 10
_FIXED = ("--network=none", "--ignore-cgroups", "--oci-seccomp")
_ROOTLESS = ("--rootless",)
_NEEDED = ("network", "ignore-cgroups", "oci-seccomp")
# Wished for where known: no upper layer over the root, and no files of the host in the kernel's own hands.
_WISHED = (("overlay2", "--overlay2=none"), ("directfs", "--directfs=false"))
_SOCKETS = (("host-uds", "--host-uds=open"), ("fsgofer-host-uds", "--fsgofer-host-uds"))


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything a job is put behind."""

    program: str
    version: str
    tree: Tree
    options: tuple[str, ...]
    way_options: tuple[str, ...]  # besides, for a job with a way out; () when this version cannot give one
    ordinary: bool = False  # the gateway is an ordinary user: everything runs as that user, in namespaces of its own


def find_runtime() -> Runtime:
    """Find every mechanism. Raises SandboxUnavailable naming the first that is missing."""
    program = shutil.which("runsc", path=SEARCHED)
    if program is None:
        raise SandboxUnavailable("gVisor (`runsc`) is not installed, and tier 2 has no stand-in", next_step=INSTALL)
    version = _ask(program, "--version").partition("\n")[0].strip()
    known = {line.split()[0].lstrip("-") for line in _ask(program, "flags").splitlines() if line.startswith("  -")}
    if lacking := [name for name in _NEEDED if name not in known]:
        raise SandboxUnavailable(f"the installed gVisor has no option --{lacking[0]}", next_step=INSTALL)
    ordinary = is_ordinary()
    if ordinary and "rootless" not in known:
        raise SandboxUnavailable("the installed gVisor cannot be run by an ordinary user", next_step=INSTALL)
    sweep_folders(Path(tempfile.gettempdir()))
    return Runtime(
        program,
        version,
        _find_tree(),
        (*_FIXED, *_ROOTLESS[:ordinary], *(option for name, option in _WISHED if name in known)),
        next(((option,) for name, option in _SOCKETS if name in known), ()),
        ordinary,
    )


def is_ordinary() -> bool:
    """Is the gateway an ordinary user, as it should be?"""
    return os.geteuid() != 0


def _ask(program: str, word: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program and word
            [program, word], env={}, capture_output=True, timeout=_WITHIN_S, text=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(f"gVisor does not start: {error}", next_step=INSTALL) from error
    return done.stdout + done.stderr


def _find_tree() -> Tree:
    try:
        mounts, own = Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text()
    except OSError:
        mounts = own = ""
    tree = find_tree(mounts, own, os.getpid())
    if tree is None:
        raise SandboxUnavailable(
            "tier 2 needs a control group, which alone can bound a kernel in user space, and none can be made here",
            next_step="Give Carapax a writable control group (systemd: `Delegate=yes`), then restart it.",
        )
    tree.sweep()
    return tree


def sweep_folders(under: Path) -> None:
    """Remove the folders of jobs whose gateway is gone."""
    for path in under.glob(f"{PREFIX}*{FOLDER_MARK}*"):
        with contextlib.suppress(OSError):
            found = path.lstat()
            if is_abandoned(path.name) and found.st_uid == os.geteuid() and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
