"""One request, read and looked through before anybody is asked about it.

Layer: adapters/egress/proxy. Owns what of a body is held back, where placeholders and canaries may not stand, and the
request's bytes as they go on. Absent: the verdict and the sending (`conversation`).
Laws: what was not looked through has not left; a placeholder in a body is swapped only where its binding says so and
only in a body that is held whole; no exception or reply holds a value.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from carapax.adapters.egress.proxy.body import Body, Look
from carapax.adapters.egress.proxy.credentials import Mismatch, Slot, binding_fits, filled, slots_of
from carapax.adapters.egress.proxy.head import Header, RequestHead
from carapax.adapters.egress.proxy.way import OpenWay, Refusal
from carapax.adapters.egress.proxy.wire import Wire
from carapax.adapters.egress.swap import Misplaced, body_writer, check_head, fill_head
from carapax.core.terms.egress import lease_digest
from carapax.core.terms.error import Malformed
from carapax.core.terms.signal import SignalKind
from carapax.ports.egress import Spot

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_SWAP_DROPS = frozenset({"accept-encoding", "range", "if-range"})
"""Dropped beside a secret: answers in pieces or packed could carry it past the scrubbing."""


@dataclass(slots=True)
class Asked:
    """A request that was looked through. `held` is the body so far; `body.done` says whether it is whole."""

    head: RequestHead
    host: str
    port: int
    held: bytes
    body: Body
    look: Look
    slots: tuple[Slot, ...]
    in_body: tuple[str, ...]
    own: tuple[Spot, str] | None = None  # of the gateway's own origin: the spot in the head, and its handle

    @property
    def handles(self) -> tuple[str, ...]:
        """The secrets it wants, each once."""
        own = () if self.own is None else (self.own[1],)
        return tuple(dict.fromkeys((*own, *(slot.handle for slot in self.slots), *self.in_body)))


class Holding:
    """What one request holds of its way's bytes; given back at its end."""

    def __init__(self, way: OpenWay) -> None:
        self._way = way
        self._size = 0

    def take(self, size: int) -> None:
        """So many more. Raises Refusal."""
        self._size += size
        self._way.hold(size)

    def release(self) -> None:
        """Give everything back."""
        self._way.hold(-self._size)
        self._size = 0


async def read_request(
    wire: Wire,
    head: RequestHead,
    way: OpenWay,
    host: str,
    port: int,
    holding: Holding,
    *,
    body_s: float,
    stall_s: float,
) -> Asked:
    """Read as much of the body as is held, and look. Raises Refusal, Malformed, Closed, TimeoutError."""
    try:
        own = _own_place(head, way)
        slots = () if way.spot else slots_of(head, host, port, way.bindings, way.placeholders, way.watch)
    except (Mismatch, Misplaced) as error:
        raise mismatch(str(error), host) from None
    _check_canaries(way, host, head.path.encode(), *(n.encode() + b":" + v for n, v in head.headers))
    if way.bytes_up + head.length > way.allowance.bytes_up:
        way.count_up(head.length, host)
    encoding = (head.value("content-encoding") or b"").decode("ascii").strip().lower()
    body = Body(wire, head.framing, head.length)
    look = Look(encoding if way.looks else "", way.watch, way.canaries)
    held = b""
    if head.expects:
        wire.write(_CONTINUE)
    found: list[str] = []
    if way.looks and not body.done:
        async with asyncio.timeout(body_s):
            held, found = await _hold(body, look, way, host, stall_s, holding)
    asked = Asked(head, host, port, held, body, look, slots, (), own)
    if held and body.done and not encoding:
        _check_canaries(way, host, held)
        found += way.watch.found_in_text(held)
    asked.in_body = _bound_in_body(asked, way, found)
    return asked


def _own_place(head: RequestHead, way: OpenWay) -> tuple[Spot, str] | None:
    if way.spot is None:
        return None
    for handle, word in way.placeholders.items():
        if check_head(way.spot, head.path.encode("ascii"), head.headers, word.encode()):
            return way.spot, handle
    return None


async def _hold(
    body: Body, look: Look, way: OpenWay, host: str, stall_s: float, holding: Holding
) -> tuple[bytes, list[str]]:
    held = bytearray()
    found: list[str] = []
    while not body.done and len(held) < way.allowance.held_bytes:
        part = await body.read(stall_s)
        holding.take(len(part))
        placed, canaries = look.feed(part)
        if canaries:
            raise canary(canaries[0], host)
        found += placed
        held += part
        if way.bytes_up + len(held) > way.allowance.bytes_up:
            way.count_up(len(held), host)
    return bytes(held), found


def _bound_in_body(asked: Asked, way: OpenWay, found: Sequence[str]) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(found))
    left = asked.held
    for handle in wanted:
        fits = any(
            b.handle == handle
            and b.body
            and binding_fits(b, asked.host, asked.port, asked.head.method, asked.head.path)
            for b in way.bindings
        )
        if not fits or not asked.body.done or asked.head.value("content-encoding"):
            raise mismatch("a placeholder stands in the body, where it is not bound", asked.host)
        left = left.replace(way.placeholders[handle].encode(), b"")
    if wanted and way.watch.found_in_text(left):
        raise mismatch("a placeholder stands in the body in another form than its own", asked.host)
    return wanted


def check_leases(asked: Asked, way: OpenWay) -> None:
    """Where secrets are leased: use the lease of each for this exact request. Raises Refusal."""
    if not way.leased or not asked.handles:
        return
    if not asked.body.done:
        raise mismatch("the body is too long to be the request that was agreed to", asked.host)
    head = asked.head
    digest = lease_digest(head.method, asked.host, asked.port, head.path, asked.held)
    for handle in asked.handles:
        if not way.take_lease(handle, digest):
            raise mismatch("this is not the request that was agreed to, or it was made already", asked.host)


def render_request(asked: Asked, values: Mapping[str, bytes], words: Mapping[str, str], *, plain: bool) -> bytes:
    """The request as it goes on, with the secrets in their places; `plain` asks for an answer that can be scrubbed."""
    head = asked.head
    drops = {"host"} | (_SWAP_DROPS if plain else set())
    if head.websocket:
        drops |= {"sec-websocket-extensions"}
    target, headers = head.path.encode("ascii"), filled(head.headers, asked.slots, values)
    if asked.own is not None:
        spot, handle = asked.own
        target, headers = fill_head(spot, target, headers, words[handle].encode(), values[handle])
    fields = [(name, value) for name, value in headers if name not in drops and not name.startswith("carapax-")]
    body = _with_secrets(asked, values, words)
    fields += _framing(asked, len(body))
    if plain:
        fields.append(("accept-encoding", b"identity"))
    if head.websocket:
        fields += [("connection", b"upgrade"), ("upgrade", b"websocket")]
    name = f"[{asked.host}]" if ":" in asked.host else asked.host
    netloc = name if asked.port == 443 else f"{name}:{asked.port}"
    lines = [b"%b %b HTTP/1.1" % (head.method.encode("ascii"), target), b"host: " + netloc.encode("ascii")]
    lines += [key.encode("ascii") + b": " + value for key, value in fields]
    start = b"\r\n".join(lines) + b"\r\n\r\n"
    if not asked.body.done and head.framing == "chunked":
        return start + (b"%x\r\n%b\r\n" % (len(body), body) if body else b"")
    return start + body


def _framing(asked: Asked, held: int) -> list[Header]:
    if asked.head.framing == "none":
        return []
    if asked.body.done:
        return [("content-length", b"%d" % held)]
    if asked.head.framing == "chunked":
        return [("transfer-encoding", b"chunked")]
    return [("content-length", b"%d" % asked.head.length)]


def _with_secrets(asked: Asked, values: Mapping[str, bytes], words: Mapping[str, str]) -> bytes:
    body = asked.held
    write = body_writer(asked.head.value("content-type") or b"") or bytes
    for handle in asked.in_body:
        body = body.replace(words[handle].encode(), write(values[handle]))
    return body


def _check_canaries(way: OpenWay, host: str, *places: bytes) -> None:
    if not way.canaries:
        return
    for place in places:
        if found := way.canaries.found_in_text(place):
            raise canary(found[0], host)


def canary(name: str, host: str) -> Refusal:
    """The refusal of a planted secret that was about to leave."""
    reason = "A planted secret stands in this request. It was not sent, and the owner is told."
    return Refusal("egress.canary", reason, kind=SignalKind.CANARY_USED, detail=f"{name} -> {host}")


def mismatch(what: str, host: str) -> Refusal:
    """The refusal of a placeholder or a credential where it may not stand."""
    reason = f"Refused for {host}: {what}. Use the placeholder exactly where its secret is bound."
    return Refusal("egress.credential", reason, kind=SignalKind.MISMATCH)


def unpackable(error: Malformed) -> Refusal:
    """The refusal of a request that does not read in one way only."""
    return Refusal("egress.malformed", f"Refused: {error.what}.", 400)
