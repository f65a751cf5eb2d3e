"""Store on a server under faults: lost connections, lost answers, a server that stops, several gateways, kill -9."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from carapax.adapters.store import postgres_link
from carapax.adapters.store.link import Link
from carapax.adapters.store.postgres_link import ServerLink
from carapax.adapters.store.sql_store import SqlStore
from carapax.core.terms.check import Standing
from carapax.core.terms.conversation import TurnState
from carapax.core.terms.error import StoreUnavailable
from carapax.core.terms.ids import SessionId, TurnId
from carapax.core.terms.label import OWNER
from carapax.core.terms.limit import Usage
from carapax.core.terms.work import WorkState
from carapax.ports.store import NewPart
from tests.fakes.postgres import PostgresServer
from tests.faults.store_child import LABEL, PartKind, Still, turn

S1 = SessionId("s1")
Scene = Callable[[SqlStore], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """One of its own, because it is stopped and killed, and it keeps what it says it keeps."""
    server = PostgresServer(fsync=True).start()
    yield server
    server.stop()


@pytest.fixture
def address(postgres: PostgresServer) -> str:
    return postgres.database()


def _name(address: str) -> str:
    return address.split("/")[3].split("?")[0]


def _with(address: str, scene: Scene) -> None:
    async def whole() -> None:
        store = SqlStore.open(address, Still())
        try:
            await scene(store)
        finally:
            await store.close()

    asyncio.run(whole())


def _part(text: str) -> NewPart:
    return NewPart(PartKind.USER, text, LABEL)


async def _begin(store: SqlStore, count: int = 3) -> None:
    await store.open_session(S1, OWNER, "", 1)
    for number in range(count):
        await store.accept_turn(turn(f"t{number}", "s1"), [_part(f"words {number}")])


# lost connections


def test_a_connection_that_was_ended_meanwhile_is_made_again(postgres: PostgresServer, address: str) -> None:
    async def scene(store: SqlStore) -> None:
        await _begin(store)
        for number in range(3, 6):
            assert postgres.end_backends(_name(address)) == 3
            if number % 2:
                assert (await store.accept_turn(turn(f"t{number}", "s1"), [])).number == number + 1
            assert len(await store.list_turns(S1)) >= number
            assert len(await store.list_sessions(OWNER, query="words")) == 1
            if not number % 2:
                assert (await store.accept_turn(turn(f"t{number}", "s1"), [])).number == number + 1
        assert [t.number for t in await store.list_turns(S1)] == [6, 5, 4, 3, 2, 1]

    _with(address, scene)


def _kill_itself(link: Link) -> None:
    assert isinstance(link, ServerLink)
    link.write(_INSERT, name="half", count=1)
    link.raw.execute(b"SELECT pg_terminate_backend(pg_backend_pid())")


_INSERT = postgres_link.sqlite_text.insert_counter


def _add(name: str) -> Callable[[Link], str]:
    def work(link: Link) -> str:
        link.write(_INSERT, name=name, count=1)
        return name

    return work


def test_a_connection_that_ends_in_the_middle_fails_that_call_only(postgres: PostgresServer, address: str) -> None:
    def names() -> set[object]:
        return {row[0] for row in postgres.query("SELECT name FROM counters", _name(address))} - {"sessions", "turns"}

    async def scene(store: SqlStore) -> None:
        lane = store._writer
        with pytest.raises(StoreUnavailable, match=r"stopping|cannot be reached") as caught:
            await lane.run(_kill_itself)
        assert caught.value.kept == "Nothing was changed."
        assert names() == set()
        go, inside = threading.Event(), threading.Event()

        def hold(link: Link) -> None:
            inside.set()
            assert go.wait(10)

        held = asyncio.create_task(lane.run(hold))
        assert await asyncio.to_thread(inside.wait, 10)
        tasks = [asyncio.create_task(lane.run(w)) for w in (_add("a"), _kill_itself, _add("b"))]
        await asyncio.sleep(0)
        go.set()
        await held
        first, error, second = await asyncio.gather(*tasks, return_exceptions=True)
        assert (first, second) == ("a", "b")
        assert isinstance(error, StoreUnavailable)
        assert names() == {"a", "b"}

    _with(address, scene)


def test_a_read_whose_connection_ends_is_asked_again_once(address: str) -> None:
    async def scene(store: SqlStore) -> None:
        asked = 0

        def read(link: Link) -> int:
            nonlocal asked
            asked += 1
            assert isinstance(link, ServerLink)
            if asked in (1, 3, 4):
                link.raw.execute(b"SELECT pg_terminate_backend(pg_backend_pid())")
            return asked

        assert await store._reader.run(read) == 2
        with pytest.raises(StoreUnavailable):
            await store._reader.run(read)
        assert await store._reader.run(read) == 5

    _with(address, scene)


# lost answers


class Relay:
    """A socket between the store and the server that can lose a commit, or the answer to it."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self._target = str(server.folder / ".s.PGSQL.5432")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.lose = ""  # "commit" or "answer": at the next commit
        self.shut_after = False  # and let nobody in any more
        self.shut = False
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.shut:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            with self._lock:
                self._open += [client, server]
            swallow = threading.Event()
            for work in (self._to_server, self._to_client):
                threading.Thread(target=work, args=(client, server, swallow), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, swallow: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while sent := client.recv(65_536):
                if b"COMMIT\0" in sent and self.lose:
                    if self.lose == "answer":
                        swallow.set()
                        server.sendall(sent)
                    else:
                        self._cut(client, server)
                    return
                server.sendall(sent)
        if not swallow.is_set():
            self._cut(client, server, counts=False)

    def _to_client(self, client: socket.socket, server: socket.socket, swallow: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while answer := server.recv(65_536):
                if swallow.is_set():  # the server has said what became of it, and nobody hears it
                    self._cut(client, server)
                    return
                client.sendall(answer)
        self._cut(client, server, counts=False)

    def _cut(self, client: socket.socket, server: socket.socket, *, counts: bool = True) -> None:
        if counts:
            self.lost, self.lose, self.shut = self.lost + 1, "", self.shut_after
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()


@pytest.fixture
def relay(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Relay, Path]]:
    folder = tmp_path_factory.mktemp("r")
    made = Relay(postgres, folder)
    yield made, folder
    made.close()


def _through(address: str, folder: Path) -> str:
    return f"postgresql://carapax@/{_name(address)}?host={str(folder).replace('/', '%2F')}"


@pytest.mark.parametrize("together", [1, 5])
def test_a_commit_whose_answer_was_lost_is_asked_after(address: str, relay: tuple[Relay, Path], together: int) -> None:
    between, folder = relay

    async def scene(store: SqlStore) -> None:
        await _begin(store)
        between.lose = "answer"
        got = await asyncio.gather(*[store.accept_turn(turn(f"n{n}", "s1"), [_part("x")]) for n in range(together)])
        assert between.lost == 1
        assert [t.number for t in got] == list(range(4, 4 + together))
        assert [t.number for t in reversed(await store.list_turns(S1))] == list(range(1, 4 + together))

    _with(_through(address, folder), scene)


def test_a_commit_that_never_arrived_wrote_nothing(address: str, relay: tuple[Relay, Path]) -> None:
    between, folder = relay

    async def scene(store: SqlStore) -> None:
        await _begin(store)
        between.lose = "commit"
        with pytest.raises(StoreUnavailable) as caught:
            await store.accept_turn(turn("lost", "s1"), [_part("x")])
        assert between.lost == 1
        assert caught.value.kept == "Nothing was changed."
        assert await store.find_turn(TurnId("lost")) is None
        assert (await store.accept_turn(turn("lost", "s1"), [_part("x")])).number == 4

    _with(_through(address, folder), scene)


def test_a_commit_that_cannot_be_asked_after_is_not_called_undone(
    address: str, relay: tuple[Relay, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    between, folder = relay
    monkeypatch.setattr(postgres_link, "OUTCOME_S", 0.1)
    monkeypatch.setattr(postgres_link, "OUTCOME_PAUSE_S", 0.01)

    async def scene(store: SqlStore) -> None:
        await _begin(store)
        between.lose, between.shut_after = "answer", True
        with pytest.raises(StoreUnavailable, match="lost while it wrote") as caught:
            await store.accept_turn(turn("unknown", "s1"), [_part("x")])
        assert "not known" in caught.value.kept
        assert "look before you repeat" in caught.value.next_step
        between.shut = False
        assert (await store.accept_turn(turn("next", "s1"), [])).number == 5  # it had been written

    _with(_through(address, folder), scene)


# a server that stops


@pytest.mark.parametrize("crash", [False, True])
def test_a_server_that_stops_is_named_and_what_it_acknowledged_is_there_again(
    postgres: PostgresServer, address: str, monkeypatch: pytest.MonkeyPatch, crash: bool
) -> None:
    connects = 0
    real = ServerLink._connect

    def counted(link: ServerLink) -> Any:
        nonlocal connects
        connects += 1
        return real(link)

    async def scene(store: SqlStore) -> None:
        nonlocal connects
        await _begin(store, 20)
        monkeypatch.setattr(ServerLink, "_connect", counted)
        postgres.halt(crash=crash)
        try:
            for calls in (
                [store.accept_turn(turn(f"n{n}", "s1"), []) for n in range(50)],
                [store.list_turns(S1) for _ in range(50)],
                [store.list_sessions(OWNER, query="words") for _ in range(50)],
            ):
                connects = 0
                for error in await asyncio.gather(*calls, return_exceptions=True):
                    assert isinstance(error, StoreUnavailable)
                    assert error.kept == "Nothing was changed."
                # One caller, then those that came meanwhile together: a server that is gone costs no wait for each.
                assert 1 <= connects <= 5
            assert (await store.check()).standing is Standing.FAILED
        finally:
            postgres.resume()
        assert [t.id for t in reversed(await store.list_turns(S1))] == [f"t{n}" for n in range(20)]
        assert (await store.accept_turn(turn("next", "s1"), [_part("x")])).number == 21
        assert len(await store.list_sessions(OWNER, query="words")) == 1
        found = await store.check()
        assert (found.standing, found.next_step) == (Standing.OK, "")
        assert found.found.startswith("PostgreSQL ")

    _with(address, scene)


def test_a_server_that_goes_in_the_middle_of_many_writes_costs_one_wait(
    address: str, relay: tuple[Relay, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    between, folder = relay
    connects: list[ServerLink] = []
    real = ServerLink._connect

    def counted(link: ServerLink) -> Any:
        connects.append(link)
        return real(link)

    async def scene(store: SqlStore) -> None:
        monkeypatch.setattr(ServerLink, "_connect", counted)
        go, inside = threading.Event(), threading.Event()

        def hold(link: Link) -> None:
            inside.set()
            assert go.wait(10)

        def last(link: Link) -> None:
            between.shut = True
            _kill_itself(link)

        held = asyncio.create_task(store._writer.run(hold))
        assert await asyncio.to_thread(inside.wait, 10)
        tasks = [asyncio.create_task(store._writer.run(w)) for w in (last, *[_add(f"n{n}") for n in range(50)])]
        await asyncio.sleep(0)
        go.set()
        await held
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(error, StoreUnavailable)
        assert len(connects) == 1
        between.shut = False
        assert await store._writer.run(_add("after")) == "after"

    _with(_through(address, folder), scene)


def test_closing_while_the_server_is_gone_ends(postgres: PostgresServer, address: str) -> None:
    async def scene(store: SqlStore) -> None:
        await _begin(store)
        postgres.halt()
        try:
            await asyncio.wait_for(store.close(), 30)
            with pytest.raises(StoreUnavailable, match="closed"):
                await store.find_session(S1)
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                SqlStore.open(address, Still())
        finally:
            postgres.resume()

    _with(address, scene)


# several gateways


class Gateway:
    """A process that writes to the shared database."""

    def __init__(self, address: str, name: str, count: int) -> None:
        words = ["-m", "tests.faults.store_child", "share", address, name, str(count)]
        self._process = subprocess.Popen(
            [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        assert self._out.readline() == "ready\n"

    @property
    def _out(self) -> TextIO:
        assert self._process.stdout is not None
        return self._process.stdout

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def read(self, count: int) -> None:
        self.lines += [line for _, line in zip(range(count), self._out, strict=False)]

    def kill(self) -> None:
        """End it at once; again is no error."""
        self._process.kill()

    def forget(self) -> None:
        """Whatever became of the test, nothing of it stays."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate(timeout=60)

    def end(self, code: int) -> None:
        """Its last words, and that it ended so."""
        rest, errors = self._process.communicate(timeout=60)
        self.lines += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        assert self._process.returncode == code, errors

    def said(self, word: str) -> list[str]:
        return [line.split()[1] for line in self.lines if line.startswith(word)]


async def _holds(store: SqlStore, gateways: list[Gateway], whole: int | None) -> None:
    sessions = await store.list_sessions(OWNER)
    assert len(sessions) == 4  # each key was opened by several at once, and is one session
    turns = ended = 0
    for session in sessions:
        own = await store.list_turns(session.id, limit=10_000)
        assert [t.number for t in reversed(own)] == list(range(1, session.turns + 1))
        done = sum(t.state is TurnState.DONE for t in own)
        parts = await store.parts(session.id, limit=100_000)
        assert [p.seq for p in parts] == list(range(1, 2 * len(own) + done + 1))
        assert session.usage == Usage(tokens=done)
        turns, ended = turns + len(own), ended + done
    assert (await store.counts())["turns"] == turns
    assert await store.day_usage("d") == Usage(tokens=ended)
    for gateway in gateways:
        for id in gateway.said("accepted"):
            assert await store.find_turn(TurnId(id)) is not None, id
        for id in gateway.said("done"):
            kept = await store.find_turn(TurnId(id))
            assert kept is not None
            assert kept.state is TurnState.DONE
    work = [w.key for w in await store.list_work([WorkState.WAITING])]
    assert len(work) == len(set(work))
    claimed = [key for gateway in gateways for key in gateway.said("kept")]
    assert len(claimed) == len(set(claimed))  # of all who tried, one was told that it keeps the piece
    assert set(claimed) <= set(work)
    if whole is not None:
        assert (turns, len(work), len(claimed)) == (4 * whole * len(gateways), 4 * whole, 4 * whole)


@pytest.fixture
def start(address: str) -> Iterator[Callable[[str, int], Gateway]]:
    started: list[Gateway] = []

    def one(name: str, count: int) -> Gateway:
        started.append(Gateway(address, name, count))
        return started[-1]

    yield one
    for gateway in started:
        gateway.forget()


def test_two_gateways_on_one_database_lose_nothing_and_leave_no_gap(
    address: str, start: Callable[[str, int], Gateway]
) -> None:
    gateways = [start(name, 25) for name in ("a", "b")]
    for gateway in gateways:
        gateway.go()
    for gateway in gateways:
        gateway.end(0)
    assert all(gateway.said("done") for gateway in gateways)
    _with(address, lambda store: _holds(store, gateways, 25))


def test_a_gateway_that_is_killed_leaves_nothing_half_written_and_stops_no_other(
    address: str, start: Callable[[str, int], Gateway]
) -> None:
    gateways = [start(name, 40) for name in ("a", "b", "c")]
    killed, *others = gateways
    for gateway in gateways:
        gateway.go()
    killed.read(60)
    killed.kill()
    killed.end(-9)
    for gateway in others:
        gateway.end(0)
        assert len(gateway.said("done")) == 160
    _with(address, lambda store: _holds(store, gateways, None))
