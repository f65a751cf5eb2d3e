"""Pins: the parts of a writable workspace that no job may replace, held open and bound where the bundle takes them.

Layer: adapters/sandbox/gvisor. `.git` is bound upon itself, so that it cannot be renamed; hooks and configuration are
read-only. A path that a job can write may turn into a link between looking and binding, so what was bound is compared.
Absent: a `.git` that is made by a job itself; the next job finds it pinned.
Law: what is shown is what was opened without following a link, or nothing runs.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

GIT = ".git"
_READ_ONLY = ("hooks", "config")


@dataclass(frozen=True, slots=True)
class Pin:
    """One protected part: its descriptor, where it stands in the workspace, whether it may be written."""

    descriptor: int
    name: str
    writable: bool
    folder: bool

    @property
    def place(self) -> str:
        """Its name in the job's private folder."""
        return self.name.replace("/", "-").lstrip(".")


def open_pins(workspace: Path, stack: contextlib.ExitStack) -> tuple[Pin, ...]:
    """The parts that are there; the stack closes them. Raises OSError."""
    base = _own(stack, os.open(workspace, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    git = _open(base, GIT, stack)
    if git is None or not _is_folder(git):
        return ()
    found = [Pin(git, GIT, writable=True, folder=True)]
    for name in _READ_ONLY:
        part = _open(git, name, stack)
        if part is not None:
            found.append(Pin(part, f"{GIT}/{name}", writable=False, folder=_is_folder(part)))
    return tuple(found)


def _own(stack: contextlib.ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _open(folder: int, name: str, stack: contextlib.ExitStack) -> int | None:
    try:
        part = _own(stack, os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder))
    except FileNotFoundError:
        return None
    kind = os.fstat(part).st_mode
    if not stat.S_ISDIR(kind) and not stat.S_ISREG(kind):
        raise OSError(f"{name} in the workspace is neither a folder nor a file")
    return part


def _is_folder(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def lay_pins(pins: tuple[Pin, ...], folder: Path) -> str:
    """Make the places to bind upon; returns the shell words that bind them, each followed by `&&`. Raises OSError.

    The words find the workspace in `$W`, and refuse what is not the very file that was opened.
    """
    words = ""
    for pin in pins:
        place = folder / pin.place
        if pin.folder:
            place.mkdir()
        else:
            place.touch()
        found = os.fstat(pin.descriptor)  # held open, so that its number names nothing else meanwhile
        words += f'mount -n --bind "$W/{pin.name}" pins/{pin.place} && '
        words += f'[ "$(stat -c %d:%i pins/{pin.place})" = {found.st_dev}:{found.st_ino} ] && '
    return words
