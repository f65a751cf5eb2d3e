"""Place: which file holds the database, and whether it may be used.

Layer: adapters/store. Owns the address in the settings, the file's creation (mode 0600, so that no other
user reads a conversation; WAL and shared-memory files take its mode) and the checks before SQLite sees it.
Absent: a PostgreSQL server's address (see `postgres_place`).
"""

from __future__ import annotations

import os
import stat

from carapax.core.terms.error import StoreUnavailable


def find_path(address: str) -> str:
    """The absolute path that a path or a `sqlite:///…` address names. Raises StoreUnavailable."""
    path = address
    if "://" in address:
        kind, _, rest = address.partition("://")
        if kind != "sqlite":
            raise _unusable("the database address names neither a file nor a PostgreSQL server")
        path = rest.removeprefix("/") if rest.startswith("/") else ""
    if not path or path == ":memory:":
        raise _unusable("the database address names no file")
    if "\0" in path:
        raise _unusable("the database address holds a NUL")
    return os.path.abspath(path)


def _unusable(what: str) -> StoreUnavailable:
    return StoreUnavailable(
        what, next_step="Give a path, sqlite:/// and a path, or a postgresql:// address in the settings."
    )


def prepare_file(path: str) -> None:
    """Create the file with mode 0600, or check the one that is there. Raises StoreUnavailable."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise StoreUnavailable(
            f"the database {path} cannot be opened: {os.strerror(error.errno or 0)}",
            next_step="See that its folder exists and that this user may read and write the file.",
        ) from error
    try:
        found = os.fstat(handle)
    finally:
        os.close(handle)
    if not stat.S_ISREG(found.st_mode):
        raise StoreUnavailable(f"{path} is not a file", next_step="Name another path in the settings.")
    if found.st_uid != os.geteuid():
        raise StoreUnavailable(
            f"the database {path} belongs to another user", next_step=f"Run as that user, or `chown` {path}."
        )
    if found.st_mode & 0o077:
        raise StoreUnavailable(
            f"other users may read or write the database {path} (mode {stat.S_IMODE(found.st_mode):04o})",
            next_step=f"Run `chmod 600 {path}`, then start again.",
        )
