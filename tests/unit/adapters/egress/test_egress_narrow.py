"""The way out: one origin, one credential, bounds. A spy stands where the network would be; nothing is dialled."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.egress.loopback import is_loopback
from carapax.adapters.egress.narrow import NarrowClient, origin_of
from carapax.adapters.egress.scrub import Scrubber
from carapax.core.terms.error import CarapaxError, Refused
from tests.fakes.direct_egress import DirectEgress, open_client

KEY = "sk-live-0123456789-secret"
BASE = "https://api.example/v1"


class OneSecret:
    """A vault with one secret, "svc"."""

    def __init__(self, value: str | None = KEY) -> None:
        self.value = value

    def find_secret(self, handle: str) -> str | None:
        return self.value if handle == "svc" else None

    def put_secret(self, handle: str, value: str) -> None:
        raise AssertionError

    def drop_secret(self, handle: str) -> None:
        raise AssertionError

    def handles(self) -> tuple[str, ...]:
        return ("svc",)


class Chunks(httpx2.AsyncByteStream):
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


class Spy(httpx2.AsyncBaseTransport):
    """Where the network would be: keeps requests, answers from a function."""

    def __init__(self, answer: Callable[[], httpx2.Response] | None = None) -> None:
        self.requests: list[httpx2.Request] = []
        self.answer = answer or (lambda: httpx2.Response(200, stream=Chunks(b"ok")))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return self.answer()


def run(
    use: Callable[[NarrowClient], Awaitable[Any]],
    spy: Spy,
    *,
    base: str = BASE,
    secret: str = "svc",
    value: str | None = KEY,
    response_bytes: int = 1000,
    timeout_ms: int = 5000,
) -> Any:
    async def main() -> Any:
        client = open_client(
            base_url=base,
            secret=secret,
            vault=OneSecret(value),
            timeout_ms=timeout_ms,
            response_bytes=response_bytes,
            inner=spy,
        )
        async with client:
            return await use(client)

    return asyncio.run(main())


def refusal(use: Callable[[NarrowClient], Awaitable[Any]], spy: Spy | None = None, **options: Any) -> Refused:
    spy = spy or Spy()
    with pytest.raises(Refused) as caught:
        run(use, spy, **options)
    assert KEY not in repr(caught.value) + caught.value.what + caught.value.next_step
    return caught.value


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/v1",
        "https://api.example.evil.example/v1",
        "https://api.example:8443/v1",
        "http://api.example/v1",
        "https://api.example./v1",
        "https://api.example@evil.example/v1",
        "https://evil.example#@api.example/v1",
        "https://user:pw@api.example/v1",
        "https://xn--api.example/v1",
        "https://127.0.0.1/v1",
        "http://127.0.0.1/v1",
        "https://api\u2024example/v1x",
        "ftp://api.example/v1",
        "https://evil.example\\@api.example/v1",
    ],
)
def test_elsewhere_is_refused_before_anything_is_dialled(url: str) -> None:
    spy = Spy()
    with pytest.raises((Refused, httpx2.InvalidURL, httpx2.UnsupportedProtocol)):
        run(lambda client: client.get(url), spy)
    assert spy.requests == []


def test_nothing_is_looked_up_for_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[Any] = []

    def spy_lookup(*args: Any, **kwargs: Any) -> Any:
        looked_up.append(args)
        raise OSError("no look-ups in tests")

    monkeypatch.setattr(socket, "getaddrinfo", spy_lookup)

    async def main() -> None:
        client = DirectEgress(OneSecret()).client(base_url=BASE, secret="svc", timeout_ms=1000)
        async with client:
            await client.get("https://other.example/")

    with pytest.raises(Refused, match=r"other\.example"):
        asyncio.run(main())
    assert looked_up == []


@pytest.mark.parametrize(
    "url", ["https://API.EXAMPLE/v1", "https://api.example:443/x", "/relative", "https://api.example/?q=1"]
)
def test_the_same_origin_in_other_spellings_is_reached(url: str) -> None:
    spy = Spy()
    assert run(lambda client: client.get(url), spy).status_code == 200
    assert spy.requests[0].url.host == "api.example"


def test_a_name_beyond_ascii_is_compared_in_its_wire_form() -> None:
    spy = Spy()
    run(lambda client: client.get("https://xn--bcher-kva.example/"), spy, base="https://B\u00fccher.example/")
    assert len(spy.requests) == 1


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "x-goog-api-key"])
def test_the_placeholder_becomes_the_secret_at_the_last_hop(header: str) -> None:
    spy = Spy()

    async def use(client: NarrowClient) -> httpx2.Response:
        value = f"Bearer {client.placeholder}" if header == "authorization" else client.placeholder
        return await client.get("/x", headers={header: value})

    response = run(use, spy)
    assert spy.requests[0].headers[header] == (f"Bearer {KEY}" if header == "authorization" else KEY)
    # The caller's own request, which its exceptions and logs show, never holds it.
    assert KEY not in str(response.request.headers.multi_items())
    assert "placeholder" not in str(spy.requests[0].headers.multi_items())


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Bearer attacker")],
        [("authorization", "Basic {p}")],
        [("authorization", "{p}")],
        [("authorization", "Bearer {p} ")],
        [("authorization", "Bearer {p}"), ("authorization", "Bearer attacker")],
        [("authorization", "Bearer {p}"), ("x-api-key", "attacker")],
        [("authorization", "Bearer {p}"), ("x-api-key", "{p}")],
        [("x-api-key", "attacker")],
        [("X-API-KEY", "Bearer {p}")],
        [("x-goog-api-key", "attacker")],
        [("api-key", "{p}")],
        [("proxy-authorization", "Bearer {p}")],
        [("cookie", "session=1")],
        [("x-other", "{p}")],
        [("host", "evil.example")],
        [("host", "api.example"), ("host", "evil.example")],
        [("host", "api.example"), ("host", "api.example")],
    ],
)
def test_any_other_credential_is_refused(headers: list[tuple[str, str]]) -> None:
    spy = Spy()

    async def use(client: NarrowClient) -> Any:
        return await client.get("/x", headers=[(k, v.replace("{p}", client.placeholder)) for k, v in headers])

    refusal(use, spy)
    assert spy.requests == []


def test_a_placeholder_in_the_address_is_refused() -> None:
    spy = Spy()
    refusal(lambda client: client.get(f"/x?key={client.placeholder}"), spy)
    refusal(lambda client: client.get("/x", auth=("user", "password")), spy)
    assert spy.requests == []


def test_placeholders_differ_from_client_to_client() -> None:
    async def mine(client: NarrowClient) -> str:
        return client.placeholder

    first, second = run(mine, Spy()), run(mine, Spy())
    assert first != second and len(first) > 32


def test_without_a_secret_the_placeholder_is_taken_out() -> None:
    spy = Spy()
    run(lambda c: c.get("/x", headers={"authorization": f"Bearer {c.placeholder}"}), spy, secret="")
    assert "authorization" not in spy.requests[0].headers


def test_without_a_credential_header_no_secret_is_added() -> None:
    spy = Spy()
    run(lambda client: client.get("/x"), spy)
    assert KEY not in str(spy.requests[0].headers.multi_items())


@pytest.mark.parametrize("value", [None, "", "two\nlines", "tab\tbed", "sp ace", "\u00e4", "\x7f"])
def test_a_missing_or_odd_secret_is_refused_unsaid(value: str | None) -> None:
    spy = Spy()
    error = refusal(lambda c: c.get("/x", headers={"x-api-key": c.placeholder}), spy, value=value)
    assert "'svc'" in error.what and (not value or value not in error.what)
    assert spy.requests == []


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_refused_even_when_the_caller_wants_them(code: int) -> None:
    spy = Spy(lambda: httpx2.Response(code, headers={"location": "https://evil.example/"}, stream=Chunks()))
    assert "redirect" in refusal(lambda c: c.get("/x", follow_redirects=True), spy).what
    assert len(spy.requests) == 1


def test_no_encoding_is_asked_for_and_none_is_taken() -> None:
    stream = Chunks(b"\x1f\x8b")
    spy = Spy(lambda: httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=stream))
    assert "encoding" in refusal(lambda c: c.get("/x", headers={"accept-encoding": "gzip"}), spy).what
    assert spy.requests[0].headers["accept-encoding"] == "identity"
    assert stream.closed


def test_the_body_is_bounded() -> None:
    spy = Spy(lambda: httpx2.Response(200, stream=Chunks(*[b"x" * 100] * 11)))
    assert "longer than the bound" in refusal(lambda c: c.get("/x"), spy).what
    spy = Spy(lambda: httpx2.Response(200, stream=Chunks(*[b"x" * 100] * 10)))
    assert len(run(lambda c: c.get("/x"), spy).content) == 1000


def test_an_echoed_secret_is_masked_in_body_and_headers() -> None:
    spy = Spy(
        lambda: httpx2.Response(
            200, headers={"x-echo": f"Bearer {KEY}"}, stream=Chunks(b"you sent ", KEY[:9].encode(), KEY[9:].encode())
        )
    )
    response = run(lambda c: c.get("/x", headers={"x-api-key": c.placeholder}), spy)
    assert response.text == "you sent " + "*" * len(KEY)
    assert KEY not in str(response.headers.multi_items())


def test_options_of_a_request_reach_no_further_than_their_bounds() -> None:
    spy = Spy()
    options = {"sni_hostname": "evil.example", "target": b"http://evil.example/"}
    run(lambda c: c.get("/x", extensions=options, timeout=9999), spy)
    extensions = spy.requests[0].extensions
    assert extensions.keys() == {"timeout"}
    assert extensions["timeout"] == {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}


@pytest.mark.parametrize(
    "base",
    [
        "http://api.example/v1",
        "http://10.0.0.1/",
        "http://localhost.evil.example/",
        "http://127.0.0.1.evil.example/",
        "http://0.0.0.0/",
        "https://user@api.example/",
        "https://user:pw@api.example/",
        "ftp://api.example/",
        "file:///etc/passwd",
        "api.example",
        "",
        "https://",
        "https://[::1",
        "https://api.example:99999999/",
    ],
)
def test_an_address_that_may_not_be_served_is_refused(base: str) -> None:
    with pytest.raises(Refused) as caught:
        DirectEgress(OneSecret()).client(base_url=base, secret="", timeout_ms=1000)
    assert "pw" not in caught.value.what


@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:8080/", "http://[::1]:8080/v1", "http://localhost/", "http://127.9.9.9/"]
)
def test_plain_http_is_served_on_this_machine(base: str) -> None:
    assert origin_of(base).scheme == "http"


def test_loopback_is_a_matter_of_spelling() -> None:
    assert not any(map(is_loopback, ("127.1", "2130706433", "0x7f.1", "localhost.", "", "::ffff:8.8.8.8", "loopback")))


def test_environment_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9/")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9/")

    async def main() -> str:
        async with DirectEgress(OneSecret()).client(base_url=BASE, secret="", timeout_ms=1000) as client:
            assert not client._mounts
            return type(client._transport._inner._inner._pool).__name__  # type: ignore[attr-defined]

    assert asyncio.run(main()) == "AsyncConnectionPool"


def test_every_refusal_says_what_to_do() -> None:
    error = refusal(lambda client: client.get("https://other.example/"))
    assert isinstance(error, CarapaxError) and error.next_step and "api.example:443" in error.what


@given(st.binary(min_size=1, max_size=6), st.lists(st.binary(max_size=8), max_size=8))
def test_scrubbing_leaves_no_secret_and_nothing_else_changes(secret: bytes, chunks: list[bytes]) -> None:
    if set(secret) & {ord("*")}:
        secret = b"abc"
    scrubber = Scrubber(secret)
    clean = b"".join(scrubber.feed(chunk) for chunk in chunks) + scrubber.flush()
    whole = b"".join(chunks)
    assert clean == whole.replace(secret, b"*" * len(secret))
    assert secret not in clean


@given(st.lists(st.sampled_from([b"a", b"aa", b"ab", b"aab", b"b"]), max_size=12))
def test_scrubbing_finds_a_secret_split_in_any_way(chunks: list[bytes]) -> None:
    scrubber = Scrubber(b"aab")
    clean = b"".join(scrubber.feed(chunk) for chunk in chunks) + scrubber.flush()
    assert clean == b"".join(chunks).replace(b"aab", b"***")
