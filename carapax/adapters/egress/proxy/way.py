"""One open way: whose it is, what it may still use, and the connections that live by it.

Layer: adapters/egress/proxy. Owns the counts, placeholders, leases and the end of a way; refusals are counted here.
Absent: the rules (the gate's) and the bytes (`conversation`).
Laws: a closed way carries nothing; a lease is used once; every refusal of the proxy's own is reported with its rule.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from carapax.adapters.egress.loopback import is_loopback
from carapax.adapters.egress.proxy.authority import Authority
from carapax.adapters.egress.proxy.disguise import Watch
from carapax.adapters.egress.proxy.wire import Wire
from carapax.core.terms.egress import Allowance, Binding, Hop, Lease, Traffic, Verdict
from carapax.core.terms.ids import CallId
from carapax.core.terms.signal import SignalKind
from carapax.ports.egress import Spot

CONNECTIONS = 256
"""Most connections of one way at a time."""

MARK_CHARS = 28
HELD_BYTES = 16_777_216
"""Bytes of bodies that one way's requests hold at a time, over all its connections."""

REPORT_BYTES = 65_536
"""Bytes that go up before they are reported within one request or tunnel."""

EVERYWHERE = ("0.0.0.0/0", "::/0")


class Asks(Protocol):
    """The gateway's gate as the proxy reaches it."""

    async def judge(self, call: CallId, hop: Hop) -> Verdict: ...

    def saw(self, call: CallId, kind: SignalKind, amount: int = 1, detail: str = "") -> None: ...


class Refusal(Exception):
    """Why something does not go out: what the client reads, and what is reported (`detail`: "" is rule and host)."""

    def __init__(
        self,
        rule: str,
        reason: str,
        status: int = 403,
        *,
        kind: SignalKind | None = SignalKind.DENIED,
        detail: str = "",
    ) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason
        self.status = status
        self.kind = kind
        self.detail = detail


@dataclass(slots=True)
class OpenWay:
    """A way as the process keeps it."""

    token: str
    call: CallId
    session: str
    allowance: Allowance
    gate: Asks
    bindings: tuple[Binding, ...] = ()
    placeholders: dict[str, str] = field(default_factory=dict, repr=False)
    leases: list[Lease] = field(default_factory=list, repr=False)
    leased: bool = False
    canaries: Watch = field(default_factory=lambda: Watch({}))
    looks: bool = True  # whether bodies are looked through
    spot: Spot | None = None  # of the gateway's own origin: where its one secret goes; bindings say so elsewhere
    authority: Authority | None = None
    watch: Watch = field(init=False)
    closed: bool = False
    requests: int = 0
    refused: int = 0
    hosts: dict[str, None] = field(default_factory=dict)
    bytes_up: int = 0
    bytes_down: int = 0
    reported_up: int = 0
    held_bytes: int = 0
    wires: set[Wire] = field(default_factory=set)
    servers: list[asyncio.AbstractServer] = field(default_factory=list)

    def __post_init__(self) -> None:
        words = {handle: word.encode() for handle, word in self.placeholders.items()}
        first = next(iter(words.values()), b"")[:MARK_CHARS]
        self.watch = Watch(words, first if all(word.startswith(first) for word in words.values()) else b"")

    async def judge(self, hop: Hop) -> Verdict:
        """The gate's answer; a way that was closed meanwhile gets none. Raises Refusal."""
        verdict = await self.gate.judge(self.call, hop)
        self.check_open()
        if not verdict.allowed:
            # The gate has recorded this one itself.
            raise Refusal(verdict.rule, verdict.reason, kind=None)
        return verdict

    def check_open(self) -> None:
        """Raises Refusal when the way was closed or cut."""
        if self.closed:
            raise Refusal("egress.closed", "This way out is closed.", 503, kind=None)

    def count_request(self) -> None:
        """One more request. Raises Refusal over the allowance."""
        self.check_open()
        self.requests += 1
        if self.requests > self.allowance.requests:
            raise Refusal("egress.budget", f"This run has used its {self.allowance.requests} requests.")

    def count_host(self, host: str) -> None:
        """A host that the gate allowed. Raises Refusal over the allowance."""
        if host in self.hosts:
            return
        if len(self.hosts) >= self.allowance.hosts:
            raise Refusal("egress.budget", f"This run has used its {self.allowance.hosts} different hosts.")
        self.hosts[host] = None
        self.gate.saw(self.call, SignalKind.HOST, 1, host)

    def count_up(self, size: int, host: str) -> None:
        """Bytes that go up. Raises Refusal over the allowance, before they have gone."""
        if self.bytes_up + size > self.allowance.bytes_up:
            raise Refusal("egress.budget", f"This run may send {self.allowance.bytes_up} bytes; that is used up.")
        self.bytes_up += size
        if self.bytes_up - self.reported_up >= REPORT_BYTES:
            self.report_up(host)

    def hold(self, size: int) -> None:
        """Bytes of a body that are held now; given back with a negative size. Raises Refusal over the bound."""
        self.held_bytes += size
        if size > 0 and self.held_bytes > HELD_BYTES:
            raise Refusal(
                "egress.budget", f"This run's requests hold {HELD_BYTES} bytes already; send fewer at a time."
            )

    def report_up(self, host: str) -> None:
        """Tell the gate how many bytes went up since it was last told."""
        size, self.reported_up = self.bytes_up - self.reported_up, self.bytes_up
        if size:
            self.gate.saw(self.call, SignalKind.UPLOADED, size, host)

    def count_down(self, size: int) -> bool:
        """Bytes that came down; False over the allowance."""
        self.bytes_down += size
        return self.bytes_down <= self.allowance.bytes_down

    def take_lease(self, handle: str, digest: str) -> bool:
        """Use the lease of a secret for exactly this request; once."""
        lease = Lease(handle, digest)
        if lease not in self.leases:
            return False
        self.leases.remove(lease)
        return True

    def refuse(self, refusal: Refusal, host: str) -> None:
        """Count and report a refusal."""
        self.refused += 1
        if refusal.kind is not None:
            self.gate.saw(self.call, refusal.kind, 1, refusal.detail or f"{refusal.rule} {host}".strip())

    def traffic(self) -> Traffic:
        return Traffic(self.requests, self.refused, tuple(self.hosts), self.bytes_up, self.bytes_down)

    def close(self) -> Traffic:
        """End everything that lives by this way, and forget its secrets. Safe to repeat."""
        self.report_up("")
        self.closed = True
        self.placeholders.clear()
        self.leases.clear()
        self.bindings = ()
        self.watch = Watch({})
        self.authority = None
        for server in self.servers:
            server.close()
        self.servers.clear()
        for wire in list(self.wires):
            wire.cut()
        self.wires.clear()
        return self.traffic()


def make_placeholders(handles: Sequence[str]) -> dict[str, str]:
    """A random word for each secret, good for one way; all of a way begin alike, so that one search finds any."""
    mark = f"placeholder-{secrets.token_hex(8)}"  # MARK_CHARS long
    return {handle: f"{mark}{secrets.token_hex(16)}" for handle in handles}


class OwnOrigin:
    """The gate of the gateway's own connections to one service that its owner has set: this origin and no other."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    async def judge(self, call: CallId, hop: Hop) -> Verdict:
        if (hop.host, hop.port) != (self._host, self._port):
            return Verdict(False, "egress.origin", f"This connection reaches {self._host}:{self._port} only.")
        return Verdict(True, "egress.origin", pinned=pinned_for(self._host))

    def saw(self, call: CallId, kind: SignalKind, amount: int = 1, detail: str = "") -> None:
        """Nothing is counted for the owner's own service."""


def pinned_for(host: str) -> tuple[str, ...]:
    """The networks in which the address of a host that the owner set may lie; this machine's names stay on it."""
    return ("127.0.0.0/8", "::1/128") if is_loopback(host) else EVERYWHERE
