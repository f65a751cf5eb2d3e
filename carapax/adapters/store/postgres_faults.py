"""What a failing PostgreSQL means to a person: SQLSTATE codes to errors that say what to do.

Layer: adapters/store; imported for PostgreSQL only. Law: no error text of the database reaches a surface (it may quote
a row or an address); the code does. Source: postgresql.org/docs/current/errcodes-appendix.html.
"""

from __future__ import annotations

import psycopg

from carapax.core.terms.error import CarapaxError, Conflict, Malformed, NotFound, StoreUnavailable

FAILURES: tuple[type[Exception], ...] = (psycopg.Error,)
_UNREACHED = (
    "the database {name} cannot be reached, or let nobody in",
    "See that the server runs, that the database exists and that this user may log in (`psql` with the same address).",
)
_RESTART = ("the server of the database {name} is stopping or starting", "Try again in a moment.")

# SQLSTATE, or its class of two characters → what happened, what to do
_MEANING: dict[str, tuple[str, str]] = {
    "08": _UNREACHED,
    "28": (
        "the database {name} does not let this user in",
        "Give the user the right to log in (pg_hba.conf), then try again.",
    ),
    "3D": ("the database {name} does not exist", "Make it (`createdb`), then start again."),
    "3F": ("the schema that the address of {name} names does not exist", "Make it (CREATE SCHEMA), then start again."),
    "42501": ("this user may not read or write the tables of {name}", "Make this user their owner, then start again."),
    "42P01": ("tables are missing from the database {name}", "Put a backup in its place, then start again."),
    "25006": (
        "the database {name} may not be written: it is a standby, or set to read only",
        "Name the primary server.",
    ),
    "40P01": ("another program's locks stood in the way in the database {name}", "Try again."),
    "53100": ("the disk of the database {name} is full", "Free some space, then send the message again."),
    "53200": ("the server of the database {name} has no memory left", "Look at the server's log; then try again."),
    "53300": ("the server of the database {name} takes no more connections", "Raise max_connections, or end others."),
    "55P03": (
        "another gateway, or a program, holds the database {name} locked",
        "See which one (`pg_stat_activity`) and end it if it hangs; then try again.",
    ),
    "57014": ("the database {name} took too long", "Look at the server's load, then try again."),
    "57": _RESTART,
    "58": ("the disk of the database {name} did not read or write", "Look at the server's log; then try again."),
    "XX": ("the database {name} is damaged", "Stop the gateway, put a backup in its place and start again."),
}
_OTHER = ("the database {name} refused", "Run `carapax doctor`, and look at the server's log.")


class CommitUnknown(psycopg.OperationalError):
    """The connection was lost while a commit was under way, and the server could not be asked what became of it."""


def unavailable(error: Exception, name: str) -> StoreUnavailable:
    """The error a person sees for a database error."""
    if isinstance(error, CommitUnknown):
        return StoreUnavailable(
            f"the connection to the database {name} was lost while it wrote",
            kept="Whether this was written is not known; either all of it was, or nothing.",
            next_step="When the server answers again, look before you repeat it.",
        )
    code = getattr(error, "sqlstate", None) or ""
    lost = _UNREACHED if not code and isinstance(error, psycopg.OperationalError) else _OTHER
    what, next_step = _MEANING.get(code) or _MEANING.get(code[:2], lost)
    shown = code or type(error).__name__
    return StoreUnavailable(f"{what.format(name=name)} ({shown})", next_step=next_step.format(name=name))


def refused(error: Exception, name: str) -> CarapaxError:
    """The error for a write that the rows or the values did not allow; nothing of it was written."""
    if isinstance(error, psycopg.errors.ForeignKeyViolation):
        return NotFound("the session this belongs to does not exist (any more)")
    if isinstance(error, psycopg.IntegrityError):
        return Conflict("something with this name or number is stored already")
    if isinstance(error, UnicodeEncodeError):
        return Malformed("text with a lone surrogate cannot be stored")
    if isinstance(error, psycopg.errors.NumericValueOutOfRange | OverflowError):
        return Malformed("a number over 64 bits cannot be stored")
    if isinstance(error, psycopg.DataError | psycopg.errors.ProgramLimitExceeded):
        return Malformed("a text is too long to be stored, or holds what the database does not take")
    if isinstance(error, psycopg.Error):
        return unavailable(error, name)
    raise error


def spoils(error: BaseException | None) -> bool:
    """Whether the database itself failed, so that nothing else in the same transaction can be trusted."""
    harmless = psycopg.IntegrityError | psycopg.DataError | psycopg.errors.ProgramLimitExceeded
    return isinstance(error, psycopg.Error) and not isinstance(error, harmless)
