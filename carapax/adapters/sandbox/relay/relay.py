"""Relay without a compiler: what relay.c does, in Python; its text is run by `python3 -I -S` inside a sandbox.

    relay.py SOCKET -- PROGRAM [WORD...]

Layer: adapters/sandbox/relay. It imports the standard library alone. Bound: MAX_PAIRS connections at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys

PORT = 3128
MAX_PAIRS = 64
BUFFER = 16_384
NO_WAY, NO_PROGRAM = 125, 127


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(BUFFER):
            sink.write(piece)
            await sink.drain()
        sink.write_eof()


async def serve(listener: socket.socket, way: str) -> None:
    room = asyncio.Semaphore(MAX_PAIRS)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with room:
            with contextlib.suppress(OSError):
                from_proxy, to_proxy = await asyncio.open_unix_connection(way)
                await asyncio.gather(pump(reader, to_proxy), pump(from_proxy, writer))
                to_proxy.close()
            writer.close()

    server = await asyncio.start_server(relay, sock=listener)
    await server.serve_forever()


def main() -> int:
    way, _, *words = sys.argv[1:]
    try:
        listener = socket.create_server(("127.0.0.1", PORT), backlog=MAX_PAIRS)
        child = os.fork()
    except OSError as error:
        sys.stderr.write(f"relay: no way out: {error.strerror}\n")
        return NO_WAY
    if child == 0:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nowhere, descriptor)
        os.setsid()
        asyncio.run(serve(listener, way))
        return 0
    listener.close()
    try:
        os.execvp(words[0], words)  # noqa: S606 - the job's own words, inside
    except OSError as error:
        sys.stderr.write(f"{words[0]}: {error.strerror}\n")
    return NO_PROGRAM


if __name__ == "__main__":
    sys.exit(main())
