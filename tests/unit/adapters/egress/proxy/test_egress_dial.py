"""The dialling itself, on loopback: a connection that its peer left without a word does not live for ever."""

from __future__ import annotations

import asyncio
import socket

from carapax.adapters.egress.proxy.dial import KEEPALIVE, Dial, connect
from tests.fakes.line_server import LineServer


def test_a_dead_peer_is_noticed_by_the_kernel() -> None:
    async def run() -> None:
        async with LineServer() as server:
            sock = await connect("127.0.0.1", server.port)
            with sock:
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                assert tuple(sock.getsockopt(socket.IPPROTO_TCP, option) for option in options) == KEEPALIVE

    asyncio.run(run())
    idle, between, probes = KEEPALIVE
    assert idle + between * probes <= 240


def test_authorities_are_loaded_once() -> None:
    dial = Dial()
    assert dial.trust() is dial.trust()
