"""The door for platforms: what reaches the channel, what never does, and what leaves."""

from __future__ import annotations

import asyncio
import http.client
import logging
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from carapax.core.terms.channel import HookAnswer, HookRequest
from carapax.core.terms.error import Malformed, Refused, StoreUnavailable
from carapax.surfaces.api.gate import public_names
from carapax.surfaces.api.hooks import Door, closes
from carapax.surfaces.api.settings import ApiSettings
from tests.fakes.gateway import FakeClock, FakeGateway
from tests.unit.surfaces.api.served import BOUND_S, Served, serving

PUBLIC = "https://agent.example.org"
CSP = "default-src 'none'; script-src 'self'; style-src 'self'; frame-ancestors 'self'"


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(ApiSettings(public_url=PUBLIC)) as one:
        one.gateway.hooks["telegram"] = lambda request: HookAnswer(200, b"taken")
        yield one


def knock(
    served: Served, method: str = "POST", path: str = "", raw: bytes = b"{}", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = served.call(method, "/hooks/telegram" + path, raw=raw, token="", headers=named)
    return reply.status, reply.headers, reply.raw


def test_a_platform_needs_no_token_and_its_request_arrives_as_it_was(served: Served) -> None:
    raw = bytes(range(256))
    status, _, body = knock(
        served, path="/a/b?x=1&token=abc&y=%2F", raw=raw, X_Signature="AbC", Authorization="Bearer jwt.of.theirs"
    )
    assert (status, body) == (200, b"taken")
    ((name, asked),) = served.gateway.hooked
    assert (name, asked.method, asked.path, asked.query, asked.body) == (
        "telegram",
        "POST",
        "/a/b",
        "x=1&token=abc&y=%2F",
        raw,
    )
    assert asked.header("x-signature") == "AbC" and asked.header("authorization") == "Bearer jwt.of.theirs"
    assert all(key == key.lower() for key, _ in asked.headers)
    assert asked.url == f"{PUBLIC}/hooks/telegram/a/b?x=1&token=abc&y=%2F" and asked.peer == "127.0.0.1"


@pytest.mark.parametrize(
    ("path", "behind"), [("", ""), ("/", "/"), ("/app.js", "/app.js"), ("/a%20b", "/a b"), ("/../x", "/../x")]
)
def test_what_stands_behind_the_name_is_the_channels(served: Served, path: str, behind: str) -> None:
    knock(served, path=path)
    assert served.gateway.hooked[0][1].path == behind


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
def test_these_methods_pass(served: Served, method: str) -> None:
    assert knock(served, method)[0] == 200
    assert served.gateway.hooked[0][1].method == method


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "TRACE", "FOO"])
def test_others_need_a_token_and_find_nothing(served: Served, method: str) -> None:
    assert knock(served, method)[0] == 401
    assert served.call(method, "/hooks/telegram").status in (404, 405)
    assert served.gateway.hooked == []


@pytest.mark.parametrize("path", ["/hooks/none", "/hooks/none/x", "/hooks/", "/hooks", "/hooks/..", "/hooks/../api/tokens", "/hooks/a%2Fb",
                                  "/hooks/" + "x" * 65, "/hooks/%00", "/hooks//telegram", "/Hooks/telegram"])  # fmt: skip
def test_another_name_is_nothing_and_opens_nothing(served: Served, path: str) -> None:
    reply = served.call("GET", path, token="")
    assert reply.status in (401, 404)
    assert served.gateway.hooked == [] and served.gateway.lookups == []


def test_our_tokens_open_no_more_here_and_the_public_name_nothing_else(served: Served) -> None:
    assert knock(served, Host="agent.example.org")[0] == 200
    assert knock(served, Host="agent.example.org:443")[0] == 200
    assert knock(served, Host="agent.example.org.evil.example")[0] == 403
    assert knock(served, Host="agent.example.org:8443")[0] == 403
    for path in ("/api/status", "/", "/signin", "/healthz", "/hooks"):
        assert served.call("GET", path, headers={"Host": "agent.example.org"}).status == 403
    assert served.call("POST", "/hooks/telegram?x=cpx_" + "a" * 43, raw=b"").status == 400


def test_pages_of_others_may_not_call_and_our_own_may(served: Served) -> None:
    assert knock(served, Origin="https://agent.example.org")[0] == 200
    assert knock(served, Origin=served.url)[0] == 200
    for origin in ("https://evil.example", "null", "http://agent.example.org", "https://agent.example.org:8443"):
        status, headers, _ = knock(served, Origin=origin)
        assert status == 403
        assert not any(name.startswith("access-control") for name in headers)
    assert served.call("GET", "/api/status", headers={"Origin": PUBLIC}).status == 403


@pytest.mark.parametrize(
    ("url", "hosts", "origin"),
    [
        ("https://a.example", {"a.example", "a.example:443"}, "https://a.example"),
        ("https://A.example:8443/x", {"a.example:8443"}, "https://a.example:8443"),
        ("http://[::1]:80", {"[::1]", "[::1]:80"}, "http://[::1]"),
        ("", set(), ""), ("a.example", set(), ""), ("ftp://a.example", set(), ""), ("https://a.example:x", set(), ""),
    ],
)  # fmt: skip
def test_the_public_name_is_read_strictly(url: str, hosts: set[str], origin: str) -> None:
    assert public_names(ApiSettings(public_url=url)) == (hosts, {origin} if origin else set())


def test_without_a_public_address_the_one_that_was_called_is_told() -> None:
    with serving() as served:
        served.gateway.hooks["telegram"] = lambda request: HookAnswer(200)
        knock(served, path="/x?y=1")
        assert served.gateway.hooked[0][1].url == f"{served.url}/hooks/telegram/x?y=1"


def test_a_body_over_the_bound_does_not_reach_the_channel(served: Served) -> None:
    served.gateway.hook_sizes["telegram"] = 1_000
    assert knock(served, raw=b"x" * 1_000)[0] == 200
    assert knock(served, raw=b"x" * 1_001)[0] == 413
    assert len(served.gateway.hooked) == 1
    served.gateway.hook_sizes["telegram"] = 12 << 20
    assert knock(served, raw=b"x" * (5 << 20))[0] == 200


def test_a_peer_that_calls_too_often_waits_and_others_do_not() -> None:
    with serving(ApiSettings(hook_calls=3)) as served:
        for name in ("telegram", "slack"):
            served.gateway.hooks[name] = lambda request: HookAnswer(200)
        assert [knock(served)[0] for _ in range(5)] == [200, 200, 200, 429, 429]
        assert int(knock(served)[1]["retry-after"]) > 0
        assert served.call("POST", "/hooks/slack", raw=b"", token="").status == 200
        assert served.call("GET", "/api/status").status == 200
        served.clock.advance(60_000)
        assert knock(served)[0] == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [(StoreUnavailable("the disk is full at /home/anna"), 503), (Malformed("got secret-word"), 400),
     (Refused("signature secret-word"), 401), (RuntimeError("secret-word"), 500), (TimeoutError(), 503)],
)  # fmt: skip
def test_whatever_fails_is_a_status_without_a_reason(
    served: Served, error: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(request: HookRequest) -> HookAnswer:
        raise error

    served.gateway.hooks["telegram"] = fail
    with caplog.at_level(logging.DEBUG, logger="carapax.api"):
        got, _, body = knock(served, path="/path-secret-word", raw=b"secret-word")
    assert got == status
    assert b"secret-word" not in body and b"anna" not in body
    assert "secret-word" not in caplog.text and "path-secret-word" not in caplog.text


def test_only_harmless_headers_leave(served: Served) -> None:
    served.gateway.hooks["telegram"] = lambda request: HookAnswer(
        201, b"x", "application/json", (
            ("Access-Control-Allow-Origin", "*"), ("Content-Length", "99"), ("Transfer-Encoding", "chunked"),
            ("Set-Cookie", "v=1; Path=/hooks/telegram; HttpOnly"), ("Set-Cookie", "evil=1; Path=/"),
            ("Set-Cookie", "evil=1"), ("Set-Cookie", "evil=1; Path=/hooks/telegramx"), ("Retry-After", "7"),
            ("Location", "/a\r\nX-Evil: 1"), ("X-Evil", "1"), ("Content-Security-Policy", "default-src *"),
        ),
    )  # fmt: skip
    status, headers, body = knock(served)
    assert (status, body, headers["content-type"]) == (201, b"x", "application/json")
    assert headers["set-cookie"] == "v=1; Path=/hooks/telegram; HttpOnly" and headers["retry-after"] == "7"
    assert not {"access-control-allow-origin", "x-evil", "location"} & headers.keys()
    assert headers["x-frame-options"] == "DENY" and headers["cache-control"] == "no-store"


def both(served: Served, policy: str) -> list[str]:
    served.gateway.hooks["telegram"] = lambda request: HookAnswer(
        200, b"", "text/html", (("Content-Security-Policy", policy),)
    )
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=BOUND_S)
    try:
        connection.request("GET", "/hooks/telegram/")
        answer = connection.getresponse()
        answer.read()
        return answer.headers.get_all("content-security-policy") or []
    finally:
        connection.close()


def test_a_page_may_bring_its_own_policy_when_that_closes_the_rest(served: Served) -> None:
    assert both(served, CSP) == [CSP]
    headers = knock(served, "GET")[1]
    assert headers.get("x-frame-options") is None
    assert headers["referrer-policy"] == "same-origin"  # else its own forms would come without an origin
    loose = "default-src 'none'; script-src 'unsafe-inline'; frame-ancestors 'none'"
    assert len(both(served, loose)) == 2  # ours holds beside it


@pytest.mark.parametrize(
    "policy",
    ["", "default-src 'self'; frame-ancestors 'none'", "default-src 'none'", "default-src 'none'; frame-ancestors *; script-src *",
     "default-src 'none' https:; frame-ancestors 'none'", "default-src 'none'; frame-ancestors 'none'; script-src data:",
     "default-src 'none'; frame-ancestors 'none'; script-src 'self' 'unsafe-eval'",
     "default-src 'none'; frame-ancestors 'none'; script-src https://cdn.example"],
)  # fmt: skip
def test_a_policy_that_leaves_something_open_replaces_nothing(policy: str) -> None:
    assert not closes(policy) and closes(CSP)


@pytest.mark.parametrize("answer", [HookAnswer(99), HookAnswer(700), HookAnswer(-1), HookAnswer(100)])
def test_a_status_that_is_none_is_a_failure(served: Served, answer: HookAnswer) -> None:
    served.gateway.hooks["telegram"] = lambda request: answer
    assert knock(served)[0] == 500


def test_a_type_that_is_none_is_bytes(served: Served) -> None:
    served.gateway.hooks["telegram"] = lambda request: HookAnswer(200, b"<b>", "text/html\r\nX-Evil: 1")
    headers = knock(served)[1]
    assert headers["content-type"] == "application/octet-stream" and headers["x-content-type-options"] == "nosniff"


class Slow:
    """A stream whose next piece the test lets out, and that knows when its reader left."""

    def __init__(self) -> None:
        self.left = threading.Event()
        self.goes = threading.Event()

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            yield b"data: 1\n\n"
            async with asyncio.timeout(BOUND_S):
                while not self.goes.is_set():
                    await asyncio.sleep(0.002)
                    yield b": beat\n\n"
            yield b"data: 2\n\n"
        finally:
            self.left.set()


def test_a_stream_goes_out_as_it_comes_and_ends_when_its_reader_leaves(served: Served) -> None:
    slow = Slow()
    served.gateway.hooks["telegram"] = lambda request: HookAnswer(200, type="text/event-stream", stream=slow.pieces())
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=BOUND_S)
    connection.request("GET", "/hooks/telegram/events")
    answer = connection.getresponse()
    assert answer.readline() == b"data: 1\n" and not slow.left.is_set()
    assert answer.getheader("content-type", "").startswith("text/event-stream")
    answer.close()
    connection.close()
    assert slow.left.wait(BOUND_S)


def test_streams_are_bounded() -> None:
    with serving(ApiSettings(hook_streams=1)) as served:
        slow = Slow()
        served.gateway.hooks["telegram"] = lambda request: HookAnswer(200, stream=slow.pieces())
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=BOUND_S)
        connection.request("GET", "/hooks/telegram/events")
        first = connection.getresponse()
        assert first.readline() == b"data: 1\n"
        assert knock(served)[0] == 503
        slow.goes.set()
        assert first.read().endswith(b"data: 2\n\n")
        connection.close()
        assert slow.left.wait(BOUND_S)
        assert knock(served)[0] == 200


class Held(FakeGateway):
    """A channel that does not answer before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = asyncio.Semaphore(0)
        self.may = asyncio.Event()
        self._seen = 0

    async def entered(self, count: int) -> None:
        """Until so many requests reached the channel."""
        while self._seen < count:
            await self.inside.acquire()
            self._seen += 1

    def hook_bytes(self, name: str) -> int:
        return 1_000

    async def hook(self, name: str, request: HookRequest) -> HookAnswer:
        self.inside.release()
        await self.may.wait()
        return HookAnswer(200)


def knocked(name: str) -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http", "method": "POST", "path": f"/hooks/{name}", "query_string": b"", "headers": [(b"host", b"127.0.0.1")],
        "path_params": {"name": name},
    }  # fmt: skip
    return Request(scope, receive)


def test_only_so_many_are_worked_on_at_a_time_and_one_channel_leaves_room_for_others() -> None:
    async def main() -> None:
        gateway = Held()
        door = Door(gateway, ApiSettings(hooks_open=3, hooks_open_each=2), FakeClock())
        async with asyncio.timeout(BOUND_S):
            waiting = [asyncio.create_task(door.answer(knocked("a"), "127.0.0.1")) for _ in range(2)]
            await gateway.entered(2)
            refused = await door.answer(knocked("a"), "127.0.0.1")
            assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
            waiting.append(asyncio.create_task(door.answer(knocked("b"), "127.0.0.1")))
            await gateway.entered(3)
            assert (await door.answer(knocked("c"), "127.0.0.1")).status_code == 503
            gateway.may.set()
            assert [(await task).status_code for task in waiting] == [200, 200, 200]
            assert (await door.answer(knocked("a"), "127.0.0.1")).status_code == 200

    asyncio.run(main())


class Dripping:
    """Bodies that do not end before they may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.begun = asyncio.Semaphore(0)

    async def receive(self) -> dict[str, object]:
        self.begun.release()
        await self.may.wait()
        return {"type": "http.request", "body": b"x", "more_body": False}

    def request(self, name: str, *headers: tuple[bytes, bytes]) -> Request:
        return Request({**knocked(name).scope, "headers": [(b"host", b"127.0.0.1"), *headers]}, self.receive)


def test_bodies_that_drip_take_no_place_of_those_that_are_worked_on() -> None:
    async def main() -> None:
        gateway, drip = Held(), Dripping()
        gateway.may.set()
        door = Door(gateway, ApiSettings(hooks_open=1, hooks_open_each=1, hooks_read=4, hooks_read_each=2), FakeClock())
        async with asyncio.timeout(BOUND_S):
            waiting = [asyncio.create_task(door.answer(drip.request("a"), "127.0.0.1")) for _ in range(2)]
            for _ in range(2):
                await drip.begun.acquire()
            assert (await door.answer(knocked("a"), "127.0.0.1")).status_code == 503  # this peer reads two already
            assert (await door.answer(knocked("a"), "127.0.0.2")).status_code == 200
            assert (await door.answer(knocked("b"), "127.0.0.1")).status_code == 200
            drip.may.set()
            assert sorted([(await task).status_code for task in waiting]) in ([200, 200], [200, 503])
            assert (await door.answer(knocked("a"), "127.0.0.1")).status_code == 200

    asyncio.run(main())


def test_bodies_are_held_within_one_bound_of_memory() -> None:
    async def main() -> None:
        gateway, drip = Held(), Dripping()
        gateway.may.set()
        door = Door(gateway, ApiSettings(hook_memory_bytes=1_500), FakeClock())
        async with asyncio.timeout(BOUND_S):
            first = asyncio.create_task(door.answer(drip.request("a"), "127.0.0.1"))  # says no size: all of its 1,000
            await drip.begun.acquire()
            assert (await door.answer(knocked("b"), "127.0.0.1")).status_code == 503
            small = drip.request("b", (b"content-length", b"1"))
            second = asyncio.create_task(door.answer(small, "127.0.0.1"))
            await drip.begun.acquire()
            huge = drip.request("c", (b"content-length", b"9" * 30))
            assert (await door.answer(huge, "127.0.0.1")).status_code == 503
            drip.may.set()
            assert [(await task).status_code for task in (first, second)] == [200, 200]
            assert (await door.answer(knocked("b"), "127.0.0.1")).status_code == 200

    asyncio.run(main())


def test_a_body_that_breaks_off_or_is_late_does_not_reach_the_channel() -> None:
    async def main() -> None:
        gateway = Held()

        async def gone() -> dict[str, object]:
            return {"type": "http.disconnect"}

        door = Door(gateway, ApiSettings(body_ms=1), FakeClock())
        async with asyncio.timeout(BOUND_S):
            assert (await door.answer(Request(knocked("a").scope, gone), "127.0.0.1")).status_code == 400
            assert (await door.answer(Dripping().request("a"), "127.0.0.1")).status_code == 400
        assert gateway.inside.locked()

    asyncio.run(main())


def test_a_stream_that_finds_no_place_is_let_go(served: Served) -> None:
    class Source:
        def __init__(self) -> None:
            self.closed = threading.Event()

        def __aiter__(self) -> Source:
            return self

        async def __anext__(self) -> bytes:
            raise StopAsyncIteration

        async def aclose(self) -> None:
            self.closed.set()

    with serving(ApiSettings(hook_streams=0)) as full:
        source = Source()
        full.gateway.hooks["telegram"] = lambda request: HookAnswer(200, stream=source)
        assert knock(full)[0] == 503 and source.closed.is_set()
    source = Source()
    served.gateway.hooks["telegram"] = lambda request: HookAnswer(200, stream=source)
    assert knock(served)[0] == 200 and source.closed.wait(BOUND_S)


@settings(deadline=None, max_examples=60)
@given(
    st.binary(max_size=60), st.lists(st.tuples(st.binary(min_size=1, max_size=12), st.binary(max_size=30)), max_size=5),
    st.binary(max_size=40), st.text(max_size=30),
)  # fmt: skip
def test_whatever_comes_is_handed_on_or_answered(
    query: bytes, headers: list[tuple[bytes, bytes]], body: bytes, behind: str
) -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def main() -> None:
        gateway = FakeGateway()
        gateway.hooks["a"] = lambda request: HookAnswer(200)
        scope = {
            **knocked("a").scope,
            "path": f"/hooks/a{behind}",
            "query_string": query,
            "headers": [*headers, (b"host", b"h")],
        }
        answer = await Door(gateway, ApiSettings(), FakeClock()).answer(Request(scope, receive), "127.0.0.1")
        assert answer.status_code == 200
        asked = gateway.hooked[0][1]
        assert (asked.body, asked.path, asked.query.encode("latin-1")) == (body, behind, query)

    asyncio.run(main())


@pytest.mark.parametrize("name", ["..", ".", "", "a b", "a/b", "a\n", "-a", "x" * 65, "\u00e9"])
def test_the_gateway_is_not_even_asked_about_what_is_no_name(name: str) -> None:
    async def main() -> None:
        gateway = Held()
        assert (await Door(gateway, ApiSettings(), FakeClock()).answer(knocked(name), "127.0.0.1")).status_code == 404
        assert gateway.inside.locked()

    asyncio.run(main())


def test_a_channel_that_does_not_answer_in_time_is_a_503() -> None:
    async def main() -> None:
        door = Door(Held(), ApiSettings(hook_ms=1), FakeClock())
        async with asyncio.timeout(BOUND_S):
            assert (await door.answer(knocked("a"), "127.0.0.1")).status_code == 503

    asyncio.run(main())
