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

from carapax.adapters.store import rules, upgrade, versions
from carapax.adapters.store.schema import metadata
from carapax.adapters.store.sql_store import SqlStore
from carapax.core.flow.lattice import join_all
from carapax.core.terms.approval import ApprovalState
from carapax.core.terms.channel import Place
from carapax.core.terms.check import Standing
from carapax.core.terms.error import StoreUnavailable
from carapax.core.terms.ids import CallId, Digest, PrincipalId, SessionId, TurnId
from carapax.core.terms.label import OWNER, OWNER_ONLY, Integrity, Label
from carapax.core.terms.work import Work, WorkState
from carapax.ports.store import Account, KnownPlace, Pairing


class Still:
    def now_ms(self) -> int:
        return 1

    def monotonic_ms(self) -> int:
        return 1


class _At(Still):
    def __init__(self, at_ms: int) -> None:
        self._at_ms = at_ms

    def now_ms(self) -> int:
        return self._at_ms


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
    for name in ("env.py", "versions/0001_first.py", "versions/0002_promise.py", "versions/0003_people_and_work.py"):
        (scripts / name).write_bytes((versions.SCRIPTS / name).read_bytes())
    (scripts / "versions" / "0004_next.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\n"
        f"revision = '0004'\ndown_revision = '0003'\n\ndef upgrade():\n{body}"
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
    assert len(sql) == 15
    assert sum("row BIGSERIAL" in s or '"row" BIGSERIAL' in s for s in sql) == 11


def test_opening_a_file_imports_no_alembic_sqlalchemy_or_psycopg(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "class Still:\n"
        "    def now_ms(self): return 1\n"
        "from carapax.adapters.store.sql_store import SqlStore\n"
        "asyncio.run(SqlStore.open(sys.argv[1], Still()).close())\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('alembic', 'psycopg', 'sqlalchemy')))\n"
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
    monkeypatch.setattr(versions, "VERSIONS", ("0001", "0002", "0003", "0004"))
    monkeypatch.setattr(versions, "SCRIPTS", scripts)
    assert _sessions(path) == ["s1"]
    assert _run(path, "SELECT version_num FROM alembic_version") == [("0004",)]
    assert "note" in [r[1] for r in _run(path, "PRAGMA table_info(days)")]
    copy = tmp_path / "a.db.schema-0003.1"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert _run(copy, "SELECT version_num FROM alembic_version") == [("0003",)]
    assert _run(copy, "SELECT id FROM sessions") == [("s1",)]
    assert _sessions(path) == ["s1"]
    assert not (tmp_path / "a.db.schema-0004.1").exists()
    assert not (tmp_path / "a.db.schema-0003.2").exists()


LABEL_1 = '{"integrity":"external","readers":{"everyone":false,"names":["owner"]},"sources":[]}'
ROWS_1 = (
    "INSERT INTO sessions VALUES (1, 's1', 'n', 'n', 'owner', 'desk', 1, 2, 1, 1, 5, 6, 7, 8)",
    "INSERT INTO turns VALUES (1, 't1', 's1', 1, 'done', 'owner', 'cli', 'hi', 'yes', 1, 2, 5, 6, 7, 8, NULL, 0)",
    f"INSERT INTO parts VALUES (1, 's1', 't1', 1, 'result', 'words', NULL, '{LABEL_1}', 1, 'fetch', 'c1')",
    "INSERT INTO approvals VALUES (1, 'K7M2', 's1', 't1', 'c1', 'd', 'delete', '[]', 'r', 'why', '', 1, 9,"
    " 'waiting', NULL, NULL)",
    "INSERT INTO tokens VALUES (1, 'k1', 'h', 'laptop', '[\"chat\"]', 1, 2, 0, NULL)",
    "INSERT INTO days VALUES ('2026-01-02', 1, 2, 3, 4)",
    "UPDATE counters SET count = 1",
)


def _first_release(path: Path) -> None:
    """A database as schema 0001 left it."""
    upgrade.upgrade(str(path), versions.SCRIPTS, "0001", "")
    path.chmod(0o600)
    _run(path, *ROWS_1)


def test_a_database_of_the_first_schema_is_read_whole_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    _first_release(path)

    async def scene() -> None:
        store = SqlStore.open(str(path), Still())
        (part,) = await store.parts(SessionId("s1"), limit=9)
        assert part.label == Label(Integrity.EXTERNAL, OWNER_ONLY)
        (card,) = await store.list_approvals()
        assert (card.title, card.people, card.calls, card.factor, card.blanks) == ("delete", 1, 1, False, ())
        assert (card.typed, card.picked, card.agreed, card.hidden, card.exact) == ((), (), (), (), "")
        answered = await store.answer_approval(card.id, ApprovalState.APPROVED, OWNER, 2, typed=["x"], picked=[3])
        assert list(await store.list_approvals(None)) == [answered]
        assert await store.find_token("h") is not None
        assert (await store.day_usage("2026-01-02")).tokens == 1
        assert await store.counts() == {"sessions": 1, "turns": 1, "approvals_waiting": 0, "tokens": 1}
        await store.join_content_labels({Digest("aa"): part.label})
        await store.add_tally("files", 2, SessionId("s1"), 5)
        assert await store.tally("files", since_ms=0) == 2
        assert (await store.check()).standing is Standing.OK
        await store.close()

    asyncio.run(scene())
    assert _run(tmp_path / "a.db.schema-0001.1", "SELECT id FROM approvals") == [("K7M2",)]


LABEL_2 = LABEL_1.replace('{"integrity"', '{"classes":[],"integrity"').replace('"sources"', '"shape":"text","sources"')
ROWS_2 = (
    "INSERT INTO sessions VALUES (1, 's1', 'n', 'n', 'owner', 'telegram/1', 1, 2, 2, 1, 5, 6, 7, 8)",
    "INSERT INTO turns VALUES (1, 't1', 's1', 1, 'done', 'owner', 'cli', 'hi', 'yes', 1, 2, 5, 6, 7, 8, NULL, 1)",
    "INSERT INTO turns VALUES (2, 't2', 's1', 2, 'waiting', 'owner', 'cli', 'do', '', 1, NULL, 0, 0, 0, 0, 'key', 0)",
    f"INSERT INTO parts VALUES (1, 's1', 't1', 1, 'user', 'ГРОЗА', 'гроза', '{LABEL_2}', 1, '', NULL)",
    "INSERT INTO calls VALUES (1, 'c1', 's1', 't1', 'write', 'w', 3, 'done', 4, NULL)",
    "INSERT INTO calls VALUES (2, 'c2', 's1', 't2', 'send', 'w', 5, NULL, NULL, NULL)",
    "INSERT INTO approvals (row, id, session, turn, call, digest, title, lines, rule, reason, taint, asked_ms,"
    " deadline_ms, state, people, agreed, typed) VALUES (1, 'K7M2', 's1', 't2', 'c3', 'd', 'send', '[]', 'r', 'why',"
    " '', 1, 9, 'waiting', 2, '[\"anna\"]', '[]')",
    "INSERT INTO tokens VALUES (1, 'k1', 'h', 'laptop', '[\"chat\"]', 1, 2, 0, NULL)",
    "INSERT INTO days VALUES ('2026-01-02', 1, 2, 3, 4)",
    f"INSERT INTO content_labels VALUES ('aa', '{LABEL_2}')",
    "INSERT INTO tallies VALUES (1, 'files', 1, 3, 's1')",
    "UPDATE counters SET count = CASE name WHEN 'turns' THEN 2 ELSE 1 END",
)


def test_a_database_of_the_second_schema_is_read_whole_and_keeps_people_and_work(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    upgrade.upgrade(str(path), versions.SCRIPTS, "0002", "")
    path.chmod(0o600)
    _run(path, *ROWS_2)

    async def what_was(store: SqlStore) -> None:
        (found,) = await store.list_sessions(OWNER, query="гРоЗа")
        assert (found.id, found.turns, found.usage.tokens) == (SessionId("s1"), 2, 5)
        assert (await store.open_session(SessionId("s9"), OWNER, "telegram/1", 3)).id == found.id
        assert [t.id for t in await store.unfinished_turns()] == ["t2"]
        assert [c.call for c in await store.open_calls()] == ["c2"]
        (card,) = await store.list_approvals()
        assert (card.people, card.agreed) == (2, (PrincipalId("anna"),))
        assert await store.find_approval(CallId("c3")) == card
        assert dict(await store.calls_of(TurnId("t1"))) == {CallId("c1"): "done"}
        assert [t.id for t, _ in await store.changes()] == ["t1"]
        assert await store.find_token("h") is not None
        assert (await store.day_usage("2026-01-02")).tokens == 1
        assert list(await store.content_labels([Digest("aa")])) == [Digest("aa")]
        assert await store.tally("files", since_ms=0) == 3
        assert await store.counts() == {"sessions": 1, "turns": 2, "approvals_waiting": 1, "tokens": 1}

    async def what_is_kept(store: SqlStore) -> None:
        account = Account("telegram", "1", OWNER, "x", 1, "code:owner")
        await store.put_account(account)
        assert list(await store.list_accounts()) == [account]
        await store.put_pairing(Pairing("h", "telegram", "1", "x", "", 1, 9))
        assert len(await store.list_pairings(now_ms=2)) == 1
        await store.put_place(KnownPlace(OWNER, Place("telegram", "1"), 4))
        assert len(await store.places_of(OWNER)) == 1
        await store.write_note("telegram", "cursor", b"\0")
        assert await store.read_note("telegram", "cursor") == b"\0"
        assert await store.put_work(Work("turn", "t2", "s1", "{}", 1))
        assert not await store.put_work(Work("turn", "t2", "s1", "{}", 1))
        assert len(await store.list_work([WorkState.WAITING, WorkState.RUNNING])) == 1
        assert (await store.check()).standing is Standing.OK

    async def scene() -> None:
        store = SqlStore.open(str(path), Still())
        await what_was(store)
        await what_is_kept(store)
        await store.close()

    asyncio.run(scene())
    assert _run(tmp_path / "a.db.schema-0002.1", "SELECT id FROM turns ORDER BY row") == [("t1",), ("t2",)]
    assert _run(path, "SELECT version_num FROM alembic_version") == [("0003",)]


def test_old_tallies_go_at_the_start_and_not_more_than_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, day_ms = tmp_path / "a.db", 24 * 3_600_000

    def start(now_ms: int) -> list[tuple[object, ...]]:
        asyncio.run(SqlStore.open(str(path), _At(now_ms)).close())
        return _run(path, "SELECT at_ms FROM tallies ORDER BY row")

    assert start(0) == []
    _run(path, *(f"INSERT INTO tallies (kind, at_ms, amount, session) VALUES ('m', {n}, 1, 's')" for n in range(4)))
    assert len(start(40 * day_ms)) == 4
    assert start(40 * day_ms + 1) == [(1,), (2,), (3,)]
    monkeypatch.setattr(rules, "PRUNED_TALLIES", 2)
    assert start(90 * day_ms) == [(3,)]
    assert start(90 * day_ms) == []


def test_a_start_with_nothing_to_remove_waits_for_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    _made(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert _sessions(path) == ["s1"]
    finally:
        other.close()


def test_a_migration_that_fails_changes_nothing_and_names_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    _made(path)
    body = "    op.add_column('days', sa.Column('note', sa.Text()))\n    op.execute('SELECT * FROM no_such_table')\n"
    scripts = _revision(tmp_path, body)
    with monkeypatch.context() as patch:
        patch.setattr(versions, "VERSIONS", ("0001", "0002", "0003", "0004"))
        patch.setattr(versions, "SCRIPTS", scripts)
        for number in (1, 2):
            with pytest.raises(StoreUnavailable) as caught:
                SqlStore.open(str(path), Still())
            assert f"a.db.schema-0003.{number}" in caught.value.kept
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


def test_two_gateways_on_one_file_lose_no_label(tmp_path: Path) -> None:
    labels = [Label(Integrity.USER, OWNER_ONLY, classes=frozenset({f"c{n}"})) for n in range(20)]

    async def scene() -> None:
        stores = [SqlStore.open(str(tmp_path / "a.db"), Still()) for _ in range(2)]
        joins = [stores[n % 2].join_content_labels({Digest("aa"): label}) for n, label in enumerate(labels)]
        await asyncio.gather(*joins)
        assert (await stores[0].content_labels([Digest("aa")]))[Digest("aa")] == join_all(labels)
        for store in stores:
            await store.close()

    asyncio.run(scene())
