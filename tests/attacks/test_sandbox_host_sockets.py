"""Attack: reach something that listens on the host, or a kind of socket that no namespace fences in."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

import pytest

from carapax.adapters.sandbox.bwrap import Bounds, BwrapSandbox
from tests.attacks.sealing import KEY, Inside, WallClock


@pytest.mark.parametrize(("family", "host"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "::1")])
def test_a_listener_on_the_hosts_loopback(inside: Inside, family: str, host: str) -> None:
    with socket.create_server((host, 0), family=getattr(socket, family)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((host, port), timeout=5):
            pass  # from the host it is there
        attack = f"tried(lambda: socket.socket(socket.{family}).connect(({host!r}, {port})))"
        assert inside.met(attack) == ["EACCES"]  # Landlock
        bounds = Bounds(connect_inside=True)
        alone = BwrapSandbox(inside.workspace, KEY, WallClock(), bounds=bounds)
        assert Inside(alone, inside.workspace).met(attack) == ["ECONNREFUSED"]  # the network of its own
        alone.close()


def test_an_abstract_socket_of_the_host(inside: Inside) -> None:
    name = f"\0carapax-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        assert inside.met(f"tried(lambda: socket.socket(socket.AF_UNIX).connect({name!r}))") == ["ECONNREFUSED"]


def test_a_services_socket_file(inside: Inside, state: Path) -> None:
    path = str(state / "daemon")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        assert inside.met(f"tried(lambda: socket.socket(socket.AF_UNIX).connect({path!r}))") == ["ENOENT"]


def test_no_socket_file_of_the_system_is_shown(inside: Inside) -> None:
    assert inside.shell("find / -xdev -type s 2>/dev/null; ls /run /var 2>/dev/null").output == b""


@pytest.mark.parametrize("number", [3, 9, 16, 17, 29, 30, 31, 38, 40, 44], ids=lambda n: f"family-{n}")
def test_a_kind_of_socket_that_is_not_needed(inside: Inside, number: int) -> None:
    """Among them netlink (16), packet (17), CAN (29), TIPC (30), Bluetooth (31), ALG (38), VSOCK (40), XDP (44)."""
    code = f"""
    tried(lambda: raw(41, 198, {number}, socket.SOCK_DGRAM, 0))
    tried(lambda: raw(41, 198, {number} | 1 << 32, socket.SOCK_DGRAM, 0))
    tried(lambda: raw(53, 199, {number}, socket.SOCK_DGRAM, 0, ctypes.create_string_buffer(8)))
    """
    assert inside.met(code) == ["EAFNOSUPPORT"] * 3


def test_a_raw_socket(inside: Inside) -> None:
    assert inside.met("tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))") == ["EPERM"]
