"""Place: which folder may be a workspace, and what of the host is shown read-only beside it.

Layer: adapters/sandbox. Owns the refusal of folders that would hand out too much.
Absent: opening files for the host (the workspace port does that).
Law: no folder shown inside holds a forbidden one; the workspace neither holds one nor lies in one.
"""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from carapax.core.terms.error import SandboxUnavailable

SYSTEM = tuple(Path(p) for p in ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"))
USR = Path("/usr")
_CHOOSE = "Choose a folder of its own for the workspace (setting `workspace`)."


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder found fit to be shown inside; device and inode pin which one was checked."""

    path: Path
    device: int
    inode: int


def _refuse(path: Path, why: str) -> SandboxUnavailable:
    return SandboxUnavailable(f"{path} cannot be the workspace: {why}", next_step=_CHOOSE)


def verify_workspace(path: Path, forbidden: tuple[Path, ...], home: Path, code: tuple[Path, ...]) -> Workspace:
    """The folder as a checked workspace. Raises SandboxUnavailable for any that shows or loses too much.

    Links above it are followed first. `forbidden` is Carapax's own state; `code` is what the gateway runs from, which no job may change.
    """
    if not path.is_absolute() or ".." in path.parts:
        raise _refuse(path, "its path is not absolute and plain")
    try:
        path = path.parent.resolve(strict=True) / path.name
        found = os.lstat(path)
    except OSError as error:
        raise _refuse(path, error.strerror or "it cannot be read") from error
    if stat.S_ISLNK(found.st_mode):
        raise _refuse(path, "it is a symbolic link")
    if not stat.S_ISDIR(found.st_mode):
        raise _refuse(path, "it is not a folder")
    if home.resolve().is_relative_to(path):
        raise _refuse(path, "it holds the whole home folder")
    if any(path.is_relative_to(system) for system in SYSTEM):
        raise _refuse(path, "it belongs to the system")
    for own in (f.resolve() for f in forbidden):
        if own.is_relative_to(path) or path.is_relative_to(own):
            raise _refuse(path, f"it holds, or lies in, Carapax's own folder {own}")
    if any(own.resolve().is_relative_to(path) for own in code):
        raise _refuse(path, "it holds the program Carapax runs from")
    return Workspace(path, found.st_dev, found.st_ino)


def verify_same(workspace: Workspace) -> None:
    """Raise SandboxUnavailable when another folder now stands where the checked one was."""
    try:
        found = os.lstat(workspace.path)
    except OSError as error:
        raise _refuse(workspace.path, error.strerror or "it cannot be read") from error
    if (found.st_dev, found.st_ino) != (workspace.device, workspace.inode) or not stat.S_ISDIR(found.st_mode):
        raise _refuse(workspace.path, "it was replaced since Carapax started")


def own_code() -> tuple[Path, ...]:
    """Where the running program lives: the package, its environment, its interpreter."""
    return (Path(__file__).resolve().parents[2], Path(sys.prefix), Path(sys.base_prefix))


def own_library() -> tuple[str, ...]:
    """The folders of the packages that Carapax runs with, where they are not shown anyway."""
    places = dict.fromkeys(Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib"))
    base = Path(sys.base_prefix).resolve()
    return tuple(
        str(place) for place in places if place.is_dir() and not any(place.is_relative_to(p) for p in (USR, base))
    )


def find_interpreter(forbidden: tuple[Path, ...], home: Path, workspace: Path) -> Path | None:
    """The interpreter's folder when it must be shown besides /usr. Raises SandboxUnavailable if that shows too much."""
    prefix = Path(sys.base_prefix).resolve()
    if prefix.is_relative_to(USR):
        return None
    if any(held.resolve().is_relative_to(prefix) for held in (*forbidden, home, workspace)):
        raise SandboxUnavailable(
            f"Python is installed in {prefix}, which also holds private folders and so cannot be shown to a job",
            next_step="Run Carapax with a Python installed in a folder of its own.",
        )
    return prefix
