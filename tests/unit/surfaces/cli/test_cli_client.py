"""Finding the gateway and reading what it says: whom the token is handed to, and answers that are not ours."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carapax.core.terms.error import Unavailable
from carapax.surfaces.cli import client as client_module
from carapax.surfaces.cli.client import Client, GatewayAbsent, GatewaySaid, find_client, quoted, split_url
from tests.unit.surfaces.cli.stage import FakeLocal, call


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads one request per connection and sends fixed bytes."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            for answer in answers:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.settimeout(10)
                    heard.append(peer.recv(65_536))
                    peer.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", heard
        server.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for a connection
        thread.join(10)


def _place(home: Path, url: str, pid: int, token: str = "cpx_secret") -> None:
    (home / "run").mkdir(parents=True)
    (home / "run" / "gateway.json").write_text(json.dumps({"url": url, "pid": pid}))
    (home / "run" / "cli.token").write_text(token)


def _dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    return child.pid


def test_the_token_is_not_given_to_who_took_a_dead_gateways_port(home: Path) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as (url, heard):
        _place(home, url, _dead_pid())
        ran = call(FakeLocal(home), "status")
        assert heard == []
    assert ran.code == 3


def test_the_local_token_never_goes_to_another_address(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as (url, heard):
        _place(home, "http://127.0.0.1:1", os.getpid())
        monkeypatch.setenv("CARAPAX_URL", url)
        call(FakeLocal(home), "status")
        assert b"cpx_secret" not in heard[0]


@pytest.mark.parametrize("url", ["http://gateway.example:18790", "http://127.0.0.1.example/", "http://192.0.2.1:80"])
def test_no_token_in_clear_to_another_machine(url: str) -> None:
    with pytest.raises(Unavailable, match="in clear"):
        split_url(url)


@pytest.mark.parametrize(
    "url", ["", "ftp://127.0.0.1", "127.0.0.1:18790", "http://[", "file:///etc/passwd", "http://127.0.0.1:x"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(Unavailable):
        split_url(url)


def test_addresses() -> None:
    assert split_url("http://[::1]:9") == ("http", "::1", 9)
    assert split_url("https://gateway.example") == ("https", "gateway.example", 443)
    assert split_url("http://localhost") == ("http", "localhost", 18790)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"url": "x"}', '{"url": "x", "pid": "y"}', '{"url": "x", "pid": 0}']
)
def test_a_broken_discovery_file_is_no_gateway(home: Path, content: str) -> None:
    (home / "run").mkdir(parents=True)
    (home / "run" / "gateway.json").write_text(content)
    (home / "run" / "cli.token").write_text("t")
    with pytest.raises(GatewayAbsent):
        find_client(home, {})


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}",
    b"HTTP/1.1 502 Bad\r\nContent-Length: 4\r\n\r\n<h1>",
    b"HTTP/1.1 401 No\r\nContent-Length: 12\r\n\r\n{\"error\": 1}",
    b"SSH-2.0-OpenSSH\r\n",
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
    b"HTTP/1.1 302 Go\r\nLocation: http://192.0.2.1/\r\nContent-Length: 2\r\n\r\n{}",
]  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_that_are_not_a_gateways(home: Path, answer: bytes) -> None:
    with answering(answer) as (url, _):
        _place(home, url, os.getpid())
        ran = call(FakeLocal(home), "approvals")
    assert ran.code in (1, 3, 7)
    assert len(ran.err.splitlines()) == 3
    assert "Traceback" not in ran.err
    assert "defect" not in ran.err
    assert "cpx_secret" not in ran.err + ran.out


def test_an_answer_over_the_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "ANSWER_BYTES", 10)
    with (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" + b" " * 50) as (url, _),
        pytest.raises(Unavailable, match="over 16 MiB"),
    ):
        Client(url, "t").call("GET", "/x")


def test_a_line_over_the_ceiling(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LINE_BYTES", 10)
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" + b"x" * 50) as (url, _):
        _place(home, url, os.getpid())
        ran = call(FakeLocal(home), "ask", "x")
    assert (ran.code, "line over 4 MiB" in ran.err) == (1, True)


@pytest.mark.parametrize("sent", [b"", b'{"event": "TurnStarted", "session": "s", "turn": "t", "number": 1}\n'])
def test_a_stream_that_breaks_off(home: Path, sent: bytes) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + sent) as (url, _):
        _place(home, url, os.getpid())
        ran = call(FakeLocal(home), "ask", "x")
    assert ran.code == 1
    assert "The gateway ended while it worked. Your message is kept." in ran.err


def test_events_of_a_newer_gateway_are_left_out(home: Path) -> None:
    body = b'{"event": "Fireworks", "x": 1}\n{"event": "TurnEnded", "session": "s", "turn": "t", "state": "done", "reply": "ok"}\n'
    with answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body) as (url, _):
        _place(home, url, os.getpid())
        ran = call(FakeLocal(home), "ask", "x")
    assert (ran.code, ran.out) == (0, "ok\n")


def test_an_error_keeps_its_three_parts() -> None:
    error = GatewaySaid(409, {"code": "conflict", "message": "busy", "kept": "All.", "next_step": "Wait."})
    assert (error.status, error.code, error.what, error.kept, error.next_step) == (
        409,
        "conflict",
        "busy",
        "All.",
        "Wait.",
    )


def test_an_id_from_the_keyboard_stays_one_segment() -> None:
    assert quoted("../tokens?x=1#y\r\n") == "..%2Ftokens%3Fx%3D1%23y%0D%0A"
