"""The keeper with the real process: ways that open, carry, refuse, end, and come back after the process died."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
from pathlib import Path

import httpx2
import pytest

from carapax.core.terms.egress import Allowance, Traffic
from carapax.core.terms.error import AuthorityInvalid, EgressUnavailable, Refused
from carapax.core.terms.signal import SignalKind
from tests.attacks.sealing import mint
from tests.fakes.egress_room import Room, get, trust
from tests.fakes.gate import FakeGate
from tests.fakes.web_server import Reply, WebServer, echo


def is_alive(pid: int) -> bool:
    return Path("/proc", str(pid)).exists()


def of_process(pid: int) -> tuple[str, int]:
    """Its status, and who owns its environment in /proc."""
    return Path("/proc", str(pid), "status").read_text(), Path("/proc", str(pid), "environ").stat().st_uid


def test_a_request_goes_through_a_tunnel_and_is_judged_before_the_look_up(tmp_path: Path) -> None:
    async def play() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                client = await room.tunnel(await room.listener(way), way, "allowed.example", server.port)
                host = f"allowed.example:{server.port}"
                status, _, body = await client.ask(get("/a?b=c", host, "X-Note: 1"))
                assert status == 200
                assert body.startswith(b"GET /a?b=c HTTP/1.1\r\n")
                again, _, _ = await client.ask(get("/second", host))
                assert again == 200
                client.close()
                assert [(hop.method, hop.path) for hop in room.gate.hops] == [
                    ("CONNECT", ""), ("GET", "/a?b=c"), ("GET", "/second"),
                ]  # fmt: skip
                assert room.network() == ["look-up allowed.example", "dial 127.0.0.1"]
                traffic = await room.keeper.close_way(way)
                assert traffic.requests == 2
                assert traffic.hosts == ("allowed.example",)
                assert traffic.bytes_up > 0
                assert traffic.bytes_down > 0
                assert room.gate.closed == [(way.call, traffic)]
                await room.settled()
                assert (way.call, SignalKind.HOST, 1, "allowed.example") in room.gate.signals
                uploaded = [
                    amount for _, kind, amount, host in room.gate.signals if kind is SignalKind.UPLOADED and host
                ]
                assert len(uploaded) == 2
                assert sum(uploaded) == traffic.bytes_up

    asyncio.run(play())


def test_what_the_gate_refuses_is_never_looked_up_and_says_why(tmp_path: Path) -> None:
    async def play() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                client = await room.dial(await room.listener(way))
                status, headers, body = await client.ask(b"CONNECT secret-data.denied.example:443 HTTP/1.1\r\n\r\n")
                assert status == 403
                assert headers["carapax-refused"] == "egress.none"
                assert b"No rule lets this run reach secret-data.denied.example." in body
                assert room.network() == []
                assert server.connections == 0

    asyncio.run(play())


def test_a_client_of_the_gateway_goes_through_the_same_rules(tmp_path: Path) -> None:
    async def play() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                async with room.keeper.client(way, timeout_ms=10_000) as client:
                    answer = await client.get(f"https://allowed.example:{server.port}/page")
                    assert answer.status_code == 200
                    assert "GET /page" in answer.text
                    with pytest.raises(Refused, match=r"No rule lets this run reach denied\.example"):
                        await client.get("https://denied.example/")
                    with pytest.raises(Refused, match="Plain http"):
                        await client.get("http://allowed.example/")
                    room.gate.decide = lambda _: (_ for _ in ()).throw(RuntimeError("broken"))  # type: ignore[assignment]
                    with pytest.raises(EgressUnavailable, match="decider failed"):
                        await client.get(f"https://allowed.example:{server.port}/page")
                assert len(server.requests) == 1

    asyncio.run(play())


def test_a_service_that_pretends_a_refusal_is_no_refusal(tmp_path: Path) -> None:
    async def play() -> None:
        reply = Reply(b"no", 403, [("carapax-refused", "egress.none")])
        with WebServer(lambda _: reply) as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                async with room.keeper.client(way, timeout_ms=10_000) as client:
                    answer = await client.get(f"https://allowed.example:{server.port}/")
                    assert (answer.status_code, answer.text) == (403, "no")
                    assert "carapax-refused" not in answer.headers

    asyncio.run(play())


def test_a_service_that_cannot_be_reached_or_trusted_is_an_error_of_the_connection(tmp_path: Path) -> None:
    async def play() -> None:
        with WebServer() as server, WebServer() as stranger:
            async with Room(
                tmp_path, server, names={"allowed.example": [["127.0.0.1"]], "bound.example": [[]]}
            ) as room:
                way = await room.way()
                async with room.keeper.client(way, timeout_ms=10_000) as client:
                    with pytest.raises(httpx2.ConnectError, match="was not found"):
                        await client.get("https://bound.example/")
                    with pytest.raises(httpx2.ConnectError, match=r"certificate of allowed\.example is not valid"):
                        await client.get(f"https://allowed.example:{stranger.port}/")
                assert stranger.requests == []

    asyncio.run(play())


def test_the_gate_admits_or_nothing_is_started(tmp_path: Path) -> None:
    class Strict(FakeGate):
        def admit(self, authorized):  # type: ignore[no-untyped-def]
            raise AuthorityInvalid("no seal")

    async def play() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server, gate=Strict()) as room:
                with pytest.raises(AuthorityInvalid):
                    await room.way()
                assert not room.record.exists()

    asyncio.run(play())


def test_a_killed_process_closes_every_way_and_the_next_way_starts_it_anew(tmp_path: Path) -> None:
    async def play() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                address = await room.listener(way)
                client = await room.tunnel(address, way, "allowed.example", server.port)
                first = json.loads(room.record.read_text())["pid"]
                os.kill(first, signal.SIGKILL)
                assert await client.end() == b""
                with pytest.raises(EgressUnavailable):
                    await room.listener(way)
                assert await room.keeper.close_way(way) == Traffic(lost=True)
                assert room.gate.closed == [(way.call, Traffic(lost=True))]
                again = await room.way()
                second = await room.tunnel(await room.listener(again), again, "allowed.example", server.port)
                status, _, _ = await second.ask(get("/", f"allowed.example:{server.port}"))
                assert status == 200
                assert json.loads(room.record.read_text())["pid"] != first
                second.close()

    asyncio.run(play())


def test_a_cut_ends_the_tunnels_of_that_session_at_once_and_only_those(tmp_path: Path) -> None:
    async def play() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                mine, theirs = await room.way(session="one"), await room.way(session="two")
                host = f"allowed.example:{server.port}"
                address = await room.listener(mine)
                cut = await room.tunnel(address, mine, "allowed.example", server.port)
                kept = await room.tunnel(await room.listener(theirs), theirs, "allowed.example", server.port)
                assert (await cut.ask(get("/", host)))[0] == 200
                await asyncio.to_thread(room.keeper.cut, "one")
                assert await cut.end() == b""
                with pytest.raises(OSError):
                    await room.dial(address)
                assert (await kept.ask(get("/", host)))[0] == 200
                room.keeper.cut(None)
                assert await kept.end() == b""
                traffic = await room.keeper.close_way(mine)
                assert traffic.requests == 1

    asyncio.run(play())


def test_a_process_that_is_stuck_is_killed_by_a_cut(tmp_path: Path) -> None:
    async def play() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                way = await room.way()
                client = await room.tunnel(await room.listener(way), way, "allowed.example", server.port)
                os.kill(json.loads(room.record.read_text())["pid"], signal.SIGSTOP)
                await asyncio.to_thread(room.keeper.cut, None)
                assert await client.end() == b""

    asyncio.run(play())


def test_closing_the_gateways_end_ends_the_process(tmp_path: Path) -> None:
    async def play() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                await room.way()
                pid = json.loads(room.record.read_text())["pid"]
            assert not is_alive(pid)
            assert not room.record.exists()
            with pytest.raises(EgressUnavailable):
                await room.way()

    asyncio.run(play())


def test_budgets_of_requests_hosts_and_bytes_hold(tmp_path: Path) -> None:
    async def play() -> None:
        with WebServer() as server:
            gate = FakeGate(allowance=Allowance(requests=3, hosts=1, bytes_up=2_000, bytes_down=5_000))
            async with Room(tmp_path, server, gate=gate) as room:
                way = await room.way()
                async with room.keeper.client(way, timeout_ms=10_000) as client:
                    page = f"https://allowed.example:{server.port}/"
                    with pytest.raises(Refused, match="may send 2000 bytes"):
                        await client.post(page, content=b"x" * 3_000)
                    assert (await client.get(page)).status_code == 200
                    with pytest.raises(Refused, match="1 different hosts"):
                        await client.get(f"https://bound.example:{server.port}/")
                    with pytest.raises(Refused, match="3 requests"):
                        await client.get(page)
                assert len(server.requests) == 1
                await room.settled()
                assert gate.kinds().count(SignalKind.DENIED) == 3

    asyncio.run(play())


def test_an_answer_over_the_budget_is_cut(tmp_path: Path) -> None:
    async def play() -> None:
        with WebServer(lambda _: Reply(b"y" * 100_000)) as server:
            gate = FakeGate(allowance=Allowance(bytes_down=20_000))
            async with Room(tmp_path, server, gate=gate) as room:
                way = await room.way()
                async with room.keeper.client(way, timeout_ms=10_000) as client:
                    with pytest.raises((httpx2.TransportError, Refused)):
                        await client.get(f"https://allowed.example:{server.port}/")
                await room.settled()
                assert SignalKind.DENIED in gate.kinds()

    asyncio.run(play())


def test_the_child_runs_as_nobody_and_holds_little(tmp_path: Path) -> None:
    async def play() -> None:
        with WebServer(echo) as server:
            async with Room(tmp_path, server, user=True) as room:
                way = await room.way()
                client = await room.tunnel(await room.listener(way), way, "allowed.example", server.port)
                assert (await client.ask(get("/", f"allowed.example:{server.port}")))[0] == 200
                pid = json.loads(room.record.read_text())["pid"]
                status, owner = of_process(pid)
                assert "NoNewPrivs:\t1" in status
                assert owner == 0  # not dumpable
                if os.geteuid() == 0:
                    assert "Uid:\t64243\t64243\t64243\t64243" in status
                    assert "Groups:\t \n" in status
                    assert "CapEff:\t0000000000000000" in status
                client.close()

    asyncio.run(play())


def test_every_way_has_an_authority_of_its_own(tmp_path: Path) -> None:
    async def play() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                one, two = await room.way(), await room.way()
                assert one.authority != two.authority
                address = await room.listener(one)
                with pytest.raises(OSError):
                    await room.tunnel(address, one, "allowed.example", server.port, context=trust(two))

    asyncio.run(play())


def test_a_seal_is_the_gates_matter_and_its_call_is_on_the_way(tmp_path: Path) -> None:
    async def play() -> None:
        with WebServer() as server:
            async with Room(tmp_path, server) as room:
                authorized = mint(call="call-x")
                way = await room.keeper.open_way(dataclasses.replace(authorized))
                assert way.call == "call-x"
                assert way.placeholders == ()

    asyncio.run(play())
