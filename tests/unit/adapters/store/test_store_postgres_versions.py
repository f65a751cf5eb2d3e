"""Versions on a server: new, older, newer and foreign databases; many who start at once; the tables and their indexes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Insert, create_engine
from sqlalchemy.pool import NullPool

from carapax.adapters.store import generate, postgres_text, postgres_versions, statements, upgrade, versions
from carapax.adapters.store.postgres_place import Server, find_server
from carapax.adapters.store.schema import metadata
from carapax.adapters.store.sql_store import SqlStore
from carapax.core.terms.error import StoreUnavailable
from carapax.core.terms.ids import SessionId
from carapax.core.terms.label import OWNER
from tests.fakes.postgres import PostgresServer, shared_server
from tests.unit.adapters.store.test_store_statements import ALL, BY_DESIGN
from tests.unit.adapters.store.test_store_versions import Still, _revision


@pytest.fixture
def postgres() -> PostgresServer:
    return shared_server()


@pytest.fixture
def address(postgres: PostgresServer) -> str:
    return postgres.database()


@pytest.fixture
def server(address: str) -> Server:
    return find_server(address)


def _query(address: str, sql: str) -> list[tuple[object, ...]]:
    return shared_server().query(sql, address.split("/")[3].split("?")[0])


def _made(address: str, session: str = "s1") -> list[str]:
    async def scene() -> list[str]:
        store = SqlStore.open(address, Still())
        try:
            await store.open_session(SessionId(session), OWNER, "desk", 1)
            return [s.id for s in await store.list_sessions(OWNER)]
        finally:
            await store.close()

    return asyncio.run(scene())


@pytest.fixture
def connection(address: str) -> Iterator[Connection]:
    words = find_server(address).words
    import psycopg

    engine = create_engine("postgresql+psycopg://", poolclass=NullPool, creator=lambda: psycopg.connect(words))
    with engine.connect() as made:
        yield made


def test_a_new_database_has_the_tables_of_the_schema(address: str, server: Server, connection: Connection) -> None:
    postgres_versions.ensure(server)
    postgres_versions.ensure(server)
    assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert _query(address, "SELECT version_num FROM alembic_version") == [(versions.VERSIONS[-1],)]
    assert sorted(_query(address, "SELECT * FROM counters")) == [("sessions", 0), ("turns", 0)]
    of_another_collation = _query(
        address,
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'",
    )
    assert of_another_collation == []


def _shape(address: str) -> list[tuple[object, ...]]:
    columns = "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
    return sorted(
        [
            *_query(address, f"{columns} WHERE table_schema = 'public' AND table_name <> 'alembic_version'"),
            *_query(address, "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"),
            *_query(
                address,
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN ('f', 'u', 'p')",
            ),
        ]
    )


def test_the_revisions_make_the_same_tables_on_a_server(postgres: PostgresServer, address: str, server: Server) -> None:
    other = find_server(postgres.database())
    postgres_versions.ensure(server)
    upgrade.upgrade_server(other.words, other.name, 1, versions.SCRIPTS, versions.VERSIONS[-1])
    there = f"postgresql:///{other.name.split()[0]}"
    assert _shape(there) == _shape(address)
    assert len(_shape(address)) > 120


def test_each_statement_is_served_by_an_index(address: str, server: Server) -> None:
    import psycopg

    postgres_versions.ensure(server)
    many = [*ALL.items(), *((f"delete {n}", d) for n, d in enumerate(statements.delete_children))]
    seen = 0
    with psycopg.connect(server.words, autocommit=True) as raw:
        # What is scanned even so has no index that serves it. The plan is the one for any value whatever.
        raw.execute("SET enable_seqscan = off")
        raw.execute("SET plan_cache_mode = force_generic_plan")
        for name, element in many:
            if isinstance(element, Insert) or name in BY_DESIGN:
                continue
            own = generate.prepare(element, generate.POSTGRES)
            sql = own.sql
            for place in range(1, len(own.names) + 1):
                sql = sql.replace("%s", f"${place}", 1)
            raw.execute(f"PREPARE asked AS {sql}".encode())
            values = ", ".join(["NULL"] * len(own.names))
            plan = raw.execute(f"EXPLAIN EXECUTE asked{f'({values})' if values else ''}".encode()).fetchall()
            raw.execute("DEALLOCATE asked")
            assert not [step for (step,) in plan if "Seq Scan" in step], (name, plan)
            seen += 1
    assert seen > 50


def test_of_many_who_start_at_once_one_makes_the_tables(server: Server, address: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: postgres_versions.ensure(server), range(8)))
    assert _query(address, "SELECT version_num FROM alembic_version") == [(versions.VERSIONS[-1],)]
    assert _query(address, "SELECT count(*) FROM counters") == [(2,)]


def test_a_newer_database_is_refused_and_left_alone(address: str, server: Server) -> None:
    postgres_versions.ensure(server)
    _query(address, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match="newer release") as caught:
        SqlStore.open(address, Still())
    assert "9999" in caught.value.what
    assert _query(address, "SELECT version_num FROM alembic_version") == [("9999",)]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE songs (name text)",
        "CREATE TABLE alembic_version (version_num text)",
        "CREATE TABLE sessions (id text)",
        "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('0003')",
    ],
)
def test_somebody_elses_tables_are_refused_and_left_alone(address: str, statement: str) -> None:
    _query(address, statement)
    before = _query(address, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    with pytest.raises(StoreUnavailable, match="did not make") as caught:
        SqlStore.open(address, Still())
    assert "search_path" in caught.value.next_step
    assert _query(address, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == before


def test_two_schemas_of_one_database_are_two_stores(address: str) -> None:
    _query(address, "CREATE TABLE songs (name text)")
    for name in ("one", "two"):
        _query(address, f"CREATE SCHEMA {name}")
        assert _made(f"{address}&options=-csearch_path%3D{name}", f"s-{name}") == [f"s-{name}"]
    assert _query(address, "SELECT id FROM one.sessions UNION SELECT id FROM two.sessions ORDER BY 1") == [
        ("s-one",),
        ("s-two",),
    ]


def test_a_schema_that_is_not_there_is_named(address: str) -> None:
    with pytest.raises(StoreUnavailable, match="schema") as caught:
        SqlStore.open(f"{address}&options=-csearch_path%3Dnone", Still())
    assert "CREATE SCHEMA" in caught.value.next_step


def _next(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    newer = (*versions.VERSIONS, "0004")
    for room in (versions, postgres_versions):
        monkeypatch.setattr(room, "VERSIONS", newer)
        monkeypatch.setattr(room, "SCRIPTS", _revision(folder / room.__name__, body))


def test_an_older_database_is_migrated_once(
    address: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _made(address) == ["s1"]
    with monkeypatch.context() as patch:
        _next(patch, tmp_path, "    op.add_column('days', sa.Column('note', sa.Text()))\n")
        for _ in range(3):
            postgres_versions.ensure(server)
        assert _made(address) == ["s1"]
    assert _query(address, "SELECT version_num FROM alembic_version") == [("0004",)]
    assert ("note",) in _query(address, "SELECT column_name FROM information_schema.columns WHERE table_name = 'days'")


def test_a_migration_that_fails_changes_nothing(
    address: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _made(address) == ["s1"]
    body = "    op.add_column('days', sa.Column('note', sa.Text()))\n    op.execute('SELECT * FROM no_such_table')\n"
    with monkeypatch.context() as patch:
        _next(patch, tmp_path, body)
        with pytest.raises(StoreUnavailable, match="0004") as caught:
            postgres_versions.ensure(server)
        assert caught.value.kept == "The database is as it was."
    columns = _query(address, "SELECT column_name FROM information_schema.columns WHERE table_name = 'days'")
    assert ("note",) not in columns
    assert _made(address) == ["s1"]


@pytest.mark.parametrize("database", ["no_such_database", "d1?host=%2Fnonexistent"])
def test_a_server_or_database_that_is_not_there_is_named(postgres: PostgresServer, database: str) -> None:
    address = postgres.address(database) if "?" not in database else f"postgresql:///{database}"
    with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
        SqlStore.open(address, Still())
    assert "psql" in caught.value.next_step


def test_the_tables_are_listed_for_the_check() -> None:
    assert set(postgres_text.tables) == set(metadata.tables)
