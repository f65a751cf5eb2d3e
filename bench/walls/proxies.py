"""The egress proxy beside its peers: what it carries through a tunnel and opened, and what it refuses.

Each runs as it would in use, on loopback: ours in its own process with the gate asked for every request, squid passing
tunnels on, mitmproxy opening them. What is measured is bytes a second of one download and the time of a small request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.walls.figures import Figure, Missing, at_least, told
from bench.walls.origin import BIG, BIG_OPENED
from carapax.core.terms.egress import Allowance

HOST = "localhost"
ROUNDS = 5
SMALL_REQUESTS = 200
WAIT_S = 30
MITMDUMP = Path(__file__).parents[2] / ".venv-walls" / "bin" / "mitmdump"
PLENTY = Allowance(requests=1_000_000, bytes_up=1 << 40, bytes_down=1 << 40)


@dataclass(frozen=True)
class Origin:
    """The service behind the proxies."""

    port: int
    pem: str


@dataclass(frozen=True)
class Door:
    """A proxy that takes CONNECT; `pem` is who signs for what it opened."""

    port: int
    pem: str = ""


@contextlib.contextmanager
def serving(kind: str) -> Iterator[Origin]:
    """The origin in its own process."""
    words = [sys.executable, "-m", "bench.walls.origin", kind]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            said = json.loads(child.stdout.readline())
            yield Origin(said["port"], said["pem"])
        finally:
            child.kill()


@contextlib.asynccontextmanager
async def ours(folder: Path, origin: Origin, *, opaque: bool) -> AsyncIterator[Door]:
    """Our proxy, as the gateway starts it; only its resolver is made up."""
    try:
        from tests.fakes.egress_room import Room
        from tests.fakes.gate import FakeGate
    except ImportError as error:
        raise Missing(f"the egress proxy is not in this tree: {error}") from error
    gate = FakeGate(hosts=(HOST,), opaque=opaque, allowance=PLENTY)
    authority: Any = SimpleNamespace(authority=SimpleNamespace(pem=origin.pem))
    async with Room(folder, authority, gate=gate) as room:
        way = await room.way()
        address = await room.listener(way)
        yield Door(address[1], way.authority.decode())


@contextlib.asynccontextmanager
async def squid(folder: Path) -> AsyncIterator[Door]:
    """Squid that passes tunnels on and keeps nothing."""
    program = shutil.which("squid") or shutil.which("squid", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise Missing("squid is not installed: apt-get install squid-openssl")
    port = free_port()
    config = folder / "squid.conf"
    config.write_text(
        f"http_port 127.0.0.1:{port}\nhttp_access allow all\ncache deny all\naccess_log none\ncache_log /dev/null\n"
        "cache_store_log none\npid_filename none\nvisible_hostname localhost\nshutdown_lifetime 0 seconds\n"
        f"coredump_dir {folder}\ndns_v4_first on\nhosts_file /etc/hosts\n"
    )
    async with started([program, "-N", "-f", str(config)], port):
        yield Door(port)


@contextlib.asynccontextmanager
async def mitmproxy(folder: Path, origin: Origin) -> AsyncIterator[Door]:
    """Mitmproxy that opens tunnels and passes bodies on as they come."""
    if not MITMDUMP.exists():
        raise Missing("mitmproxy is not installed: make bench-setup")
    trusted = folder / "origin.pem"
    trusted.write_text(origin.pem)
    port = free_port()
    words = [str(MITMDUMP), "-q", "--listen-host", "127.0.0.1", "-p", str(port)]
    for option in (f"confdir={folder}", f"ssl_verify_upstream_trusted_ca={trusted}", "stream_large_bodies=1m"):
        words += ["--set", option]
    async with started(words, port):
        authority = folder / "mitmproxy-ca-cert.pem"
        yield Door(port, authority.read_text())


@contextlib.asynccontextmanager
async def started(words: Sequence[str], port: int) -> AsyncIterator[None]:
    """A peer as a child process, from when it listens until it is ended by its pid."""
    child = await asyncio.create_subprocess_exec(
        *words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        for _ in range(WAIT_S * 20):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if child.returncode is not None:
                assert child.stderr is not None
                said = (await child.stderr.read(400)).decode("utf-8", "replace").strip()
                raise Missing(f"{Path(words[0]).name} ended at once: {said}")
            await asyncio.sleep(0.05)
        else:
            raise Missing(f"{Path(words[0]).name} did not listen within {WAIT_S} s")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.communicate()


def made(folder: Path, name: str) -> Path:
    """A folder of its own."""
    place = folder / name
    place.mkdir()
    return place


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


# what a client does


def connect(door: Door, origin: Origin) -> socket.socket:
    """A tunnel to the origin. Raises Missing when it is refused."""
    client = socket.create_connection(("127.0.0.1", door.port), WAIT_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    target = f"{HOST}:{origin.port}"
    client.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    said = b""
    while b"\r\n\r\n" not in said:
        piece = client.recv(1)  # no byte of the tunnel is taken
        if not piece:
            break
        said += piece
    if said.split(b" ")[1:2] != [b"200"]:
        client.close()
        raise Missing(f"a proxy refused the tunnel: {said[:200]!r}")
    return client


def drain(client: socket.socket, size: int) -> int:
    """Take at most so many bytes; says how many came."""
    room = bytearray(1 << 20)
    left = size
    while left and (taken := client.recv_into(room, min(len(room), left))):
        left -= taken
    return size - left


def first_record() -> bytes:
    """A real ClientHello for the origin."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=HOST)
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    return outgoing.read()


def download_tunnelled(door: Door, origin: Origin) -> float:
    """Megabytes a second through a tunnel that is not opened."""
    with connect(door, origin) as client:
        began = time.perf_counter()
        client.sendall(first_record())
        taken = drain(client, BIG)
        took = time.perf_counter() - began
    if taken != BIG:
        raise Missing(f"a tunnel ended after {taken:,} of {BIG:,} bytes")
    return BIG / 1e6 / took


@contextlib.contextmanager
def opened(door: Door, origin: Origin) -> Iterator[ssl.SSLSocket]:
    """A tunnel with TLS in it, to whoever signs for the origin there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=door.pem)
    with connect(door, origin) as plain, context.wrap_socket(plain, server_hostname=HOST) as client:
        yield client


def read_head(client: ssl.SSLSocket) -> bytes:
    """The head of an answer and what came with it. Raises Missing when it is not a 200."""
    said = b""
    while b"\r\n\r\n" not in said:
        piece = client.recv(65_536)
        if not piece:
            break
        said += piece
    head, _, rest = said.partition(b"\r\n\r\n")
    if head.split(b" ")[1:2] != [b"200"]:
        raise Missing(f"a proxy refused a request: {said[:300]!r}")
    return rest


def download_opened(door: Door, origin: Origin) -> float:
    """Megabytes a second of a request that the proxy reads."""
    with opened(door, origin) as client:
        began = time.perf_counter()
        client.sendall(f"GET /big HTTP/1.1\r\nHost: {HOST}:{origin.port}\r\n\r\n".encode())
        taken = len(read_head(client))
        taken += drain(client, BIG_OPENED - taken)
        took = time.perf_counter() - began
    if taken != BIG_OPENED:
        raise Missing(f"a download ended after {taken:,} of {BIG_OPENED:,} bytes")
    return BIG_OPENED / 1e6 / took


def small_requests(door: Door, origin: Origin) -> float:
    """Milliseconds of a small request, one after the other on one connection."""
    with opened(door, origin) as client:
        asked = f"GET /small HTTP/1.1\r\nHost: {HOST}:{origin.port}\r\n\r\n".encode()
        times = []
        for _ in range(SMALL_REQUESTS):
            began = time.perf_counter()
            client.sendall(asked)
            left = 100 - len(read_head(client))
            while left > 0:
                left -= len(client.recv(left))
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


async def beside(
    work: Callable[[Door, Origin], float], doors: dict[str, Door], origin: Origin, rounds: int
) -> dict[str, float]:
    """Medians of the same work through every door, in turn."""
    found: dict[str, list[float]] = {name: [] for name in doors}
    for turn in range(rounds + 1):
        for name, door in doors.items():
            value = await asyncio.to_thread(work, door, origin)
            if turn:  # the first opens everything once
                found[name].append(value)
    return {name: statistics.median(values) for name, values in found.items()}


# parts


async def measure_tunnel(folder: Path) -> list[Figure]:
    """A tunnel that is passed on: ours beside squid."""
    with serving("raw") as origin:
        async with ours(made(folder, "ours"), origin, opaque=True) as own, squid(made(folder, "squid")) as peer:
            rate = await beside(download_tunnelled, {"ours": own, "squid": peer}, origin, ROUNDS)
    return [
        told("tunnel passed on, ours", rate["ours"], "MB/s"),
        told("tunnel passed on, squid", rate["squid"], "MB/s"),
        at_least("tunnel passed on, ours over squid", rate["ours"] / rate["squid"], "×", 0.8),
    ]


async def measure_opened(folder: Path) -> list[Figure]:
    """A tunnel that is opened: ours beside mitmproxy."""
    with serving("tls") as origin:
        async with (
            ours(made(folder, "ours"), origin, opaque=False) as own,
            mitmproxy(made(folder, "peer"), origin) as peer,
        ):
            doors = {"ours": own, "mitmproxy": peer}
            rate = await beside(download_opened, doors, origin, ROUNDS)
            small = await beside(small_requests, doors, origin, 3)
    return [
        told("download, opened, ours", rate["ours"], "MB/s"),
        told("download, opened, mitmproxy", rate["mitmproxy"], "MB/s"),
        at_least("download, opened, ours over mitmproxy", rate["ours"] / rate["mitmproxy"], "×", 2),
        told("small request, opened, ours", small["ours"], "ms"),
        told("small request, opened, mitmproxy", small["mitmproxy"], "ms"),
    ]


async def measure_attacks(folder: Path) -> list[Figure]:
    """Every attack of the table against the real process: answered as wanted, and nothing looked up."""
    try:
        from carapax.core.terms.egress import Binding
        from tests.attacks.egress_requests import ATTACKS, BOUND, CANARY, FREE
        from tests.attacks.test_egress_requests import play
        from tests.fakes.egress_room import Room
        from tests.fakes.gate import FakeGate
        from tests.fakes.web_server import WebServer
    except ImportError as error:
        raise Missing(f"the table of attacks is not in this tree: {error}") from error
    gate = FakeGate(hosts=(BOUND, FREE), allowance=PLENTY)
    with WebServer() as server:
        async with Room(folder, server, gate=gate, bindings=[Binding("service", BOUND, server.port)]) as room:
            room.keeper.watch_for({"planted": CANARY})
            way = await room.way()
            address = await room.listener(way)
            began = time.perf_counter()
            wrong = [fault for attack in ATTACKS if (fault := await play(room, address, way, attack))]
            took = time.perf_counter() - began
            reached = len(room.network()) + server.connections
    for fault in wrong:
        print(fault, file=sys.stderr)
    return [
        told("attack requests", len(ATTACKS), ""),
        at_least("attack requests answered as wanted", len(ATTACKS) - len(wrong), "", len(ATTACKS)),
        Figure("look-ups and connections they caused", reached, "", "≤ 0", reached == 0),
        told("one attack request, connecting included", took / len(ATTACKS) * 1000, "ms"),
    ]
