"""The proxy, the gateway's decider, the service or the link goes away in the middle: closed, said, and nothing half-true."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest

from carapax.adapters.egress.keeper import Keeper
from carapax.core.terms.egress import Hop, Verdict
from carapax.core.terms.error import CarapaxError, EgressUnavailable
from tests.attacks.sealing import mint
from tests.fakes.egress_room import Room, child_argv, get
from tests.fakes.gate import LOOPBACK, FakeGate
from tests.fakes.web_server import Got, Reply, WebServer

FREE = "allowed.example"


def pid_of(room: Room) -> int:
    return int(json.loads(room.record.read_text())["pid"])


def test_a_process_killed_while_the_service_thinks_ends_the_call(tmp_path: Path) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def answer(got: Got) -> Reply:
        arrived.set()
        go_on.wait(10)
        return Reply(b"late")

    async def play() -> None:
        with WebServer(answer) as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                async with room.keeper.client(way, timeout_ms=20_000) as client:
                    asking = asyncio.create_task(client.get(f"https://{FREE}:{server.port}/"))
                    assert await asyncio.to_thread(arrived.wait, 10)
                    os.kill(pid_of(room), signal.SIGKILL)
                    with pytest.raises((httpx2.TransportError, CarapaxError)):
                        await asking
                    go_on.set()
                    with pytest.raises((httpx2.TransportError, CarapaxError)):
                        await client.get(f"https://{FREE}:{server.port}/")
                await room.keeper.close_way(way)
                assert len(server.requests) == 1  # nothing was sent twice

    asyncio.run(play())


def test_a_process_killed_while_the_gate_thinks_sends_nothing(tmp_path: Path) -> None:
    asked = threading.Event()

    class Slow(FakeGate):
        async def judge(self, call, hop):  # type: ignore[no-untyped-def]
            if hop.method == "CONNECT":
                return Verdict(True, "egress.test")
            asked.set()
            return await asyncio.Future()

    async def play() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server, Slow()) as room:
                way = await room.way()
                client = await room.tunnel(await room.listener(way), way, FREE, server.port)
                await client.send(get("/", f"{FREE}:{server.port}"))
                assert await asyncio.to_thread(asked.wait, 10)
                os.kill(pid_of(room), signal.SIGKILL)
                assert await client.end() == b""
                assert server.connections == 0
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    task.cancel()

    asyncio.run(play())


def test_a_way_closed_while_the_gate_thinks_sends_nothing(tmp_path: Path) -> None:
    async def play() -> None:
        asked, answer = asyncio.Event(), asyncio.Event()

        class Slow(FakeGate):
            async def judge(self, call, hop):  # type: ignore[no-untyped-def]
                if hop.method != "CONNECT":
                    asked.set()
                    await answer.wait()
                return Verdict(True, "egress.test", pinned=LOOPBACK)

        with WebServer() as server:
            async with Room(tmp_path, server, Slow()) as room:
                way = await room.way()
                client = await room.tunnel(await room.listener(way), way, FREE, server.port)
                await client.send(get("/", f"{FREE}:{server.port}"))
                await asyncio.wait_for(asked.wait(), 10)
                await room.keeper.close_way(way)
                answer.set()
                assert await client.end() == b""
                await room.settled()
                assert room.network() == []

    asyncio.run(play())


def test_a_command_that_is_no_proxy_is_told(tmp_path: Path) -> None:
    async def play(argv: list[str]) -> None:
        gate = FakeGate()
        keeper = Keeper(argv, gate)
        with pytest.raises(EgressUnavailable):
            await keeper.open_way(mint())
        assert len(gate.closed) == 1
        await asyncio.to_thread(keeper.close)

    asyncio.run(play(["/no/such/program"]))
    asyncio.run(play([sys.executable, "-I", "-c", "raise SystemExit(3)"]))
    asyncio.run(
        play(
            [
                sys.executable,
                "-I",
                "-c",
                "import sys, socket; socket.socket(fileno=int(sys.argv[1])).send(b'\\0\\0\\0\\2[]')",
            ]
        )
    )


def test_a_gateway_that_is_killed_takes_the_process_with_it(tmp_path: Path) -> None:
    argv = child_argv(tmp_path, secrets={})
    record = tmp_path / "proxy.json"
    program = (
        "import sys, pathlib, signal\n"
        "from carapax.adapters.egress.keeper import Keeper\n"
        "keeper = Keeper(sys.argv[2:], None, record=pathlib.Path(sys.argv[1]))\n"
        "keeper.find_held('')\n"
        "print('up', flush=True)\n"
        "signal.pause()\n"
    )
    gateway = subprocess.Popen([sys.executable, "-c", program, str(record), *argv], stdout=subprocess.PIPE)
    try:
        assert gateway.stdout is not None
        assert gateway.stdout.readline() == b"up\n"
        found = json.loads(record.read_text())
        waiting = os.pidfd_open(found["pid"])
    finally:
        gateway.kill()
        gateway.wait()
        gateway.stdout.close()
    try:
        assert select.select([waiting], [], [], 10)[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(waiting, signal.SIGKILL)
        os.close(waiting)


def test_an_answer_that_ends_early_is_no_answer(tmp_path: Path) -> None:
    async def play() -> None:
        broken = [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            b"",
        ]
        with WebServer(lambda got: Reply(raw=broken[int(got.path[1:])], cut=True)) as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                async with room.keeper.client(way, timeout_ms=10_000) as client:
                    for number in range(len(broken)):
                        with pytest.raises(httpx2.TransportError):
                            await client.get(f"https://{FREE}:{server.port}/{number}")
                assert len(server.requests) == len(broken)

    asyncio.run(play())


def test_a_decider_without_an_answer_is_a_refusal(tmp_path: Path) -> None:
    async def play() -> None:
        answers: list[object] = [None, "yes", RuntimeError("no")]

        class Odd(FakeGate):
            async def judge(self, call, hop: Hop):  # type: ignore[no-untyped-def]
                found = answers.pop(0)
                if isinstance(found, Exception):
                    raise found
                return found

        with WebServer() as server:
            async with Room(tmp_path, server, Odd()) as room:
                way = await room.way()
                for _ in range(3):
                    async with room.keeper.client(way, timeout_ms=10_000) as client:
                        with pytest.raises(EgressUnavailable):
                            await client.get(f"https://{FREE}:{server.port}/")
                assert server.connections == 0

    asyncio.run(play())
