"""An HTTP client that reaches one origin and never holds the key it uses.

Layer: adapters/egress. Owns the check of every request against one origin, the swap of the placeholder for the secret
at the last hop, and the bounds on what comes back. Absent: cookies, redirects, content encodings (a small body may
unpack to a huge one), any credential of the caller's own, any per-request network option.
Laws: a request elsewhere is refused before a name is looked up; the caller's request object never holds the secret;
an error names the host, never the secret.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2

from carapax.adapters.egress.loopback import is_loopback
from carapax.adapters.egress.scrub import Scrubber
from carapax.adapters.egress.swap import (
    BODY_BYTES,
    Header,
    Misplaced,
    check_body,
    check_head,
    fill_body,
    fill_head,
    header_in_spot,
    value_fault,
)
from carapax.core.terms.error import Refused
from carapax.ports.egress import Redirected, Spot
from carapax.ports.vault import Vault

CONNECT_MS = 10_000
DEFAULT_PORTS = {"http": 80, "https": 443}
CREDENTIAL_HEADERS = ("authorization", "x-api-key", "x-goog-api-key", "api-key", "proxy-authorization", "cookie")
REDIRECTS = (301, 302, 303, 307, 308)
MAX_LOCATION_CHARS = 2_048
CHECK = "Check the address of the service in the settings."


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host (lower case, IDNA) and port: what a client is allowed to reach."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class NarrowClient(httpx2.AsyncClient):
    """An AsyncClient for one origin. `placeholder` is what a caller writes where the credential belongs."""

    placeholder: str = ""


def client_over(transport: NarrowTransport, base_url: str, timeout_ms: int, placeholder: str) -> NarrowClient:
    """The client whose every request goes through this transport."""
    client = NarrowClient(
        transport=transport,
        base_url=base_url,
        timeout=timeout_ms / 1000,
        follow_redirects=False,
        trust_env=False,
    )
    client.placeholder = placeholder
    return client


def origin_of(base_url: str) -> Origin:
    """The origin of an address. Raises Refused: no valid URL, plain http elsewhere than on this machine, a password in it."""
    try:
        url = httpx2.URL(base_url)
    except (httpx2.InvalidURL, ValueError, TypeError):
        raise _refused("The address of the service is not a valid URL.") from None
    return _checked_origin(url)


def _checked_origin(url: httpx2.URL) -> Origin:
    host = url.raw_host.decode("ascii")
    if url.scheme not in DEFAULT_PORTS or not host:
        raise _refused("The address of the service must begin with https:// (or http:// on this machine).")
    if url.port is not None and not 0 < url.port < 65_536:
        raise _refused(f"The port of {host} is not one (1 to 65535).")
    if url.userinfo:
        raise _refused(f"An address with a user name or password is refused ({host}).")
    if url.scheme == "http" and not is_loopback(host):
        raise _refused(f"Plain http:// is only for this machine; {host} must be reached with https://.")
    return Origin(url.scheme, host, url.port or DEFAULT_PORTS[url.scheme])


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was checked: its headers, and where the placeholder stands."""

    headers: tuple[Header, ...]
    bearer: str  # the header that holds it, "" for none
    in_head: bool
    in_body: bool
    body: bytes
    kind: bytes


class NarrowTransport(httpx2.AsyncBaseTransport):
    """Checks a request, swaps the credential, bounds and scrubs the answer."""

    def __init__(
        self,
        *,
        origin: Origin,
        inner: httpx2.AsyncBaseTransport,
        vault: Vault,
        secret: str,
        placeholder: str,
        timeout_ms: int,
        response_bytes: int,
        spot: Spot = Spot.HEADER,
    ) -> None:
        self._origin = origin
        self._inner = inner
        self._vault = vault
        self._secret = secret
        self._placeholder = placeholder
        self._timeout_ms = timeout_ms
        self._response_bytes = response_bytes
        self._spot = spot

    def __repr__(self) -> str:
        return f"NarrowTransport({self._origin})"

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request. Raises Refused for everything the module's laws exclude."""
        self._check_target(request)
        asked = await self._asked(request)
        value = self._secret_value() if asked.in_head or asked.in_body else ""
        response = await self._inner.handle_async_request(self._sealed(request, asked, value))
        if (refusal := self._unwanted(response, value)) is not None:
            await response.aclose()
            raise refusal
        return self._bounded(response, value.encode())

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _check_target(self, request: httpx2.Request) -> None:
        if _checked_origin(request.url) != self._origin:
            raise _refused(f"This connection reaches {self._origin} only; {request.url.host or 'no host'} is refused.")
        hosts = request.headers.get_list("host")
        if len(hosts) > 1 or any(host != request.url.netloc.decode("ascii") for host in hosts):
            raise _refused(f"A Host header that differs from {self._origin} is refused.")

    async def _asked(self, request: httpx2.Request) -> Asked:
        """Where the placeholder stands. Raises Refused for any other place, and for a credential of the caller's own."""
        headers = tuple((name.decode("ascii").lower(), value) for name, value in request.headers.raw)
        word = self._placeholder.encode()
        body = await self._body(request)
        kind = request.headers.get("content-type", "").encode("ascii", "replace")
        try:
            in_head = check_head(self._spot, request.url.raw_path, headers, word)
            in_body = body is not None and check_body(self._spot, kind, body, word)
        except Misplaced as error:
            raise _refused(f"Refused for {self._origin}: {error}.") from None
        bearer = header_in_spot(self._spot, headers, word)
        for name in CREDENTIAL_HEADERS:
            if len(request.headers.get_list(name)) > (name == bearer):
                raise _refused(f"A credential supplied by the caller ({name}) is refused for {self._origin}.")
        return Asked(headers, bearer, in_head, in_body, body or b"", kind)

    async def _body(self, request: httpx2.Request) -> bytes | None:
        """The body where it is at hand or small; None for one that passes in pieces, in which nothing is put."""
        size = request.headers.get("content-length", "")
        if self._spot is Spot.BODY and size.isdecimal() and len(size) < 10 and int(size) <= BODY_BYTES:
            return await request.aread()
        try:
            return request.content
        except httpx2.RequestNotRead:
            return None

    def _secret_value(self) -> str:
        if not self._secret:
            return ""
        value = self._vault.find_secret(self._secret)
        if not value:
            raise _refused(
                f"There is no key for {self._origin.host}: the secret {self._secret!r} is not in the vault.",
                "Set it with `carapax model`, or in the environment variable it names.",
            )
        # Checked here because a header library's own complaint would quote the value.
        if fault := value_fault(self._spot, value):
            raise _refused(f"The secret {self._secret!r} {fault}.", "Set it again.")
        return value

    def _sealed(self, request: httpx2.Request, asked: Asked, value: str) -> httpx2.Request:
        # A new request: the caller's own, which exceptions and logs may show, keeps the placeholder.
        target, headers, word = request.url.raw_path, asked.headers, self._placeholder.encode()
        stream: Any = request.stream
        if asked.in_head and value:
            target, headers = fill_head(self._spot, target, headers, word, value.encode())
        elif asked.bearer:
            headers = tuple((name, text) for name, text in headers if name != asked.bearer)
        elif asked.in_head or (asked.in_body and not value):
            raise _refused(f"There is no secret for {self._origin}.")
        replaced = {"accept-encoding": b"identity"}
        if asked.in_body:
            body = fill_body(asked.kind, asked.body, word, value.encode())
            stream = httpx2.ByteStream(body)
            replaced["content-length"] = b"%d" % len(body)
        headers = (*((name, text) for name, text in headers if name not in replaced), *replaced.items())
        seconds = self._timeout_ms / 1000
        connect = min(self._timeout_ms, CONNECT_MS) / 1000
        # Only the timeouts: other extensions could change the target or the server name of TLS.
        timeouts = {"connect": connect, "read": seconds, "write": seconds, "pool": seconds}
        url = request.url if target == request.url.raw_path else request.url.copy_with(raw_path=target)
        fields = [(name.encode("ascii"), text) for name, text in headers]
        return httpx2.Request(request.method, url, headers=fields, stream=stream, extensions={"timeout": timeouts})

    def _unwanted(self, response: httpx2.Response, value: str) -> Refused | None:
        if response.status_code in REDIRECTS:
            location = response.headers.get("location", "")[:MAX_LOCATION_CHARS]
            return Redirected(
                f"{self._origin} answered with a redirect ({response.status_code}); none is followed.",
                "" if value and value in location else location,
                next_step=CHECK,
            )
        if response.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
            return _refused(f"{self._origin} answered with a content encoding that was not asked for.")
        return None

    def _bounded(self, response: httpx2.Response, value: bytes) -> httpx2.Response:
        headers = response.headers.raw
        if value:
            headers = [(name, text.replace(value, b"*" * len(value))) for name, text in headers]
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        kept = {k: v for k, v in response.extensions.items() if k in ("http_version", "reason_phrase")}
        stream = NarrowStream(response.stream, Scrubber(value), self._origin, self._response_bytes)
        return httpx2.Response(response.status_code, headers=headers, stream=stream, extensions=kept)


class NarrowStream(httpx2.AsyncByteStream):
    """A body, scrubbed and bounded."""

    def __init__(self, inner: httpx2.AsyncByteStream, scrubber: Scrubber, origin: Origin, bytes_left: int) -> None:
        self._inner = inner
        self._scrubber = scrubber
        self._origin = origin
        self._bytes_left = bytes_left

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._bytes_left -= len(chunk)
            if self._bytes_left < 0:
                raise _refused(f"The answer of {self._origin} is longer than the bound; the rest was not read.")
            if clean := self._scrubber.feed(chunk):
                yield clean
        if rest := self._scrubber.flush():
            yield rest

    async def aclose(self) -> None:
        await self._inner.aclose()


def _refused(what: str, next_step: str = CHECK) -> Refused:
    return Refused(what, next_step=next_step)
