"""Attack from the strong tier: reach this machine's services, any network, or the runtime that runs the sandbox."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

from carapax.ports.sandbox import Mount
from tests.attacks.strong import each, strong

NOWHERE = [
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('169.254.169.254', 80))",
    "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).connect(('2001:db8::1', 9))",
    "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)",
    "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)",
    "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
]


def test_no_network_is_there(tmp_path: Path) -> None:
    with strong(tmp_path) as inside:
        met = each(inside, NOWHERE)
        refused = {"ENETUNREACH", "EHOSTUNREACH", "EPERM", "EAFNOSUPPORT"}
        assert set(met.values()) <= refused, met
        script = (
            "cut -d: -f1 /proc/net/dev | tail -n +3; cat /etc/resolv.conf 2>/dev/null; grep hosts: /etc/nsswitch.conf"
        )
        assert inside.shell(script).output.split() == [b"lo", b"hosts:", b"files"]


def test_services_of_this_machine_are_out_of_reach(tmp_path: Path) -> None:
    name = f"carapax-test-{secrets.token_hex(8)}"
    with (
        strong(tmp_path) as inside,
        socket.create_server(("127.0.0.1", 0)) as loopback,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as lying,
    ):
        abstract.bind("\0" + name)
        abstract.listen()
        lying.bind(str(inside.workspace / "service"))
        lying.listen()
        attempts = [
            f"socket.create_connection(('127.0.0.1', {loopback.getsockname()[1]}), 2)",
            f"socket.socket(socket.AF_UNIX).connect('\\0{name}')",
            "socket.socket(socket.AF_UNIX).connect('/workspace/service')",
        ]
        for mount in (Mount.READ, Mount.WRITE):
            met = each(inside, attempts, mount)
            assert set(met.values()) <= {"ECONNREFUSED", "EPERM", "EACCES"}, met


def test_the_runtimes_own_sockets_are_not_seen(tmp_path: Path) -> None:
    with strong(tmp_path) as inside:
        assert b"runsc" not in inside.shell("cat /proc/net/unix").output
