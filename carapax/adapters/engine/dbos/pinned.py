"""The one way in to the DBOS library: the version that was examined, with every way to run code from a row closed.

Layer: adapters/engine/dbos. DBOS keeps values as JSON for us, but it unpickles any row that says `py_pickle`,
whichever serializer is set: whoever can write the database would run code here. All of that goes through one class,
which is replaced. Absent: any other change to the library. A version other than `EXAMINED` is refused, because it
may have other ways. Law: after `load_dbos` no module of the library can reach `pickle`.
"""

from __future__ import annotations

import importlib.metadata
import logging
from typing import Any

from carapax.core.terms.error import StoreUnavailable

EXAMINED = "3.4.0"
QUIET = logging.CRITICAL + 1


class UnpickleRefused(ValueError):
    """A row asked to be unpickled."""

    def __init__(self) -> None:
        super().__init__("it is written in a form that could run code, and was not read")


class _NoPickle:
    """Stands where the library had the module `pickle`."""

    def __getattr__(self, name: str) -> Any:
        raise UnpickleRefused


def load_dbos() -> Any:
    """The package `dbos`, closed. Raises StoreUnavailable for a version that was not examined."""
    found = _version()
    if found != EXAMINED:
        raise StoreUnavailable(
            f"the work engine was examined with DBOS {EXAMINED}, and {found} is installed",
            next_step='Install the locked requirements (requirements/run.lock), or set engine = "embedded".',
        )
    logger = logging.getLogger("dbos")
    if not logger.handlers:  # else the library gives itself one that writes to the console
        logger.addHandler(logging.NullHandler())
    logger.propagate = False
    import dbos
    from dbos import _dbos, _serialization, _utils

    _close(_serialization)
    # Nothing here is scheduled; the loop would start what somebody wrote into its table, or die of it.
    vars(_dbos)["dynamic_scheduler_loop"] = lambda _stop, _interval: None
    _utils.GlobalParams.dbos_cloud = False  # a variable of the environment would let it dial out
    return dbos


def _version() -> str:
    try:
        return importlib.metadata.version("dbos")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _close(serialization: Any) -> None:
    def refuse(_self: object, _text: str) -> Any:
        raise UnpickleRefused

    def describe(_self: object, value: Any) -> str:
        # Only errors reach this: what became of a row that asked to be unpickled. It is written as JSON.
        described = serialization.exception_to_workflow_error_data(value)
        return str(serialization.DBOSPortableJSON.serialize(described))

    serialization.pickle = _NoPickle()
    serialization.DefaultSerializer.deserialize = refuse
    serialization.DefaultSerializer.serialize = describe
