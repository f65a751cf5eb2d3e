"""The sandbox's door: one connection that asks for a tunnel, and what becomes of it.

Layer: adapters/egress/proxy. Owns CONNECT, the TLS that ends here in the target's name, and opaque tunnels.
Absent: everything but CONNECT; a plain http:// request is told so. The requests inside are `conversation`'s.
Laws: a tunnel is judged before it is answered; nothing may be sent before that answer; what fails is closed.
"""

from __future__ import annotations

import ssl

from carapax.adapters.egress.proxy.conversation import Conversation, Patience, ValueOf, read_head
from carapax.adapters.egress.proxy.dial import Dial, Forbidden, Unreachable
from carapax.adapters.egress.proxy.head import HEAD_BYTES, parse_line
from carapax.adapters.egress.proxy.hello import find_server_name, is_hello
from carapax.adapters.egress.proxy.reply import own_answer
from carapax.adapters.egress.proxy.spelling import is_address, parse_authority, parse_host_header
from carapax.adapters.egress.proxy.way import CONNECTIONS, OpenWay, Refusal
from carapax.adapters.egress.proxy.wire import Closed, Tunnel, Wire
from carapax.core.terms.egress import Hop, Verdict
from carapax.core.terms.error import CarapaxError, Malformed

HELLO_BYTES = 16_384
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Door:
    """One connection that came through a listener of a sandbox."""

    def __init__(self, wire: Wire, way: OpenWay, dial: Dial, patience: Patience, value_of: ValueOf) -> None:
        self._wire = wire
        self._way = way
        self._dial = dial
        self._patience = patience
        self._value_of = value_of

    async def run(self) -> None:
        """Serve it to its end. Never raises but for cancellation."""
        way = self._way
        host = ""
        way.wires.add(self._wire)
        try:
            if len(way.wires) > CONNECTIONS:
                raise Refusal("egress.connections", f"This run holds {CONNECTIONS} connections already.", 503)
            host, port = await self._asked()
            verdict = await way.judge(Hop(host, port, "CONNECT", ""))
            if verdict.opaque:
                await self._pass_on(host, port, verdict)
            else:
                await self._open_up(host, port)
        except Refusal as refusal:
            way.refuse(refusal, host)
            self._wire.write(own_answer(refusal.status, refusal.rule, refusal.reason))
        except CarapaxError as error:
            reason = f"{error.what} {error.next_step}"
            way.refuse(Refusal("egress.unavailable", reason, 503), host)
            self._wire.write(own_answer(503, "egress.unavailable", reason))
        except (Closed, OSError, TimeoutError):
            pass  # the client has gone, is too slow, or does not trust the certificate: there is nobody to tell
        finally:
            self._wire.finish()
            way.wires.discard(self._wire)

    async def _asked(self) -> tuple[str, int]:
        head = await read_head(self._wire, HEAD_BYTES, self._patience.head_s, self._patience.head_s)
        if head is None:
            raise Closed
        try:
            method, target, fields = parse_line(head, old=True)
            text = target.decode("ascii")
            if method != "CONNECT":
                raise _no_tunnel(text)
            host, port = parse_authority(text)
            hosts = [value.decode("ascii") for name, value in fields if name == "host"]
            if len(hosts) > 1 or any(parse_host_header(each, 443) != (host, port) for each in hosts):
                raise Malformed("the Host header names another target than CONNECT")
            if any(name in ("content-length", "transfer-encoding", "upgrade") for name, _ in fields):
                raise Malformed("CONNECT has no body")
        except Malformed as error:
            raise Refusal("egress.malformed", f"Refused: {error.what}.", 400) from None
        if self._wire.buffer:
            raise Refusal("egress.malformed", "Refused: bytes were sent before the tunnel was open.", 400)
        return host, port

    async def _open_up(self, host: str, port: int) -> None:
        authority = self._way.authority
        if authority is None:
            self._way.check_open()
            raise Closed
        context = authority.context(host)
        self._wire.write(_ESTABLISHED)
        try:
            await self._wire.secure(context, host=None, seconds=self._patience.head_s)
        except ssl.SSLError:
            # Plain HTTP in the tunnel, another server name, or a client that does not trust this way's authority.
            refusal = Refusal("egress.tls", f"The tunnel to {host} did not begin with TLS for {host}.")
            self._way.refuse(refusal, host)
            return
        await Conversation(
            self._wire, self._way, self._dial, self._patience, self._value_of, host, port, tls=True
        ).run()

    async def _pass_on(self, host: str, port: int, verdict: Verdict) -> None:
        self._way.count_request()
        self._way.count_host(host)
        try:
            outer, _ = await self._dial.open(host, port, verdict.pinned, tls=False)
        except Forbidden as error:
            raise Refusal("egress.address", f"{host} is refused: {error}.") from None
        except Unreachable as error:
            raise Refusal("egress.unreachable", str(error), 502, kind=None) from None
        self._way.wires.add(outer)
        try:
            self._way.check_open()
            self._wire.write(_ESTABLISHED)
            await OpaqueTunnel(self._wire, outer, self._way, host).run()
        finally:
            outer.finish()
            self._way.wires.discard(outer)


class OpaqueTunnel(Tunnel):
    """A tunnel that is passed on unopened: counted, and its TLS must ask for the host that was judged."""

    def __init__(self, inner: Wire, outer: Wire, way: OpenWay, host: str) -> None:
        super().__init__(inner, outer)
        self._way = way
        self._host = host
        self._hello: bytes | None = b""

    def look(self, up: bool, content: bytes) -> bytes | None:
        if not up:
            return content if self._way.count_down(len(content)) else None
        try:
            self._way.count_up(len(content), self._host)
        except Refusal as refusal:
            self._way.refuse(refusal, self._host)
            return None
        if self._hello is None:
            return content
        self._hello += content
        return self._first(self._hello)

    def _first(self, hello: bytes) -> bytes | None:
        if not is_hello(hello):
            self._hello = None
            return hello
        whole, name = find_server_name(hello)
        if not whole and len(hello) < HELLO_BYTES:
            return b""
        wanted = None if is_address(self._host) else self._host
        if not whole or (name.lower() if name is not None else None) != wanted:
            self._way.refuse(Refusal("egress.tls", "The tunnel's TLS asks for another host."), self._host)
            return None
        self._hello = None
        return hello


def _no_tunnel(target: str) -> Refusal:
    if target.startswith("http://"):
        return Refusal("egress.plain", "Plain http:// does not leave. Use https:// for this address.")
    return Refusal("egress.method", "This door opens tunnels only (CONNECT host:port).", 405)
