"""One HTTP PUT over a line of its own: a server's slot comes with a credential that no client of the proxy may carry.

Layer: adapters/channels/xmpp. The slot's token is the server's word for this one file and opens nothing else.
Absent: redirects, anything but the status of the answer. Source: XEP-0363; RFC 9112.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from carapax.ports.channel import ChannelFailed, SendRefused
from carapax.ports.egress import Egress

WAIT_S = 120.0


async def put_file(egress: Egress, url: str, headers: Mapping[str, str], content: bytes) -> None:
    """Store the content at this https address. Raises ChannelFailed, SendRefused, and what `open_line` raises."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    head = {"host": parts.hostname or "", "connection": "close", "content-length": str(len(content)), **headers}
    lines = [f"PUT {target} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    if not all(line.isascii() and line.isprintable() for line in lines) or " " in target:
        raise SendRefused("The server's place for the file is no address.")
    line = await egress.open_line(host=parts.hostname or "", port=443, tls=True, secret="")
    reader, writer = await asyncio.open_unix_connection(sock=line.sock)
    try:
        async with asyncio.timeout(WAIT_S):
            writer.write("\r\n".join([*lines, "", ""]).encode() + content)
            await writer.drain()
            status = await reader.readline()
    except (TimeoutError, OSError, ValueError) as error:
        raise ChannelFailed(f"The file could not be stored: {type(error).__name__}.") from None
    finally:
        writer.transport.abort()
    found = status[9:12]
    if not status.startswith(b"HTTP/1.") or not found.isdigit() or found[:1] == b"5":
        raise ChannelFailed("The host for files failed.")
    if found[:1] != b"2":
        raise SendRefused(f"The host for files does not take it ({found.decode()}).")
