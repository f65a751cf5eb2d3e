"""The way out that dials by itself, from the gateway's own process.

Layer: adapters/egress. Owns the making of clients, each of which reaches one origin (see `narrow`).
Absent: a process of its own that alone holds the secrets, per-tool bindings and DNS pinning; those come with the
egress proxy. Environment proxies are ignored: a proxy is used only when the operator names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carapax.ports.vault import Vault

if TYPE_CHECKING:
    from carapax.adapters.egress.narrow import NarrowClient

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
        """A client for the origin of `base_url`; its `placeholder` stands for the secret in a credential header.

        Raises Refused for a base_url that is not http(s), carries a user name, or is plain http beyond this machine.
        """
        from carapax.adapters.egress.narrow import open_client  # httpx2 is loaded when something first goes out

        return open_client(
            base_url=base_url,
            secret=secret,
            vault=self._vault,
            timeout_ms=timeout_ms,
            proxy=self._proxy,
            response_bytes=self._response_bytes,
        )
