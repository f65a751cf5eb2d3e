"""The head of an answer as it came from a service, and the proxy's own short answers.

Layer: adapters/egress/proxy. Pure. Owns what of an answer's head goes on, and how its body is framed.
Absent: interim answers other than a switch to websocket; they are passed over.
Laws: an answer that could be read in two ways is refused; no answer from outside carries a `carapax-` field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from carapax.adapters.egress.proxy.head import Header
from carapax.core.terms.error import Malformed

ANSWER_FIELDS = 200
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: ([\t -~\x80-\xff]*))?\Z")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}\Z")
_HOP = frozenset({"connection", "proxy-connection", "keep-alive", "proxy-authenticate", "proxy-authorization",
                  "transfer-encoding", "content-length", "trailer", "te", "alt-svc", "upgrade"})  # fmt: skip
_REASONS = {400: "Bad Request", 403: "Forbidden", 405: "Method Not Allowed", 408: "Request Timeout",
            413: "Content Too Large", 431: "Request Header Fields Too Large", 502: "Bad Gateway",
            503: "Service Unavailable", 504: "Gateway Timeout"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """An answer as it was parsed. `headers` are those that go on."""

    status: int
    reason: bytes
    headers: tuple[Header, ...]
    framing: Literal["none", "length", "chunked", "close"]
    length: int
    closes: bool
    encoding: str
    websocket: bool


def parse_answer(head: bytes, method: str) -> AnswerHead:
    """The head of an answer to a request of that method; ends with its empty line. Raises Malformed."""
    lines = head[:-4].split(b"\r\n")
    found = _STATUS.match(lines[0])
    if not found or len(lines) - 1 > ANSWER_FIELDS or any(m in line for line in lines for m in (b"\r", b"\n", b"\0")):
        raise Malformed("the service's answer is not HTTP/1.1")
    fields = [_field(line) for line in lines[1:]]
    status = int(found[1])
    framing, length = _framing(fields, status, method)
    connection = b",".join(value for name, value in fields if name == "connection").lower()
    return AnswerHead(
        status=status,
        reason=found[2] or b"",
        headers=tuple((n, v) for n, v in fields if n not in _HOP and not n.startswith("carapax-")),
        framing=framing,
        length=length,
        closes=b"close" in connection or lines[0].startswith(b"HTTP/1.0") or framing == "close",
        encoding=b",".join(v for n, v in fields if n == "content-encoding").decode("latin-1").strip().lower(),
        websocket=status == 101 and (b"upgrade", b"websocket") in [(n.encode(), v.lower()) for n, v in fields],
    )


def _field(line: bytes) -> Header:
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.match(name):
        raise Malformed("the service's answer has a header field that is none")
    return name.decode("ascii").lower(), value.strip(b" \t")


def _framing(
    fields: list[Header], status: int, method: str
) -> tuple[Literal["none", "length", "chunked", "close"], int]:
    codings = [value.lower() for name, value in fields if name == "transfer-encoding"]
    lengths = {value for name, value in fields if name == "content-length"}
    if len(codings) > 1 or (codings and (lengths or codings[0] != b"chunked")) or len(lengths) > 1:
        raise Malformed("the service's answer has two lengths")
    length = next(iter(lengths), b"")
    if lengths and (not length.isdigit() or len(length) > 15):
        raise Malformed("the service's answer has a length that is no number")
    if status < 200 or status in (204, 304) or method == "HEAD":
        return "none", int(length or b"-1")
    if codings:
        return "chunked", 0
    return ("length", int(length)) if lengths else ("close", 0)


def render_head(status: int, reason: bytes, headers: tuple[Header, ...], extra: tuple[Header, ...]) -> bytes:
    """The bytes of an answer's head."""
    lines = [b"HTTP/1.1 %d %b" % (status, reason or _REASONS.get(status, "").encode())]
    lines += [b"%b: %b" % (name.encode("ascii"), value) for name, value in (*headers, *extra)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def own_answer(status: int, rule: str, reason: str) -> bytes:
    """A short answer of the proxy's own, after which the connection is closed. Its text never quotes a request."""
    body = f"{reason} [{rule}]\n".encode()
    extra = (
        ("content-type", b"text/plain; charset=utf-8"),
        ("content-length", b"%d" % len(body)),
        ("carapax-refused", rule.encode("ascii", "replace")),
        ("connection", b"close"),
    )
    return render_head(status, b"", (), extra) + body
