"""The process's own loop: what the gateway orders, and the ways that are open.

Layer: adapters/egress/proxy. Owns the table of ways, the watch for canaries and the answers on the link.
Absent: rules, and any order that gives out a value of a secret.
Laws: when the link ends, everything ends; an order that cannot be understood ends the link; no answer on the link
holds a secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from carapax.adapters.egress.link import BadFrame, Frame
from carapax.adapters.egress.proxy.authority import Authority
from carapax.adapters.egress.proxy.conversation import Conversation, Patience
from carapax.adapters.egress.proxy.dial import Dial
from carapax.adapters.egress.proxy.disguise import Watch
from carapax.adapters.egress.proxy.door import Door
from carapax.adapters.egress.proxy.lines import Lines
from carapax.adapters.egress.proxy.linkend import LinkEnd
from carapax.adapters.egress.proxy.spelling import parse_host
from carapax.adapters.egress.proxy.way import OpenWay, OwnOrigin, make_placeholders
from carapax.adapters.egress.proxy.wire import Wire
from carapax.adapters.egress.swap import BODY_BYTES
from carapax.core.terms.egress import Allowance, Binding, Hop, Lease, Verdict
from carapax.core.terms.error import EgressUnavailable, Malformed
from carapax.core.terms.ids import CallId
from carapax.core.terms.signal import SignalKind
from carapax.ports.egress import Spot
from carapax.ports.vault import Secrets

WAYS = 512
"""Most ways open at a time."""

BESIDE = "kept beside"
"""The name of a held value that is no handle's present one."""

VERDICT_MS = 15_000
VALUE_MS = 30_000

FindHeld = Callable[[str, Mapping[str, str]], list[str]]
"""Which of the named values stand in a text, in any disguise."""


class Service:
    """Answers the gateway's orders until the link ends."""

    def __init__(
        self, sock: socket.socket, *, dial: Dial, secrets: Secrets | None, find_held: FindHeld, patience: Patience
    ) -> None:
        self._link = LinkEnd(sock, self._order)
        self._dial = dial
        self._secrets = secrets
        self._find_held = find_held
        self._patience = patience
        self._ways: dict[str, OpenWay] = {}
        self._lines = Lines(dial, self._value, self._misplaced)
        self._canaries = Watch({})
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the gateway is gone; then nothing is open any more."""
        try:
            await self._link.run({"ready": True})
        finally:
            self._lines.close()
            for way in self._ways.values():
                way.close()
            for task in self._tasks:
                task.cancel()

    async def _order(self, frame: Frame, descriptors: list[int]) -> Any:
        """Do one order. Raises CarapaxError, whose text goes back; BadFrame ends the link."""
        orders: dict[str, Callable[[Frame, list[int]], Any]] = {
            "open": lambda order, _: self._open(order),
            "origin": lambda order, _: self._origin(order),
            "attach": self._attach,
            "door": self._gateways_door,
            "close": lambda order, _: self._close(order["token"]),
            "cut": lambda order, _: self._cut(order["session"]),
            "watch": lambda order, _: self._watch(order["values"]),
            "find_held": lambda order, _: self._held(str(order["text"])),
            "line": lambda order, sockets: self._lines.open(order, _socket(sockets)),
            "check_mac": lambda order, _: self._lines.check_mac(order),
            "make_mac": lambda order, _: self._lines.make_mac(order),
        }
        try:
            answer = orders[frame["op"]](frame, descriptors)
            return await answer if isinstance(answer, Awaitable) else answer
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadFrame("an order is not complete") from None
        except OSError as error:
            raise EgressUnavailable(f"The egress proxy cannot do this: {error.strerror}.") from None
        finally:
            for descriptor in descriptors:
                with contextlib.suppress(OSError):
                    os.close(descriptor)

    def _open(self, frame: Frame) -> Any:
        if len(self._ways) >= WAYS:
            raise EgressUnavailable(f"{WAYS} ways out are open already.", next_step="Wait until some have ended.")
        leases = [Lease(str(handle), str(digest)) for handle, digest in frame["leases"]]
        bindings = self._secrets.bindings() if self._secrets is not None else ()
        handles = sorted({binding.handle for binding in bindings})
        if leases:
            handles = [handle for handle in handles if any(lease.handle == handle for lease in leases)]
        way = OpenWay(
            token=str(frame["token"]),
            call=CallId(frame["call"]),
            session=str(frame["session"]),
            allowance=Allowance(**frame["allowance"]),
            gate=LinkGate(self._link),
            bindings=bindings,
            placeholders=make_placeholders(handles),
            leases=leases,
            leased=bool(leases),
            canaries=self._canaries,
            authority=Authority(),
        )
        assert way.authority is not None
        self._ways[way.token] = way
        return {"authority": way.authority.pem().decode("ascii"), "placeholders": list(way.placeholders.items())}

    def _origin(self, frame: Frame) -> Any:
        host, port, handle = parse_host(frame["host"]), int(frame["port"]), str(frame["handle"])
        spot = Spot(frame["spot"])
        in_body = spot is Spot.BODY and bool(handle)
        most = 1 << 62
        self._ways[frame["token"]] = OpenWay(
            token=frame["token"],
            call=CallId(""),
            session="",
            allowance=Allowance(most, 1, most, most, BODY_BYTES if in_body else 0),
            gate=OwnOrigin(host, port),
            bindings=(Binding(handle, host, port, header="", body=True),) if in_body else (),
            placeholders={handle: str(frame["placeholder"])} if handle else {},
            looks=in_body,
            spot=spot,
        )
        return True

    async def _attach(self, frame: Frame, descriptors: list[int]) -> Any:
        way = self._way(frame["token"])
        sock = _socket(descriptors)
        try:
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            make = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
            server: asyncio.AbstractServer = await make(
                lambda: Entrance(lambda wire: self._enter(wire, way)), sock=sock
            )
        except BaseException:
            sock.close()
            raise
        way.servers.append(server)
        return True

    def _enter(self, wire: Wire, way: OpenWay) -> None:
        if way.closed:
            wire.cut()
            return
        self._spawn(Door(wire, way, self._dial, self._patience, self._value).run())

    async def _gateways_door(self, frame: Frame, descriptors: list[int]) -> Any:
        way = self._way(frame["token"])
        host, port, tls = parse_host(frame["host"]), int(frame["port"]), bool(frame["tls"])
        if not tls and not isinstance(way.gate, OwnOrigin):
            raise Malformed("plain http:// does not leave")
        sock = _socket(descriptors)
        sock.setblocking(False)
        _, wire = await asyncio.get_running_loop().create_unix_connection(Wire, sock=sock)
        way.wires.add(wire)

        async def serve() -> None:
            try:
                await Conversation(wire, way, self._dial, self._patience, self._value, host, port, tls=tls).run()
            finally:
                way.wires.discard(wire)

        self._spawn(serve())
        return True

    def _close(self, token: str) -> Any:
        way = self._ways.pop(token, None)
        return asdict(way.close()) if way is not None else None

    def _cut(self, session: str | None) -> Any:
        found = [way for way in self._ways.values() if way.call and session in (None, way.session)]
        for way in found:
            way.close()
        return [way.token for way in found]

    def _watch(self, values: Mapping[str, str]) -> Any:
        self._canaries = Watch({str(name): str(value).encode() for name, value in values.items()})
        for way in self._ways.values():
            if way.call:  # what the owner's own services are told was looked through before it came here
                way.canaries = self._canaries
        return True

    async def _held(self, text: str) -> list[str]:
        if self._secrets is None:
            return []
        values = held_by_name(self._secrets)
        if values is None:
            values = {}
            for handle in self._secrets.handles():
                if value := await self._value(handle):
                    values[handle] = value
        return self._find_held(text, values)

    def _misplaced(self, host: str, reason: str) -> None:
        LinkGate(self._link).saw(CallId(""), SignalKind.MISMATCH, 1, f"egress.line {host}: {reason}")

    async def _value(self, handle: str) -> str | None:
        if self._secrets is None:
            return None
        try:
            async with asyncio.timeout(VALUE_MS / 1000):
                return await self._secrets.value(handle)
        except TimeoutError:
            raise EgressUnavailable("The vault does not answer.", next_step="Try again.") from None

    def _way(self, token: str) -> OpenWay:
        way = self._ways.get(token)
        if way is None or way.closed:
            raise EgressUnavailable("This way out is closed.", next_step="Begin the call again.")
        return way

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def held_by_name(secrets: Secrets) -> dict[str, str] | None:
    """What a vault holds without asking anybody, when it can say so: also what is being replaced or renews others."""
    present, others = getattr(secrets, "find_secret", None), getattr(secrets, "held_values", None)
    if present is None or others is None:
        return None
    found: dict[str, str] = {}
    for handle in secrets.handles():
        if value := present(handle):
            found[handle] = value
    known = set(found.values())
    rest = (value for value in others() if value not in known)
    return found | {f"{BESIDE} {number}": value for number, value in enumerate(rest, 1)}


class Entrance(Wire):
    """A wire that says when it was opened."""

    def __init__(self, opened: Callable[[Wire], None]) -> None:
        super().__init__()
        self._opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._opened(self)


class LinkGate:
    """The gateway's gate, asked over the link."""

    def __init__(self, link: LinkEnd) -> None:
        self._link = link

    async def judge(self, call: CallId, hop: Hop) -> Verdict:
        """The gate's verdict. Raises EgressUnavailable when there is none in time."""
        answer = await self._link.ask({"ask": "judge", "call": call, "hop": asdict(hop)}, VERDICT_MS / 1000)
        try:
            return Verdict(
                allowed=answer["allowed"] is True,
                rule=str(answer["rule"]),
                reason=str(answer["reason"]),
                opaque=answer["opaque"] is True,
                pinned=tuple(answer["pinned"]),
            )
        except (KeyError, TypeError):
            raise EgressUnavailable("The decider gave no answer that can be read.") from None

    def saw(self, call: CallId, kind: SignalKind, amount: int = 1, detail: str = "") -> None:
        self._link.tell({"saw": [call, kind.value, amount, detail]})


def _socket(descriptors: list[int]) -> socket.socket:
    if len(descriptors) != 1:
        raise BadFrame("an order came without its socket")
    return socket.socket(fileno=descriptors.pop())
