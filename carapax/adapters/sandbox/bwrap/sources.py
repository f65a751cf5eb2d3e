"""Sources: the launcher's first words: which groups to join, which user to become, what to show that user.

Layer: adapters/sandbox/bwrap. Why: a job of a root gateway runs as a host user who owns nothing and may not walk to
the workspace, so the launcher clones what is shown to places that everybody may walk to. The workspace's owner is
mapped to that user, and so what a job makes there belongs to the owner.
Absent: all this for an ordinary user's gateway; there jobs run as that user.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.recipe import System
from carapax.adapters.sandbox.cgroup import Group
from carapax.adapters.sandbox.launcher.build import Launcher
from carapax.ports.sandbox import Job, Mount

UNPRIVILEGED_USER = 64_242  # of no account: above the dynamic users of systemd, below the overflow user
_CLONED = "/sys"
_REACHED_BY_ALL = ("/bin", "/etc", "/lib", "/lib32", "/lib64", "/sbin", "/usr")


class Shown(Protocol):
    """What of an errand decides the sources."""

    @property
    def job(self) -> Job: ...
    @property
    def workspace(self) -> Path: ...
    @property
    def library(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Placing:
    """The launcher's options for what is shown, and where bubblewrap then finds each path."""

    options: tuple[str, ...] = ()
    placed: Mapping[str, str] = field(default_factory=dict)


def place_sources(system: System, errand: Shown, user: int | None) -> Placing:
    """Where everything shown is found by bubblewrap, which runs as `user`."""
    if user is None:
        return Placing()
    options, placed = ["-u", str(user)], {}
    if errand.job.mount is not Mount.NONE:
        options += ["-m", str(errand.workspace)]
        placed[str(errand.workspace)] = f"{_CLONED}/0"
    for path in (*system.shown, *errand.library):
        if not path.startswith(_REACHED_BY_ALL):
            options += ["-b", path]
            placed[path] = f"{_CLONED}/{len(placed)}"
    return Placing(tuple(options), placed)


def render_outside(
    launcher: Launcher, bounds: Bounds, group: Group | None, placing: Placing, door: int
) -> tuple[str, ...]:
    """The command up to the words of bubblewrap."""
    limits = {
        resource.RLIMIT_CORE: 0,  # a dump would go to a program of the host's
        resource.RLIMIT_FSIZE: bounds.file_bytes,
        resource.RLIMIT_NOFILE: bounds.open_files,
    }
    doors = group.doors if group is not None else ()
    return (
        *(*launcher.interpreter, f"/proc/self/fd/{launcher.descriptor}", "outside", "-c", str(launcher.descriptor)),
        *(word for path in doors for word in ("-g", str(path))),
        *(word for name, value in limits.items() for word in ("-r", f"{name}:{value}")),
        *placing.options,
        *(("-l", str(door)) if door >= 0 else ()),
        "--",
    )
