"""A service on loopback to be reached through a proxy, in a process of its own: `python -m bench.walls.origin raw|tls`.

It prints one line of JSON, its port and (tls) the authority that signed for it, and ends when its standard input does.
raw: reads one TLS record and answers with BIG bytes. tls: `GET /big` is BIG_OPENED bytes, every other path a few.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import sys
import threading

BIG = 256 << 20
BIG_OPENED = 64 << 20
_PIECE = memoryview(bytes(1 << 20))
_SMALL = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\n" + b"x" * 100
_LARGE = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %d\r\n\r\n" % BIG_OPENED


def serve_raw(conversation: socket.socket) -> None:
    head = conversation.recv(5, socket.MSG_WAITALL)
    conversation.recv(int.from_bytes(head[3:5], "big"), socket.MSG_WAITALL)
    for _ in range(BIG >> 20):
        conversation.sendall(_PIECE)


def serve_opened(conversation: socket.socket) -> None:
    held = b""
    while True:
        while b"\r\n\r\n" not in held:
            piece = conversation.recv(65_536)
            if not piece:
                return
            held += piece
        head, _, held = held.partition(b"\r\n\r\n")
        if not head.startswith(b"GET /big "):
            conversation.sendall(_SMALL)
            continue
        conversation.sendall(_LARGE)
        for _ in range(BIG_OPENED >> 20):
            conversation.sendall(_PIECE)


def main() -> None:
    context: ssl.SSLContext | None = None
    pem = ""
    if sys.argv[1] == "tls":
        from tests.fakes.web_server import TestAuthority

        authority = TestAuthority()
        context, pem = authority.context(["localhost"]), authority.pem
    listening = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listening.getsockname()[1], "pem": pem}), flush=True)

    def converse(plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is None:
                serve_raw(plain)
                return
            with context.wrap_socket(plain, server_side=True) as opened:
                serve_opened(opened)

    def accept() -> None:
        while True:
            threading.Thread(target=converse, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
