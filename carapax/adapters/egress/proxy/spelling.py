"""Hosts and targets as they may be spelled: one spelling for each, everything odd is refused.

Layer: adapters/egress/proxy. Pure. Absent: any look-up, and whether a host may be reached (the gate's answer).
Laws: what is returned is lower case, without brackets, trailing dot, zone or escape; two texts that a resolver could
read as different hosts never give the same result. Source: RFC 3986 section 3.2, RFC 5891.
"""

from __future__ import annotations

import ipaddress
import re

from carapax.core.terms.error import Malformed

HOST_CHARS = 253
TARGET_BYTES = 8_192

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_PORT = re.compile(r"[1-9][0-9]{0,4}\Z")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
_TARGET = re.compile(rb"/(?:[!$&-;=?-Z_a-z~|@^`{}\[\]]|%[0-9A-Fa-f]{2})*\Z")
_ENDED = re.compile(rb"%(?:0[0-9A-Fa-f]|1[0-9A-Fa-f]|7[Ff])")


def parse_authority(text: str) -> tuple[str, int]:
    """`host:port` with both parts. Raises Malformed for every odd spelling."""
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.match(port) or int(port) > 65_535:
        raise Malformed("the target is not written host:port")
    return parse_host(host), int(port)


def parse_host_header(text: str, default_port: int) -> tuple[str, int]:
    """The Host header: `host` or `host:port`. Raises Malformed."""
    bare = text.endswith("]") or ":" not in text
    return (parse_host(text), default_port) if bare else parse_authority(text)


def parse_host(text: str) -> str:
    """One host in its one spelling: a name in lower case, or an address. Raises Malformed."""
    if not text or len(text) > HOST_CHARS or not text.isascii():
        raise Malformed("the host is empty, too long or not ASCII")
    if text.startswith("["):
        return _parse_six(text)
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        return _parse_name(text.lower())


def is_address(host: str) -> bool:
    """Is a parsed host an address and no name?"""
    return ":" in host or host.replace(".", "").isdigit()


def parse_target(target: bytes) -> str:
    """An origin-form target (path and query). Raises Malformed."""
    if len(target) > TARGET_BYTES:
        raise Malformed("the path is too long")
    if not _TARGET.match(target) or _ENDED.search(target):
        raise Malformed("the path holds characters that do not belong in one")
    return target.decode("ascii")


def _parse_six(text: str) -> str:
    if not text.endswith("]") or "%" in text:
        raise Malformed("the IPv6 address is not written plainly in brackets")
    try:
        return str(ipaddress.IPv6Address(text[1:-1]))
    except ValueError:
        raise Malformed("the IPv6 address is not one") from None


def _parse_name(name: str) -> str:
    labels = name.split(".")
    if not all(_LABEL.match(label) for label in labels):
        raise Malformed("the host name is not spelled plainly")
    if _NUMBER.match(labels[-1]):
        # Resolvers read these as addresses: 127.1, 0x7f.1, 2130706433.
        raise Malformed("the host is a number in disguise")
    if any(label[2:4] == "--" for label in labels):
        _check_idna(name)
    return name


def _check_idna(name: str) -> None:
    import idna  # its tables are large; only such names need them

    try:
        again = idna.encode(idna.decode(name)).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        again = ""
    if again != name:
        raise Malformed("the international host name does not say the same when it is read and written again")
