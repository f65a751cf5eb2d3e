"""Attack: find a way to any network. (Connecting a datagram socket looks a route up and sends nothing.)"""

from __future__ import annotations

import pytest

from tests.attacks.sealing import Inside


@pytest.mark.parametrize(
    ("family", "host"), [("AF_INET", "192.0.2.1"), ("AF_INET6", "2001:db8::1"), ("AF_INET", "169.254.169.254")]
)
def test_no_route(inside: Inside, family: str, host: str) -> None:
    code = f"tried(lambda: socket.socket(socket.{family}, socket.SOCK_DGRAM).connect(({host!r}, 9)))"
    assert inside.met(code) == ["ENETUNREACH"]


def test_only_the_loopback_interface_exists(inside: Inside) -> None:
    rows = inside.run("cat", "/proc/net/dev").output.decode().splitlines()[2:]
    assert [row.split(":")[0].strip() for row in rows] == ["lo"]


def test_no_route_is_configured(inside: Inside) -> None:
    assert len(inside.run("cat", "/proc/net/route").output.splitlines()) <= 1


def test_a_name_is_not_looked_up_and_asking_does_not_crash(inside: Inside) -> None:
    code = """
    try:
        socket.getaddrinfo("carapax-test.invalid", 443)
    except socket.gaierror as refused:
        print("refused")
    print(socket.getaddrinfo("localhost", 443, type=socket.SOCK_STREAM)[0][4][0] in ("127.0.0.1", "::1"))
    """
    assert inside.python(code).output == b"refused\nTrue\n"


def test_no_resolver_is_configured(inside: Inside) -> None:
    assert inside.shell("cat /etc/resolv.conf 2>/dev/null; grep hosts: /etc/nsswitch.conf").output == b"hosts: files\n"
