"""Attack: leave by another way than the one given, or use a way that nobody watches."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bwrap import BwrapSandbox
from carapax.core.terms.egress import Way
from carapax.core.terms.error import AuthorityInvalid, EgressUnavailable, SandboxUnavailable
from carapax.core.terms.ids import CallId
from carapax.ports.sandbox import Job, Mount, Ran
from tests.attacks.sealing import KEY, PREAMBLE, WallClock, mint

AUTHORITY = b"-----BEGIN CERTIFICATE-----\nonly this one\n-----END CERTIFICATE-----\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nproxy"
ASK = """
import urllib.request
print(urllib.request.urlopen("http://anywhere.invalid/", timeout=10).read().decode())
"""


class Proxy:
    """Answers whoever comes through the listeners it was handed."""

    def __init__(self) -> None:
        self.handed: list[Way] = []
        self.asked: list[bytes] = []
        self._threads: list[threading.Thread] = []
        self._listeners: list[socket.socket] = []

    def attach(self, way: Way, listener: int) -> None:
        taken = socket.socket(fileno=os.dup(listener))
        assert taken.getsockname() == ("127.0.0.1", 3128)
        taken.settimeout(20)
        self.handed.append(way)
        self._listeners.append(taken)
        thread = threading.Thread(target=self._answer, args=(taken,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _answer(self, listener: socket.socket) -> None:
        try:
            came, _ = listener.accept()
        except OSError:
            return
        with came:
            came.settimeout(20)
            self.asked.append(came.recv(65_536))
            came.sendall(ANSWER)

    def close(self) -> None:
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join(20)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.close()


def ran(
    tmp_path: Path, attach: Callable[[Way, int], None] | None, *argv: str, given: bool = True, call: str = "w"
) -> Ran:
    workspace = tmp_path / "workspace"
    workspace.mkdir(exist_ok=True)
    sandbox = BwrapSandbox(workspace, KEY, WallClock(), attach=attach)
    way = Way(CallId("w"), "token", AUTHORITY) if given else None
    try:
        return asyncio.run(sandbox.run(mint(call=call), Job(argv, way=way, mount=Mount.WRITE, timeout_ms=30_000)))
    finally:
        sandbox.close()


def test_programs_find_the_way_and_reach_the_proxy_by_it(tmp_path: Path, proxy: Proxy) -> None:
    got = ran(tmp_path, proxy.attach, "python3", "-I", "-c", ASK)
    assert got.output == b"proxy\n", got.output.decode()
    assert proxy.asked[0].startswith(b"GET http://anywhere.invalid/ HTTP/1.1\r\n")
    assert [way.token for way in proxy.handed] == ["token"]


def test_only_the_ways_authority_is_trusted_and_only_a_job_with_a_way_is_told(tmp_path: Path, proxy: Proxy) -> None:
    script = "cat $SSL_CERT_FILE; echo $https_proxy $HTTPS_PROXY $NO_PROXY; cat /proc/net/tcp | grep -c 0C38"
    got = ran(tmp_path, proxy.attach, "sh", "-c", script).output
    assert got == AUTHORITY + b"http://127.0.0.1:3128 http://127.0.0.1:3128\n1\n"
    alone = ran(tmp_path, proxy.attach, "sh", "-c", "env; ls /etc; grep -c 0C38 /proc/net/tcp", given=False).output
    assert b"proxy" not in alone.lower()
    assert b"carapax-ca" not in alone
    assert alone.endswith(b"\n0\n")
    assert len(proxy.handed) == 1


def test_no_other_port_and_no_other_address(tmp_path: Path, proxy: Proxy) -> None:
    code = """
    for address in (("127.0.0.1", 3129), ("127.0.0.1", 443), ("192.0.2.1", 443), ("127.0.0.2", 80)):
        tried(lambda: socket.socket().connect(address))
    for address in (("192.0.2.1", 3128), ("203.0.113.9", 3128)):
        tried(lambda: socket.socket().connect(address))
    tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 53)))
    """
    got = ran(tmp_path, proxy.attach, "python3", "-I", "-c", PREAMBLE + textwrap.dedent(code))
    assert got.output.split() == [b"EACCES"] * 4 + [b"ENETUNREACH"] * 3


def test_the_listener_itself_is_not_the_jobs(tmp_path: Path, proxy: Proxy) -> None:
    code = """
    import stat
    for name in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                print("socket", name)
        except OSError:
            pass
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    tried(lambda: server.bind(("127.0.0.1", 3128)))
    """
    got = ran(tmp_path, proxy.attach, "python3", "-I", "-c", PREAMBLE + textwrap.dedent(code))
    assert got.output.split() == [b"EADDRINUSE"]


def gone(way: Way, listener: int) -> None:
    raise EgressUnavailable("the proxy is gone", next_step="Start it.")


@pytest.mark.parametrize("attach", [None, gone])
def test_without_a_proxy_nothing_runs(tmp_path: Path, attach: Callable[[Way, int], None] | None) -> None:
    with pytest.raises(SandboxUnavailable) as refused:
        ran(tmp_path, attach, "touch", "/workspace/ran")
    assert refused.value.next_step
    assert refused.value.kept == "Nothing was run."
    assert list((tmp_path / "workspace").iterdir()) == []


def test_a_way_of_another_call_is_refused(tmp_path: Path, proxy: Proxy) -> None:
    with pytest.raises(AuthorityInvalid):
        ran(tmp_path, proxy.attach, "true", call="another")
    assert proxy.handed == []
