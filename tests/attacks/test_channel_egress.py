"""Attack: get a channel's secret out of the proxy, use it elsewhere, or reach what the owner did not set."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.server import ServerConnection, serve

from carapax.adapters.egress.inside import OriginDoor
from carapax.adapters.egress.kept import KeptEgress
from carapax.core.terms.error import CarapaxError, EgressUnavailable, Malformed, Refused, VaultLocked
from carapax.core.terms.signal import SignalKind
from carapax.ports.egress import Line, Mac, Spot, Wrap
from tests.fakes.egress_room import SECRET, WAIT_S, Client, Room, child_argv, get
from tests.fakes.line_server import LineServer
from tests.fakes.web_server import Got, Reply, TestAuthority, WebServer, echo

HOST = "allowed.example"
OTHER = "other.example"
GATEWAY = Path(__file__).parents[1] / "fakes" / "egress_gateway.py"
AUTHORITY = TestAuthority()
TRIES = 300
SECRETS = {"service": SECRET, "broken": "first\r\nX-Evil: 1", "wide": 'na\u00efve pass"word/\\&=%41#?', "nul": "a\0b"}


def play(
    folder: Path,
    steps: Callable[[Room, KeptEgress], Awaitable[None]],
    answer: Callable[[Got], Reply] = echo,
    **options: Any,
) -> WebServer:
    """A room whose proxy trusts AUTHORITY; the web server that stands behind every name."""

    async def run() -> None:
        async with asyncio.timeout(60), Room(folder, server, secrets=SECRETS, **options) as room:
            await steps(room, KeptEgress(room.keeper))

    with WebServer(answer, authority=AUTHORITY) as server:
        asyncio.run(run())
        return server


def tls(name: str = HOST) -> LineServer:
    return LineServer(context=AUTHORITY.context([name]))


class Held(Client):
    """A line as the attacker's code in the gateway would have it."""

    word = b""


async def line_to(room: Room, server: LineServer, wrap: Wrap = Wrap.STREAM) -> Held:
    """A line with the secret, which ends with the room."""
    egress = KeptEgress(room.keeper)
    line = await egress.open_line(host=HOST, port=server.port, tls=True, secret="service", wrap=wrap)
    client = Held(*await asyncio.open_unix_connection(sock=line.sock))
    client.word = line.placeholder.encode()
    room.keep(client)
    return client


async def line_after(room: Room, server: LineServer) -> Held:
    """The first line after the process has ended: it is started anew once its end was noticed."""
    for _ in range(TRIES):
        with contextlib.suppress(EgressUnavailable):
            return await line_to(room, server)
        await asyncio.sleep(0.01)
    raise AssertionError("it was not started anew")


async def knock(room: Room, door: OriginDoor, host: str) -> Client:
    """A raw connection to an origin's way, past the client that checks."""
    client = Client(*await asyncio.open_unix_connection(sock=await door(host, room.server.port)))
    room.keep(client)
    return client


def raw_order(room: Room, **options: object) -> Awaitable[object]:
    """The order to open a line, past every check on the gateway's side."""
    mine, theirs = socket.socketpair()
    order = {"op": "line", "host": HOST, "port": 1, "tls": True, "handle": "", "placeholder": "", "wrap": "stream"}

    async def send() -> object:
        try:
            return await room.keeper.ask(order | {"timeout_ms": 5_000} | options, [theirs.fileno()])
        finally:
            mine.close()
            theirs.close()

    return send()


# the gateway's side


def forms(value: str) -> list[bytes]:
    raw = value.encode()
    coded = [base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)]
    return [raw, raw[::-1], raw.hex().encode(), *coded]


def memory(pid: int) -> Iterator[bytes]:
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as content:
        for line in maps:
            span, mode, *_ = line.split()
            if mode.startswith("rw"):
                start, end = (int(part, 16) for part in span.split("-"))
                content.seek(start)
                try:
                    yield content.read(end - start)
                except OSError:
                    continue  # a guard page


def test_the_gateways_memory_never_holds_it(tmp_path: Path) -> None:
    """A process that was never told the secret uses it in every way, against services that send it back."""

    async def run() -> None:
        context = AUTHORITY.context([HOST])

        async def answer(connection: ServerConnection) -> None:
            async for message in connection:
                seen.append(message)
                await connection.send(message)

        async with tls() as line, serve(answer, "127.0.0.1", 0, ssl=context) as sockets:
            given = {
                "argv": child_argv(tmp_path, secrets={"service": SECRET}, trust=AUTHORITY.pem),
                "host": HOST,
                "line": line.port,
                "socket": next(iter(sockets.sockets)).getsockname()[1],
                "web": web.port,
            }
            gateway = await asyncio.create_subprocess_exec(
                sys.executable, str(GATEWAY), json.dumps(given), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert gateway.stdin is not None and gateway.stdout is not None
            try:
                assert await asyncio.wait_for(gateway.stdout.readline(), 30) == b"done\n"
                looked = 0
                for piece in memory(gateway.pid):
                    looked += len(piece)
                    assert not [form for form in forms(SECRET) if form in piece]
                assert looked > 5_000_000
            finally:
                gateway.stdin.close()
                await asyncio.wait_for(gateway.wait(), 30)
            assert SECRET.encode() in line.received
            assert base64.b64encode(f"\0me\0{SECRET}".encode()) in line.received

    seen: list[str | bytes] = []
    with WebServer(echo, authority=AUTHORITY) as web:
        asyncio.run(run())
    assert seen == [json.dumps({"token": SECRET})]
    assert len(web.requests) == 4


def test_an_echo_comes_back_scrubbed_however_it_is_cut(tmp_path: Path) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        async with tls() as server:
            for step in (1, 3, 1000):
                client = await line_to(room, server)
                await client.send(b"x")
                await asyncio.wait_for(client.reader.readexactly(1), WAIT_S)
                text = b"<" + SECRET.encode() + b"|" + base64.b64encode(b"\0me\0" + SECRET.encode()) + b">"
                for at in range(0, len(text), step):
                    server.send(text[at : at + step])
                got = await asyncio.wait_for(client.reader.readuntil(b">"), WAIT_S)
                assert len(got) == len(text)
                assert not [form for form in forms(SECRET) if form[4:-5] in got]
                client.close()
                await server.until(lambda: server.ended == server.connections)

    play(tmp_path, steps)


# elsewhere


def test_a_line_reaches_only_what_it_was_opened_for_and_a_client_of_one_host_no_other(tmp_path: Path) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        base = f"https://{HOST}:{room.server.port}"
        async with egress.client(base_url=base, secret="service", timeout_ms=5_000, spot=Spot.PATH) as client:
            for url in (f"https://{OTHER}:{room.server.port}/", f"https://{HOST}:1/", f"https://{HOST}@{OTHER}/"):
                with pytest.raises(CarapaxError):
                    await client.get(f"{url}bot{client.placeholder}/x")
        assert room.network() == []
        # Past the gateway's own check: the way behind it was opened for one origin.
        for spot in Spot:
            door = OriginDoor(room.keeper, base, "service", "placeholder-0123456789", spot)
            raw = await knock(room, door, OTHER)
            host = f"{OTHER}:{room.server.port}"
            status, headers, _ = await raw.ask(get("/x", host, "Authorization: Bearer placeholder-0123456789"))
            assert (status, headers["carapax-refused"]) in ((403, "egress.origin"), (403, "egress.credential"))
            raw.close()
            await door.aclose()
        assert room.network() == []

    assert play(tmp_path, steps).requests == []


@pytest.mark.parametrize("spot", list(Spot))
def test_past_the_gateways_check_a_misplaced_placeholder_still_sends_nothing(tmp_path: Path, spot: Spot) -> None:
    word = "placeholder-0123456789abcdef"
    basic = base64.b64encode(f"me:{word}".encode()).decode()
    places: list[tuple[Spot | None, str, list[str], bytes]] = [
        (Spot.HEADER, "/x", [f"Authorization: Bearer {word}"], b""),
        (Spot.BASIC, "/x", [f"Authorization: Basic {basic}"], b""),
        (Spot.PATH, f"/bot{word}/x", [], b""),
        (Spot.QUERY, f"/x?key={word}", [], b""),
        (Spot.BODY, "/x", ["Content-Type: application/json"], f'{{"k": "{word}"}}'.encode()),
        (None, "/x", [f"X-Other: {word}"], b""),
        (None, "/x", [f"Cookie: a={word}"], b""),
        (None, f"/x?{word}=1", [], b""),
        (None, f"/x?a=1{word}", [], b""),
        (None, f"/{word}?key={word}", [], b""),
        (None, "/x", [f"Authorization: Bearer {word}", f"X-Api-Key: {word}"], b""),
    ]

    async def steps(room: Room, egress: KeptEgress) -> None:
        host = f"{HOST}:{room.server.port}"
        door = OriginDoor(room.keeper, f"https://{host}", "service", word, spot)
        for right, path, fields, body in places:
            raw = await knock(room, door, HOST)
            status, headers, got = await raw.ask(get(path, host, *fields, method="POST", body=body))
            if right is spot:
                assert status == 200
                assert not [form for form in forms(SECRET) if form[4:-5] in got]
            elif right is Spot.BODY:
                assert status == 200  # it is not looked for there, and stays the random word that it is
            else:
                assert (status, headers["carapax-refused"]) == (403, "egress.credential"), path
            raw.close()
        await door.aclose()

    server = play(tmp_path, steps)
    assert len(server.requests) == 1 + (spot is not Spot.BODY)
    carried = [got for got in server.requests if any(form in got.raw + got.body for form in forms(SECRET))]
    escaped = SECRET.replace("+", "%2B").replace("/", "%2F").encode()
    carried += [got for got in server.requests if escaped in got.raw and got not in carried]
    assert len(carried) == 1


def test_a_certificate_of_another_name_or_authority_gets_nothing(tmp_path: Path) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        for server in (tls(OTHER), LineServer(context=TestAuthority().context([HOST])), LineServer()):
            async with server:
                with pytest.raises(EgressUnavailable) as caught:
                    await line_to(room, server)
                assert SECRET not in str(caught.value) + caught.value.next_step
                assert SECRET.encode() not in server.received

    play(tmp_path, steps)


def test_no_line_offers_http_inside_tls(tmp_path: Path) -> None:
    """A mail or chat server that is strict about it would end a connection that offers it HTTP."""

    async def steps(room: Room, egress: KeptEgress) -> None:
        context = AUTHORITY.context([HOST])
        context.set_alpn_protocols(["http/1.1"])
        async with LineServer(context=context) as server:
            for wrap in Wrap:
                await line_to(room, server, wrap)
            await server.until(lambda: server.connections == 2)
            assert server.protocols == [None, None]

    play(tmp_path, steps)


def test_plain_or_odd_targets_are_refused_before_a_look_up(tmp_path: Path) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        for host in (
            HOST,
            "10.0.0.1",
            "localhost.",
            "127.0.0.1.nip.example",
            "0x7f.1",
            "2130706433",
            "[::ffff:8.8.8.8]",
        ):
            with pytest.raises((Refused, Malformed)):
                await raw_order(room, host=host, tls=False)
            with pytest.raises(Refused):
                await egress.open_line(host=host, port=25, tls=False, secret="")
        for host in ("", "a b", "a/b", "a\r\nb", "*", "allowed.example:25", "user@allowed.example", "\u2024example"):
            with pytest.raises((Refused, Malformed)):
                await raw_order(room, host=host)
        for port in (0, -1, 65_536):
            with pytest.raises(Refused):
                await raw_order(room, port=port)
        assert room.network() == []

    play(tmp_path, steps)


def test_a_name_of_this_machine_that_resolves_elsewhere_is_not_dialled(tmp_path: Path) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        with pytest.raises(Refused):
            await egress.open_line(host="localhost", port=25, tls=False, secret="")
        assert room.network() == ["look-up localhost"]

    play(tmp_path, steps, names={"localhost": [["192.0.2.7"]]})


# the value


def test_a_value_with_line_ends_is_put_in_nowhere(tmp_path: Path) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        async with tls() as server:
            for handle in ("broken", "nul", "absent"):
                for wrap in Wrap:
                    with pytest.raises(Refused) as caught:
                        await egress.open_line(host=HOST, port=server.port, tls=True, secret=handle, wrap=wrap)
                    assert SECRETS.get(handle, "?") not in str(caught.value)
                with pytest.raises(Refused):
                    await egress.make_mac(secret=handle, mac=Mac.HMAC_SHA256, message=b"")
            assert server.connections == 0
        base = f"https://{HOST}:{room.server.port}"
        for spot, path in ((Spot.PATH, "/{}"), (Spot.QUERY, "/?k={}"), (Spot.BODY, "/")):
            for handle in ("broken", "nul"):
                async with egress.client(base_url=base, secret=handle, timeout_ms=5_000, spot=spot) as client:
                    with pytest.raises(Refused):
                        await client.post(base + path.format(client.placeholder), json={"k": client.placeholder}
                                          if spot is Spot.BODY else {})  # fmt: skip

    assert play(tmp_path, steps).requests == []


def test_an_odd_value_cannot_end_its_place(tmp_path: Path) -> None:
    value = SECRETS["wide"]

    async def steps(room: Room, egress: KeptEgress) -> None:
        base = f"https://{HOST}:{room.server.port}"
        for spot, path in ((Spot.PATH, "/a/{}/b?c=d"), (Spot.QUERY, "/x?k={}&c=d"), (Spot.BODY, "/x")):
            async with egress.client(base_url=base, secret="wide", timeout_ms=5_000, spot=spot) as client:
                body = {"k": client.placeholder, "l": 1} if spot is Spot.BODY else {}
                await client.post(base + path.format(client.placeholder), json=body)
        async with egress.client(base_url=base, secret="wide", timeout_ms=5_000, spot=Spot.HEADER) as client:
            with pytest.raises(Refused):
                await client.get(base, headers={"x-api-key": client.placeholder})

    in_path, in_query, in_body = play(tmp_path, steps, lambda _: Reply(b"ok")).requests
    url = httpx2.URL("https://h" + in_path.path)
    assert (in_path.path.count("/"), url.path.split("/")[1], url.path.endswith("/b"), url.query) == (
        3,
        "a",
        True,
        b"c=d",
    )
    assert value in url.path
    assert dict(httpx2.URL("https://h" + in_query.path).params) == {"k": value, "c": "d"}
    assert json.loads(in_body.body) == {"k": value, "l": 1}


@pytest.mark.parametrize(
    "path", ["/{}\r\nX-Evil: 1", "/{} HTTP/1.1\r\nHost: other.example\r\n\r\nGET /", "/{}%0d%0aX-Evil:1", "/{}\0"]
)
def test_nothing_is_smuggled_beside_a_placeholder(tmp_path: Path, path: str) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        base = f"https://{HOST}:{room.server.port}"
        async with egress.client(base_url=base, secret="service", timeout_ms=5_000, spot=Spot.PATH) as client:
            with pytest.raises((CarapaxError, httpx2.InvalidURL)):
                await client.get(base + path.format(client.placeholder))
        door = OriginDoor(room.keeper, base, "service", "placeholder-0123456789", Spot.PATH)
        raw = await knock(room, door, HOST)
        await raw.send(get(path.format("placeholder-0123456789"), f"{HOST}:{room.server.port}"))
        assert b"carapax-refused: egress.malformed" in (await raw.head()).lower()
        raw.close()
        await door.aclose()

    server = play(tmp_path, steps)
    assert server.requests == []
    assert SECRET.encode() not in server.received


# the stream


def disguises(word: bytes) -> dict[str, bytes]:
    plain = base64.b64encode(b"\0me\0" + word)
    return {
        "twice in base64": base64.b64encode(plain),
        "base64 with a letter before": b"x" + plain,
        "base64 with a line end inside": plain[:20] + b"\r\n" + plain[20:],
        "hex": word.hex().encode(),
        "reversed": word[::-1],
        "upper": word.upper(),
        "escaped": word.replace(b"-", b"%2D"),
        "shortened": word[:-1],
    }


def test_tricks_with_base64_get_no_more_than_the_placeholder(tmp_path: Path) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        async with tls() as server:
            for name in disguises(b"x"):
                client = await line_to(room, server)
                before = len(server.received)
                text = disguises(client.word)[name] + b"\r\n"
                await client.send(text)
                await server.until(lambda before=before, text=text: server.received[before:] == text)  # type: ignore[misc]
                client.close()
        assert not [form for form in forms(SECRET) if form[2:-3] in server.received]

    play(tmp_path, steps)


def test_behind_the_window_a_placeholder_ends_the_line_and_is_reported(tmp_path: Path) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        async with tls() as server:
            client = await line_to(room, server)
            await client.send(b"-" * 65_536)
            await server.until(lambda: len(server.received) == 65_536)
            await client.send(b" " + base64.b64encode(b"\0me\0" + client.word) + b"\r\n")
            await server.until(lambda: server.ended == 1)
            await client.end()
            assert not [form for form in forms(SECRET) if form[2:-3] in server.received]
        await room.settled()
        await asyncio.sleep(0)
        assert room.gate.kinds() == [SignalKind.MISMATCH]
        assert HOST in room.gate.signals[0][3] and SECRET not in room.gate.signals[0][3]

    play(tmp_path, steps)


KEY = b"\x01\x02\x03\x04"
HEAD = (
    b"GET /?t=WORD HTTP/1.1\r\nHost: %b:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
FRAMES = {
    "a huge length with its first bit": b"\x81\xff" + b"\xff" * 8 + KEY,
    "a length of 127 that is short": b"\x81\xff" + bytes(7) + b"\x05" + KEY + bytes(5),
    "a control frame in fragments": b"\x09\x80" + KEY,
    "a long control frame": b"\x89\xfe\x00\x80" + KEY + bytes(128),
    "a reserved bit": b"\xc1\x80" + KEY,
    "an unmasked frame": b"\x81\x04WORD",
    "a placeholder in a ping": b"\x89\xac\0\0\0\0WORD",
    "a placeholder in fragments": b"\x01\xac\0\0\0\0WORD",
    "a placeholder in binary": b"\x82\xac\0\0\0\0WORD",
    "a request instead of a frame": b"GET /?t=WORD HTTP/1.1\r\nHost: other.example\r\n\r\n",
    "another opcode": b"\x87\xac\0\0\0\0WORD",
}


@pytest.mark.parametrize("name", FRAMES)
def test_tricks_with_frames_end_the_line_and_are_reported(tmp_path: Path, name: str) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        async with LineServer(lambda _: b"", context=AUTHORITY.context([HOST])) as server:
            client = await line_to(room, server, Wrap.WEBSOCKET)
            word = client.word
            await client.send((HEAD % (HOST.encode(), server.port)).replace(b"WORD", word))
            await server.until(lambda: b"\r\n\r\n" in server.received)
            at = len(server.received)
            await client.send(FRAMES[name].replace(b"WORD", word))
            await server.until(lambda: server.ended == 1)
            await client.end()
            assert not [form for form in forms(SECRET) if form in server.received[at:]]
        await room.settled()
        await asyncio.sleep(0)
        assert room.gate.kinds() == [SignalKind.MISMATCH]

    play(tmp_path, steps)


def test_a_websocket_line_takes_nothing_but_its_upgrade_to_its_own_host(tmp_path: Path) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        async with tls() as server:
            good = HEAD % (HOST.encode(), server.port)
            for bad in (
                good.replace(HOST.encode(), OTHER.encode()),
                good.replace(b"Upgrade: websocket\r\n", b""),
                good.replace(b"GET", b"POST"),
                good.replace(b"\r\nUpgrade", b"\r\nContent-Length: 3\r\nUpgrade"),
                good.replace(b"/?t=WORD", b"/WORD"),
                good.replace(b"/?t=WORD", b"/").replace(b"\r\nUpgrade", b"\r\nX-Y: WORD\r\nUpgrade"),
            ):
                client = await line_to(room, server, Wrap.WEBSOCKET)
                await client.send(bad.replace(b"WORD", client.word))
                assert await client.end() == b""
            await server.until(lambda: server.ended == server.connections)
            assert server.received == b""

    play(tmp_path, steps)


# stops and restarts


def test_a_stop_of_sessions_leaves_the_owners_line_and_the_end_of_the_proxy_none(tmp_path: Path) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        async with tls() as server:
            client = await line_to(room, server)
            await asyncio.to_thread(room.keeper.cut, None)
            await client.send(b"still there\n")
            assert await asyncio.wait_for(client.reader.readline(), WAIT_S) == b"still there\n"
            pid = json.loads(room.record.read_text())["pid"]
            os.kill(pid, 9)
            assert await client.end() == b""
            again = await line_after(room, server)
            await again.send(again.word + b"\n")
            await server.until(lambda: server.received.endswith(SECRET.encode() + b"\n"))
            assert json.loads(room.record.read_text())["pid"] != pid
            again.close()
            base = f"https://{HOST}:{room.server.port}"
            async with egress.client(base_url=base, secret="service", timeout_ms=5_000, spot=Spot.PATH) as web:
                assert (await web.get(f"{base}/{web.placeholder}")).status_code == 200
                os.kill(json.loads(room.record.read_text())["pid"], 9)
                for _ in range(TRIES):  # its pool may hold connections that are dead already
                    with contextlib.suppress(httpx2.TransportError, EgressUnavailable):
                        assert (await web.get(f"{base}/{web.placeholder}")).status_code == 200
                        break
                    await asyncio.sleep(0.01)
                else:
                    raise AssertionError("it was not started anew")

    play(tmp_path, steps)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives rights up")
def test_everything_works_in_a_process_without_rights(tmp_path: Path) -> None:
    """Its user may not even be able to read Python's own folder: nothing is left to be loaded."""

    async def steps(room: Room, egress: KeptEgress) -> None:
        async with tls() as server:
            client = await line_to(room, server)
            await client.send(base64.b64encode(b"\0me\0" + client.word) + b"\n")
            await server.until(lambda: base64.b64encode(f"\0me\0{SECRET}".encode()) in server.received)
            client = await line_to(room, server, Wrap.WEBSOCKET)
            await client.send((HEAD % (HOST.encode(), server.port)).replace(b"WORD", client.word))
            await server.until(lambda: b"GET /?t=" in server.received)
        for mac in (Mac.HMAC_SHA256, Mac.HMAC_SHA1):
            made = await egress.make_mac(secret="service", mac=mac, message=b"m")
            await egress.check_mac(secret="service", mac=mac, message=b"m", given=made)
        base = f"https://{HOST}:{room.server.port}"
        for spot, path in ((Spot.PATH, "/{}"), (Spot.QUERY, "/?k={}"), (Spot.BODY, "/")):
            async with egress.client(base_url=base, secret="wide", timeout_ms=5_000, spot=spot) as web:
                body = {"k": web.placeholder} if spot is Spot.BODY else {}
                assert (await web.post(base + path.format(web.placeholder), json=body)).status_code == 200

    assert len(play(tmp_path, steps, lambda _: Reply(b"ok"), user=True).requests) == 3


def test_a_locked_vault_opens_no_line_and_signs_nothing(tmp_path: Path) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        async with tls() as server:
            room.locked.touch()
            with pytest.raises(VaultLocked):
                await line_to(room, server)
            with pytest.raises(VaultLocked):
                await egress.check_mac(secret="service", mac=Mac.EQUAL, message=b"", given=SECRET.encode())
            with pytest.raises(VaultLocked):
                await egress.make_mac(secret="service", mac=Mac.HMAC_SHA1, message=b"")
            assert (server.connections, room.network()) == (0, [])
            room.locked.unlink()
            (await line_to(room, server)).close()

    play(tmp_path, steps)


def test_so_many_lines_and_no_more(tmp_path: Path) -> None:
    async def steps(room: Room, egress: KeptEgress) -> None:
        async with LineServer() as server:
            lines: list[Line] = []
            with pytest.raises(EgressUnavailable, match="open already"):
                for _ in range(300):
                    lines.append(
                        await egress.open_line(host="127.0.0.1", port=server.port, tls=False, secret="service")
                    )
            assert len(lines) == 256
            lines.pop().sock.close()
            await server.until(lambda: server.ended == 1)
            lines.append(await egress.open_line(host="127.0.0.1", port=server.port, tls=False, secret="service"))
            for line in lines:
                line.sock.close()
            await server.until(lambda: server.ended == server.connections)

    play(tmp_path, steps)
