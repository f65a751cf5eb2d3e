"""DirectEgress dials this machine only, and lets a server of a test stand for a platform's real address."""

from __future__ import annotations

import asyncio
import gc
import weakref

import httpx2
import pytest

from carapax.adapters.egress.proxy import line
from carapax.core.terms.error import EgressUnavailable
from carapax.ports.egress import Spot
from tests.conformance.egress.rooms import SECRETS
from tests.conformance.vault.memory import MemoryVault
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.line_server import LineServer
from tests.fakes.model_server import ModelServer, Raw

PLATFORM = "api.platform.example"


def test_a_server_of_the_test_stands_for_a_platforms_address() -> None:
    async def play(port: int) -> None:
        egress = DirectEgress(MemoryVault(**SECRETS), hosts={PLATFORM: ("127.0.0.1", port)})
        base = f"https://{PLATFORM}"
        async with egress.client(base_url=base, secret="service", timeout_ms=5_000, spot=Spot.PATH) as client:
            answer = await client.get(f"/bot{client.placeholder}/getMe")
            assert answer.status_code == 200

    with ModelServer(Raw(b"{}")) as server:
        asyncio.run(play(server.port))
        assert server.requests[0].path == f"/bot{SECRETS['service']}/getMe"
        assert server.requests[0].header("host") == PLATFORM


def test_so_it_does_for_lines_and_closes_them() -> None:
    async def play() -> None:
        async with LineServer() as server:
            egress = DirectEgress(MemoryVault(**SECRETS), hosts={PLATFORM: ("127.0.0.1", server.port)})
            held = await egress.open_line(host=PLATFORM, port=993, tls=True, secret="service")
            held.sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(held.sock, held.placeholder.encode() + b"\n")
            await server.until(lambda: server.received == SECRETS["service"].encode() + b"\n")
            await egress.close()
            async with asyncio.timeout(10):
                while await loop.sock_recv(held.sock, 100):
                    pass
            held.sock.close()
            assert len(asyncio.all_tasks()) <= 3  # the test's own and the server's

    asyncio.run(play())


def test_a_peer_that_never_reads_does_not_keep_a_line_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "STALL_MS", 100)

    async def play() -> None:
        async with LineServer(reads=False) as server:
            egress = DirectEgress(MemoryVault(**SECRETS))
            given = await egress.open_line(host="127.0.0.1", port=server.port, tls=False, secret="")
            _, writer = await asyncio.open_unix_connection(sock=given.sock)
            await server.until(lambda: server.connections == 1)
            writer.write(b"x" * (16 << 20))
            _, outer = egress._wires
            for _ in range(1000):
                if outer._paused_writing:
                    break
                await asyncio.sleep(0.001)
            assert outer._paused_writing  # it waits for a peer that does not read
            writer.transport.abort()
            gone = asyncio.Event()
            outer.on_gone(gone.set)
            await asyncio.wait_for(gone.wait(), 10)

    asyncio.run(play())


def test_nothing_of_a_line_is_kept_once_both_sides_are_closed() -> None:
    async def play() -> None:
        async with LineServer() as server:
            egress = DirectEgress(MemoryVault(**SECRETS))
            for _ in range(3):
                given = await egress.open_line(host="127.0.0.1", port=server.port, tls=False, secret="service")
                given.sock.close()
            await server.until(lambda: server.ended == 3)
            kept = [weakref.ref(wire) for wire in egress._wires]
            egress._wires.clear()
            for _ in range(10):
                await asyncio.sleep(0)
            gc.collect()
            assert [each() for each in kept] == [None] * 6

    asyncio.run(play())


def test_anything_else_is_not_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        def no(*_: object, **__: object) -> None:
            raise AssertionError("dialled")

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", no)
        monkeypatch.setattr(loop, "sock_connect", no)
        egress = DirectEgress(MemoryVault(**SECRETS), hosts={"another.example": ("127.0.0.1", 1)})
        async with egress.client(base_url=f"https://{PLATFORM}", secret="", timeout_ms=5_000) as client:
            with pytest.raises(httpx2.ConnectError):
                await client.get("/")
        with pytest.raises(EgressUnavailable):
            await egress.open_line(host=PLATFORM, port=993, tls=True, secret="")

    asyncio.run(play())
