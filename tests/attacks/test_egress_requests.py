"""Attack: a request that must not leave, in every spelling we know. The table is `egress_requests`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from carapax.core.terms.egress import Allowance, Binding, Way
from carapax.core.terms.signal import SignalKind
from tests.attacks.egress_requests import ATTACKS, BOUND, CANARY, CREDENTIAL, FREE, Attack
from tests.fakes.egress_room import SECRET, Client, Room, get
from tests.fakes.gate import FakeGate
from tests.fakes.web_server import WebServer

AT_ONCE = 8


async def reach(room: Room, address: tuple[str, int], way: Way, attack: Attack) -> tuple[Client, str]:
    """Where the attack is sent, and the Host value there."""
    if attack.where == "door":
        return await room.dial(address), ""
    host = BOUND if attack.where == "bound" else FREE
    client = await room.tunnel(address, way, host, room.server.port)
    return client, f"{host}:{room.server.port}"


async def play(room: Room, address: tuple[str, int], way: Way, attack: Attack) -> str:
    """What is wrong with the answer; "" when it is as wanted."""
    client, host = await reach(room, address, way, attack)
    try:
        await client.send(attack.content(host, dict(way.placeholders)["service"]))
        status, headers, body = await client.answer()
    except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
        return f"{attack.name}: {error!r}"
    finally:
        client.close()
    rule = headers.get("carapax-refused", "passed")
    if rule != attack.rule or status < 400 or f"[{attack.rule}]".encode() not in body:
        return f"{attack.name}: {status} {rule} {body[:200]!r}"
    return f"{attack.name}: it quotes the secret" if SECRET.encode() in body else ""


def test_every_attack_is_answered_as_wanted_and_nothing_leaves(tmp_path: Path) -> None:
    assert len(ATTACKS) >= 200

    async def run() -> None:
        gate = FakeGate(hosts=(BOUND, FREE), allowance=Allowance(requests=10_000))
        with WebServer() as server:
            binding = Binding("service", BOUND, server.port, path="/")
            async with Room(tmp_path, server, gate=gate, bindings=[binding]) as room:
                room.keeper.watch_for({"planted": CANARY})
                way = await room.way()
                address = await room.listener(way)
                slots = asyncio.Semaphore(AT_ONCE)

                async def one(attack: Attack) -> str:
                    async with slots:
                        return await play(room, address, way, attack)

                wrong = [fault for fault in await asyncio.gather(*map(one, ATTACKS)) if fault]
                assert not wrong, "\n".join(wrong)
                assert server.connections == 0
                assert room.network() == []
                await room.settled()
                reported = [kind for kind in gate.kinds() if kind in (SignalKind.MISMATCH, SignalKind.CANARY_USED)]
                assert reported.count(SignalKind.MISMATCH) == sum(a.rule == CREDENTIAL for a in ATTACKS)
                assert reported.count(SignalKind.CANARY_USED) == sum(a.rule == "egress.canary" for a in ATTACKS)
                await room.settled()
                assert all(SECRET not in detail and CANARY not in detail for *_, detail in gate.signals)
                traffic = await room.keeper.close_way(way)
                assert traffic.refused == len(ATTACKS)
                assert traffic.hosts == ()

    asyncio.run(run())


def test_the_same_doors_let_honest_requests_through(tmp_path: Path) -> None:
    async def run() -> None:
        with WebServer() as server:
            binding = Binding("service", BOUND, server.port)
            async with Room(tmp_path, server, bindings=[binding]) as room:
                room.keeper.watch_for({"planted": CANARY})
                way = await room.way()
                address = await room.listener(way)
                word = dict(way.placeholders)["service"]
                for host in (BOUND, FREE, "XN--Bcher-kva.example"):
                    client = await room.tunnel(address, way, host, server.port)
                    netloc = f"{host}:{server.port}"
                    fields = (f"Authorization: Bearer {word}",) if host == BOUND else ("Authorization: Bearer my-own",)
                    status, _, _ = await client.ask(
                        get("/simple/a%2fb/?q=1&page=2#"[:-1], netloc, *fields, "X-Request-Id: 7")
                    )
                    assert status == 200
                    status, _, _ = await client.ask(
                        get("/up", netloc, *fields, "Expect: 100-continue", method="PUT", body=b"hi")
                    )
                    status = (await client.answer())[0] if status == 100 else status
                    assert status == 200
                    client.close()
                assert [got.header("authorization") for got in server.requests[:2]] == [f"Bearer {SECRET}"] * 2
                assert [got.method for got in server.requests] == ["GET", "PUT"] * 3

    asyncio.run(run())
