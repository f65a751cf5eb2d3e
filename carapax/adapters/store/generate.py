"""Generate `sqlite_text` from the tables and statements: `python -m carapax.adapters.store.generate`.

Layer: adapters/store; not part of the running gateway. Importing SQLAlchemy costs a third of a second and 20 MB,
and a statement never changes between releases: so its text is made once, here, and a test holds the file equal.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import ClauseElement, Delete, Insert, Select, Update
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from carapax.adapters.store import statements
from carapax.adapters.store.prepared import Prepared
from carapax.adapters.store.schema import metadata

TARGET = Path(__file__).parent / "sqlite_text.py"
_DIALECT = dialect()
_HEAD = '''"""Every table and statement as SQLite takes it. Written by `generate`; do not edit.

Layer: adapters/store. Source: `schema` and `statements`.
"""

# ruff: noqa: E501
# fmt: off
from __future__ import annotations

from carapax.adapters.store.prepared import Prepared
'''


def _sql(element: ClauseElement) -> str:
    return " ".join(str(element.compile(dialect=_DIALECT)).split())


def prepare(element: ClauseElement) -> Prepared:
    """The statement as the driver takes it."""
    compiled = element.compile(dialect=_DIALECT)
    names: list[str] = list(getattr(compiled, "positiontup", None) or ())
    fixed = {name: value for name, value in compiled.params.items() if value is not None}
    return Prepared(_sql(element), tuple(names), fixed)


def _line(name: str, found: Prepared) -> str:
    return f"{name} = Prepared({found.sql!r}, {found.names!r}, {dict(found.fixed)!r})"


def elements() -> dict[str, ClauseElement]:
    """Every public statement by its name."""
    return {
        name: element
        for name, element in vars(statements).items()
        if isinstance(element, Select | Insert | Update | Delete) and not name.startswith("_")
    }


def render() -> str:
    """The text of `sqlite_text`."""
    lines = [_line(name, prepare(element)) for name, element in elements().items()]
    children = [_line(f"_child_{n}", prepare(d)) for n, d in enumerate(statements.delete_children)]
    names = ", ".join(f"_child_{n}" for n in range(len(children)))
    create = [_sql(CreateTable(table)) for table in metadata.sorted_tables]
    for table in metadata.sorted_tables:
        create += [_sql(CreateIndex(index)) for index in sorted(table.indexes, key=lambda i: str(i.name))]
    made = ["create_all = (", *(f"    {sql!r}," for sql in create), ")"]
    return "\n".join([_HEAD, *lines, *children, f"delete_children = ({names})", *made, ""])


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
