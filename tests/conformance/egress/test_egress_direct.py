"""DirectEgress dials this machine only, and lets a server of a test stand for a platform's real address."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

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
            line = await egress.open_line(host=PLATFORM, port=993, tls=True, secret="service")
            line.sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(line.sock, line.placeholder.encode() + b"\n")
            await server.until(lambda: server.received == SECRETS["service"].encode() + b"\n")
            await egress.close()
            async with asyncio.timeout(10):
                while await loop.sock_recv(line.sock, 100):
                    pass
            line.sock.close()
            assert len(asyncio.all_tasks()) <= 3  # the test's own and the server's

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
