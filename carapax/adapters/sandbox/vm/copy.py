"""Copy: a workspace's copy on its way in, and what a job changed on its way back.

Layer: adapters/sandbox/vm. Owns reading the folder once and writing back only what the job changed.
Every folder on the way is opened relative to the one before and never through a link, and a file is replaced by
renaming a new one over it, so that nothing outside the workspace is ever read or changed.
Laws: what somebody changed here meanwhile stays as it is; `.git/hooks` and `.git/config` of a repository that was
there before never change; device files, sockets and pipes are neither copied in nor brought back.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from carapax.adapters.sandbox.vm.wire import MAX_DEPTH, Record
from carapax.core.terms.error import SandboxUnavailable

MAX_COPY_BYTES = 64 << 20
MAX_COPY_FILES = 20_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_GUARDED = (b"hooks", b"config")
_USABLE = 0o700  # a folder inside can always be entered by its owner


@dataclass(frozen=True, slots=True)
class Known:
    """What one thing was when it was copied in."""

    kind: str
    mode: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Brought:
    """What did not come back, by path: kept because somebody else changed it, or because it is protected."""

    kept: tuple[bytes, ...] = ()
    protected: tuple[bytes, ...] = ()


def know(record: Record) -> Known:
    """What is compared of a record."""
    mode = 0 if record.kind == "l" else record.mode | (_USABLE if record.kind == "d" else 0)
    return Known(record.kind, mode, hashlib.sha256(record.content).digest())


def read_workspace(root: Path) -> tuple[Record, ...]:
    """The folder's files, folders and links, parents first. Raises SandboxUnavailable when they are too many."""
    found: list[Record] = []
    total = 0
    descriptor = os.open(root, _FOLDER)
    try:
        for record in _walk(descriptor, b"", 1):
            total += len(record.content)
            found.append(record)
            if len(found) > MAX_COPY_FILES or total > MAX_COPY_BYTES:
                raise _too_large()
    except OSError as error:
        raise SandboxUnavailable(f"the workspace could not be copied: {error}", next_step="Try again.") from error
    finally:
        os.close(descriptor)
    return tuple(found)


def _too_large() -> SandboxUnavailable:
    return SandboxUnavailable(
        f"the workspace holds more than a disposable machine takes ({MAX_COPY_FILES} files, {MAX_COPY_BYTES >> 20} MB)",
        next_step="Move what the program does not need out of the workspace, or run it without the workspace.",
    )


def _walk(folder: int, above: bytes, depth: int) -> Iterator[Record]:
    if depth > MAX_DEPTH:
        raise _too_large()
    for name in sorted(os.listdir(folder)):
        path = above + os.fsencode(name)
        try:
            here = os.stat(name, dir_fd=folder, follow_symlinks=False)
            mode, changed_ns = stat.S_IMODE(here.st_mode) & 0o777, max(here.st_mtime_ns, 0)
            if stat.S_ISLNK(here.st_mode):
                yield Record("l", path, mode, changed_ns, os.fsencode(os.readlink(name, dir_fd=folder)))
            elif stat.S_ISDIR(here.st_mode):
                below = os.open(name, _FOLDER, dir_fd=folder)
                try:
                    yield Record("d", path, mode, changed_ns)
                    yield from _walk(below, path + b"/", depth + 1)
                finally:
                    os.close(below)
            elif stat.S_ISREG(here.st_mode):
                yield Record("f", path, mode, changed_ns, _content(folder, name))
        except (FileNotFoundError, PermissionError):
            continue  # gone meanwhile, or not ours to read: then it is not brought back either


def _content(folder: int, name: str) -> bytes:
    descriptor = os.open(name, _READ, dir_fd=folder)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(name)
        content = file.read(MAX_COPY_BYTES + 1)
    if len(content) > MAX_COPY_BYTES:
        raise _too_large()
    return content


def write_back(root: Path, before: Mapping[bytes, Known], after: tuple[Record, ...]) -> Brought:
    """Bring back what changed between `before` and `after`. Raises SandboxUnavailable when the disk refuses."""
    kept: list[bytes] = []
    protected: list[bytes] = []
    now = {record.path: know(record) for record in after}

    def allowed(path: bytes) -> bool:
        if _is_guarded(path, before):
            protected.append(path)
            return False
        return True

    try:
        for path in sorted(before, key=lambda p: p.count(b"/"), reverse=True):
            gone = path not in now or now[path].kind != before[path].kind
            if gone and allowed(path) and not _remove(root, path, before[path]):
                kept.append(path)
        for record in after:
            known = before.get(record.path)
            if known == now[record.path] or record.path in protected or not allowed(record.path):
                continue
            if not _put(root, record, known if known and known.kind == record.kind else None):
                kept.append(record.path)
    except OSError as error:
        raise SandboxUnavailable(
            f"what the job changed could not be brought back: {error}",
            kept="The job ran; a part of what it changed is in the workspace.",
            next_step="Free some space, or see who may write the workspace, then run it again.",
        ) from error
    return Brought(tuple(kept), tuple(protected))


def _is_guarded(path: bytes, before: Mapping[bytes, Known]) -> bool:
    parts = path.split(b"/")
    for n, part in enumerate(parts):
        if part == b".git" and b"/".join(parts[: n + 1]) in before:
            below = parts[n + 1 :]
            return not below or below[0] in _GUARDED
    return False


def _parent(root: Path, path: bytes) -> tuple[int, bytes]:
    """The opened folder that holds a path, and the last name. Raises OSError when a part is no folder."""
    *folders, name = path.split(b"/")
    descriptor = os.open(root, _FOLDER)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, name


def _here(parent: int, name: bytes) -> Known | None:
    """What is at a name now."""
    try:
        here = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    mode = stat.S_IMODE(here.st_mode) & 0o777
    if stat.S_ISLNK(here.st_mode):
        return know(Record("l", name, 0, 0, os.readlink(name, dir_fd=parent)))
    if stat.S_ISDIR(here.st_mode):
        return know(Record("d", name, mode, 0))
    if stat.S_ISREG(here.st_mode) and here.st_size <= MAX_COPY_BYTES:
        return know(Record("f", name, mode, 0, _content(parent, os.fsdecode(name))))
    return Known("?", 0, b"")


@contextlib.contextmanager
def _at(root: Path, path: bytes) -> Iterator[tuple[int, bytes] | None]:
    try:
        parent, name = _parent(root, path)
    except (FileNotFoundError, NotADirectoryError, OSError):
        yield None  # somebody else moved a folder on the way
        return
    try:
        yield parent, name
    finally:
        os.close(parent)


def _remove(root: Path, path: bytes, known: Known) -> bool:
    with _at(root, path) as place:
        if place is None:
            return True
        parent, name = place
        here = _here(parent, name)
        if here is None:
            return True
        if here != known:
            return False
        try:
            (os.rmdir if known.kind == "d" else os.unlink)(name, dir_fd=parent)
        except OSError:  # a folder in which somebody else made something
            return False
        return True


def _put(root: Path, record: Record, known: Known | None) -> bool:
    with _at(root, record.path) as place:
        if place is None:
            return False
        parent, name = place
        if _here(parent, name) != known:
            return False
        match record.kind:
            case "d":
                return _put_folder(parent, name, record.mode | _USABLE, known)
            case "l":
                return _put_new(parent, name, lambda new: os.symlink(record.content, new, dir_fd=parent))
            case _:
                return _put_new(parent, name, lambda new: _fill(parent, new, record))


def _put_folder(parent: int, name: bytes, mode: int, known: Known | None) -> bool:
    if known is None:
        os.mkdir(name, 0o700, dir_fd=parent)
    descriptor = os.open(name, _FOLDER, dir_fd=parent)
    try:
        _give(parent, descriptor)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    return True


def _put_new(parent: int, name: bytes, make: Callable[[bytes], None]) -> bool:
    new = f".carapax-{secrets.token_hex(8)}".encode()
    try:
        make(new)
        os.rename(new, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new, dir_fd=parent)
        raise
    return True


def _fill(parent: int, name: bytes, record: Record) -> None:
    descriptor = os.open(name, _WRITE, 0o600, dir_fd=parent)
    try:
        view = memoryview(record.content)
        while view:
            view = view[os.write(descriptor, view) :]
        _give(parent, descriptor)
        os.fchmod(descriptor, record.mode & 0o777)
    finally:
        os.close(descriptor)


def _give(parent: int, descriptor: int) -> None:
    """What root writes belongs to the folder's owner, as if the job had written it."""
    if os.geteuid() == 0:
        owner = os.fstat(parent)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
