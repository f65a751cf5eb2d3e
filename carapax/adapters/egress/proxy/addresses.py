"""Which addresses may be dialled: global ones, unless the verdict pins a network.

Layer: adapters/egress/proxy. Owns the judgement of one address. Absent: the look-up and the dialling (`dial`).
Laws: what is not plainly a public unicast address is refused; so are addresses that carry another one inside them
(mapped, NAT64, 6to4, Teredo), this machine's own, and the places where clouds keep credentials.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from pathlib import Path

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "169.254.170.2", "168.63.129.16", "192.0.0.192", "100.100.100.200", "fd00:ec2::254")
)
CARRIERS = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "::/96",
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
    )
)
ROUTING_TABLE = Path("/proc/net/fib_trie")
SIX_TABLE = Path("/proc/net/if_inet6")


def fault_of(text: str, pinned: Sequence[str], own: Collection[Address] = ()) -> str:
    """Why this address may not be dialled; "" when it may."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "is not an address"
    if any(_holds(network, address) for network in pinned):
        return ""
    if address in METADATA:
        return "is where a cloud keeps credentials"
    if address in own:
        return "is this machine's own"
    if address.version == 6 and any(address in carrier for carrier in CARRIERS):
        return "carries another address inside"
    if (
        not address.is_global
        or address.is_private
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
    ):
        return "is not a public one"
    return ""


def _holds(network: str, address: Address) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except (ValueError, TypeError):
        return False


def own_addresses() -> frozenset[Address]:
    """The addresses of this machine's interfaces, as the kernel lists them now."""
    found: set[Address] = set()
    last = ""
    for line in _lines(ROUTING_TABLE):
        words = line.split()
        if words[:1] == ["|--"]:
            last = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            found.add(ipaddress.IPv4Address(last))
    for line in _lines(SIX_TABLE):
        found.add(ipaddress.IPv6Address(bytes.fromhex(line.split()[0])))
    return frozenset(found)


def _lines(table: Path) -> list[str]:
    try:
        return [line for line in table.read_text("ascii").splitlines() if line.strip()]
    except FileNotFoundError:
        return []  # a kernel without that protocol
