"""An egress that dials by itself, from its own process: what tests of providers go out through, and nothing else does."""

from __future__ import annotations

import secrets
import ssl

import httpx2

from carapax.adapters.egress.narrow import NarrowClient, NarrowTransport, Origin, client_over, origin_of
from carapax.ports.vault import Vault

RESPONSE_BYTES = 64 << 20


class DirectEgress:
    """Implements ports.egress.Egress. `response_bytes` bounds each answer's body."""

    def __init__(self, vault: Vault, *, proxy: str = "", response_bytes: int = RESPONSE_BYTES) -> None:
        self._vault = vault
        self._proxy = proxy
        self._response_bytes = response_bytes

    def __repr__(self) -> str:
        return "DirectEgress()"

    def client(self, *, base_url: str, secret: str, timeout_ms: int) -> NarrowClient:
        """A client for the origin of `base_url`; its `placeholder` stands for the secret. Raises Refused."""
        return open_client(
            base_url=base_url,
            secret=secret,
            vault=self._vault,
            timeout_ms=timeout_ms,
            proxy=self._proxy,
            response_bytes=self._response_bytes,
        )


def open_client(
    *,
    base_url: str,
    secret: str,
    vault: Vault,
    timeout_ms: int,
    proxy: str,
    response_bytes: int,
    inner: httpx2.AsyncBaseTransport | None = None,
) -> NarrowClient:
    """A client that reaches the origin of `base_url` only. `inner` replaces the transport that dials (tests)."""
    origin = origin_of(base_url)
    placeholder = f"placeholder-{secrets.token_hex(16)}"
    transport = NarrowTransport(
        origin=origin,
        inner=inner or _dialing(origin, proxy),
        vault=vault,
        secret=secret,
        placeholder=placeholder,
        timeout_ms=timeout_ms,
        response_bytes=response_bytes,
    )
    return client_over(transport, base_url, timeout_ms, placeholder)


def _dialing(origin: Origin, proxy: str) -> httpx2.AsyncBaseTransport:
    # For plain http on this machine an empty context: no authority is loaded, and TLS could not succeed.
    context = ssl.create_default_context() if origin.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx2.AsyncHTTPTransport(verify=context, trust_env=False, retries=0, proxy=proxy or None)
