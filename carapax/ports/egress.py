"""Port: the only way out. Adapters that speak HTTP get their client here and open no socket of their own."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.egress import Allowance, Hop, Lease, Traffic, Verdict, Way
from carapax.core.terms.error import Refused
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.signal import SignalKind


class Spot(StrEnum):
    """Where in its requests a service takes its credential; a placeholder anywhere else is refused."""

    HEADER = "header"  # `authorization: Bearer …`, `x-api-key: …`
    BASIC = "basic"  # the password of `authorization: Basic …`
    PATH = "path"  # one place in the path: Telegram's /bot<token>/…
    QUERY = "query"  # the whole value of one query argument
    BODY = "body"  # once or more in a JSON or form body of at most 1 MiB


class Redirected(Refused):
    """The service sent the caller elsewhere, and no redirect is followed by itself.

    `location` is the service's word, for a caller that may go there with a client of its own; "" when it holds a secret.
    """

    def __init__(self, what: str, location: str, *, next_step: str | None = None) -> None:
        super().__init__(what, next_step=next_step)
        self.location = location


class Wrap(StrEnum):
    """What a line carries, and so where a placeholder is looked for in what is written to it."""

    STREAM = "stream"  # as written, and inside base64 words (SASL PLAIN), within the first 64 KiB
    WEBSOCKET = (
        "websocket"  # an HTTP/1.1 upgrade (its head too), then RFC 6455 frames: in text frames of at most 64 KiB
    )


class Mac(StrEnum):
    """How a message is signed with a secret that both sides know."""

    HMAC_SHA256 = "hmac-sha256"
    HMAC_SHA1 = "hmac-sha1"
    EQUAL = "equal"  # the secret itself was sent along; only ever checked


@dataclass(frozen=True, slots=True)
class Line:
    """A connection that the proxy holds: this end is plain, TLS is spoken (and verified) at the other.

    `placeholder` stands for the secret; "" when there is none. Whoever takes a line closes its socket.
    """

    sock: socket.socket  # AF_UNIX, non-blocking
    placeholder: str


class Egress(Protocol):
    def client(self, *, base_url: str, secret: str, timeout_ms: int, spot: Spot = Spot.HEADER) -> Any:
        """An httpx2.AsyncClient that reaches exactly the host and port of `base_url`, and nothing else.

        `secret` is a handle ("" for none): its value replaces `client.placeholder` at the last hop, where `spot` says,
        so the caller never holds it. A request to any other host raises Refused before a look-up.
        """
        ...

    async def open_line(
        self, *, host: str, port: int, tls: bool, secret: str, wrap: Wrap = Wrap.STREAM, timeout_ms: int = 15_000
    ) -> Line:
        """A connection of any protocol to one host and port, for a service that the owner set up.

        `tls` False is for this machine only. The secret is put in at the last hop. Raises Refused (no such secret, plain
        and not loopback), EgressUnavailable (the proxy is gone, the host cannot be reached or its certificate is wrong).
        """
        ...

    async def check_mac(self, *, secret: str, mac: Mac, message: bytes, given: bytes) -> None:
        """Check what a platform signed, where the secret is; constant time. `message` at most 1 MiB.

        Raises Refused (it is another, or there is no such secret), EgressUnavailable.
        """
        ...

    async def make_mac(self, *, secret: str, mac: Mac, message: bytes) -> bytes:
        """Sign something of ours. Raises Refused (no such secret, or EQUAL), EgressUnavailable."""
        ...


class Exit(Protocol):
    """The egress proxy as the gateway sees it: ways out for sealed calls. Every failure is a refusal."""

    async def open_way(self, authorized: AuthorizedCall, *, leases: Sequence[Lease] = ()) -> Way:
        """A way out for one sealed call that declares the network, once; its requests are judged one by one.

        With `leases`, secrets are swapped in for exactly these requests, each once; without, wherever they are bound.
        Raises AuthorityInvalid, Refused (no rule lets this tool out), EgressUnavailable; nothing was opened then.
        """
        ...

    def attach(self, way: Way, listener: int) -> None:
        """Hand the proxy the listening socket that a launcher made inside a sandbox. Blocking; from a worker thread.

        The descriptor stays the caller's to close. Raises EgressUnavailable.
        """
        ...

    def client(self, way: Way, *, timeout_ms: int) -> Any:
        """An httpx2.AsyncClient for a tool of the gateway's own, through the same proxy, rules, secrets and bounds.

        No redirect is followed by itself: each is a request of its own. A refused request raises Refused.
        """
        ...

    async def close_way(self, way: Way) -> Traffic:
        """End it: tunnels are cut, its secrets forgotten. Never raises; also for a way that is gone."""
        ...

    def cut(self, session: SessionId | None) -> None:
        """Cut every way of a session (None: of all) at once and empty their secrets. From any thread; never raises."""
        ...


class Gate(Protocol):
    """The decider that the egress proxy asks. It runs in the gateway; the proxy believes nobody else."""

    def admit(self, authorized: AuthorizedCall) -> tuple[SessionId, Allowance]:
        """Check a sealed call that wants a way out, once. Raises AuthorityInvalid, Refused (its tool declares no network)."""
        ...

    async def judge(self, call: CallId, hop: Hop) -> Verdict:
        """The answer to one request of an admitted call, recorded before it is given. Total: what fails is a refusal."""
        ...

    def saw(self, call: CallId, kind: SignalKind, amount: int = 1, detail: str = "") -> None:
        """The proxy reports something about an admitted call. Never raises; a call that has ended still counts."""
        ...

    async def ended(self, call: CallId, traffic: Traffic) -> None:
        """The way is closed. Reports that come later still find their session."""
        ...
