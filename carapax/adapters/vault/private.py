"""Files that only their owner can read: made whole or not at all, and not read when others could have.

Layer: adapters/vault. Owns mode checks, atomic writes and the refusal to follow a link.
Absent: any knowledge of what the bytes mean.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from carapax.core.terms.error import StoreUnavailable


def ensure_private_directory(path: Path) -> None:
    """Make a 0700 directory. Raises StoreUnavailable when it cannot be made or others can enter it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = path.lstat().st_mode
    except OSError as error:
        raise StoreUnavailable(f"The folder {path} cannot be made: {error.strerror}.") from error
    if not stat.S_ISDIR(mode):
        raise StoreUnavailable(f"{path} is not a folder.", next_step=f"Move {path} away.")
    if stat.S_IMODE(mode) & 0o077:
        raise StoreUnavailable(f"Others can enter the folder {path}.", next_step=f"Run `chmod 700 {path}`.")


def find_private_bytes(path: Path, max_bytes: int) -> bytes | None:
    """The bytes of a file, None when there is none.

    Raises StoreUnavailable when others can read it, when it is a link or not a plain file, or over `max_bytes`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be read: {error.strerror}.") from error
    try:
        _check_private(path, os.fstat(descriptor))
        content = _read(descriptor, max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise StoreUnavailable(f"{path} is longer than {max_bytes} bytes.", next_step=f"Move {path} away.")
    return content


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise StoreUnavailable(f"{path} is not a plain file.", next_step=f"Move {path} away.")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise StoreUnavailable(
            f"Others can read {path}; what it holds may be known.",
            next_step=f"Run `chmod 600 {path}`, and renew the secret if others use this machine.",
        )


def _read(descriptor: int, max_bytes: int) -> bytes:
    content = b""
    while len(content) < max_bytes and (chunk := os.read(descriptor, max_bytes - len(content))):
        content += chunk
    return content


def write_private_bytes(path: Path, content: bytes, *, replace: bool) -> None:
    """Write a 0600 file durably: the old bytes or the new ones, never a part. Without `replace`, an existing file stays.

    Raises FileExistsError (only without `replace`) and StoreUnavailable.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_new(draft, content)
        try:
            if replace:
                draft.replace(path)
            else:
                os.link(draft, path)  # unlike a rename, a link never replaces
        finally:
            draft.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be written: {error.strerror}.") from error


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
