"""Port: the only way out. Adapters that speak HTTP get their client here and open no socket of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from carapax.core.terms.authority import AuthorizedCall
from carapax.core.terms.egress import Allowance, Hop, Lease, Traffic, Verdict, Way
from carapax.core.terms.ids import CallId, SessionId
from carapax.core.terms.signal import SignalKind


class Egress(Protocol):
    def client(self, *, base_url: str, secret: str, timeout_ms: int) -> Any:
        """An httpx2.AsyncClient that reaches exactly the host and port of `base_url`, and nothing else.

        `secret` is a handle ("" for none): its value replaces the client's placeholder credential at the last hop,
        so the caller never holds it. A request to any other host raises Refused before a look-up.
        """
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
