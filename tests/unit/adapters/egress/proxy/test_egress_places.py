"""Addresses, TLS's first record, the authority of a way, and the link's frames."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.egress.link import FRAME_BYTES, BadFrame, Frames, ancillary, receive, render_frame
from carapax.adapters.egress.proxy import addresses
from carapax.adapters.egress.proxy.addresses import fault_of, own_addresses
from carapax.adapters.egress.proxy.authority import LEAVES, Authority
from carapax.adapters.egress.proxy.hello import find_server_name, is_hello


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_may_be_dialled(address: str) -> None:
    assert fault_of(address, ()) == ""


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.0.1", "169.254.169.254",
        "100.64.0.1", "100.100.100.200", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1",
        "198.18.0.1", "203.0.113.9", "192.0.0.192", "168.63.129.16", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1", "2002:808:808::1", "2001::1", "2001:db8::1", "100::1",
        "fe80::1%eth0", "", "localhost", "1.2.3", "::ffff:0:8.8.8.8",
    ],
)  # fmt: skip
def test_everything_else_may_not(address: str) -> None:
    assert fault_of(address, ()) != ""


def test_a_pin_is_for_its_network_only() -> None:
    assert fault_of("192.168.1.7", ["192.168.1.0/24"]) == ""
    assert fault_of("192.168.2.7", ["192.168.1.0/24"]) != ""
    assert fault_of("::ffff:192.168.1.7", ["192.168.1.0/24"]) != ""
    assert fault_of("10.0.0.1", ["nonsense", "fc00::/7"]) != ""


def test_this_machines_own_addresses_are_read_and_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert ipaddress.ip_address("127.0.0.1") in own_addresses()
    table = tmp_path / "trie"
    table.write_text("Local:\n  |-- 93.184.216.34\n     /32 host LOCAL\n  |-- 8.8.8.0\n     /24 link UNICAST\n")
    monkeypatch.setattr(addresses, "ROUTING_TABLE", table)
    monkeypatch.setattr(addresses, "SIX_TABLE", tmp_path / "missing")
    own = own_addresses()
    assert own == {ipaddress.ip_address("93.184.216.34")}
    assert "own" in fault_of("93.184.216.34", (), own)
    assert fault_of("93.184.216.35", (), own) == ""


def hello(name: str | None) -> bytes:
    """A real ClientHello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    wrapped = context.wrap_bio(coming, going, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        wrapped.do_handshake()
    return going.read()


def test_the_server_name_of_a_real_hello_is_read() -> None:
    assert find_server_name(hello("a.example")) == (True, "a.example")
    assert find_server_name(hello(None)) == (True, None)
    whole = hello("b.example")
    for size in range(1, len(whole)):
        assert is_hello(whole[:size])
        assert find_server_name(whole[:size]) == (False, None)
    # Spread over two records it is the same message.
    body = whole[5:]
    spread = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in (body[:40], body[40:]))
    assert find_server_name(spread) == (True, "b.example")


@given(st.binary(max_size=300))
def test_any_bytes_have_a_reading(content: bytes) -> None:
    find_server_name(content)
    whole, _ = find_server_name(b"\x16\x03\x01" + len(content).to_bytes(2, "big") + content)
    assert whole in (True, False)


def handshake(authority: Authority, host: str, asked: str | None, trusted: bytes) -> str:
    """The result of a handshake in memory."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.load_verify_locations(cadata=trusted.decode())
    client_context.check_hostname = asked is not None
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=asked)
    server = authority.context(host).wrap_bio(to_server, to_client, server_side=True)
    done = set()
    for _ in range(10):
        for side in (client, server):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return error.reason or "failed"
    return "done" if len(done) == 2 else "stuck"


def test_an_authority_answers_for_its_hosts_and_no_other_name() -> None:
    authority = Authority()
    pem = authority.pem()
    for host in ("a.example", "127.0.0.1", "2001:db8::1"):
        assert handshake(authority, host, host, pem) == "done"
    assert handshake(authority, "a.example", "b.example", pem) != "done"
    assert handshake(authority, "a.example", None, pem) != "done"
    assert handshake(authority, "a.example", "a.example", Authority().pem()) != "done"
    assert authority.context("a.example") is authority.context("a.example")


def test_leaves_are_bounded() -> None:
    authority = Authority()
    first = authority.context("h.example")
    for number in range(LEAVES):
        authority.context(f"h{number}.example")
    assert authority.context("h.example") is not first
    assert repr(authority) == "Authority()"


json_values = st.dictionaries(
    st.text(max_size=9), st.one_of(st.integers(), st.text(max_size=20), st.none()), max_size=4
)


@given(st.lists(json_values, max_size=5), st.integers(1, 20))
def test_frames_come_apart_the_same_however_they_are_split(sent: list[dict[str, object]], size: int) -> None:
    wire = b"".join(render_frame(dict(frame)) for frame in sent)
    frames = Frames()
    got = [frame for at in range(0, len(wire), size) for frame in frames.feed(wire[at : at + size])]
    assert got == sent


@pytest.mark.parametrize(
    "wire", [b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\3abc", (FRAME_BYTES + 1).to_bytes(4, "big")]
)
def test_what_is_no_frame_is_told(wire: bytes) -> None:
    with pytest.raises(BadFrame):
        list(Frames().feed(wire))
    with pytest.raises(BadFrame):
        render_frame({"text": "x" * FRAME_BYTES})


def test_descriptors_go_beside_a_frame_and_are_closed_on_exec() -> None:
    here, there = socket.socketpair()
    with here, there:
        reading, writing = os.pipe()
        here.sendmsg([render_frame({"op": "x"})], ancillary([writing]))
        content, found = receive(there)
        assert list(Frames().feed(content)) == [{"op": "x"}]
        assert len(found) == 1
        assert not os.get_inheritable(found[0])
        os.write(found[0], b"hi")
        assert os.read(reading, 2) == b"hi"
        for descriptor in (reading, writing, *found):
            os.close(descriptor)
