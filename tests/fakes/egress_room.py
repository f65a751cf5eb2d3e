"""What tests of the egress proxy share: a keeper with the real process, a web server behind it, and raw clients.

Everything is on loopback: the child's resolver knows made-up names only, and its dialler refuses anything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import socket
import ssl
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from carapax.adapters.egress.keeper import Keeper
from carapax.core.terms.egress import Binding, Lease, Way
from carapax.core.terms.error import CarapaxError
from tests.attacks.sealing import mint
from tests.fakes.gate import FakeGate
from tests.fakes.web_server import HOSTS, WebServer

CHILD = Path(__file__).with_name("egress_child.py")
SECRET = "s3cr3t-Value_of+the/service-0451"
WAIT_S = 10


def child_argv(
    folder: Path,
    *,
    secrets: Mapping[str, str],
    bindings: Sequence[Binding] = (),
    names: Mapping[str, Sequence[Sequence[str]]] = {},
    trust: str = "",
    patience: Mapping[str, float] = {},
    user: bool = False,
) -> list[str]:
    """The command of a proxy process that knows these secrets and names. Its log is `folder/network.log`."""
    log = folder / "network.log"
    log.touch()
    config = folder / "child.json"
    config.write_text(
        json.dumps(
            {
                "secrets": dict(secrets),
                "bindings": [asdict(binding) for binding in bindings],
                "names": {name: [["127.0.0.1"]] for name in HOSTS} | {k: list(v) for k, v in names.items()},
                "trust": trust,
                "log": str(log),
                "locked": str(folder / "locked"),
                "patience": dict(patience),
                "user": user,
            }
        )
    )
    return [sys.executable, "-I", str(CHILD), str(config)]


@dataclass
class Room:
    """`async with Room(tmp_path, server) as room:`; then `await room.way()` and `room.tunnel(...)`."""

    folder: Path
    server: WebServer
    gate: FakeGate = field(default_factory=FakeGate)
    bindings: Sequence[Binding] = ()
    secrets: Mapping[str, str] = field(default_factory=lambda: {"service": SECRET})
    names: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    patience: Mapping[str, float] = field(default_factory=dict)
    user: bool = False

    async def __aenter__(self) -> Self:
        self.locked = self.folder / "locked"
        self.log = self.folder / "network.log"
        argv = child_argv(
            self.folder,
            secrets=self.secrets,
            bindings=self.bindings,
            names=self.names,
            trust=self.server.authority.pem,
            patience=self.patience,
            user=self.user,
        )
        self.record = self.folder / "proxy.json"
        self.keeper = Keeper(argv, self.gate, record=self.record)
        self._clients: list[Client] = []
        self.ways: list[Way] = []
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        await asyncio.to_thread(self.keeper.close)

    async def way(self, *, leases: Sequence[Lease] = (), session: str = "s") -> Way:
        """A way with a listener of its own; its port is in `ports`."""
        authorized = mint()
        authorized = dataclasses.replace(authorized, call=dataclasses.replace(authorized.call, session=session))
        way = await self.keeper.open_way(authorized, leases=leases)
        self.ways.append(way)
        return way

    async def listener(self, way: Way) -> tuple[str, int]:
        """A door for a sandbox's clients."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            await asyncio.to_thread(self.keeper.attach, way, listener.fileno())
            address: tuple[str, int] = listener.getsockname()
        return address

    async def dial(self, address: tuple[str, int]) -> Client:
        """A raw connection, which ends with the room."""
        client = Client(*await asyncio.open_connection(*address))
        self._clients.append(client)
        return client

    def keep(self, client: Client) -> None:
        """A connection that a test made itself ends with the room too."""
        self._clients.append(client)

    async def tunnel(
        self, address: tuple[str, int], way: Way, host: str, port: int, *, sni: str | None = None, context: Any = None
    ) -> Client:
        """A tunnel with TLS inside. Raises AssertionError when CONNECT is refused."""
        client = await self.dial(address)
        await client.send(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        status, _, body = await _connected(client)
        assert status == 200, body
        await client.writer.start_tls(context or trust(way), server_hostname=sni or host)
        return client

    async def settled(self) -> None:
        """Wait until everything that the process has reported so far has come: frames on the link keep their order."""
        with contextlib.suppress(CarapaxError):
            await asyncio.to_thread(self.keeper.find_held, "")

    def network(self) -> list[str]:
        """Every look-up and dial so far."""
        return self.log.read_text().splitlines()


@dataclass
class Client:
    """A raw connection to a door."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), WAIT_S)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One answer, with its body."""
        head = await self.head()
        line, *rest = head.decode("latin-1").strip().split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (field.partition(":") for field in rest)}
        status = int(line.split()[1])
        body = b""
        if status in (204, 304) or status < 200:
            return status, headers, body
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await asyncio.wait_for(self.reader.readline(), WAIT_S), 16):
                body += await asyncio.wait_for(self.reader.readexactly(size), WAIT_S)
                await self.reader.readexactly(2)
            await self.reader.readline()
        else:
            body = await asyncio.wait_for(self.reader.readexactly(int(headers.get("content-length", "0"))), WAIT_S)
        return status, headers, body

    async def ask(self, content: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send and take one answer."""
        await self.send(content)
        return await self.answer()

    async def end(self) -> bytes:
        """Everything until the other side closes."""
        try:
            return await asyncio.wait_for(self.reader.read(-1), WAIT_S)
        except TimeoutError:
            raise AssertionError("the other side stays open") from None
        except (OSError, ssl.SSLError):
            return b""

    def close(self) -> None:
        self.writer.transport.abort()


def trust(way: Way) -> ssl.SSLContext:
    """What a client inside trusts: the way's own authority and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=way.authority.decode())
    return context


async def _connected(client: Client) -> tuple[int, dict[str, str], bytes]:
    head = await client.head()
    status = int(head.split()[1])
    return status, {}, head if status == 200 else head + await client.end()


def get(path: str, host: str, *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A plain request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
