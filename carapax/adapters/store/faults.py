"""What a failing database means to a person: SQLite's error codes to errors that say what to do.

Layer: adapters/store. Law: no error text of the database, and no traceback, reaches a surface; the code's name does.
"""

from __future__ import annotations

import sqlite3

from carapax.core.terms.error import CarapaxError, Conflict, Malformed, NotFound, StoreUnavailable

_RESTORE = "Stop the gateway, move {path} aside, put a backup in its place (or none, to begin afresh) and start again."

# primary result code → what happened, what to do
_MEANING: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: (
        "the disk that holds {path} is full, or the database has reached its largest size",
        "Free some space, then send the message again.",
    ),
    sqlite3.SQLITE_BUSY: (
        "another process holds the database {path} locked",
        "End the other process (perhaps a second gateway or a backup), then try again.",
    ),
    sqlite3.SQLITE_CORRUPT: ("the database {path} is damaged", _RESTORE),
    sqlite3.SQLITE_NOTADB: ("{path} is not a database", _RESTORE),
    sqlite3.SQLITE_READONLY: (
        "{path} may not be written",
        "Give this user the right to write the file and its folder.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "{path} cannot be opened",
        "See that its folder exists, may be written by this user, and that files can still be opened.",
    ),
    sqlite3.SQLITE_IOERR: (
        "the disk that holds {path} did not read or write (full, over a limit, or failing)",
        "Look at free space, file-size limits and the system's log; then try again.",
    ),
}
_MEANING[sqlite3.SQLITE_LOCKED] = _MEANING[sqlite3.SQLITE_BUSY]
_MEANING[sqlite3.SQLITE_PERM] = _MEANING[sqlite3.SQLITE_READONLY]
_OTHER = ("the database {path} refused", "Run `carapax doctor`; it checks the whole file.")
Failure = sqlite3.Error | UnicodeDecodeError
FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""What the driver raises; the second when a damaged file's own bytes stand in SQLite's message."""
_FOREIGN_KEY = sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY


def unavailable(error: Exception, path: str) -> StoreUnavailable:
    """The error a person sees for a database error."""
    known = None if isinstance(error, UnicodeDecodeError) else error
    code = getattr(known, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT if known is None else None)
    name = getattr(known, "sqlite_errorname", "SQLITE_CORRUPT" if known is None else type(error).__name__)
    what, next_step = _MEANING.get((code or 0) & 0xFF, _OTHER)
    return StoreUnavailable(f"{what.format(path=path)} ({name})", next_step=next_step.format(path=path))


def refused(error: Exception, path: str) -> CarapaxError:
    """The error for a write that the rows or the values did not allow; nothing of it was written."""
    if isinstance(error, sqlite3.IntegrityError):
        if getattr(error, "sqlite_errorcode", None) == _FOREIGN_KEY:
            return NotFound("the session this belongs to does not exist (any more)")
        return Conflict("something with this name or number is stored already")
    if isinstance(error, UnicodeEncodeError):
        return Malformed("text with a lone surrogate cannot be stored")
    if isinstance(error, OverflowError):
        return Malformed("a number over 64 bits cannot be stored")
    if isinstance(error, sqlite3.DataError):  # longer than SQLite's ceiling of 1,000,000,000 bytes
        return Malformed("a text is too long to be stored")
    if isinstance(error, Failure):
        return unavailable(error, path)
    raise error


def spoils(error: BaseException | None) -> bool:
    """Whether the database itself failed, so that nothing else in the same transaction can be trusted."""
    return isinstance(error, Failure) and not isinstance(error, sqlite3.IntegrityError | sqlite3.DataError)
