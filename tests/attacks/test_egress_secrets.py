"""Attack: get a secret's value out of the proxy, or use it where nobody agreed to."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from carapax.core.terms.egress import Allowance, Binding, Lease, Way, lease_digest
from carapax.core.terms.error import EgressUnavailable, VaultLocked
from carapax.core.terms.signal import SignalKind
from tests.fakes.egress_room import SECRET, Client, Room, get
from tests.fakes.gate import FakeGate
from tests.fakes.web_server import Got, Reply, WebServer, echo

BOUND = "bound.example"
FORMS = {
    "plain": SECRET.encode(),
    "base64": base64.b64encode(SECRET.encode()),
    "base64 moved": base64.b64encode(b"ab" + SECRET.encode() + b"c"),
    "base64 for urls": base64.urlsafe_b64encode(b"a" + SECRET.encode()),
    "hex": SECRET.encode().hex().encode(),
    "HEX": SECRET.encode().hex().upper().encode(),
    "reversed": SECRET[::-1].encode(),
    "escaped": SECRET.replace("+", "%2B").replace("/", "%2F").encode(),
    "upper": SECRET.upper().encode(),
    "json": json.dumps(SECRET).encode(),
}


def tells(content: bytes) -> list[str]:
    """Which forms of the secret stand in these bytes, but for two characters at either end."""
    return [name for name, form in FORMS.items() if form[4:-5] in content]


def play(
    folder: Path,
    answer: Callable[[Got], Reply],
    steps: Callable[[Room, Way, Client, str, str], Awaitable[None]],
    bind: Callable[[int], Sequence[Binding]] = lambda port: [Binding("service", BOUND, port)],
    leases: Callable[[int], Sequence[Lease]] = lambda port: (),
    gate: FakeGate | None = None,
) -> WebServer:
    async def run() -> None:
        async with Room(folder, server, bindings=bind(server.port), gate=gate or FakeGate()) as room:
            way = await room.way(leases=leases(server.port))
            client = await room.tunnel(await room.listener(way), way, BOUND, server.port)
            await steps(room, way, client, f"{BOUND}:{server.port}", dict(way.placeholders).get("service", "none"))
            client.close()

    with WebServer(answer) as server:
        asyncio.run(run())
        return server


def piecemeal(got: Got) -> Reply:
    """The form that the path numbers, seven bytes at a time, framed as the path says; and in two headers."""
    _, number, framing = got.path.split("/")
    text = b"before " + list(FORMS.values())[int(number)] + b" after"
    pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
    return Reply(pieces, headers=[("x-echo", SECRET), ("x-hex", SECRET.encode().hex())], framing=framing)


def test_an_echo_in_any_form_and_in_small_pieces_comes_back_scrubbed(tmp_path: Path) -> None:
    async def steps(room: Room, way: Way, client: Client, host: str, word: str) -> None:
        address = await room.listener(way)
        for number, form in enumerate(FORMS.values()):
            for framing in ("length", "chunked", "close"):
                fresh = await room.tunnel(address, way, BOUND, room.server.port)
                path = f"/{number}/{framing}"
                asked = get(path, host, f"Authorization: Bearer {word}", "Accept-Encoding: gzip")
                status, headers, body = await fresh.ask(asked)
                assert status == 200
                assert tells(body) == [], path
                assert body.startswith(b"before ")
                assert body.endswith(b" after")
                assert len(body) == len(form) + 13
                assert tells(json.dumps(headers).encode()) == []
                fresh.close()
        await room.settled()
        assert room.gate.kinds().count(SignalKind.SCRUBBED) >= 2 * 3 * len(FORMS)

    server = play(tmp_path, piecemeal, steps)
    assert len(server.requests) == 3 * len(FORMS)
    assert server.requests[0].header("authorization") == f"Bearer {SECRET}"
    assert server.requests[0].header("accept-encoding") == "identity"


def test_a_later_request_on_the_same_connection_is_scrubbed_too(tmp_path: Path) -> None:
    async def steps(room: Room, way: Way, client: Client, host: str, word: str) -> None:
        await client.ask(get("/", host, f"Authorization: Bearer {word}"))
        _, _, body = await client.ask(get("/later", host))
        assert tells(body) == []

    play(tmp_path, lambda got: Reply(b"you said " + SECRET.encode()), steps)


def test_pieces_by_range_and_packed_answers_are_not_asked_for_nor_taken(tmp_path: Path) -> None:
    async def steps(room: Room, way: Way, client: Client, host: str, word: str) -> None:
        status, _, body = await client.ask(
            get(
                "/",
                host,
                f"Authorization: Bearer {word}",
                "Range: bytes=0-3",
                "If-Range: x",
                "Accept-Encoding: gzip, br",
            )
        )
        assert status == 502
        assert b"packed an answer" in body

    server = play(tmp_path, lambda _: Reply(b"packed", headers=[("content-encoding", "gzip")]), steps)
    assert server.requests[0].header("range") is None
    assert server.requests[0].header("if-range") is None


def test_a_redirect_reaches_the_client_and_the_next_host_gets_no_secret(tmp_path: Path) -> None:
    async def steps(room: Room, way: Way, client: Client, host: str, word: str) -> None:
        status, headers, _ = await client.ask(get("/", host, f"Authorization: Bearer {word}"))
        assert status == 302
        assert tells(headers["location"].encode()) == []
        address = await room.listener(way)
        other = await room.tunnel(address, way, "allowed.example", room.server.port)
        netloc = f"allowed.example:{room.server.port}"
        status, headers, _ = await other.ask(get("/", netloc, f"Authorization: Bearer {word}"))
        assert (status, headers["carapax-refused"]) == (403, "egress.credential")

    location = [("location", f"https://allowed.example/?stolen={SECRET}")]
    server = play(tmp_path, lambda _: Reply(b"", 302, location), steps)
    assert len(server.requests) == 1


def test_a_secret_is_not_used_beside_its_binding(tmp_path: Path) -> None:
    async def steps(room: Room, way: Way, client: Client, host: str, word: str) -> None:
        address = await room.listener(way)
        places = [
            "POST /v1/x",
            "GET /v2/x",
            "GET /v1x",
            "GET /v1/../admin",
            "GET /v1/%2e%2e/admin",
            "GET /v1//x",
            "GET /V1/x",
            "GET /",
        ]
        for place in places:
            method, path = place.split()
            fresh = await room.tunnel(address, way, BOUND, room.server.port)
            status, headers, _ = await fresh.ask(get(path, host, f"Authorization: Bearer {word}", method=method))
            assert (status, headers["carapax-refused"]) == (403, "egress.credential"), place
            fresh.close()
        await room.settled()
        assert room.gate.kinds().count(SignalKind.MISMATCH) == len(places)

    server = play(tmp_path, echo, steps, lambda port: [Binding("service", BOUND, port, methods=("GET",), path="/v1")])
    assert server.requests == []


def test_a_secret_is_used_where_it_is_bound_also_for_basic_and_in_a_body(tmp_path: Path) -> None:
    def bind(port: int) -> Sequence[Binding]:
        return [
            Binding("service", BOUND, port, methods=("GET", "POST"), path="/v1", body=True),
            Binding("service", BOUND, port, header="x-api-key", prefix=""),
        ]

    async def steps(room: Room, way: Way, client: Client, host: str, word: str) -> None:
        basic = base64.b64encode(f"me:{word}".encode()).decode()
        as_name = base64.b64encode(f"{word}:x-oauth-basic".encode()).decode()
        for field in (
            f"Authorization: bearer {word}",
            f"Authorization: Basic {basic}",
            f"Authorization: Basic {as_name}",
            f"X-Api-Key: {word}",
        ):
            assert (await client.ask(get("/v1/x", host, field)))[0] == 200
        body = json.dumps({"key": word}).encode()
        assert (await client.ask(get("/v1/x", host, "Content-Type: application/json", method="POST", body=body)))[
            0
        ] == 200
        form = f"key={word}".encode()
        kind = "Content-Type: application/x-www-form-urlencoded"
        assert (await client.ask(get("/v1/x", host, kind, method="POST", body=form)))[0] == 200
        assert [hop.secrets for hop in room.gate.hops[1:]] == [("service",)] * 6

    server = play(tmp_path, lambda _: Reply(b"ok"), steps, bind)
    auth = [got.header("authorization") for got in server.requests]
    assert auth[0] == f"Bearer {SECRET}"
    assert base64.b64decode((auth[1] or "")[6:]) == f"me:{SECRET}".encode()
    assert base64.b64decode((auth[2] or "")[6:]) == f"{SECRET}:x-oauth-basic".encode()
    assert server.requests[3].header("x-api-key") == SECRET
    assert json.loads(server.requests[4].body) == {"key": SECRET}
    assert server.requests[5].body == b"key=" + SECRET.replace("+", "%2B").replace("/", "%2F").encode()


def test_a_lease_is_for_exactly_one_request_once(tmp_path: Path) -> None:
    body = b'{"pay": 5}'

    def leases(port: int) -> Sequence[Lease]:
        return [Lease("service", lease_digest("POST", BOUND, port, "/pay?x=1", body))]

    async def steps(room: Room, way: Way, client: Client, host: str, word: str) -> None:
        field = f"Authorization: Bearer {word}"
        address = await room.listener(way)

        async def once(path: str, method: str, content: bytes) -> int:
            fresh = await room.tunnel(address, way, BOUND, room.server.port)
            return (await fresh.ask(get(path, host, field, method=method, body=content)))[0]

        assert await once("/pay?x=1", "POST", b'{"pay": 6}') == 403
        assert await once("/pay?x=2", "POST", body) == 403
        assert await once("/pay?x=1", "PUT", body) == 403
        assert await once("/pay?x=1", "POST", body) == 200
        assert await once("/pay?x=1", "POST", body) == 403
        await room.settled()
        assert room.gate.kinds().count(SignalKind.MISMATCH) == 4

    server = play(tmp_path, lambda _: Reply(b"paid"), steps, leases=leases)
    assert [got.body for got in server.requests] == [body]


def test_a_secret_without_a_value_or_of_a_locked_vault_refuses(tmp_path: Path) -> None:
    async def steps(room: Room, way: Way, client: Client, host: str, word: str) -> None:
        field = f"Authorization: Bearer {word}"
        assert (await client.ask(get("/", host, field)))[0] == 200
        room.locked.touch()
        status, headers, body = await client.ask(get("/", host, field))
        assert (status, headers["carapax-refused"]) == (503, "egress.unavailable")
        assert b"vault is locked" in body
        with pytest.raises(VaultLocked):
            await asyncio.to_thread(room.keeper.find_held, "text")
        room.locked.unlink()
        again = await room.tunnel(await room.listener(way), way, BOUND, room.server.port)
        assert (await again.ask(get("/", host, field)))[0] == 200

    server = play(tmp_path, lambda _: Reply(b"ok"), steps)
    assert len(server.requests) == 2


def test_a_missing_value_is_refused_by_name(tmp_path: Path) -> None:
    async def steps(room: Room, way: Way, client: Client, host: str, word: str) -> None:
        missing = dict(way.placeholders)["absent"]
        status, headers, body = await client.ask(get("/", host, f"Authorization: Bearer {missing}"))
        assert (status, headers["carapax-refused"]) == (403, "egress.secret")
        assert b"absent has no value" in body
        assert room.network() == []

    play(tmp_path, echo, steps, lambda port: [Binding("absent", BOUND, port)])


def test_after_a_cut_no_secret_is_put_in_any_more(tmp_path: Path) -> None:
    async def steps(room: Room, way: Way, client: Client, host: str, word: str) -> None:
        await client.ask(get("/", host, f"Authorization: Bearer {word}"))
        await asyncio.to_thread(room.keeper.cut, None)
        assert await client.end() == b""
        with pytest.raises(EgressUnavailable):
            await room.listener(way)

    server = play(tmp_path, lambda _: Reply(b"ok"), steps)
    assert len(server.requests) == 1


def test_an_upload_in_small_pieces_meets_the_byte_budget(tmp_path: Path) -> None:
    async def steps(room: Room, way: Way, client: Client, host: str, word: str) -> None:
        statuses = []
        for number in range(40):
            fresh = await room.tunnel(await room.listener(way), way, BOUND, room.server.port)
            statuses.append((await fresh.ask(get(f"/{number}", host, method="POST", body=b"z" * 200)))[0])
            if statuses[-1] != 200:
                break
        assert statuses[-1] == 403
        assert len(statuses) < 40

    server = play(tmp_path, lambda _: Reply(b"ok"), steps, gate=FakeGate(allowance=Allowance(bytes_up=4_000)))
    assert len(server.received) <= 4_000 + len(server.requests) * 100


def test_what_is_held_is_found_by_name_without_the_gateway_knowing_it(tmp_path: Path) -> None:
    async def steps(room: Room, way: Way, client: Client, host: str, word: str) -> None:
        def find(text: str) -> tuple[str, ...]:
            return room.keeper.find_held(text)

        assert await asyncio.to_thread(find, f"the key is {SECRET}") == ("service",)
        assert await asyncio.to_thread(find, base64.b64encode(SECRET.encode()).decode()) == ("service",)
        assert await asyncio.to_thread(find, "nothing here") == ()

    play(tmp_path, echo, steps)


def test_neither_the_keeper_nor_the_way_nor_the_process_line_shows_a_secret(tmp_path: Path) -> None:
    async def steps(room: Room, way: Way, client: Client, host: str, word: str) -> None:
        pid = json.loads(room.record.read_text())["pid"]
        shown = [repr(room.keeper), repr(vars(room.keeper)), repr(way), of(pid, "cmdline"), of(pid, "environ")]
        assert all(SECRET not in each for each in shown)
        assert all(word not in each for each in (shown[0], shown[1], shown[3], shown[4]))

    play(tmp_path, echo, steps)


def of(pid: int, name: str) -> str:
    return Path("/proc", str(pid), name).read_text()
