"""The process's end of the link: orders in, questions out, both with numbers.

Layer: adapters/egress/proxy. Owns reading frames with descriptors (which the event loop's transports cannot), and
writing without waiting. Absent: what an order means (`service`).
Law: orders are begun in the order in which they came; a link that is broken or overfull ends, and the process with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from carapax.adapters.egress.link import DESCRIPTORS, BadFrame, Frame, Frames, receive, render_frame
from carapax.core.terms.error import CarapaxError, EgressUnavailable

WAITING_BYTES = 33_554_432
"""Most bytes that wait to be written; a gateway that reads nothing any more is taken for gone."""

Order = Callable[[Frame, list[int]], Awaitable[Any]]


class LinkEnd:
    """Runs on the event loop's thread only."""

    def __init__(self, sock: socket.socket, order: Order) -> None:
        self._sock = sock
        self._order = order
        self._frames = Frames()
        self._descriptors: list[int] = []
        self._out = bytearray()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._over: asyncio.Future[None] | None = None

    async def run(self, first: Frame) -> None:
        """Say the first thing, then serve until the gateway is gone."""
        loop = asyncio.get_running_loop()
        self._sock.setblocking(False)
        self._over = loop.create_future()
        loop.add_reader(self._sock.fileno(), self._readable)
        self.tell(first)
        try:
            await self._over
        finally:
            loop.remove_reader(self._sock.fileno())
            loop.remove_writer(self._sock.fileno())
            self._sock.close()
            for future in self._asked.values():
                future.cancel()
            for task in self._tasks:
                task.cancel()

    async def ask(self, question: Frame, seconds: float) -> Any:
        """The gateway's answer. Raises EgressUnavailable when none comes in time."""
        self._number += 1
        number = self._number
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self.tell(question | {"id": number})
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            raise EgressUnavailable("The gateway's decider does not answer.", next_step="Try again.") from None
        finally:
            self._asked.pop(number, None)

    def tell(self, frame: Frame) -> None:
        """Send without waiting."""
        self._out += render_frame(frame)
        if len(self._out) > WAITING_BYTES:
            self._end()
            return
        self._writable()

    def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._out:
                del self._out[: self._sock.send(self._out)]
        except BlockingIOError:
            loop.add_writer(self._sock.fileno(), self._writable)
            return
        except OSError:
            self._end()
            return
        loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        try:
            content, found = receive(self._sock)
            self._descriptors += found
            if not content:
                self._end()
                return
            for frame in self._frames.feed(content):
                self._arrived(frame)
        except BlockingIOError:
            return
        except (OSError, BadFrame):
            self._end()

    def _arrived(self, frame: Frame) -> None:
        if "answer" in frame:
            future = self._asked.get(frame.get("id", 0))
            if future is not None and not future.done():
                future.set_result(frame["answer"])
            return
        count = frame.get("fds", 0)
        if not isinstance(count, int) or not 0 <= count <= min(DESCRIPTORS, len(self._descriptors)):
            raise BadFrame("descriptors are missing")
        mine, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        task = asyncio.get_running_loop().create_task(self._obey(frame, mine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _obey(self, frame: Frame, descriptors: list[int]) -> None:
        number = frame.get("id", 0)
        try:
            self.tell({"id": number, "ok": await self._order(frame, descriptors)})
        except CarapaxError as error:
            self.tell({"id": number, "error": [error.code, error.what, error.kept, error.next_step]})
        except Exception:  # noqa: BLE001 - broad: a defect ends the process, and with it every way out
            self._end()

    def _end(self) -> None:
        for descriptor in self._descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._descriptors.clear()
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
