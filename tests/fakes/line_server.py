"""A server of any stream on loopback, for tests of lines: keeps what arrives, and answers as a test says.

Runs on the test's own loop. Use it as an async context manager; leaving it ends every connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self

WAIT_S = 10


def echo(content: bytes) -> bytes:
    return content


class LineServer:
    """`answer` gets each piece as it came, and says what goes back. `reads` False: nothing is read until it is True."""

    def __init__(
        self,
        answer: Callable[[bytes], bytes] = echo,
        *,
        context: ssl.SSLContext | None = None,
        greeting: bytes = b"",
        host: str = "127.0.0.1",
        reads: bool = True,
    ) -> None:
        self.answer = answer
        self.received = b""
        self.connections = 0
        self.ended = 0
        self.protocols: list[str | None] = []  # what TLS agreed on (ALPN), a line each
        self.port = 0
        self.reading = asyncio.Event()
        if reads:
            self.reading.set()
        self._context = context
        self._greeting = greeting
        self._host = host
        self._changed = asyncio.Condition()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._context, limit=4096)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._server.close()
        self.reading.set()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Drop every connection now."""
        for writer in list(self._writers):
            writer.transport.abort()

    def close_all(self) -> None:
        """End every connection in order, after what was written."""
        for writer in list(self._writers):
            writer.close()

    def send(self, content: bytes) -> None:
        """Say something on every connection."""
        for writer in list(self._writers):
            writer.write(content)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until this is true of what has come. Bounded."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(true)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        secured = writer.get_extra_info("ssl_object")
        self.protocols.append(secured.selected_alpn_protocol() if secured is not None else None)
        await self._tell(connections=1)
        try:
            if self._greeting:
                writer.write(self._greeting)
            await self.reading.wait()
            while content := await reader.read(65_536):
                self.received += content
                if back := self.answer(content):
                    writer.write(back)
                    await writer.drain()
                await self._tell()
        except (OSError, ssl.SSLError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()
            await self._tell(ended=1)

    async def _tell(self, *, connections: int = 0, ended: int = 0) -> None:
        async with self._changed:
            self.connections += connections
            self.ended += ended
            self._changed.notify_all()
