"""A TLS server on loopback with an authority of its own, and what a test tells it to answer.

Runs in a thread; every request is kept in `requests`. Use it as a context manager; leaving it ends every connection and
joins the thread. It reads requests leniently and keeps their exact bytes, so that a smuggled one would be seen.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import ipaddress
import ssl
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOSTS = ("allowed.example", "bound.example", "other.example", "denied.example", "xn--bcher-kva.example", "localhost")
BODY_LIMIT = 64 << 20
JOIN_SECONDS = 10
_SOCKET_WORD = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True)
class Got:
    """One request as it arrived."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    raw: bytes = b""

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k == name.lower()), None)


@dataclass
class Reply:
    """What goes back: by length, in chunks, or until the end of the stream (`close`)."""

    body: bytes | Sequence[bytes] = b"ok"
    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    framing: str = "length"
    raw: bytes | None = None  # exactly these bytes instead
    cut: bool = False  # end the connection afterwards


Answer = Callable[[Got], Reply]


def echo(got: Got) -> Reply:
    """The whole request, as an echo endpoint sends it back."""
    return Reply(got.raw + got.body)


@dataclass
class TestAuthority:
    """A certificate authority for tests."""

    __test__ = False
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
        self.certificate = (
            _builder(name, name, self.key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def context(self, names: Sequence[str]) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = (
            _builder(x509.Name([]), self.certificate.subject, key)
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ) + leaf.public_bytes(serialization.Encoding.PEM)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name)
        return context


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


class WebServer:
    """`with WebServer(answer) as server:`; `server.port` is where it listens on 127.0.0.1."""

    def __init__(
        self,
        answer: Answer = echo,
        *,
        tls: bool = True,
        authority: TestAuthority | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.answer = answer
        self.authority = authority or TestAuthority()
        self.requests: list[Got] = []
        self.connections = 0
        self.received = b""  # everything, in the order it came
        self.port = 0
        self._host = host
        self._context = self.authority.context([*HOSTS, "127.0.0.1"]) if tls else None
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="web-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(JOIN_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(JOIN_SECONDS)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accepted, self._host, 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        raw = await reader.readuntil(b"\r\n\r\n")
        self.received += raw
        line, *rest = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, path, _ = line.split(" ", 2)
        headers = tuple((n.lower(), v.strip()) for n, _, v in (field.partition(":") for field in rest))
        body = await self._body(reader, dict(headers))
        self.received += body
        got = Got(method, path, headers, body, raw)
        self.requests.append(got)
        if got.header("upgrade") == "websocket":
            await self._socket(got, reader, writer)
            return False
        reply = self.answer(got)
        await self._send(reply, writer, method)
        return not reply.cut and reply.framing != "close"

    async def _body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int((await reader.readline()).strip(), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readline()
            return body
        size = int(headers.get("content-length", "0"))
        assert size <= BODY_LIMIT
        return await reader.readexactly(size)

    async def _send(self, reply: Reply, writer: asyncio.StreamWriter, method: str) -> None:
        if reply.raw is not None:
            writer.write(reply.raw)
            await writer.drain()
            return
        parts = [reply.body] if isinstance(reply.body, bytes) else list(reply.body)
        lines = [f"HTTP/1.1 {reply.status} Said", *(f"{n}: {v}" for n, v in reply.headers)]
        if reply.framing == "length":
            lines.append(f"content-length: {sum(map(len, parts))}")
        elif reply.framing == "chunked":
            lines.append("transfer-encoding: chunked")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        for part in parts if method != "HEAD" else []:
            writer.write(b"%x\r\n%b\r\n" % (len(part), part) if reply.framing == "chunked" else part)
            await writer.drain()
        if reply.framing == "chunked" and method != "HEAD":
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _socket(self, got: Got, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A websocket that sends every message back, unmasked."""
        key = (got.header("sec-websocket-key") or "").encode()
        accept = base64.b64encode(hashlib.sha1(key + _SOCKET_WORD).digest()).decode()
        writer.write(
            f"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-accept: {accept}\r\n\r\n".encode()
        )
        while True:
            first, second = await reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                size = int.from_bytes(await reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await reader.readexactly(8), "big")
            mask = await reader.readexactly(4)
            payload = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(size)))
            self.received += payload
            lead = bytes([first, size]) if size < 126 else bytes([first, 126]) + size.to_bytes(2, "big")
            writer.write(lead + payload)
            await writer.drain()


def write_pem(authority: TestAuthority, folder: Path) -> Path:
    """The authority's certificate in a file."""
    path = folder / "authority.pem"
    path.write_text(authority.pem)
    return path
