"""Mechanisms: what this machine offers, found once; a missing one is named with the way to install it.

Layer: adapters/sandbox/bwrap. Owns finding bubblewrap, the filter and the resource ceilings.
Absent: trying them out (that is the probe) and any weaker stand-in for a wall that is missing.
Law: `find_walls` returns all of them or raises.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.bwrap.filter import filter_program
from carapax.adapters.sandbox.cgroup import Tree, find_tree
from carapax.adapters.sandbox.mark import sweep_waiting
from carapax.core.terms.error import SandboxUnavailable

NEEDED = ("--disable-userns", "--seccomp", "--size", "--json-status-fd", "--block-fd", "--cap-drop", "--perms")
_INSTALL = (
    "Install bubblewrap 0.8 or newer (Debian, Ubuntu: `apt install bubblewrap`; Fedora: `dnf install bubblewrap`; "
    "Arch: `pacman -S bubblewrap`)."
)
_WITHIN_S = 5


@dataclass(frozen=True, slots=True)
class Walls:
    """Everything a job is put behind."""

    bubblewrap: str
    version: str
    filter: bytes
    tree: Tree | None  # None: an ordinary user without control groups, ceilings per process

    @property
    def ceilings(self) -> str:
        """How memory and processes are bounded, in words."""
        if self.tree is None:
            return "per-process ceilings (no control group may be made here)"
        return f"control groups, version {self.tree.version}"


def find_walls() -> Walls:
    """Find every mechanism. Raises SandboxUnavailable naming the first that is missing."""
    program = shutil.which("bwrap", path="/usr/local/bin:/usr/bin:/bin")
    if program is None:
        raise SandboxUnavailable("bubblewrap is not installed", next_step=_INSTALL)
    told = _ask(program, "--help")
    if lacking := [word for word in NEEDED if word not in told]:
        raise SandboxUnavailable(f"the installed bubblewrap has no {lacking[0]}", next_step=_INSTALL)
    sweep_waiting()
    return Walls(program, _ask(program, "--version").strip(), filter_program(), _find_ceilings())


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
