"""One answer on its way back: scrubbed, counted, framed anew where that is needed.

Layer: adapters/egress/proxy. Owns the answer's head and body, and the switch to websocket.
Laws: a secret that went out with this connection comes back in no form the scrubber knows; an answer that ends early
ends the client's connection too, so that half an answer never looks whole.
"""

from __future__ import annotations

import asyncio

from carapax.adapters.egress.proxy.body import Body
from carapax.adapters.egress.proxy.chunks import LAST_CHUNK, chunk_of
from carapax.adapters.egress.proxy.head import HEAD_BYTES, Header, RequestHead
from carapax.adapters.egress.proxy.reply import AnswerHead, parse_answer, render_head
from carapax.adapters.egress.proxy.scrub import Scrubber
from carapax.adapters.egress.proxy.way import OpenWay, Refusal
from carapax.adapters.egress.proxy.webtunnel import WebTunnel
from carapax.adapters.egress.proxy.wire import Closed, Wire
from carapax.core.terms.error import Malformed
from carapax.core.terms.signal import SignalKind

INTERIM_ANSWERS = 8


class Answering:
    """Passes one answer on. `begun`: some of it was written; `reusable`: the client's connection may go on."""

    def __init__(self, client: Wire, service: Wire, way: OpenWay, host: str, secrets: tuple[bytes, ...]) -> None:
        self._client = client
        self._service = service
        self._way = way
        self._host = host
        self._scrubber = Scrubber(secrets)
        self._has_secrets = bool(secrets)
        self._reported = 0
        self.begun = False
        self.reusable = True

    async def run(self, head: RequestHead, seconds: float) -> bool:
        """Whether the connection to the service may carry another request. Raises Refusal, Closed, TimeoutError."""
        try:
            answer = await self._head(head.method, seconds)
            if answer.status == 101:
                await self._switch(head, answer)
                return False
            self._check_plain(answer)
            await self._pass(answer, seconds)
        except Malformed as error:
            raise Refusal("egress.answer", f"{self._host}: {error.what}.", 502, kind=None) from None
        return not answer.closes

    async def _head(self, method: str, seconds: float) -> AnswerHead:
        for _ in range(INTERIM_ANSWERS):
            raw = await self._raw_head(seconds)
            answer = parse_answer(self._scrubber.clean(raw), method)
            self._report()
            if answer.status >= 200 or answer.status == 101:
                self._count(len(raw))
                return answer
        raise Malformed("it sends interim answers without end")

    async def _raw_head(self, seconds: float) -> bytes:
        wire = self._service
        seen = 0
        while (at := wire.buffer.find(b"\r\n\r\n", max(0, seen - 3))) < 0:
            seen = len(wire.buffer)
            if seen > HEAD_BYTES:
                raise Malformed(f"the answer's head is over {HEAD_BYTES} bytes")
            async with asyncio.timeout(seconds):
                if not await wire.fill():
                    raise Refusal("egress.unreachable", f"{self._host} ended the connection.", 502, kind=None)
        raw = bytes(wire.buffer[: at + 4])
        del wire.buffer[: at + 4]
        return raw

    def _check_plain(self, answer: AnswerHead) -> None:
        if self._has_secrets and answer.encoding not in ("", "identity"):
            raise Malformed("it packed an answer that has to be looked through")

    async def _pass(self, answer: AnswerHead, seconds: float) -> None:
        chunked = answer.framing in ("chunked", "close")
        extra: tuple[Header, ...] = ()
        if chunked:
            extra = (("transfer-encoding", b"chunked"),)
        elif answer.length >= 0 and answer.status not in (204, 304) and answer.status >= 200:
            extra = (("content-length", b"%d" % answer.length),)
        body = Body(self._service, answer.framing, answer.length, lenient=True)
        self.begun = True
        await self._client.send(render_head(answer.status, answer.reason, answer.headers, extra))
        try:
            while content := await body.read(seconds):
                self._count(len(content))
                await self._forward(self._scrubber.feed(content), chunked)
        except (Closed, TimeoutError, Malformed):
            self._client.cut()
            raise Closed from None
        await self._forward(self._scrubber.flush(), chunked)
        if chunked:
            await self._client.send(LAST_CHUNK)

    async def _forward(self, content: bytes, chunked: bool) -> None:
        self._report()
        if content:
            await self._client.send(chunk_of(content) if chunked else content)

    def _report(self) -> None:
        hits, self._reported = self._scrubber.hits - self._reported, self._scrubber.hits
        if hits:
            self._way.gate.saw(self._way.call, SignalKind.SCRUBBED, hits, self._host)

    def _count(self, size: int) -> None:
        if not self._way.count_down(size):
            most = self._way.allowance.bytes_down
            raise Refusal("egress.budget", f"This run may receive {most} bytes; that is used up.")

    async def _switch(self, head: RequestHead, answer: AnswerHead) -> None:
        if not head.websocket or not answer.websocket:
            raise Malformed("it switched to another protocol unasked")
        fields = tuple((n, v) for n, v in answer.headers if n != "sec-websocket-extensions")
        extra: tuple[Header, ...] = (("connection", b"upgrade"), ("upgrade", b"websocket"))
        self.begun = True
        await self._client.send(render_head(101, b"Switching Protocols", fields, extra))
        await WebTunnel(self._client, self._service, self._way, self._host, self._scrubber).run()
