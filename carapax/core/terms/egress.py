"""Egress: one request as the proxy parsed it, the answer it gets, and where a secret may be used.

Layer: core/terms. Absent: how it is answered (`core/policy/egress`), and any value of a secret.
Law: a verdict is about the parsed request, before any name is looked up; its reason is the same in the reply, the
ledger and the panel.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from carapax.core.terms.ids import CallId


@dataclass(frozen=True, slots=True)
class Hop:
    """One request that wants to leave: what the proxy parsed, and the handles whose placeholders it carries."""

    host: str  # lower case, IDNA, no trailing dot; an IP literal without brackets
    port: int
    method: str  # "GET"; "CONNECT" for a tunnel that is not opened (`opaque`)
    path: str  # with its query; "" for a tunnel
    secrets: tuple[str, ...] = ()
    websocket: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one hop. `opaque`: the tunnel is passed on unopened, and then carries no credential."""

    allowed: bool
    rule: str  # "egress.pypi", "egress.none", "egress.budget"
    reason: str = ""
    opaque: bool = False
    pinned: tuple[str, ...] = ()  # networks ("192.168.1.0/24") in which the looked-up address may lie though not global


@dataclass(frozen=True, slots=True)
class Allowance:
    """Bounds of one run's way out."""

    requests: int = 500
    hosts: int = 20
    bytes_up: int = 10 << 20
    bytes_down: int = 1 << 30
    held_bytes: int = 1 << 20  # of one request body that is looked through before it goes on


@dataclass(frozen=True, slots=True)
class Binding:
    """Where one secret may be used, and how it is written there: `header: prefix + value`."""

    handle: str
    host: str  # exact, lower case
    port: int = 443
    methods: tuple[str, ...] = ()  # () is every method
    path: str = "/"  # a prefix of the path, at a segment's end
    header: str = "authorization"  # lower case
    prefix: str = "Bearer "
    body: bool = False  # its placeholder may also stand in the body


@dataclass(frozen=True, slots=True)
class Lease:
    """One use of a secret for exactly one request, by its digest (`lease_digest`)."""

    handle: str
    digest: str


def lease_digest(method: str, host: str, port: int, path: str, body: bytes) -> str:
    """SHA-256 of the exact request, in hex: method, host, port, path with query, and the digest of the body."""
    words = "\0".join((method, host, str(port), path, hashlib.sha256(body).hexdigest()))
    return hashlib.sha256(b"carapax-lease-v1\0" + words.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one way carried."""

    requests: int = 0
    refused: int = 0
    hosts: tuple[str, ...] = ()
    bytes_up: int = 0
    bytes_down: int = 0
    lost: bool = False  # the proxy went away first, so the figures are not known


@dataclass(frozen=True, slots=True)
class Way:
    """One run's way out, open until it is closed. Holds no secret: `placeholders` are random words for this run."""

    call: CallId
    token: str  # names the way at the proxy's doors
    authority: bytes = b""  # PEM of the certificate authority that this way's answers are signed with
    placeholders: tuple[tuple[str, str], ...] = field(default=())  # (handle, placeholder)
