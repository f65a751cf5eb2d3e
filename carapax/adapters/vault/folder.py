"""The vault's folder, by descriptor: every file is opened relative to it, and no link is followed.

Layer: adapters/vault. Owns atomic durable writes, mode and owner checks, the lock between processes, erasing.
Absent: what the bytes mean. A process that gave up its user keeps its access through the descriptor, when the files
belong to the folder's owner; so what root writes here is given to that owner.
Law: a file is the old bytes or the new ones; nobody but the owner could ever read one.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from carapax.core.terms.error import StoreUnavailable

LOCK_TRIES = 250
LOCK_PAUSE_S = 0.02
LOCK = "lock"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """One private folder, held open."""

    def __init__(self, descriptor: int, shown: str) -> None:
        self._descriptor = descriptor
        self._shown = shown
        self._end = weakref.finalize(self, os.close, descriptor)
        status = os.fstat(descriptor)
        self._owner = (status.st_uid, status.st_gid)
        if not stat.S_ISDIR(status.st_mode):
            raise StoreUnavailable(f"{shown} is not a folder.", next_step=f"Move {shown} away.")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise StoreUnavailable(f"Others can enter the folder {shown}.", next_step=f"Run `chmod 700 {shown}`.")
        if os.geteuid() not in (0, status.st_uid):
            raise StoreUnavailable(f"{shown} belongs to another user.", next_step="Run it as that user.")

    def __repr__(self) -> str:
        return f"Folder({self._shown!r})"

    @classmethod
    def open(cls, place: Path | int) -> Folder:
        """The folder at a path, made when it is missing, or behind a descriptor (which stays the caller's).

        Raises StoreUnavailable when it is a link, no folder, another user's, or open to others.
        """
        if isinstance(place, int):
            return cls(os.dup(place), "the vault's folder")
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise StoreUnavailable(f"The folder {place} cannot be opened: {error.strerror}.") from error
        return cls(descriptor, str(place))

    def close(self) -> None:
        """Let go of the descriptor."""
        self._end()

    def find(self, name: str, max_bytes: int) -> bytes | None:
        """The bytes of a file, None when there is none.

        Raises StoreUnavailable for a link, another name of the same file, no plain file, one that others can read or
        own, and one over `max_bytes`.
        """
        try:
            descriptor = os.open(name, _READ, dir_fd=self._descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(name, "read", error) from error
        try:
            self._check(name, os.fstat(descriptor))
            content = b""
            while len(content) <= max_bytes and (chunk := os.read(descriptor, max_bytes + 1 - len(content))):
                content += chunk
        finally:
            os.close(descriptor)
        if len(content) > max_bytes:
            raise StoreUnavailable(f"{self._path(name)} is longer than {max_bytes} bytes.", next_step=_RESTORE)
        return content

    def _check(self, name: str, status: os.stat_result) -> None:
        path = self._path(name)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise StoreUnavailable(f"{path} is not a plain file of its own.", next_step=_RESTORE)
        if status.st_uid not in (self._owner[0], 0):
            raise StoreUnavailable(f"{path} belongs to another user.", next_step=_RESTORE)
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise StoreUnavailable(
                f"Others can read {path}.", next_step=f"Run `chmod 600 {path}`; renew the secret if others were here."
            )

    def write(self, name: str, content: bytes) -> None:
        """Replace a file durably. Raises StoreUnavailable; the old bytes are there then."""
        draft = f".{name}.{secrets.token_hex(8)}"
        try:
            try:
                self._write_new(draft, content)
                os.rename(draft, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
            except OSError:
                with suppress(OSError):
                    os.unlink(draft, dir_fd=self._descriptor)
                raise
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._failed(name, "written", error) from error

    def _write_new(self, name: str, content: bytes) -> None:
        descriptor = os.open(name, _MAKE, 0o600, dir_fd=self._descriptor)
        with os.fdopen(descriptor, "wb") as file:
            self._give(descriptor)
            file.write(content)
            file.flush()
            os.fsync(descriptor)

    def _give(self, descriptor: int) -> None:
        if os.geteuid() == 0 and self._owner[0] != 0:
            os.fchown(descriptor, *self._owner)

    def append(self, name: str, line: bytes) -> None:
        """Add a line durably, in one write. Raises StoreUnavailable."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(name, flags, 0o600, dir_fd=self._descriptor)
            try:
                self._check(name, os.fstat(descriptor))
                self._give(descriptor)
                os.write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._failed(name, "written", error) from error

    def remove(self, name: str) -> None:
        """Remove a file, if there is one. Raises StoreUnavailable."""
        try:
            os.unlink(name, dir_fd=self._descriptor)
            os.fsync(self._descriptor)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._failed(name, "removed", error) from error

    def names(self) -> tuple[str, ...]:
        """The files there are, sorted. Raises StoreUnavailable."""
        try:
            return tuple(sorted(os.listdir(self._descriptor)))
        except OSError as error:
            raise self._failed("", "read", error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process and thread from changing anything. Raises StoreUnavailable after 5 s of waiting."""
        try:
            descriptor = os.open(
                LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._descriptor
            )
        except OSError as error:
            raise self._failed(LOCK, "opened", error) from error
        try:
            self._check(LOCK, os.fstat(descriptor))  # root must not give away what was linked here under this name
            self._give(descriptor)
            self._take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(LOCK_PAUSE_S)
        raise StoreUnavailable("Another process is changing the vault.", next_step="Try again in a moment.")

    def _path(self, name: str) -> str:
        return f"{self._shown}/{name}".rstrip("/")

    def _failed(self, name: str, verb: str, error: OSError) -> StoreUnavailable:
        return StoreUnavailable(f"{self._path(name)} cannot be {verb}: {error.strerror}.")


_RESTORE = "Restore the vault's folder from a backup, or set the secret again (`carapax vault set`)."


def give_folder(place: Path, uid: int, gid: int) -> None:
    """Give the vault's folder and every plain file in it to a user, so that its process needs the descriptor alone.

    For root. No link is followed. Raises StoreUnavailable.
    """
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            for name in os.listdir(descriptor):
                file = os.open(name, _READ, dir_fd=descriptor)
                try:
                    _give_away(file, name, uid, gid)
                finally:
                    os.close(file)
            os.fchown(descriptor, uid, gid)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreUnavailable(f"The folder {place} cannot be handed over: {error.strerror}.") from error


def _give_away(file: int, name: str, uid: int, gid: int) -> None:
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        return
    if status.st_nlink > 1 or status.st_uid not in (0, os.geteuid(), uid):
        # Whoever owned the folder before may have linked in what is not theirs.
        raise StoreUnavailable(f"{name} in the vault's folder has another name or owner.", next_step="Move it away.")
    os.fchown(file, uid, gid)


def erase(path: Path) -> None:
    """Overwrite a plain file with zeros, durably, and remove it. Raises StoreUnavailable, also for a link.

    On journalling or flash storage the old blocks may outlive this; renew what mattered.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be erased: {error.strerror}.") from error
    try:
        overwrite(descriptor)
        path.unlink()
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be erased: {error.strerror}.") from error
    finally:
        os.close(descriptor)


def overwrite(descriptor: int) -> None:
    """Zeros over every byte of an open plain file, durably. Raises OSError; only of a file with one name."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise OSError(0, "it is not a plain file of its own")
    left, place = status.st_size, 0
    while left:
        done = os.pwrite(descriptor, bytes(min(left, 65_536)), place)
        left, place = left - done, place + done
    os.fsync(descriptor)
