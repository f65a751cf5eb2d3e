"""Heads, spellings, chunks and answers: strict, total, and independent of how bytes are split."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.egress.proxy.chunks import LAST_CHUNK, Unchunker, chunk_of
from carapax.adapters.egress.proxy.head import HEADER_FIELDS, RequestHead, parse_line, parse_request
from carapax.adapters.egress.proxy.reply import AnswerHead, own_answer, parse_answer, render_head
from carapax.adapters.egress.proxy.spelling import (
    is_address,
    parse_authority,
    parse_host,
    parse_host_header,
    parse_target,
)
from carapax.core.terms.error import Malformed

HOST = "host.example"


def request(*fields: str, line: str = "GET / HTTP/1.1", host: str = HOST) -> RequestHead:
    text = "\r\n".join((line, f"Host: {host}", *fields)) + "\r\n\r\n"
    return parse_request(text.encode("latin-1"), HOST, 443)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_malformed(content: bytes) -> None:
    for head in (content + b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: host.example\r\n" + content + b"\r\n\r\n"):
        try:
            found = parse_request(head, HOST, 443)
        except Malformed:
            continue
        assert found.path.startswith("/")
        assert all(b"\r" not in value and b"\n" not in value and b"\0" not in value for _, value in found.headers)


@given(st.text(alphabet="abAB019.-_:[]%@/ \\\x00é", max_size=30))
def test_any_text_is_a_host_in_its_one_spelling_or_malformed(text: str) -> None:
    try:
        host = parse_host(text)
    except Malformed:
        return
    assert host == host.lower()
    assert not set(host) & set("%@/\\[] \0")
    assert not host.endswith(".")
    # Read again it is the same, and what is no address cannot be read as one.
    assert parse_host(f"[{host}]" if ":" in host else host) == host
    if not is_address(host):
        with pytest.raises(ValueError):
            ipaddress.ip_address(host)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_has_one_spelling(number: int) -> None:
    plain = str(ipaddress.IPv4Address(number))
    assert parse_host(plain) == plain
    for odd in (
        str(number),
        hex(number),
        oct(number).replace("0o", "0"),
        f"{plain}.",
        ".".join(map(hex, map(int, plain.split(".")))),
    ):
        if odd != plain:
            with pytest.raises(Malformed):
                parse_host(odd)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Host.EXAMPLE", "host.example"), ("[::1]", "::1"), ("[2001:DB8::0:1]", "2001:db8::1"), ("10.0.0.1", "10.0.0.1"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"), ("a_b.example", "a_b.example"), ("localhost", "localhost"),
    ],
)  # fmt: skip
def test_plain_hosts_are_read(text: str, host: str) -> None:
    assert parse_host(text) == host
    assert parse_authority(f"{text}:8443") == (host, 8443)
    assert parse_host_header(text, 443) == (host, 443)
    assert parse_host_header(f"{text}:443", 443) == (host, 443)


@given(st.binary(max_size=60))
def test_a_target_is_plain_ascii_or_malformed(rest: bytes) -> None:
    try:
        found = parse_target(b"/" + rest)
    except Malformed:
        return
    assert found.isascii()
    assert found.isprintable()
    assert not set(found) & set(' "<>\\#')


def test_what_goes_on_is_without_the_hops_own_fields() -> None:
    found = request(
        "Connection: keep-alive, close",
        "Proxy-Authorization: Basic x",
        "Keep-Alive: 5",
        "X-A: 1",
        "x-a: 2",
        "TE: trailers",
    )
    assert found.headers == (("host", b"host.example"), ("x-a", b"1"), ("x-a", b"2"))
    assert found.closes
    assert found.framing == "none"
    assert found.value("x-a") == b"1"
    assert found.value("x-b") is None


def test_framing_and_expectation_are_read() -> None:
    assert (request("Content-Length: 12").framing, request("Content-Length: 12").length) == ("length", 12)
    assert request("Transfer-Encoding: Chunked").framing == "chunked"
    assert request("Content-Length: 1", "Expect: 100-Continue").expects
    socket = ("Upgrade: WebSocket", "Connection: Upgrade", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13")
    assert request(*socket).websocket
    with pytest.raises(Malformed):
        request(*socket, "Content-Length: 3")
    with pytest.raises(Malformed):
        request(*socket, line="POST / HTTP/1.1")


def test_so_many_fields_and_no_more() -> None:
    assert len(request(*["X: 1"] * (HEADER_FIELDS - 1)).headers) == HEADER_FIELDS
    with pytest.raises(Malformed):
        request(*["X: 1"] * HEADER_FIELDS)


def test_ports_have_to_agree_also_by_default() -> None:
    assert parse_request(b"GET / HTTP/1.1\r\nHost: a.example:8443\r\n\r\n", "a.example", 8443).path == "/"
    for host, port in (("a.example", 8443), ("a.example:443", 8443), ("a.example:8443", 443)):
        with pytest.raises(Malformed):
            parse_request(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), "a.example", port)


def test_the_line_is_read_and_its_method_kept() -> None:
    assert parse_line(b"CONNECT a.example:443 HTTP/1.0\r\n\r\n", old=True) == ("CONNECT", b"a.example:443", [])
    assert parse_line(b"CONNECT a.example:443 HTTP/1.1\r\nX: 1\r\n\r\n") == ("CONNECT", b"a.example:443", [("x", b"1")])


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    st.lists(st.integers(1, 9), min_size=1),
    st.binary(max_size=9),
)
def test_chunks_come_apart_the_same_however_they_are_split(parts: list[bytes], cuts: list[int], behind: bytes) -> None:
    wire = b"".join(map(chunk_of, parts)) + LAST_CHUNK + behind
    whole, pieces = Unchunker(), Unchunker()
    assert whole.feed(wire) == b"".join(parts)
    out, at, turn = b"", 0, 0
    while at < len(wire):
        size = cuts[turn % len(cuts)]
        out += pieces.feed(wire[at : at + size])
        at, turn = at + size, turn + 1
    assert out == b"".join(parts)
    assert (whole.done, whole.rest) == (pieces.done, pieces.rest) == (True, behind)


@given(st.binary(max_size=80))
def test_any_bytes_are_chunks_or_malformed(content: bytes) -> None:
    for lenient in (False, True):
        with contextlib.suppress(Malformed):
            assert len(Unchunker(lenient=lenient).feed(content)) <= len(content)


def test_a_lenient_reader_takes_extensions_and_trailers_of_answers() -> None:
    reader = Unchunker(lenient=True)
    assert reader.feed(b'5;name="x"\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nnext') == b"hello"
    assert reader.rest == b"next"
    with pytest.raises(Malformed):
        Unchunker(lenient=True).feed(b"0\r\n" + b"X: " + b"a" * 20_000 + b"\r\n\r\n")


def answer(head: bytes, method: str = "GET") -> AnswerHead:
    return parse_answer(head, method)


@pytest.mark.parametrize(
    ("head", "method", "framing"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", "length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", "none"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", "chunked"),
        (b"HTTP/1.0 200 OK\r\n\r\n", "GET", "close"),
        (b"HTTP/1.1 204 No\r\n\r\n", "GET", "none"),
        (b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n", "GET", "none"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", "GET", "length"),
    ],
)
def test_an_answers_body_has_one_end(head: bytes, method: str, framing: str) -> None:
    assert answer(head, method).framing == framing


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_malformed(content: bytes) -> None:
    for head in (content, b"HTTP/1.1 200 OK\r\n" + content):
        try:
            found = answer(head + b"\r\n\r\n")
        except Malformed:
            continue
        assert not any(name.startswith("carapax-") for name, _ in found.headers)
        shown = render_head(found.status, found.reason, found.headers, ())
        assert shown.count(b"\n") == shown.count(b"\r\n")


def test_an_own_answer_is_whole_and_closes() -> None:
    text = own_answer(403, "egress.none", "Not this host.")
    head, _, body = text.partition(b"\r\n\r\n")
    found = answer(head + b"\r\n\r\n")
    assert (found.status, found.length, found.closes) == (403, len(body), True)
    assert body == b"Not this host. [egress.none]\n"
