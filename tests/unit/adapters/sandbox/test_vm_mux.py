"""The host's end of a machine's way out, with a test playing the machine: what it may say, and what ends the way."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.vm import mux
from carapax.adapters.sandbox.vm.mux import MAX_CONNECTIONS, WINDOW_BYTES, WayOut, open_way
from carapax.core.terms.egress import Way
from carapax.core.terms.error import EgressUnavailable, SandboxUnavailable
from carapax.core.terms.ids import CallId

SOON_S = 30
WAY = Way(CallId("c"), "token")


def frame(number: int, kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">HcH", number, kind, len(content)) + content


class Machine:
    """The machine's end of the port, and the proxy's listener behind it."""

    def __init__(self, folder: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "way"))
        self.listener.listen(MAX_CONNECTIONS + 1)
        self.listener.settimeout(SOON_S)
        self.ours, self.port = socket.socketpair()
        self.ours.settimeout(SOON_S)
        self.served = WayOut(self.port, str(folder / "way"))
        self._file = self.ours.makefile("rb")

    def say(self, *frames: bytes) -> None:
        self.ours.sendall(b"".join(frames))

    def hear(self) -> tuple[int, bytes, bytes]:
        number, kind, length = struct.unpack(">HcH", self._file.read(5))
        return number, kind, self._file.read(length)

    def accept(self) -> socket.socket:
        outer, _ = self.listener.accept()
        outer.settimeout(SOON_S)
        return outer

    def close(self) -> None:
        self.served.close()
        for end in (self._file, self.ours, self.port, self.listener):
            end.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.close()


def test_a_connection_carries_both_ways_and_ends(machine: Machine) -> None:
    machine.say(frame(7, b"o"), frame(7, b"d", b"question"))
    with machine.accept() as outer:
        assert outer.recv(100) == b"question"
        assert machine.hear() == (7, b"w", struct.pack(">I", 8))
        outer.sendall(b"answer")
        assert machine.hear() == (7, b"d", b"answer")
        machine.say(frame(7, b"e"))
        assert outer.recv(100) == b""
        outer.shutdown(socket.SHUT_WR)
        assert machine.hear() == (7, b"e", b"")


def test_connections_keep_apart(machine: Machine) -> None:
    machine.say(frame(1, b"o"), frame(2, b"o"), frame(2, b"d", b"two"), frame(1, b"d", b"one"))
    with machine.accept() as first, machine.accept() as second:
        assert (first.recv(9), second.recv(9)) == (b"one", b"two")
        machine.say(frame(1, b"r"))
        assert first.recv(9) == b""
        assert {machine.hear()[:2], machine.hear()[:2]} == {(1, b"w"), (2, b"w")}
        second.sendall(b"still")
        assert machine.hear() == (2, b"d", b"still")


def test_no_more_comes_in_than_there_is_room_for(machine: Machine) -> None:
    machine.say(frame(1, b"o"), frame(2, b"o"))
    with machine.accept() as outer, machine.accept() as other:
        outer.setblocking(False)
        with pytest.raises(BlockingIOError):
            for _ in range(1_000):
                outer.send(b"x" * 65_536)
        got = 0
        while got < WINDOW_BYTES:
            number, kind, content = machine.hear()
            assert (number, kind) == (1, b"d")
            got += len(content)
        other.sendall(b"not held up")  # the first has no room left, so this is the next thing heard
        assert machine.hear() == (2, b"d", b"not held up")
        machine.say(frame(1, b"w", struct.pack(">I", 10)))
        assert machine.hear() == (1, b"d", b"x" * 10)


@pytest.mark.parametrize(
    "said",
    [
        frame(1, b"o") * 2,
        frame(1, b"x"),
        frame(1, b"o") + frame(1, b"w", struct.pack(">I", 1)),
        frame(1, b"o") + frame(1, b"e") + frame(1, b"d", b"late"),
        b"".join(frame(number, b"o") for number in range(MAX_CONNECTIONS + 1)),
    ],
)
def test_a_machine_that_does_not_keep_to_the_frames_loses_its_way(machine: Machine, said: bytes) -> None:
    machine.say(said)
    machine.served._thread.join(SOON_S)
    assert not machine.served._thread.is_alive()


def test_more_than_there_is_room_for_ends_the_way(machine: Machine) -> None:
    machine.say(frame(1, b"o"))
    with machine.accept():  # it reads nothing, so what is sent waits
        machine.ours.settimeout(SOON_S)
        with pytest.raises(OSError):
            for _ in range(1_000):
                machine.say(frame(1, b"d", b"x" * 60_000))
                if not machine.served._thread.is_alive():
                    raise BrokenPipeError
        machine.served._thread.join(SOON_S)
        assert not machine.served._thread.is_alive()


def test_a_machine_that_does_not_listen_fills_nothing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mux, "MAX_HELD_BYTES", 1_000)
    machine.listener.close()
    with pytest.raises(OSError):
        for _ in range(100_000):
            machine.say(frame(1, b"o") * 1_000)  # each is answered with "gone", which nobody takes
            if not machine.served._thread.is_alive():
                raise BrokenPipeError
    assert not machine.served._thread.is_alive()


def test_a_proxy_that_is_gone_is_told_to_the_program(machine: Machine) -> None:
    machine.listener.close()
    machine.say(frame(3, b"o"))
    assert machine.hear() == (3, b"r", b"")
    machine.say(frame(3, b"d", b"late"), frame(4, b"o"))
    assert machine.hear() == (4, b"r", b"")


def test_frames_of_a_connection_that_has_ended_are_let_pass(machine: Machine) -> None:
    machine.say(*(frame(9, kind) for kind in (b"d", b"e", b"w", b"r")), frame(1, b"o"), frame(1, b"d", b"x"))
    with machine.accept() as outer:
        assert outer.recv(9) == b"x"


def test_closing_ends_every_connection(tmp_path: Path) -> None:
    made = Machine(tmp_path)
    made.say(frame(1, b"o"))
    with made.accept() as outer:
        made.close()
        assert outer.recv(9) == b""


def test_a_way_is_opened_only_with_a_proxy() -> None:
    ours, port = socket.socketpair()
    with ours, port:
        with pytest.raises(SandboxUnavailable, match="no proxy"), open_way(port, None, WAY):
            pass

        def gone(way: Way, listener: int) -> None:
            raise EgressUnavailable("the proxy is gone")

        with pytest.raises(SandboxUnavailable, match="the proxy is gone"), open_way(port, gone, WAY):
            pass


def test_the_proxy_gets_a_listener_and_the_folder_goes(tmp_path: Path) -> None:
    kept: list[socket.socket] = []

    def attach(way: Way, listener: int) -> None:
        assert way is WAY
        kept.append(socket.socket(fileno=socket.dup(listener)))

    ours, port = socket.socketpair()
    with ours, port:
        with open_way(port, attach, WAY):
            path = Path(kept[0].getsockname())
            assert path.parent.stat().st_mode & 0o077 == 0
            ours.sendall(frame(1, b"o") + frame(1, b"d", b"through"))
            kept[0].settimeout(SOON_S)
            outer, _ = kept[0].accept()
            with outer:
                outer.settimeout(SOON_S)
                assert outer.recv(99) == b"through"
        assert not path.parent.exists()
    kept[0].close()
