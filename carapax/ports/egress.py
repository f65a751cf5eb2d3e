"""Port: the only way out. Adapters that speak HTTP get their client here and open no socket of their own."""

from __future__ import annotations

from typing import Any, Protocol


class Egress(Protocol):
    def client(self, *, base_url: str, secret: str, timeout_ms: int) -> Any:
        """An httpx2.AsyncClient that reaches exactly the host and port of `base_url`, and nothing else.

        `secret` is a handle ("" for none): its value replaces the client's placeholder credential at the last hop,
        so the caller never holds it. A request to any other host raises Refused before a look-up.
        """
        ...
