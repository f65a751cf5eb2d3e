"""Mux: the host's end of a machine's way out. Each connection inside becomes one to the proxy's listener.

Layer: adapters/sandbox/vm. Owns the frames of the way's port and the bounded room of each connection.
Absent: what the proxy decides; a machine without a way has nobody at this end.
What comes from the machine was written by an enemy: a frame that is wrong ends the way, never the gateway.
Law: no connection keeps more than WINDOW_BYTES waiting, none holds up another, and all end with the machine.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from carapax.core.terms.egress import Way
from carapax.core.terms.error import EgressUnavailable, SandboxUnavailable

Attach = Callable[[Way, int], None]

MAX_CONNECTIONS = 64
WINDOW_BYTES = 65_536
PIECE_BYTES = 16_384
MAX_HELD_BYTES = 2 * MAX_CONNECTIONS * WINDOW_BYTES  # for a machine that does not listen
_HEAD = struct.Struct(">HcH")
_ROOM = struct.Struct(">I")


class Broken(Exception):
    """The machine's end does not keep to the frames."""


@dataclass(slots=True)
class _Connection:
    """One connection to the proxy."""

    outer: socket.socket
    room: int = WINDOW_BYTES  # bytes that may still go into the machine
    waiting: bytearray = field(default_factory=bytearray)  # bytes for the proxy
    ours_ended: bool = False
    theirs_ended: bool = False


@contextlib.contextmanager
def open_way(port: socket.socket, attach: Attach | None, way: Way) -> Iterator[None]:
    """A machine's way out, for as long as this is open. Raises SandboxUnavailable when there is no proxy for it."""
    if attach is None:
        raise SandboxUnavailable("there is no proxy for the job's way out", next_step="Run `carapax doctor`.")
    with tempfile.TemporaryDirectory(prefix="carapax-way-") as folder, socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(f"{folder}/way")
            listener.listen(MAX_CONNECTIONS)
            attach(way, listener.fileno())
        except OSError as error:
            raise SandboxUnavailable(
                f"the way out was not opened: {error}", next_step="Run `carapax doctor`."
            ) from error
        except EgressUnavailable as error:
            raise SandboxUnavailable(error.what, next_step=error.next_step) from error
        listener.close()  # the proxy has its own
        served = WayOut(port, f"{folder}/way")
        try:
            yield
        finally:
            served.close()


class WayOut:
    """Serves one machine's way in a thread of its own, until `close`. `port` and `address` stay the caller's."""

    def __init__(self, port: socket.socket, address: str) -> None:
        self._port, self._address = port, address
        self._all: dict[int, _Connection] = {}
        self._held = bytearray()
        self._out = bytearray()
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="way-out", daemon=True)
        port.setblocking(False)
        self._thread.start()

    def close(self) -> None:
        """End every connection and the thread."""
        self._waker.close()
        self._thread.join()
        self._wake.close()

    def _run(self) -> None:
        try:
            while self._turn():
                continue
        except (Broken, OSError):  # the way is over; whatever is connected inside hangs until the machine ends
            pass
        finally:
            for one in self._all.values():
                one.outer.close()
            self._all.clear()

    def _turn(self) -> bool:
        """Wait, and move what can be moved; False at the end."""
        waiting = select.poll()
        waiting.register(self._wake, select.POLLIN)
        waiting.register(self._port, select.POLLIN | (select.POLLOUT if self._out else 0))
        by_number = {one.outer.fileno(): number for number, one in self._all.items()}
        for one in self._all.values():
            # What waits for the machine is bounded by the rooms given, so reading on never fills the gateway.
            wish = (select.POLLIN if one.room and not one.ours_ended else 0) | (select.POLLOUT if one.waiting else 0)
            if wish:
                waiting.register(one.outer, wish)
        ready = dict(waiting.poll())
        if self._wake.fileno() in ready:
            return False
        for descriptor, events in ready.items():
            if descriptor in by_number:
                self._move(by_number[descriptor], events)
        if self._port.fileno() in ready:
            self._hear()
        self._send_out()
        return True

    def _move(self, number: int, events: int) -> None:
        one = self._all.get(number)
        if one is not None and one.waiting and events & ~select.POLLIN:
            self._flush(number, one)
        one = self._all.get(number)
        if one is not None and one.room and not one.ours_ended and events & ~select.POLLOUT:
            self._read(number, one)

    def _read(self, number: int, one: _Connection) -> None:
        try:
            piece = one.outer.recv(min(one.room, PIECE_BYTES))
        except BlockingIOError:
            return
        except OSError:
            self._gone(number)
            return
        if piece:
            one.room -= len(piece)
            self._say(number, b"d", piece)
        else:
            one.ours_ended = True
            self._say(number, b"e")
            self._end_if_both(number, one)

    def _flush(self, number: int, one: _Connection) -> None:
        try:
            done = one.outer.send(one.waiting)
        except BlockingIOError:
            return
        except OSError:
            self._gone(number)
            return
        del one.waiting[:done]
        self._say(number, b"w", _ROOM.pack(done))
        self._end_if_both(number, one)

    def _end_if_both(self, number: int, one: _Connection) -> None:
        if one.theirs_ended and not one.waiting:
            with contextlib.suppress(OSError):
                one.outer.shutdown(socket.SHUT_WR)
            if one.ours_ended:
                self._drop(number)

    def _gone(self, number: int) -> None:
        self._say(number, b"r")
        self._drop(number)

    def _drop(self, number: int) -> None:
        self._all.pop(number).outer.close()

    def _say(self, number: int, kind: bytes, content: bytes = b"") -> None:
        self._out += _HEAD.pack(number, kind, len(content)) + content
        if len(self._out) > MAX_HELD_BYTES:
            raise Broken("the machine does not listen")

    def _send_out(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._out:
                del self._out[: self._port.send(self._out[: 4 * WINDOW_BYTES])]

    def _hear(self) -> None:
        try:
            piece = self._port.recv(4 * WINDOW_BYTES)
        except BlockingIOError:
            return
        if not piece:
            raise Broken("the machine is gone")
        self._held += piece
        while len(self._held) >= _HEAD.size:
            number, kind, length = _HEAD.unpack_from(self._held)
            if len(self._held) < _HEAD.size + length:
                return
            content = bytes(self._held[_HEAD.size : _HEAD.size + length])
            del self._held[: _HEAD.size + length]
            self._take(number, kind, content)

    def _take(self, number: int, kind: bytes, content: bytes) -> None:
        one = self._all.get(number)
        match kind:
            case b"o":
                if one is not None or len(self._all) >= MAX_CONNECTIONS:
                    raise Broken("a connection was opened twice, or too many")
                self._open(number)
            case b"d" if one is not None:
                if one.theirs_ended or len(content) > WINDOW_BYTES - len(one.waiting):
                    raise Broken("more was sent than there was room for")
                one.waiting += content
                self._flush(number, one)
            case b"e" if one is not None:
                one.theirs_ended = True
                self._end_if_both(number, one)
            case b"w" if one is not None and len(content) == _ROOM.size:
                one.room += _ROOM.unpack(content)[0]
                if one.room > WINDOW_BYTES:
                    raise Broken("more room was given than there is")
            case b"r" if one is not None:
                self._drop(number)
            case b"d" | b"e" | b"w" | b"r":
                pass  # of a connection that this side has ended already
            case _:
                raise Broken("no such frame")

    def _open(self, number: int) -> None:
        outer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        outer.setblocking(False)
        try:
            outer.connect(self._address)
        except OSError:  # the proxy is gone, or its queue is full
            outer.close()
            self._say(number, b"r")
            return
        self._all[number] = _Connection(outer)
