"""A small TLS service on loopback for the self-test, with an authority of its own that lives as long.

Layer: app. Serves fixed content by GET, each connection one request. Absent: everything else of a web server.
Laws: it listens on 127.0.0.1 alone; its key is never on disk once it serves; leaving it ends its threads.
"""

from __future__ import annotations

import datetime
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PATIENCE_S = 20
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Service:
    """Where it listens, and the certificate to trust it by."""

    port: int
    authority: str  # PEM


@contextmanager
def serving(host: str, content: Mapping[str, bytes]) -> Iterator[Service]:
    """The service under this name, until the block ends."""
    context, authority = _certify(host)

    class Answer(BaseHTTPRequestHandler):
        timeout = PATIENCE_S
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = content.get(self.path.partition("?")[0])
            body = b"" if found is None else found
            self.send_response(404 if found is None else 200)
            self.send_header("content-type", "text/html" if self.path.endswith("/") else "application/octet-stream")
            self.send_header("content-length", str(len(body)))
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the self-test prints its checks alone."""

    server = _Quiet(("127.0.0.1", 0), Answer)
    # The handshake is made in each connection's own thread, so that one that says nothing holds up no other.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="trial-service", daemon=True)
    thread.start()
    try:
        yield Service(server.server_address[1], authority)
    finally:
        server.shutdown()
        thread.join(PATIENCE_S)
        server.server_close()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that breaks off is the self-test's to see."""


def _certify(host: str) -> tuple[ssl.SSLContext, str]:
    """What serves this name, and the authority that vouches for it."""
    above, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Carapax self-test")])
    basic = x509.BasicConstraints(ca=True, path_length=0)
    authority = (
        _builder(name, name, above.public_key()).add_extension(basic, critical=True).sign(above, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.DNSName(host)])
    leaf = (
        _builder(x509.Name([]), name, key.public_key()).add_extension(names, critical=True).sign(above, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + leaf.public_bytes(serialization.Encoding.PEM)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="carapax-trial-") as folder:
        path = Path(folder, "service.pem")
        path.write_bytes(pem)
        context.load_cert_chain(path)
    return context, authority.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    numbered = builder.serial_number(x509.random_serial_number())
    return numbered.not_valid_before(now - _DAY).not_valid_after(now + _DAY)
