"""The head of a request, read strictly: what two programs could read differently is refused.

Layer: adapters/egress/proxy. Pure. Owns the request line, header fields, body framing and the Host check.
Absent: forms of HTTP that have no place here (HTTP/1.0, HTTP/2, obs-fold, asterisk and absolute targets, trailers).
Laws: one Host, equal to the tunnel's target; at most one of Content-Length and `chunked`; no lone CR or LF, no NUL.
Source: RFC 9112; the ways to smuggle a request (chunk and length, folded and doubled fields).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from carapax.adapters.egress.proxy.spelling import TARGET_BYTES, parse_host_header, parse_target
from carapax.core.terms.error import Malformed

LINE_BYTES = 8_192
HEAD_BYTES = 65_536
HEADER_FIELDS = 100
BODY_DIGITS = 15

Header = tuple[str, bytes]  # the name in lower case

PREFACE = b"PRI * HTTP/2.0"
_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]+) HTTP/1\.([01])\Z")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}\Z")
_VALUE = re.compile(rb"[\t -~]*\Z")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "QUERY"})
_ONCE = frozenset({
    "host", "content-length", "transfer-encoding", "content-type", "content-encoding", "authorization", "expect",
    "upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "x-api-key", "proxy-authorization",
})  # fmt: skip
_CONNECTION = frozenset({"keep-alive", "close", "upgrade", "te"})
_HOP = frozenset({"connection", "proxy-connection", "keep-alive", "te", "proxy-authorization", "expect", "upgrade",
                  "transfer-encoding", "content-length", "http2-settings"})  # fmt: skip

Framing = Literal["none", "length", "chunked"]


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request as it was parsed. `headers` are those that go on; the rest is in the fields."""

    method: str
    path: str
    headers: tuple[Header, ...]
    framing: Framing
    length: int
    expects: bool
    websocket: bool
    closes: bool

    def value(self, name: str) -> bytes | None:
        """The first value of a header."""
        return next((value for key, value in self.headers if key == name), None)


def parse_line(head: bytes, *, old: bool = False) -> tuple[str, bytes, list[Header]]:
    """Method, target as written and header fields of a head that ends with its empty line. Raises Malformed.

    `old` takes HTTP/1.0 too, in which many clients ask for a tunnel.
    """
    lines = head[:-4].split(b"\r\n")
    if any(mark in line for line in lines for mark in (b"\r", b"\n", b"\0")):
        raise Malformed("a lone line end or NUL stands in the head")
    if lines[0].startswith(PREFACE):
        raise Malformed("HTTP/2 is not spoken here; use HTTP/1.1")
    found = _LINE.match(lines[0])
    if not found or len(lines[0]) > LINE_BYTES:
        raise Malformed("the request line is not `METHOD target HTTP/1.1`")
    if found[3] != b"1" and not old:
        raise Malformed("only HTTP/1.1 is spoken here")
    if len(lines) - 1 > HEADER_FIELDS:
        raise Malformed(f"there are over {HEADER_FIELDS} header fields")
    return found[1].decode("ascii"), found[2], [_field(line) for line in lines[1:]]


def parse_request(head: bytes, host: str, port: int, default_port: int = 443) -> RequestHead:
    """One request inside a tunnel to host:port. Raises Malformed."""
    method, target, fields = parse_line(head)
    if method not in _METHODS:
        raise Malformed(f"the method {method} is not passed on")
    if len(target) > TARGET_BYTES or not target.startswith(b"/"):
        raise Malformed("the target does not begin with a slash")
    _check_once(fields)
    known = dict(fields)
    _check_host(known, host, port, default_port)
    connection = _tokens(known.get("connection", b""))
    if connection - _CONNECTION:
        raise Malformed("the Connection header names a field that is not one of its own")
    if "trailer" in known or known.get("te", b"trailers").strip().lower() != b"trailers":
        raise Malformed("trailers are not passed on")
    framing, length = _framing(known)
    websocket = _upgrade(known, connection, method, framing)
    return RequestHead(
        method=method,
        path=parse_target(target),
        headers=tuple((name, value) for name, value in fields if name not in _HOP),
        framing=framing,
        length=length,
        expects=_expects(known),
        websocket=websocket,
        closes="close" in connection,
    )


def _field(line: bytes) -> Header:
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.match(name) or not _VALUE.match(value):
        raise Malformed("a header field is not `name: value`")
    return name.decode("ascii").lower(), value.strip(b" \t")


def _check_once(fields: list[Header]) -> None:
    seen: set[str] = set()
    for name, _ in fields:
        # Servers behind CGI read an underscore as a dash.
        if "_" in name and name.replace("_", "-") in _ONCE:
            raise Malformed(f"the header {name} imitates another one")
        if name in _ONCE and name in seen:
            raise Malformed(f"the header {name} stands twice")
        seen.add(name)


def _check_host(known: dict[str, bytes], host: str, port: int, default_port: int) -> None:
    text = known.get("host")
    if text is None:
        raise Malformed("the Host header is missing")
    if parse_host_header(text.decode("ascii"), default_port) != (host, port):
        raise Malformed("the Host header names another host than the tunnel")


def _framing(known: dict[str, bytes]) -> tuple[Framing, int]:
    coding, length = known.get("transfer-encoding"), known.get("content-length")
    if coding is not None and length is not None:
        raise Malformed("Content-Length and Transfer-Encoding stand together")
    if coding is not None:
        if coding.lower() != b"chunked":
            raise Malformed("the transfer encoding is not exactly `chunked`")
        return "chunked", 0
    if length is None:
        return "none", 0
    if not length.isdigit() or len(length) > BODY_DIGITS:
        raise Malformed("the Content-Length is not a number")
    return "length", int(length)


def _upgrade(known: dict[str, bytes], connection: set[str], method: str, framing: Framing) -> bool:
    wanted = known.get("upgrade")
    if wanted is None and "upgrade" not in connection:
        return False
    if wanted is None or wanted.lower() != b"websocket" or "upgrade" not in connection:
        raise Malformed("the only upgrade is to websocket")
    if method != "GET" or framing != "none" or "http2-settings" in known:
        raise Malformed("a websocket begins with a GET without a body")
    if known.get("sec-websocket-version") != b"13" or "sec-websocket-key" not in known:
        raise Malformed("the websocket request is not of version 13")
    return True


def _expects(known: dict[str, bytes]) -> bool:
    expected = known.get("expect")
    if expected is not None and expected.lower() != b"100-continue":
        raise Malformed("the only expectation is 100-continue")
    return expected is not None


def _tokens(value: bytes) -> set[str]:
    return {token.strip().lower() for token in value.decode("ascii").split(",") if token.strip()}
