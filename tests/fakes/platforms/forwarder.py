"""A forwarder on loopback in front of a real server, whose connections a test can cut, and how such servers are ended."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Awaitable, Callable


class Forwarder:
    """Passes bytes between whoever connects and 127.0.0.1:`port`."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Drop every connection without a word."""
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await source.read(65_536):
                sink.write(part)
                await sink.drain()
        sink.close()
        self._writers.discard(sink)


def free_port() -> int:
    """A port of loopback that was free just before."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def wait_up(child: subprocess.Popen[bytes], up: Callable[[], Awaitable[bool]], seconds: float = 40) -> None:
    """Wait until a server answers. Raises AssertionError: it ended, or took too long."""
    for _ in range(round(seconds / 0.05)):
        if await up():
            return
        assert child.poll() is None, f"the server ended with {child.returncode}"
        await asyncio.sleep(0.05)
    end_child(child)
    raise AssertionError(f"the server was not up within {seconds} s")


async def listens(port: int) -> bool:
    """Whether somebody accepts on this port of loopback."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def end_child(child: subprocess.Popen[bytes]) -> None:
    """End a process that a test started, and wait for it."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)
