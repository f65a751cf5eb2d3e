"""One end of a connection: bytes that have come, flow control both ways, and an end that is certain.

Layer: adapters/egress/proxy. Owns the buffer between the event loop's call-backs and the conversation's coroutine.
Absent: asyncio's streams, whose copying halves what one core passes on.
Laws: at most HIGH_BYTES wait unread, then the peer is slowed; a wire that is cut is silent both ways at once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

HIGH_BYTES = 262_144
LINGER_BYTES = 16_777_216


class Closed(Exception):
    """The peer has gone, or the wire was cut."""


class Wire(asyncio.Protocol):
    """A protocol that a coroutine reads from; or, after `join`, one half of a tunnel."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.ended = False
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._paused_reading = False
        self._paused_writing = False
        self._through: Tunnel | None = None
        self._on_gone: Callable[[], object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_BYTES)

    def data_received(self, content: bytes) -> None:
        if self._through is not None:
            self._through.passed(self, content)
            return
        self.buffer += content
        if len(self.buffer) > HIGH_BYTES and self._transport is not None:
            self._transport.pause_reading()
            self._paused_reading = True
        self._wake()

    def eof_received(self) -> bool:
        self.ended = True
        self._wake()
        if self._through is not None:
            self._through.ended(self)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._transport = None
        self._wake()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        if self._through is not None:
            self._through.ended(self)
        if self._on_gone is not None:
            self._on_gone()

    def pause_writing(self) -> None:
        self._paused_writing = True
        if self._through is not None:
            self._through.slowed(self, True)

    def resume_writing(self) -> None:
        self._paused_writing = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        if self._through is not None:
            self._through.slowed(self, False)

    @property
    def gone(self) -> bool:
        """Whether the connection is closed, and nothing waits to be sent on it."""
        return self._transport is None

    async def fill(self) -> bool:
        """Wait for more bytes than there are. False at the end of the stream."""
        if self.ended:
            return False
        before = len(self.buffer)
        while len(self.buffer) == before and not self.ended:
            self._waiter = asyncio.get_running_loop().create_future()
            self._read_on()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return len(self.buffer) > before

    async def take(self, most: int) -> bytes:
        """The next bytes, at most so many; b"" at the end of the stream."""
        if not self.buffer and not await self.fill():
            return b""
        if len(self.buffer) <= most:
            part = bytes(self.buffer)
            self.buffer.clear()
        else:
            part = bytes(self.buffer[:most])
            del self.buffer[:most]
        if len(self.buffer) <= HIGH_BYTES:
            self._read_on()
        return part

    def take_now(self) -> bytes:
        """What has come so far."""
        part = bytes(self.buffer)
        self.buffer.clear()
        return part

    async def send(self, content: bytes) -> None:
        """Write, and wait while the peer is slow. Raises Closed."""
        if self._transport is None or self._transport.is_closing():
            raise Closed
        self._transport.write(content)
        while self._paused_writing and self._transport is not None:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def write(self, content: bytes) -> None:
        """Write without waiting; silent when the peer has gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(content)

    def slow(self, slowed: bool) -> None:
        """Stop or go on reading, as the other half of a tunnel has room."""
        if self._transport is None or self._transport.is_closing():
            return
        if slowed:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    async def secure(self, context: ssl.SSLContext, *, host: str | None, seconds: float) -> None:
        """Go on in TLS: as the server without `host`, as its client with it. Raises ssl.SSLError, OSError, Closed."""
        if self._transport is None:
            raise Closed
        secured = await asyncio.get_running_loop().start_tls(
            self._transport,
            self,
            context,
            server_side=host is None,
            server_hostname=host,
            ssl_handshake_timeout=seconds,
        )
        if secured is None:
            raise Closed
        self._transport = secured
        secured.set_write_buffer_limits(high=HIGH_BYTES)

    def cut(self) -> None:
        """End it now; what was not sent is dropped."""
        self.buffer.clear()
        if self._transport is not None:
            self._transport.abort()
        self.ended = True
        self._wake()

    def finish(self) -> None:
        """Close it after what was written."""
        if self._transport is not None:
            self._transport.close()

    async def linger(self, seconds: float) -> None:
        """Read and drop for a while what the peer still sends, so that it can read the last answer; then close.

        Closing with bytes unread resets the connection, and the answer with it.
        """
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(seconds):
                while left > 0 and (part := await self.take(HIGH_BYTES)):
                    left -= len(part)
        except TimeoutError:
            pass
        self.finish()

    def on_gone(self, call: Callable[[], object] | None) -> None:
        """What is called when the connection is lost."""
        self._on_gone = call

    def join(self, tunnel: Tunnel) -> None:
        """From now on bytes go to the tunnel."""
        self._through = tunnel
        if self.buffer:
            tunnel.passed(self, self.take_now())
        if self.ended:
            tunnel.ended(self)
        self._read_on()

    def _read_on(self) -> None:
        if self._paused_reading and self._transport is not None:
            self._paused_reading = False
            self._transport.resume_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Tunnel:
    """Two wires that pass everything to each other. Subclasses look at what passes (`look`), and may refuse."""

    def __init__(self, inner: Wire, outer: Wire) -> None:
        self._inner = inner
        self._outer = outer
        self._done = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Pass on until one side ends."""
        self._inner.join(self)
        self._outer.join(self)
        await self._done

    def passed(self, wire: Wire, content: bytes) -> None:
        up = wire is self._inner
        seen = self.look(up, content)
        if seen is None:
            self._inner.cut()
            self._outer.cut()
            self._end()
            return
        (self._outer if up else self._inner).write(seen)

    def look(self, up: bool, content: bytes) -> bytes | None:
        """What goes on in the place of these bytes; None cuts the tunnel."""
        return content

    def slowed(self, wire: Wire, slowed: bool) -> None:
        (self._outer if wire is self._inner else self._inner).slow(slowed)

    def ended(self, wire: Wire) -> None:
        (self._outer if wire is self._inner else self._inner).finish()
        self._end()

    def _end(self) -> None:
        if not self._done.done():
            self._done.set_result(None)
