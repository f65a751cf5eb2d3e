"""Pins: what of a writable workspace a job may not change, because a program on the host runs or obeys it.

Layer: adapters/sandbox; for tiers that show the workspace itself. Owns git's own places: hooks are run by the next
`git commit` on the host, `config` and `commondir` decide which hooks those are.
Why a bind onto itself: read-only hooks alone fall to renaming `.git`; what is a mount cannot be renamed.
Why places are made when missing: what is not there cannot be held. They are empty, or say what holds without them,
and stay: a job still running would lose its pin if they were taken away under it.
Absent: repositories that lie deeper in the workspace, and one that a job makes itself where there was none.
Law: nothing is followed or made through a link.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from carapax.core.terms.error import SandboxUnavailable

GIT = ".git"
_FOLDERS = ("hooks",)
_FILES = {"config": b"", "commondir": b".\n"}
_MEND = "Put an ordinary `.git` folder there, or choose another workspace (setting `workspace`)."


@dataclass(frozen=True, slots=True)
class Pin:
    """A path in the workspace that stays where it is; only a writable one's content may change."""

    path: str
    writable: bool = False


def pin_workspace(workspace: Path) -> tuple[Pin, ...]:
    """What to pin, outer ones first; makes what is missing. Raises SandboxUnavailable when it cannot be held."""
    try:
        about = os.lstat(workspace / GIT)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _cannot(error.strerror or "it cannot be read") from error
    if stat.S_ISREG(about.st_mode):  # a worktree's pointer to its repository
        return (Pin(GIT),)
    if not stat.S_ISDIR(about.st_mode):
        raise _cannot("it is neither a folder nor a file")
    try:
        folder = os.open(workspace / GIT, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot(error.strerror or "it cannot be opened") from error
    try:
        for name in _FOLDERS:
            _have_folder(folder, name, about)
        for name, content in _FILES.items():
            _have_file(folder, name, content, about)
    except OSError as error:
        raise _cannot(f"{error.filename}: {error.strerror}") from error
    finally:
        os.close(folder)
    return (Pin(GIT, writable=True), *(Pin(f"{GIT}/{name}") for name in (*_FOLDERS, *_FILES)))


def _have_folder(folder: int, name: str, owner: os.stat_result) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=folder)
    except FileExistsError:
        _verify_plain(folder, name, stat.S_ISDIR)
    else:
        os.chown(name, owner.st_uid, owner.st_gid, dir_fd=folder, follow_symlinks=False)


def _have_file(folder: int, name: str, content: bytes, owner: os.stat_result) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, 0o644, dir_fd=folder)
    except FileExistsError:
        _verify_plain(folder, name, stat.S_ISREG)
        return
    with open(descriptor, "wb") as file:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write(content)


def _verify_plain(folder: int, name: str, is_kind: object) -> None:
    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    if not callable(is_kind) or not is_kind(mode):
        raise OSError(0, "it is not of its kind, or a link", name)


def _cannot(why: str) -> SandboxUnavailable:
    return SandboxUnavailable(f"the workspace's {GIT} cannot be protected: {why}", next_step=_MEND)
