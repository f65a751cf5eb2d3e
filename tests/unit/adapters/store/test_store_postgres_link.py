"""ServerLink: texts that PostgreSQL does not take, the gate, the locks on rows, and what a failure means to a person."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.store import postgres_faults, postgres_link, postgres_text, postgres_versions, sqlite_text, writes
from carapax.adapters.store.link import Link
from carapax.adapters.store.postgres_link import ServerLink
from carapax.adapters.store.postgres_place import find_server
from carapax.adapters.store.sql_store import SqlStore
from carapax.core.flow.lattice import join_all
from carapax.core.terms.approval import ApprovalState
from carapax.core.terms.channel import Place
from carapax.core.terms.check import Standing
from carapax.core.terms.conversation import TurnState
from carapax.core.terms.error import CarapaxError, Conflict, Malformed, NotFound, StoreUnavailable
from carapax.core.terms.ids import ApprovalId, Digest, SessionId, TurnId
from carapax.core.terms.label import OWNER, OWNER_ONLY, Integrity, Label
from carapax.core.terms.work import Work
from carapax.ports.store import KnownPlace, OpenCall
from tests.conformance.store.rig import Ticks
from tests.conformance.store.test_store_port import C1, C2, S1, T1, T2, approval, said, token, turn
from tests.fakes.postgres import shared_server

ODD = ["\0", "\ufdd0", "\ufdd00", "\ufdd01", "\0\ufdd0\0", "a\0b", "\ufdd0\ufdd0", "é\ufdd00\0", "plain", ""]


@pytest.fixture(scope="module")
def address() -> str:
    made = shared_server().database()
    _run(made, lambda store: store.counts())
    return made


def _run(address: str, *scenes: Callable[[SqlStore], Coroutine[Any, Any, Any]]) -> None:
    async def whole() -> None:
        stores = [SqlStore.open(address, Ticks()) for _ in scenes]
        try:
            await asyncio.gather(*[scene(store) for scene, store in zip(scenes, stores, strict=True)])
        finally:
            for store in stores:
                await store.close()

    asyncio.run(whole())


@pytest.fixture
def link(address: str) -> Iterator[ServerLink]:
    made = ServerLink(find_server(address))
    yield made
    made.close()


# texts


@given(st.lists(st.sampled_from(["\0", "\ufdd0", "0", "1", "x"])).map("".join))
def test_every_text_has_a_form_without_nul_and_comes_back(text: str) -> None:
    bound = postgres_link._bound(text)
    assert isinstance(bound, str)
    assert "\0" not in bound
    assert postgres_link._read((bound, 1, None, b"\0")) == (text, 1, None, b"\0")


@given(st.lists(st.sampled_from(["\0", "\ufdd0", "0", "1"]), max_size=6).map("".join), st.data())
def test_two_texts_are_equal_when_their_forms_are(one: str, more: st.DataObject) -> None:
    other = more.draw(st.lists(st.sampled_from(["\0", "\ufdd0", "0", "1"]), max_size=6).map("".join))
    assert (postgres_link._bound(one) == postgres_link._bound(other)) is (one == other)


def test_texts_that_postgresql_does_not_take_come_back_whole(address: str) -> None:
    async def scene(store: SqlStore) -> None:
        for text in ODD:
            session = SessionId(f"odd{text}")
            assert (await store.open_session(session, OWNER, f"key{text}", 1)).id == session
            assert (await store.open_session(SessionId("other"), OWNER, f"key{text}", 1)).id == session
            stored = await store.accept_turn(
                turn(TurnId(f"odd{text}"), session, text=text, key=f"k{text}"), [said(text)]
            )
            assert await store.accept_turn(turn(TurnId("again"), session, key=f"k{text}"), []) == stored
            assert [p.text for p in await store.parts(session, limit=9)] == [text]
            work = Work("odd", text, text, text, 1)
            assert await store.put_work(work)
            assert await store.find_work("odd", text) == work
            await store.put_place(KnownPlace(OWNER, Place("odd", text), 5))
        assert {known.place.chat for known in await store.places_of(OWNER)} == set(ODD)
        (found,) = await store.list_sessions(OWNER, query="a\0B")
        assert found.id == "odda\0b"

    _run(address, scene)


# what a failure means


def _error(state: str) -> psycopg.Error:
    return psycopg.errors.lookup(state)("secret row of somebody")


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("53100", "full"),
        ("55P03", "another gateway"),
        ("57P01", "stopping or starting"),
        ("57P03", "stopping or starting"),
        ("57014", "too long"),
        ("42501", "may not read or write"),
        ("42P01", "tables are missing"),
        ("25006", "read only"),
        ("28000", "does not let this user in"),
        ("3D000", "does not exist"),
        ("08006", "cannot be reached"),
        ("40P01", "locks"),
        ("XX001", "damaged"),
        ("58030", "disk"),
        ("53300", "no more connections"),
        ("0A000", "refused"),
    ],
)
def test_a_failure_is_named_by_its_code_and_quotes_nothing(state: str, word: str) -> None:
    error = postgres_faults.unavailable(_error(state), "x on here")
    assert word in error.what
    assert state in error.what
    assert "x on here" in error.what
    assert error.next_step
    assert error.kept == "Nothing was changed."
    assert "secret" not in f"{error.what} {error.next_step}"
    assert postgres_faults.spoils(_error(state))
    assert str(postgres_faults.refused(_error(state), "x on here")) == error.what


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (_error("23503"), NotFound),
        (_error("23505"), Conflict),
        (_error("22003"), Malformed),
        (psycopg.DataError("NUL"), Malformed),
        (_error("54000"), Malformed),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), Malformed),
        (OverflowError(), Malformed),
    ],
)
def test_what_the_rows_or_values_did_not_allow_spoils_nothing_else(error: Exception, kind: type[CarapaxError]) -> None:
    assert type(postgres_faults.refused(error, "x")) is kind
    assert not postgres_faults.spoils(error)


def test_a_defect_of_ours_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError):
        postgres_faults.refused(ZeroDivisionError(), "x")
    assert not postgres_faults.spoils(ZeroDivisionError())
    assert not postgres_faults.spoils(None)


def test_a_number_over_64_bits_is_refused_and_the_next_write_stands(address: str) -> None:
    async def scene(store: SqlStore) -> None:
        with pytest.raises(Malformed, match="64 bits"):
            await store.add_tally("big", 2**63, S1, 1)
        with pytest.raises(NotFound):
            await store.open_call(OpenCall(C1, SessionId("none"), T1, "t", "s", 1))
        await store.add_tally("big", 2**63 - 1, S1, 1)
        assert await store.tally("big", since_ms=0) == 2**63 - 1

    _run(address, scene)


# the connection


def test_a_write_is_on_the_disk_and_bounded_whatever_the_server_was_told(address: str, link: ServerLink) -> None:
    database = link.raw.info.dbname
    for name, value in (("synchronous_commit", "off"), ("statement_timeout", "0"), ("lock_timeout", "0")):
        shared_server().query(f'ALTER DATABASE "{database}" SET {name} TO {value}')
    fresh = ServerLink(find_server(address))
    try:
        names = ("synchronous_commit", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        found = [fresh.raw.execute(f"SHOW {name}".encode()).fetchone() for name in names]
        assert found == [("on",), ("1min",), ("10s",), ("30s",)]
    finally:
        fresh.close()
        shared_server().query(f'ALTER DATABASE "{database}" RESET ALL')


def test_whoever_waits_for_standbys_goes_on_doing_so(address: str, link: ServerLink) -> None:
    database = link.raw.info.dbname
    shared_server().query(f'ALTER DATABASE "{database}" SET synchronous_commit TO remote_apply')
    fresh = ServerLink(find_server(address))
    try:
        assert fresh.raw.execute(b"SHOW synchronous_commit").fetchone() == ("remote_apply",)
    finally:
        fresh.close()
        shared_server().query(f'ALTER DATABASE "{database}" RESET ALL')


def test_a_reading_connection_cannot_write(address: str) -> None:
    reading = ServerLink(find_server(address), read_only=True)
    try:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reading.write(sqlite_text.insert_counter, name="x", count=1)
    finally:
        reading.close()


def test_a_transaction_that_failed_is_not_taken_for_committed(link: ServerLink) -> None:
    link.begin()
    with pytest.raises(psycopg.Error):
        link.raw.execute(b"SELECT * FROM no_such_table")
    with pytest.raises(psycopg.Error):
        link.commit()
    link.roll_back()
    link.begin()
    link.commit()


def test_a_check_of_a_server_that_forgets_at_a_power_cut_says_so(address: str) -> None:
    async def scene(store: SqlStore) -> None:
        found = await store.check()
        assert found.standing is Standing.FAILED  # the shared server of the tests runs without fsync
        assert "fsync" in found.found
        assert "postgresql.conf" in found.next_step

    _run(address, scene)


# the gate and the locks on rows


def test_one_gateway_writes_at_a_time_and_the_other_waits(address: str, link: ServerLink) -> None:
    async def scene(store: SqlStore) -> None:
        link.begin()
        writing = asyncio.create_task(store.open_session(SessionId("waits"), OWNER, "", 1))
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        for _ in range(2_000):
            if (await asyncio.to_thread(shared_server().query, waiting)) == [(1,)]:
                break
            await asyncio.sleep(0.005)
        else:
            pytest.fail("the second gateway did not come to the gate")
        assert not writing.done()
        assert await store.find_session(SessionId("waits")) is None  # who reads does not wait
        link.commit()
        assert (await writing).id == "waits"

    _run(address, scene)


def test_a_gate_that_stays_shut_is_named_and_nothing_is_written(
    address: str, link: ServerLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_link, "LOCK_MS", 50)

    async def scene(store: SqlStore) -> None:
        link.begin()
        with pytest.raises(StoreUnavailable, match="another gateway") as caught:
            await store.open_session(SessionId("shut"), OWNER, "", 1)
        assert "pg_stat_activity" in caught.value.next_step
        link.roll_back()
        assert await store.find_session(SessionId("shut")) is None
        assert (await store.open_session(SessionId("shut"), OWNER, "", 1)).id == "shut"

    _run(address, scene)


def test_a_gateway_that_stops_in_the_middle_of_a_write_is_put_out(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(postgres_link, "IDLE_MS", 200)
        stopped = ServerLink(find_server(address))
    stopped.begin()
    writes.open_session(stopped, SessionId("half"), OWNER, "", 1)

    async def scene(store: SqlStore) -> None:
        assert (await store.open_session(SessionId("goes on"), OWNER, "", 1)).id == "goes on"
        assert await store.find_session(SessionId("half")) is None

    _run(address, scene)
    with pytest.raises(psycopg.Error):
        stopped.commit()
    stopped.close()


@pytest.fixture
def no_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a program wrote that does not know the gate: the locks on rows and the constraints are what is left."""
    monkeypatch.setattr(postgres_link, "_BEGIN", b"BEGIN; SELECT 0, pg_current_xact_id()::text")


@pytest.mark.usefixtures("no_gate")
def test_without_the_gate_numbers_are_still_gapless_and_no_part_is_lost(address: str) -> None:
    session, each = SessionId("rows"), 150

    def writer(name: str) -> Callable[[SqlStore], Coroutine[Any, Any, None]]:
        async def scene(store: SqlStore) -> None:
            await asyncio.to_thread(lambda: None)
            for number in range(each):
                await store.accept_turn(turn(TurnId(f"{name}{number}"), session), [said("one"), said("two")])

        return scene

    _run(address, lambda store: store.open_session(session, OWNER, "", 1))
    _run(address, writer("a"), writer("b"), writer("c"))

    async def look(store: SqlStore) -> None:
        found = await store.list_turns(session, limit=1_000)
        assert [t.number for t in reversed(found)] == list(range(1, 3 * each + 1))
        assert [p.seq for p in await store.parts(session, limit=10_000)] == list(range(1, 6 * each + 1))

    _run(address, look)


@pytest.mark.usefixtures("no_gate")
def test_without_the_gate_no_label_is_lost(address: str) -> None:
    labels = [Label(Integrity.USER, OWNER_ONLY, classes=frozenset({f"c{n}"})) for n in range(120)]
    digests = [Digest(f"{n:02}") for n in range(3)]

    def joins(start: int) -> Callable[[SqlStore], Coroutine[Any, Any, None]]:
        async def scene(store: SqlStore) -> None:
            for label in labels[start::3]:
                await _once_more(lambda label=label: store.join_content_labels(dict.fromkeys(digests, label)))

        return scene

    async def _once_more(join: Callable[[], Coroutine[Any, Any, None]]) -> None:
        for _ in range(20):
            try:
                return await join()
            except StoreUnavailable as error:  # without the gate two may wait for each other; the server ends one
                assert "locks stood in the way" in error.what
        raise AssertionError("it was ended twenty times")

    _run(address, joins(0), joins(1), joins(2))

    async def look(store: SqlStore) -> None:
        assert dict(await store.content_labels(digests)) == dict.fromkeys(digests, join_all(labels))

    _run(address, look)


TWICE: dict[str, Callable[[Link], object]] = {
    "close_call": lambda link: writes.close_call(link, C1, "done", 2, []),
    "end a turn": lambda link: writes.set_turn(link, T1, TurnState.DONE, (), None, None, 9, "", 9),
    "answer": lambda link: writes.answer_approval(link, ApprovalId("K7M2"), ApprovalState.DENIED, OWNER, 20),
    "agree": lambda link: writes.agree_approval(link, ApprovalId("K7M2"), OWNER),
    "token": lambda link: writes.put_token(link, token()),
    "session of an id": lambda link: writes.open_session(link, SessionId("new"), OWNER, "", 1),
    "session of a key": lambda link: writes.open_session(link, SessionId(f"n{id(link)}"), OWNER, "desk", 1),
    "turn of an id": lambda link: writes.accept_turn(link, turn(T2), [], 1),
    "approval": lambda link: writes.put_approval(link, approval("NEW1")),
    "call": lambda link: writes.open_call(link, OpenCall(C2, S1, T1, "t", "s", 1)),
}


@pytest.mark.usefixtures("no_gate")
@pytest.mark.parametrize("name", sorted(TWICE))
def test_without_the_gate_what_happens_once_happens_once(name: str) -> None:
    place = find_server(shared_server().database())
    postgres_versions.ensure(place)
    first, second = ServerLink(place), ServerLink(place)
    try:
        first.begin()
        writes.open_session(first, S1, OWNER, "", 1)
        writes.accept_turn(first, turn(T1), [], 1)
        writes.open_call(first, OpenCall(C1, S1, T1, "t", "s", 1))
        writes.put_approval(first, approval(people=2))
        first.commit()
        first.begin()
        TWICE[name](first)
        with ThreadPoolExecutor(1) as pool:
            second.begin()
            waits = pool.submit(TWICE[name], second)
            waiting = f"SELECT wait_event_type FROM pg_stat_activity WHERE pid = {second.raw.info.backend_pid}"
            until = time.monotonic() + 20
            while shared_server().query(waiting) != [("Lock",)]:
                assert not waits.done(), "the second did not wait for the first"
                assert time.monotonic() < until
            first.commit()
            with pytest.raises((Conflict, psycopg.IntegrityError)):
                waits.result(20)
        second.roll_back()
    finally:
        first.close()
        second.close()


def test_every_statement_of_a_write_goes_through_the_map() -> None:
    assert len(postgres_link._OWN) > 80
    assert all(own.sql.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE") for _, own in postgres_link._OWN.values())
    assert postgres_text.delete_children[0].sql.startswith("DELETE")
