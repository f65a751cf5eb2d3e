"""Requests inside one opened tunnel, one after the other, each judged by itself.

Layer: adapters/egress/proxy. Owns the order: parse, look through, verdict, secrets, look-up, send, scrub the answer.
Absent: the tunnel's own beginning (`door`), and any request that is sent twice.
Laws: no look-up before the verdict; a refusal closes the connection, and what was refused has not left. One request is
under way at a time, so pipelined ones wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from carapax.adapters.egress.proxy.answering import Answering
from carapax.adapters.egress.proxy.chunks import LAST_CHUNK, chunk_of
from carapax.adapters.egress.proxy.dial import Dial, Forbidden, Unreachable
from carapax.adapters.egress.proxy.head import HEAD_BYTES, parse_request
from carapax.adapters.egress.proxy.reply import own_answer
from carapax.adapters.egress.proxy.request import (
    Asked,
    Holding,
    canary,
    check_leases,
    mismatch,
    read_request,
    render_request,
    unpackable,
)
from carapax.adapters.egress.proxy.way import OpenWay, Refusal
from carapax.adapters.egress.proxy.wire import Closed, Wire
from carapax.adapters.egress.swap import value_fault
from carapax.core.terms.egress import Hop, Verdict
from carapax.core.terms.error import CarapaxError, Malformed

HEAD_MS = 30_000
IDLE_MS = 300_000
STALL_MS = 30_000
BODY_MS = 300_000
ANSWER_MS = 600_000
LINGER_MS = 2_000


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited, in seconds: for a head once it began, between requests, for the next bytes of a body, for a
    body that is held, for the next bytes of an answer."""

    head_s: float = HEAD_MS / 1000
    idle_s: float = IDLE_MS / 1000
    stall_s: float = STALL_MS / 1000
    body_s: float = BODY_MS / 1000
    answer_s: float = ANSWER_MS / 1000


ValueOf = Callable[[str], Awaitable[str | None]]


async def read_head(wire: Wire, most: int, idle_s: float, head_s: float) -> bytes | None:
    """A head with its empty line; None when the stream ends before one begins. Raises Refusal, Closed, TimeoutError."""
    if not wire.buffer:
        async with asyncio.timeout(idle_s):
            if not await wire.fill():
                return None
    at, seen = _head_end(wire.buffer, 0), len(wire.buffer)
    if at < 0:
        async with asyncio.timeout(head_s):
            while at < 0:
                if seen > most:
                    raise Refusal("egress.malformed", f"Refused: the head is over {most} bytes.", 431)
                if not await wire.fill():
                    raise Closed
                at, seen = _head_end(wire.buffer, seen), len(wire.buffer)
    if at + 4 > most:
        raise Refusal("egress.malformed", f"Refused: the head is over {most} bytes.", 431)
    head = bytes(wire.buffer[: at + 4])
    del wire.buffer[: at + 4]
    return head


def _head_end(buffer: bytearray, seen: int) -> int:
    at = buffer.find(b"\r\n\r\n", max(0, seen - 3))
    lone = buffer.find(b"\n\n", max(0, seen - 1))
    if lone >= 0 and (at < 0 or lone < at):
        raise Refusal("egress.malformed", "Refused: a lone line end or NUL stands in the head.", 400)
    return at


class Conversation:
    """The requests of one client to one host and port."""

    def __init__(
        self,
        client: Wire,
        way: OpenWay,
        dial: Dial,
        patience: Patience,
        value_of: ValueOf,
        host: str,
        port: int,
        *,
        tls: bool,
    ) -> None:
        self._client = client
        self._way = way
        self._dial = dial
        self._patience = patience
        self._value_of = value_of
        self._host = host
        self._port = port
        self._tls = tls
        self._service: Wire | None = None
        self._address = ""
        self._pinned: tuple[str, ...] = ()
        self._answering: Answering | None = None
        self._used: dict[str, bytes] = {}  # the secrets that this connection to the service has carried

    async def run(self) -> None:
        """Serve requests until one side ends. Never raises but for cancellation."""
        task = asyncio.current_task()
        self._client.on_gone(lambda: task.cancel() if task is not None else None)
        try:
            while await self._one():
                pass
        except Refusal as refusal:
            await self._refuse(refusal)
        except Malformed as error:
            await self._refuse(unpackable(error))
        except CarapaxError as error:
            await self._refuse(Refusal("egress.unavailable", f"{error.what} {error.next_step}", 503))
        except TimeoutError:
            await self._refuse(
                Refusal("egress.slow", "Refused: the request or its answer came too slowly.", 408, kind=None)
            )
        except (Closed, OSError):
            self._client.cut()
        except asyncio.CancelledError:
            if not self._client.ended:
                raise
        finally:
            self._client.on_gone(None)
            self._client.finish()
            self._drop_service()
            self._used.clear()

    async def _refuse(self, refusal: Refusal) -> None:
        self._way.refuse(refusal, self._host)
        if self._answering is not None and self._answering.begun:
            self._client.cut()  # an answer is half written: nothing can be said in its middle
        else:
            self._client.write(own_answer(refusal.status, refusal.rule, refusal.reason))
            await self._client.linger(LINGER_MS / 1000)

    async def _one(self) -> bool:
        patience = self._patience
        self._answering = None
        try:
            raw = await read_head(self._client, HEAD_BYTES, patience.idle_s, patience.head_s)
        except TimeoutError:
            if not self._client.buffer:
                return False  # idle for long: closed without a word, as every server does
            raise
        if raw is None:
            return False
        self._way.count_request()
        holding = Holding(self._way)
        try:
            return await self._serve(raw, holding)
        finally:
            holding.release()

    async def _serve(self, raw: bytes, holding: Holding) -> bool:
        patience = self._patience
        head = parse_request(raw, self._host, self._port, 443 if self._tls else 80)
        asked = await read_request(
            self._client,
            head,
            self._way,
            self._host,
            self._port,
            holding,
            body_s=patience.body_s,
            stall_s=patience.stall_s,
        )
        verdict = await self._way.judge(
            Hop(self._host, self._port, head.method, head.path, asked.handles, head.websocket)
        )
        self._way.count_host(self._host)
        self._way.count_up(len(raw) + len(asked.held), self._host)
        check_leases(asked, self._way)
        values = await self._values(asked)
        service = await self._reach(verdict)
        self._used |= values
        content = render_request(asked, values, self._way.placeholders, plain=bool(self._used))
        self._way.check_open()
        await service.send(content)
        del content, values
        await self._rest_of_body(asked, service)
        self._way.report_up(self._host)
        self._answering = Answering(self._client, service, self._way, self._host, tuple(self._used.values()))
        goes_on = await self._answering.run(head, patience.answer_s)
        if not goes_on:
            self._drop_service()
        return not head.closes and not head.websocket and self._answering.reusable

    async def _values(self, asked: Asked) -> dict[str, bytes]:
        values: dict[str, bytes] = {}
        for handle in asked.handles:
            value = await self._value_of(handle)
            if not value:
                raise Refusal("egress.secret", f"The secret {handle} has no value. Set it with `carapax vault set`.")
            spot = self._way.spot
            if value_fault(spot, value) if spot else not (value.isascii() and value.isprintable()):
                raise Refusal("egress.secret", f"The secret {handle} has characters that no header may hold.")
            values[handle] = value.encode("utf-8")
        return values

    async def _reach(self, verdict: Verdict) -> Wire:
        if self._service is not None and (self._service.ended or self._service.buffer):
            self._drop_service()  # closed, or it spoke without being asked
        try:
            if self._service is not None:
                if verdict.pinned != self._pinned:
                    self._dial.check(self._address, verdict.pinned)
                    self._pinned = verdict.pinned
                return self._service
            self._service, self._address = await self._dial.open(self._host, self._port, verdict.pinned, tls=self._tls)
        except Forbidden as error:
            raise Refusal("egress.address", f"{self._host} is refused: {error}.") from None
        except Unreachable as error:
            raise Refusal("egress.unreachable", str(error), 502, kind=None) from None
        self._pinned = verdict.pinned
        self._way.wires.add(self._service)
        self._way.check_open()
        return self._service

    async def _rest_of_body(self, asked: Asked, service: Wire) -> None:
        """What was not held, looked through piece by piece; a piece that is refused has not left."""
        chunked = asked.head.framing == "chunked"
        if asked.body.done:
            return
        while part := await asked.body.read(self._patience.stall_s):
            if self._way.looks:
                placed, canaries = asked.look.feed(part)
                if canaries:
                    raise canary(canaries[0], self._host)
                if placed:
                    raise mismatch("a placeholder stands in the body, where it is not bound", self._host)
            self._way.count_up(len(part), self._host)
            async with asyncio.timeout(self._patience.stall_s):
                await service.send(chunk_of(part) if chunked else part)
        if chunked:
            await service.send(LAST_CHUNK)

    def _drop_service(self) -> None:
        if self._service is not None:
            self._service.finish()
            self._way.wires.discard(self._service)
            self._service = None
