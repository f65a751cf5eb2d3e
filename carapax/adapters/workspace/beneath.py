"""Opening and writing below a root, one path component at a time, never through a link.

Layer: adapters/workspace. Every folder on the way is opened with O_NOFOLLOW relative to the one before, so a link that
was put in its place is refused by the kernel instead of followed. Files are written beside their place and renamed
over it: a hard link to the old file keeps the old bytes and nothing is written through.
Absent: openat2, which Python does not offer; resolving by text and then opening would be a race.
Law: no function here changes anything outside the root's tree.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def open_parent(root: Path, path: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
    """The folder that holds `path`, as (fd, last name). Raises OSError when a part is missing or is not a folder."""
    *folders, name = path.split("/")
    fd = os.open(root, _FOLDER)
    try:
        for folder in folders:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, 0o755, dir_fd=fd)
            below = os.open(folder, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd, name
    finally:
        os.close(fd)


def look(root: Path, path: str) -> os.stat_result | None:
    """What is at a path, without following it; None when there is nothing."""
    try:
        with open_parent(root, path) as (fd, name):
            return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def open_file(root: Path, path: str) -> int:
    """An fd to read a regular file. Raises OSError for anything else."""
    with open_parent(root, path) as (parent, name):
        fd = os.open(name, _READ, dir_fd=parent)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError("not a regular file")
    return fd


def read_link(root: Path, path: str) -> bytes:
    """A link's own target, as bytes."""
    with open_parent(root, path) as (fd, name):
        return os.fsencode(os.readlink(name, dir_fd=fd))


def replace_file(root: Path, path: str, content: bytes, mode: int) -> None:
    """Put these bytes at a path by renaming a new file over it."""

    def fill(fd: int, temporary: str) -> None:
        out = os.open(temporary, _WRITE, 0o600, dir_fd=fd)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(out, view) :]
            os.fchmod(out, mode & 0o777)
        finally:
            os.close(out)

    _replace(root, path, fill)


def replace_link(root: Path, path: str, target: bytes) -> None:
    """Put a symbolic link with this target at a path; the target is never looked at."""
    _replace(root, path, lambda fd, temporary: os.symlink(os.fsdecode(target), temporary, dir_fd=fd))


def _replace(root: Path, path: str, fill: Callable[[int, str], None]) -> None:
    temporary = f".carapax-{secrets.token_hex(8)}"
    with open_parent(root, path, create=True) as (fd, name):
        try:
            fill(fd, temporary)
            os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=fd)
            raise


def remove(root: Path, path: str, *, folder: bool) -> None:
    """Remove a file, a link, or an empty folder. Raises OSError (not empty, missing, not permitted)."""
    with open_parent(root, path) as (fd, name):
        (os.rmdir if folder else os.unlink)(name, dir_fd=fd)


def make_folder(root: Path, path: str) -> None:
    """Make a folder, open to its owner until `set_mode`; one that exists is left."""
    with open_parent(root, path, create=True) as (fd, name):
        try:
            os.mkdir(name, 0o700, dir_fd=fd)
        except FileExistsError:
            os.close(os.open(name, _FOLDER, dir_fd=fd))  # raises when it is not a folder


def set_mode(root: Path, path: str, mode: int) -> None:
    """Change the permission bits of a folder, or of a file with one name only. Raises OSError otherwise."""
    with open_parent(root, path) as (parent, name):
        fd = os.open(name, _LOOK, dir_fd=parent)
    try:
        found = os.fstat(fd)
        if not (stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)):
            raise OSError("only a folder or a file with one name can change its mode")
        os.chmod(f"/proc/self/fd/{fd}", mode & 0o777)  # an O_PATH fd has no fchmod; this names the same inode
    finally:
        os.close(fd)
