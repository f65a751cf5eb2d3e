"""Generate `sqlite_text` and `postgres_text` from the tables and statements: `python -m carapax.adapters.store.generate`.

Layer: adapters/store; not part of the running gateway. Importing SQLAlchemy costs a third of a second and 20 MB,
and a statement never changes between releases: so its text is made once, here, and a test holds the files equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ClauseElement, Delete, Insert, Select, Update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from carapax.adapters.store import statements
from carapax.adapters.store.prepared import Prepared
from carapax.adapters.store.schema import metadata

_HEAD = '''"""Every table and statement as {database} takes it. Written by `generate`; do not edit.

Layer: adapters/store. Source: `schema` and `statements`.
"""

# ruff: noqa: E501
# fmt: off
from __future__ import annotations

from carapax.adapters.store.prepared import Prepared
'''


@dataclass(frozen=True, slots=True)
class Target:
    """One database and the file with its text."""

    database: str
    dialect: Dialect
    file: Path


SQLITE = Target("SQLite", sqlite.dialect(), Path(__file__).parent / "sqlite_text.py")
_SERVER: Dialect = psycopg.PGDialect_psycopg(paramstyle="format")  # type: ignore[no-untyped-call]
POSTGRES = Target("PostgreSQL", _SERVER, Path(__file__).parent / "postgres_text.py")
TARGETS = (SQLITE, POSTGRES)


def _sql(element: ClauseElement, target: Target) -> str:
    return " ".join(str(element.compile(dialect=target.dialect)).split())


def prepare(element: ClauseElement, target: Target = SQLITE) -> Prepared:
    """The statement as the driver takes it."""
    compiled = element.compile(dialect=target.dialect)
    names: list[str] = list(getattr(compiled, "positiontup", None) or ())
    fixed = {name: value for name, value in compiled.params.items() if value is not None}
    return Prepared(_sql(element, target), tuple(names), fixed)


def _line(name: str, found: Prepared) -> str:
    return f"{name} = Prepared({found.sql!r}, {found.names!r}, {dict(found.fixed)!r})"


def elements() -> dict[str, ClauseElement]:
    """Every public statement by its name."""
    return {
        name: element
        for name, element in vars(statements).items()
        if isinstance(element, Select | Insert | Update | Delete) and not name.startswith("_")
    }


def render(target: Target) -> str:
    """The text of one file."""
    lines = [_line(name, prepare(element, target)) for name, element in elements().items()]
    children = [_line(f"_child_{n}", prepare(d, target)) for n, d in enumerate(statements.delete_children)]
    names = ", ".join(f"_child_{n}" for n in range(len(children)))
    create = [_sql(CreateTable(table), target) for table in metadata.sorted_tables]
    for table in metadata.sorted_tables:
        create += [_sql(CreateIndex(index), target) for index in sorted(table.indexes, key=lambda i: str(i.name))]
    made = [
        f"tables = {tuple(table.name for table in metadata.sorted_tables)!r}",
        *("create_all = (", *(f"    {sql!r}," for sql in create), ")"),
    ]
    head = _HEAD.format(database=target.database)
    return "\n".join([head, *lines, *children, f"delete_children = ({names})", *made, ""])


if __name__ == "__main__":
    for each in TARGETS:
        each.file.write_text(render(each), encoding="utf-8")
