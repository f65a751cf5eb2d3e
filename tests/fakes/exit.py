"""CannedExit: the way out without a network, for tests of tools that go through it. It serves answers from memory.

It keeps the port's word on what a tool can see: one way for one sealed call, once; a client that follows no redirect;
a refused request raises Refused with the rule's reason; placeholders and never a value; a way that is closed is gone.
Absent: the proxy's own judgement. A test says what is answered and what is refused, and looks at what was asked.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx2

from carapax.core.terms.authority import AuthorizedCall, verify_call
from carapax.core.terms.egress import Lease, Traffic, Way, lease_digest
from carapax.core.terms.error import AuthorityInvalid, EgressUnavailable, Refused
from carapax.core.terms.ids import CallId, SessionId


@dataclass(frozen=True, slots=True)
class Says:
    """One answer of a server."""

    body: bytes = b""
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class Pieces(httpx2.AsyncByteStream):
    """A body that comes in pieces and counts how many were taken."""

    def __init__(self, body: bytes, size: int = 65_536) -> None:
        self._pieces = (body[at : at + size] for at in range(0, max(len(body), 1), size))
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.taken += len(piece)
            yield piece


Answers = Callable[[httpx2.Request], Says]
"""What the world answers. It may raise Refused, as the proxy does, or an error of httpx2."""


class CannedExit:
    """Implements ports.egress.Exit. Without a key, seals are not checked, only used once."""

    def __init__(
        self,
        answers: Answers | Mapping[str, Says],
        *,
        handles: Mapping[str, str] | None = None,
        key: bytes | None = None,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._answers: Answers = answers if callable(answers) else lambda request: answers[str(request.url)]
        self._handles = dict(handles or {})  # handle → the only header it may stand in
        self._key, self._now_ms = key, now_ms
        self.open: dict[str, Way] = {}
        self.leases: dict[str, list[Lease]] = {}
        self.requests: list[httpx2.Request] = []
        self.streams: list[Pieces] = []
        self.swapped: list[str] = []  # handles whose placeholder stood where it may
        self.closed = 0
        self.gone = False
        self._used: set[CallId] = set()

    async def open_way(self, authorized: AuthorizedCall, *, leases: Sequence[Lease] = ()) -> Way:
        if self._key is not None:
            verify_call(authorized, self._key, self._now_ms())
        call = authorized.call
        if call.call in self._used:
            raise AuthorityInvalid("the call was used before")
        self._used.add(call.call)
        if self.gone:
            raise EgressUnavailable("The egress proxy is gone.")
        if not call.manifest.online:
            raise Refused(f"The tool {call.manifest.name} declares no network.", next_step="Use another tool.")
        words = tuple((handle, f"placeholder-{secrets.token_hex(8)}") for handle in self._handles)
        way = Way(call.call, secrets.token_hex(8), placeholders=words)
        self.open[way.token] = way
        self.leases[way.token] = list(leases)
        return way

    def attach(self, way: Way, listener: int) -> None:
        self._living(way)

    def client(self, way: Way, *, timeout_ms: int) -> httpx2.AsyncClient:
        async def answer(request: httpx2.Request) -> httpx2.Response:
            self._living(way)
            body = await request.aread()
            self.requests.append(request)
            self._swap(way, request, body)
            said = self._answers(request)
            stream = Pieces(said.body)
            self.streams.append(stream)
            headers = {"content-type": said.content_type, **said.headers}
            return httpx2.Response(
                said.status, headers={k: v for k, v in headers.items() if v}, stream=stream, request=request
            )

        return httpx2.AsyncClient(transport=httpx2.MockTransport(answer), timeout=timeout_ms / 1000)

    async def close_way(self, way: Way) -> Traffic:
        if self.open.pop(way.token, None) is not None:
            self.closed += 1
        return Traffic(requests=len(self.requests))

    def cut(self, session: SessionId | None) -> None:
        self.open.clear()

    def _living(self, way: Way) -> None:
        if self.gone or self.open.get(way.token) != way:
            raise EgressUnavailable("The way is closed.")

    def _swap(self, way: Way, request: httpx2.Request, body: bytes) -> None:
        """A placeholder is worth something in its own header and, with leases, in the leased request alone."""
        for handle, word in way.placeholders:
            for name, value in request.headers.items():
                if word not in value:
                    continue
                path = request.url.raw_path.decode()
                used = Lease(
                    handle, lease_digest(request.method, request.url.host, request.url.port or 443, path, body)
                )
                if name != self._handles[handle] or used not in self.leases[way.token]:
                    raise Refused("A secret is not bound there.", next_step="Nothing can be done.")
                with contextlib.suppress(ValueError):
                    self.leases[way.token].remove(used)
                self.swapped.append(handle)
