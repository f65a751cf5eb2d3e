"""Mechanisms: what this machine offers, found once; a missing one is named with the way to install it.

Layer: adapters/sandbox/bwrap. Owns finding bubblewrap, the filter and the resource ceilings.
Absent: trying them out (that is the probe) and any weaker stand-in for a wall that is missing.
Law: `find_walls` returns all of them or raises.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.bwrap.filter import filter_program
from carapax.adapters.sandbox.bwrap.recipe import OLDEST_LANDLOCK
from carapax.adapters.sandbox.cgroup import Tree, find_tree
from carapax.adapters.sandbox.launcher.build import Launcher, find_launcher
from carapax.adapters.sandbox.mark import sweep_waiting
from carapax.core.terms.error import SandboxUnavailable

NEEDED = ("--disable-userns", "--seccomp", "--size", "--json-status-fd", "--block-fd", "--cap-drop", "--perms")
_INSTALL = (
    "Install bubblewrap 0.8 or newer (Debian, Ubuntu: `apt install bubblewrap`; Fedora: `dnf install bubblewrap`; "
    "Arch: `pacman -S bubblewrap`)."
)
_WITHIN_S = 5
_LANDLOCK_CREATE_RULESET, _ASK_VERSION = 444, 1  # the same number on every machine


@dataclass(frozen=True, slots=True)
class Walls:
    """Everything a job is put behind."""

    bubblewrap: str
    version: str
    filter: bytes
    launcher: Launcher
    landlock: int  # the version the kernel speaks
    tree: Tree | None  # None: an ordinary user without control groups, ceilings per process
    names: bool = True  # whether a namespace of its own may be given a host name; a container may forbid it

    @property
    def ceilings(self) -> str:
        """How memory and processes are bounded, in words."""
        if self.tree is None:
            return "per-process ceilings (no control group may be made here)"
        return f"control groups, version {self.tree.version}"


def find_walls(folder: Path | None = None) -> Walls:
    """Find every mechanism; the launcher is kept in `folder`. Raises SandboxUnavailable naming the first that is missing."""
    program = shutil.which("bwrap", path="/usr/local/bin:/usr/bin:/bin")
    if program is None:
        raise SandboxUnavailable("bubblewrap is not installed", next_step=_INSTALL)
    told = _ask(program, "--help")
    if lacking := [word for word in NEEDED if word not in told]:
        raise SandboxUnavailable(f"the installed bubblewrap has no {lacking[0]}", next_step=_INSTALL)
    landlock = _find_landlock()
    launcher = find_launcher(folder)
    sweep_waiting()
    version = _ask(program, "--version").strip()
    return Walls(program, version, filter_program(), launcher, landlock, _find_ceilings(), _may_name(program))


def _find_landlock() -> int:
    library = ctypes.CDLL(None, use_errno=True)
    words = (_LANDLOCK_CREATE_RULESET, 0, 0, _ASK_VERSION)
    version = int(library.syscall(*(ctypes.c_long(word) for word in words)))
    if version < OLDEST_LANDLOCK:
        raise SandboxUnavailable(
            "this kernel's Landlock is missing, switched off or too old",
            next_step="Use Linux 5.19 or newer with `landlock` among the modules of its `lsm=` boot parameter.",
        )
    return version


def _may_name(program: str) -> bool:
    """Whether bubblewrap can name the machine inside; a container's own filter may refuse it, and no wall rests on it."""
    words = [program, "--unshare-user", "--unshare-uts", "--ro-bind", "/", "/", "--hostname", "carapax", "/bin/true"]
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            words, env={}, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_WITHIN_S
        )
    except (OSError, subprocess.SubprocessError):
        return True  # whatever this is, the launch says it
    return b"hostname" not in done.stderr


def _ask(program: str, option: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program and option
            [program, option], env={}, capture_output=True, check=True, timeout=_WITHIN_S, text=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(f"bubblewrap does not start: {error}", next_step=_INSTALL) from error
    return done.stdout + done.stderr


def _find_ceilings() -> Tree | None:
    try:
        mounts, own = Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text()
    except OSError:
        mounts = own = ""
    tree = find_tree(mounts, own, os.getpid())
    if tree is None and os.geteuid() == 0:
        raise SandboxUnavailable(
            "no control group can be made, and per-process ceilings do not bind root",
            next_step="Run Carapax as an ordinary user, or give it a writable control group (systemd: `Delegate=yes`).",
        )
    if tree is not None:
        tree.sweep()
    return tree
