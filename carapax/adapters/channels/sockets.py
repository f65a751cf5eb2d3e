"""A WebSocket over a line of the egress proxy.

Layer: adapters/channels. Owns the bounds. Absent: TLS (the proxy speaks it) and reconnecting (the caller's loop).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from carapax.core.terms.error import Malformed
from carapax.ports.channel import ChannelFailed
from carapax.ports.egress import Egress, Wrap

MESSAGE_BYTES = 4 << 20
OPEN_S = 20.0
CLOSE_S = 2.0


@asynccontextmanager
async def open_socket(
    egress: Egress, url: str, *, secret: str = "", headers: dict[str, str] | None = None, ping_s: float | None = 20.0
) -> AsyncIterator[tuple[Any, str]]:
    """A `websockets` connection to a ws:// or wss:// address, and the placeholder that stands for the secret in it.

    A header value "{secret}" becomes the placeholder. Raises ChannelFailed, Malformed, and what `open_line` raises;
    once it is open, `websockets.exceptions.ConnectionClosed`.
    """
    from websockets.asyncio.client import connect  # 30 ms to import, so with the first connection
    from websockets.exceptions import InvalidHandshake, InvalidURI

    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise Malformed("This is not the address of a WebSocket.")
    tls = parts.scheme == "wss"
    port = parts.port or (443 if tls else 80)
    line = await egress.open_line(host=parts.hostname, port=port, tls=tls, secret=secret, wrap=Wrap.WEBSOCKET)
    given = {name: value.replace("{secret}", line.placeholder) for name, value in (headers or {}).items()}
    plain = parts._replace(scheme="ws", netloc=parts.netloc if parts.port or not tls else f"{parts.hostname}:443")
    try:
        connection = await connect(
            plain.geturl(), sock=line.sock, additional_headers=given, max_size=MESSAGE_BYTES, open_timeout=OPEN_S,
            close_timeout=CLOSE_S, ping_interval=ping_s, ping_timeout=ping_s, compression=None, proxy=None,
            user_agent_header="carapax",
        )  # fmt: skip
    except (OSError, EOFError, TimeoutError, InvalidHandshake, InvalidURI, asyncio.IncompleteReadError) as error:
        line.sock.close()
        raise ChannelFailed(f"The platform's WebSocket cannot be opened: {str(error)[:200]}") from None
    try:
        yield connection, line.placeholder
    finally:
        await connection.close()
