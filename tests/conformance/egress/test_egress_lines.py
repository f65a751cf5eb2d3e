"""Every egress: lines of any protocol to one host and port, with the secret put in at the far end; and signatures."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from websockets.asyncio.server import ServerConnection, serve

from carapax.adapters.channels.sockets import open_socket
from carapax.core.terms.error import CarapaxError, EgressUnavailable, Refused, TooLarge
from carapax.ports.egress import Egress, Line, Mac, Wrap
from tests.conformance.egress.rooms import AUTHORITY, KINDS, SECRETS, open_egress
from tests.fakes.line_server import WAIT_S, LineServer
from tests.fakes.web_server import TestAuthority

SECRET = SECRETS["service"]
MASK = b"*" * len(SECRET)


@pytest.fixture(params=KINDS, scope="module")
def egress(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Egress]:
    yield from open_egress(request.param, tmp_path_factory.mktemp("lines"))


@dataclass
class Held:
    """A line as a test reads and writes it."""

    line: Line
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def word(self) -> bytes:
        return self.line.placeholder.encode()

    async def read(self, size: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(size), WAIT_S)

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(-1), WAIT_S)


@asynccontextmanager
async def opened(egress: Egress, server: LineServer, secret: str = "service", **options: object) -> AsyncIterator[Held]:
    """A line to this server; plain unless `tls` says otherwise."""
    given = {"host": "127.0.0.1", "port": server.port, "tls": False, "secret": secret} | options
    line = await egress.open_line(**given)  # type: ignore[arg-type]
    assert line.sock.family == socket.AF_UNIX
    reader, writer = await asyncio.open_unix_connection(sock=line.sock)
    try:
        yield Held(line, reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()
        await server.until(lambda: server.ended == server.connections)  # nothing of the line is left open


def play(steps: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await steps()

    asyncio.run(bounded())


def test_it_carries_both_ways_and_the_secret_is_put_in_as_written(egress: Egress) -> None:
    async def steps() -> None:
        async with LineServer(greeting=b"* ready\r\n") as server, opened(egress, server) as held:
            assert await held.read(9) == b"* ready\r\n"
            held.writer.write(b"a1 LOGIN me " + held.word + b"\r\n")
            wanted = b"a1 LOGIN me " + SECRET.encode() + b"\r\n"
            await server.until(lambda: server.received == wanted)
            assert await held.read(len(wanted)) == b"a1 LOGIN me " + MASK + b"\r\n"

    play(steps)


def test_the_secret_is_put_in_inside_base64(egress: Egress) -> None:
    async def steps() -> None:
        for user in ("m", "me", "you", "somebody.longer@example.org"):
            async with LineServer(lambda _: b"") as server, opened(egress, server) as held:
                plain = b"\0" + user.encode() + b"\0"
                held.writer.write(b"AUTH PLAIN " + base64.b64encode(plain + held.word) + b"\r\n")
                wanted = b"AUTH PLAIN " + base64.b64encode(plain + SECRET.encode()) + b"\r\n"
                await server.until(lambda server=server, wanted=wanted: server.received == wanted)  # type: ignore[misc]

    play(steps)


def test_the_cuts_between_writes_do_not_matter(egress: Egress) -> None:
    async def steps() -> None:
        async with LineServer(lambda _: b"") as server, opened(egress, server) as held:
            text = b"x " + base64.b64encode(b"\0me\0" + held.word) + b"\r\nPASS " + held.word + b"\r\n"
            for at in range(len(text)):
                held.writer.write(text[at : at + 1])
                await held.writer.drain()
            wanted = b"x " + base64.b64encode(b"\0me\0" + SECRET.encode()) + b"\r\nPASS " + SECRET.encode() + b"\r\n"
            await server.until(lambda: server.received == wanted)

    play(steps)


def test_an_interactive_protocol_is_not_held_up(egress: Egress) -> None:
    async def steps() -> None:
        # Each write ends in what could go on to be a placeholder, as it is or in base64, and does not.
        async with LineServer() as server, opened(egress, server) as held:
            tails = [b"place", held.word[:-1], base64.b64encode(held.word)[:7], b"c", b"NOOP"]
            for tail in tails:
                held.writer.write(b" " + tail)
                assert await held.read(1 + len(tail)) == b" " + tail

    play(steps)


def test_what_comes_back_is_scrubbed_also_in_pieces(egress: Egress) -> None:
    async def steps() -> None:
        async with LineServer(lambda _: b"") as server, opened(egress, server) as held:
            held.writer.write(b"hello\r\n")
            await server.until(lambda: bool(server.received))
            text = b"you are " + SECRET.encode() + b" and " + base64.b64encode(SECRET.encode()) + b"."
            for at in range(len(text)):
                server.send(text[at : at + 1])
            seen = await held.read(len(text))
            assert seen.startswith(b"you are " + MASK + b" and ****")
            assert base64.b64encode(SECRET.encode())[4:-4] not in seen

    play(steps)


def test_without_a_secret_everything_passes_untouched(egress: Egress) -> None:
    async def steps() -> None:
        async with LineServer() as server, opened(egress, server, secret="") as held:
            assert held.line.placeholder == ""
            content = bytes(range(256)) * 400
            held.writer.write(content)
            assert await held.read(len(content)) == content

    play(steps)


def test_a_placeholder_behind_the_window_ends_the_line(egress: Egress) -> None:
    async def steps() -> None:
        for form in (lambda word: word, lambda word: base64.b64encode(b"\0me\0" + word)):
            async with LineServer(lambda _: b"") as server, opened(egress, server) as held:
                held.writer.write(b"-" * 70_000 + b" ")
                await server.until(lambda server=server: len(server.received) == 70_001)  # type: ignore[misc]
                held.writer.write(b"PASS " + form(held.word) + b"\r\n")
                assert await held.rest() == b""
                assert SECRET.encode() not in server.received

    play(steps)


def test_tls_is_spoken_and_verified_at_the_far_end(egress: Egress) -> None:
    async def steps() -> None:
        context = AUTHORITY.context(["localhost"])
        async with LineServer(context=context) as server, opened(egress, server, host="localhost", tls=True) as held:
            held.writer.write(held.word + b"\n")
            assert await held.read(len(SECRET) + 1) == MASK + b"\n"
            assert server.received == SECRET.encode() + b"\n"

    play(steps)


@pytest.mark.parametrize("fault", ["another name", "another authority", "no tls at all"])
def test_a_wrong_certificate_is_refused_and_nothing_is_said(egress: Egress, fault: str) -> None:
    async def steps() -> None:
        context = {
            "another name": AUTHORITY.context(["other.example"]),
            "another authority": TestAuthority().context(["localhost"]),
        }.get(fault)
        async with LineServer(context=context) as server:
            with pytest.raises(EgressUnavailable) as caught:
                await egress.open_line(host="localhost", port=server.port, tls=True, secret="service")
            assert SECRET.encode() not in server.received
            assert SECRET not in str(caught.value)

    play(steps)


def test_plain_is_for_this_machine_only_and_refused_before_anything_is_looked_up(egress: Egress) -> None:
    async def steps() -> None:
        for host in ("mail.example", "127.0.0.1.example", "localhost.example", "10.0.0.1"):
            with pytest.raises(Refused):
                await egress.open_line(host=host, port=25, tls=False, secret="")

    play(steps)


def test_no_such_secret_an_odd_one_and_nobody_there(egress: Egress) -> None:
    async def steps() -> None:
        async with LineServer() as server:
            for handle in ("absent", "broken"):
                with pytest.raises(Refused) as caught:
                    await egress.open_line(host="127.0.0.1", port=server.port, tls=False, secret=handle)
                assert SECRETS["broken"] not in str(caught.value)
            port = server.port
        with pytest.raises(EgressUnavailable):
            await egress.open_line(host="127.0.0.1", port=port, tls=False, secret="")

    play(steps)


def test_closing_either_side_closes_the_other_after_what_was_written(egress: Egress) -> None:
    async def steps() -> None:
        async with LineServer(lambda _: b"") as server:
            async with opened(egress, server) as held:
                held.writer.write(b"last words\r\n")
            assert server.received == b"last words\r\n"  # `opened` waited for the end
            async with opened(egress, server) as held:
                held.writer.write(b"now\r\n")
                await server.until(lambda: server.received.endswith(b"now\r\n"))
                server.send(b"bye " + SECRET.encode()[:5])
                server.close_all()
                assert await held.rest() == b"bye " + SECRET.encode()[:5]
            async with opened(egress, server) as held:
                await server.until(lambda: server.connections == 3)
                server.cut()
                assert await held.rest() == b""

    play(steps)


def test_a_peer_that_does_not_read_slows_the_writer(egress: Egress) -> None:
    async def steps() -> None:
        async with LineServer(lambda _: b"", reads=False) as server, opened(egress, server, secret="") as held:
            written, piece = 0, b"z" * 65_536
            held.line.sock.setblocking(False)
            with pytest.raises(TimeoutError):
                while written < 64 << 20:
                    held.writer.write(piece)
                    written += len(piece)
                    async with asyncio.timeout(1):
                        await held.writer.drain()
            assert written < 32 << 20
            server.reading.set()
            await server.until(lambda: len(server.received) == written)

    play(steps)


async def websocket(
    egress: Egress,
    use: Callable[[object, str], Awaitable[None]],
    *,
    header: str = "Bearer {secret}",
    query: bool = False,
) -> tuple[list[str | bytes], list[tuple[str, str | None, str | None]]]:
    """A websocket server that echoes; its messages, and (path, authorization, host) of each connection."""
    messages: list[str | bytes] = []
    opened_with: list[tuple[str, str | None, str | None]] = []

    async def answer(connection: ServerConnection) -> None:
        assert connection.request is not None
        fields = connection.request.headers
        opened_with.append((connection.request.path, fields.get("authorization"), fields.get("host")))
        async for message in connection:
            messages.append(message)
            await connection.send(message)

    async with serve(answer, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        given = {"authorization": header} if header else {}
        async with open_socket(egress, f"ws://127.0.0.1:{port}/gate?v=1", secret="service", headers=given) as (
            connection,
            word,
        ):
            await use(connection, word)
    return messages, opened_with


def test_a_websocket_takes_the_secret_in_its_head_and_in_text(egress: Egress) -> None:
    async def steps() -> None:
        async def use(connection: object, word: str) -> None:
            hello = json.dumps({"op": 2, "d": {"token": word}})
            await connection.send(hello)  # type: ignore[attr-defined]
            assert await connection.recv() == hello.replace(word, MASK.decode())  # type: ignore[attr-defined]
            for size in (0, 1, 125, 126, 65_535, 65_536, 200_000):
                await connection.send("\u00e9" * (size // 2))  # type: ignore[attr-defined]
                assert await connection.recv() == "\u00e9" * (size // 2)  # type: ignore[attr-defined]
            await connection.send(b"\0\xff" * 50_000)  # type: ignore[attr-defined]
            assert await connection.recv() == b"\0\xff" * 50_000  # type: ignore[attr-defined]
            await (await connection.ping(b"now"))  # type: ignore[attr-defined]

        messages, ((path, authorization, host),) = await websocket(egress, use)
        assert json.loads(messages[0])["d"]["token"] == SECRET
        assert (path, authorization) == ("/gate?v=1", f"Bearer {SECRET}")
        assert (host or "").startswith("127.0.0.1:")

    play(steps)


def test_a_line_may_be_opened_many_times_at_once(egress: Egress) -> None:
    async def steps() -> None:
        async with LineServer() as server:

            async def one(number: int) -> None:
                async with opened(egress, server) as held:
                    held.writer.write(b"%d\n" % number)
                    assert await held.read(len(b"%d\n" % number)) == b"%d\n" % number
                    await server.until(lambda: server.connections == 20)

            async with asyncio.TaskGroup() as group:
                for number in range(20):
                    group.create_task(one(number))

    play(steps)


KEYS = {"service": SECRET.encode(), "webhook": b"0123456789abcdef"}


@pytest.mark.parametrize("mac", [Mac.HMAC_SHA256, Mac.HMAC_SHA1])
@pytest.mark.parametrize("handle", ["service", "webhook"])
def test_messages_are_signed_and_checked(egress: Egress, mac: Mac, handle: str) -> None:
    kind = {Mac.HMAC_SHA256: hashlib.sha256, Mac.HMAC_SHA1: hashlib.sha1}[mac]

    async def steps() -> None:
        for message in (b"", b"\0\xff", b"v0:1:" + b"x" * (1 << 19)):
            right = hmac.new(KEYS[handle], message, kind).digest()
            assert await egress.make_mac(secret=handle, mac=mac, message=message) == right
            await egress.check_mac(secret=handle, mac=mac, message=message, given=right)
            for wrong in (b"", right[:-1], right + b"\0", bytes(len(right)), right.hex().encode()):
                with pytest.raises(Refused):
                    await egress.check_mac(secret=handle, mac=mac, message=message, given=wrong)

    play(steps)


def test_a_secret_that_is_sent_along_is_compared_and_never_made(egress: Egress) -> None:
    async def steps() -> None:
        await egress.check_mac(secret="service", mac=Mac.EQUAL, message=b"anything", given=SECRET.encode())
        for wrong in (b"", SECRET.encode()[:-1], SECRET.encode() + b"x", SECRET.upper().encode()):
            with pytest.raises(Refused) as caught:
                await egress.check_mac(secret="service", mac=Mac.EQUAL, message=b"", given=wrong)
            assert SECRET not in str(caught.value)
        with pytest.raises(Refused):
            await egress.make_mac(secret="service", mac=Mac.EQUAL, message=b"")

    play(steps)


def test_without_a_secret_nothing_is_signed_and_nothing_is_right(egress: Egress) -> None:
    async def steps() -> None:
        for mac in Mac:
            with pytest.raises(Refused):
                await egress.check_mac(secret="absent", mac=mac, message=b"", given=b"")
        empty = hmac.digest(b"", b"message", "sha256")
        with pytest.raises(Refused):
            await egress.check_mac(secret="absent", mac=Mac.HMAC_SHA256, message=b"message", given=empty)
        with pytest.raises(Refused):
            await egress.make_mac(secret="absent", mac=Mac.HMAC_SHA256, message=b"message")

    play(steps)


def test_a_message_that_is_too_long_is_refused(egress: Egress) -> None:
    async def steps() -> None:
        long = b"x" * ((1 << 20) + 1)
        with pytest.raises(TooLarge):
            await egress.make_mac(secret="service", mac=Mac.HMAC_SHA256, message=long)
        with pytest.raises(CarapaxError):
            await egress.check_mac(secret="service", mac=Mac.HMAC_SHA256, message=long, given=b"")

    play(steps)


def test_wrap_names_what_a_line_carries() -> None:
    assert [wrap.value for wrap in Wrap] == ["stream", "websocket"]
