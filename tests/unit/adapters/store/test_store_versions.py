"""Versions: new, older, newer and foreign files; the constant against alembic; the two descriptions of the tables."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable

from carapax.adapters.store import upgrade, versions
from carapax.adapters.store.schema import metadata
from carapax.adapters.store.sql_store import SqlStore
from carapax.core.terms.error import StoreUnavailable
from carapax.core.terms.ids import SessionId
from carapax.core.terms.label import OWNER


class Still:
    def now_ms(self) -> int:
        return 1

    def monotonic_ms(self) -> int:
        return 1


def _run(path: Path, *statements: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        found = [row for statement in statements for row in connection.execute(statement)]
        connection.commit()
        return found
    finally:
        connection.close()


def _made(path: Path) -> None:
    async def scene() -> None:
        store = SqlStore.open(str(path), Still())
        await store.open_session(SessionId("s1"), OWNER, "desk", 1)
        await store.close()

    asyncio.run(scene())


def _sessions(path: Path) -> list[str]:
    async def scene() -> list[str]:
        store = SqlStore.open(str(path), Still())
        try:
            return [s.id for s in await store.list_sessions(OWNER)]
        finally:
            await store.close()

    return asyncio.run(scene())


def _revision(folder: Path, body: str) -> Path:
    """Our revisions and one more."""
    scripts = folder / "scripts"
    (scripts / "versions").mkdir(parents=True)
    for name in ("env.py", "versions/0001_first.py"):
        (scripts / name).write_bytes((versions.SCRIPTS / name).read_bytes())
    (scripts / "versions" / "0002_next.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\n"
        f"revision = '0002'\ndown_revision = '0001'\n\ndef upgrade():\n{body}"
    )
    return scripts


def test_the_constant_names_alembics_revisions() -> None:
    scripts = ScriptDirectory.from_config(upgrade.configuration(versions.SCRIPTS))
    assert tuple(r.revision for r in reversed(list(scripts.walk_revisions()))) == versions.VERSIONS
    assert scripts.get_current_head() == versions.VERSIONS[-1]


def test_a_new_file_and_a_migrated_one_have_the_same_tables(tmp_path: Path) -> None:
    new, migrated = tmp_path / "new.db", tmp_path / "migrated.db"
    _made(new)
    upgrade.upgrade(str(migrated), versions.SCRIPTS, versions.VERSIONS[-1], "")
    shapes = []
    for path in (new, migrated):
        tables = sorted(str(r[0]) for r in _run(path, "SELECT name FROM sqlite_master WHERE type = 'table'"))
        shape: dict[str, object] = {}
        for table in tables:
            shape[table] = _run(path, f"PRAGMA table_info('{table}')", f"PRAGMA foreign_key_list('{table}')")
            indexes = sorted(_run(path, f"PRAGMA index_list('{table}')"), key=lambda r: str(r[1]))
            shape[table + " indexes"] = [
                (unique, origin, partial, _run(path, f"PRAGMA index_info('{name}')"))
                for _, name, unique, origin, partial in indexes
            ]
        shape["where"] = sorted(
            str(r[0]) for r in _run(path, "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        )
        shapes.append(shape)
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) > 15
    assert _run(migrated, "SELECT * FROM counters") == [("sessions", 0), ("turns", 0)]
    engine = create_engine(f"sqlite:///{migrated}", poolclass=NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_tables_can_be_written_for_postgresql() -> None:
    sql = [str(CreateTable(t).compile(dialect=postgresql.dialect())) for t in metadata.sorted_tables]
    assert len(sql) == 8
    assert sum("row BIGSERIAL" in s or '"row" BIGSERIAL' in s for s in sql) == 6


def test_opening_imports_neither_alembic_nor_sqlalchemy(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from carapax.adapters.store.sql_store import SqlStore\n"
        "asyncio.run(SqlStore.open(sys.argv[1], None).close())\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('alembic', 'sqlalchemy')))\n"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "a.db")],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout == "[]\n"


def test_an_older_file_is_copied_and_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"
    _made(path)
    scripts = _revision(tmp_path, "    op.add_column('days', sa.Column('note', sa.Text()))\n")
    monkeypatch.setattr(versions, "VERSIONS", ("0001", "0002"))
    monkeypatch.setattr(versions, "SCRIPTS", scripts)
    assert _sessions(path) == ["s1"]
    assert _run(path, "SELECT version_num FROM alembic_version") == [("0002",)]
    assert "note" in [r[1] for r in _run(path, "PRAGMA table_info(days)")]
    copy = tmp_path / "a.db.schema-0001.1"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert _run(copy, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert _run(copy, "SELECT id FROM sessions") == [("s1",)]
    assert _sessions(path) == ["s1"]
    assert not (tmp_path / "a.db.schema-0002.1").exists()
    assert not (tmp_path / "a.db.schema-0001.2").exists()


def test_a_migration_that_fails_changes_nothing_and_names_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    _made(path)
    body = "    op.add_column('days', sa.Column('note', sa.Text()))\n    op.execute('SELECT * FROM no_such_table')\n"
    scripts = _revision(tmp_path, body)
    with monkeypatch.context() as patch:
        patch.setattr(versions, "VERSIONS", ("0001", "0002"))
        patch.setattr(versions, "SCRIPTS", scripts)
        for number in (1, 2):
            with pytest.raises(StoreUnavailable) as caught:
                SqlStore.open(str(path), Still())
            assert f"a.db.schema-0001.{number}" in caught.value.kept
    assert "note" not in [r[1] for r in _run(path, "PRAGMA table_info(days)")]
    assert _sessions(path) == ["s1"]


def test_a_file_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    _made(path)
    _run(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match="newer release") as caught:
        SqlStore.open(str(path), Still())
    assert "9999" in caught.value.what
    assert "release" in caught.value.next_step
    assert _run(path, "SELECT version_num FROM alembic_version") == [("9999",)]
    assert sorted(os.listdir(tmp_path)) == ["a.db"]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE songs (name TEXT)",
        "CREATE TABLE alembic_version (version_num TEXT)",
    ],
)
def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "a.db"
    _run(path, statement)
    path.chmod(0o600)
    before = _run(path, "SELECT sql FROM sqlite_master")
    with pytest.raises(StoreUnavailable, match="not one that Carapax made"):
        SqlStore.open(str(path), Still())
    assert _run(path, "SELECT sql FROM sqlite_master") == before


def test_no_more_copies_than_the_ceiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"
    _made(path)
    monkeypatch.setattr(versions, "COPIES", 2)
    for _ in range(2):
        versions.keep_copy(str(path), "0001")
    with pytest.raises(StoreUnavailable, match="2 copies"):
        versions.keep_copy(str(path), "0001")
