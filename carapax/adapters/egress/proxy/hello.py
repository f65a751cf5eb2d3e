"""The first record of TLS: which server it asks for.

Layer: adapters/egress/proxy. Pure. Absent: everything else about TLS; of an encrypted ClientHello the
outer name is read, as what is inside a tunnel that nobody opens cannot be compared anyway.
Law: total; bytes that are no whole ClientHello are never taken for one that names a server. Source: RFC 8446, RFC 6066.
"""

from __future__ import annotations

SERVER_NAME = 0


def is_hello(content: bytes) -> bool:
    """Could this be the beginning of a TLS handshake?"""
    return b"\x16\x03".startswith(content[:2]) or content[:2] == b"\x16\x03"


def find_server_name(content: bytes) -> tuple[bool, str | None]:
    """Whether the ClientHello is whole, and the server it names. ("", as a name, is one that cannot be read.)"""
    message = _message(content)
    if message is None:
        return False, None
    try:
        return True, _named(message)
    except (IndexError, UnicodeDecodeError):
        return True, ""


def _message(content: bytes) -> bytes | None:
    # The handshake message may be spread over records.
    joined = bytearray()
    at = 0
    while at + 5 <= len(content) and content[at] == 0x16:
        size = int.from_bytes(content[at + 3 : at + 5], "big")
        joined += content[at + 5 : at + 5 + size]
        at += 5 + size
    if len(joined) < 4 or len(joined) < 4 + int.from_bytes(joined[1:4], "big"):
        return None
    return bytes(joined[4 : 4 + int.from_bytes(joined[1:4], "big")])


def _named(message: bytes) -> str | None:
    at = 34  # version and random
    at += 1 + message[at]
    at += 2 + int.from_bytes(message[at : at + 2], "big")
    at += 1 + message[at]
    at += 2
    found: str | None = None
    while at + 4 <= len(message):
        kind, size = int.from_bytes(message[at : at + 2], "big"), int.from_bytes(message[at + 2 : at + 4], "big")
        inside = message[at + 4 : at + 4 + size]
        at += 4 + size
        if kind == SERVER_NAME:
            if found is not None or inside[2] != 0 or len(inside) != 5 + int.from_bytes(inside[3:5], "big"):
                return ""
            found = inside[5:].decode("ascii")
    return found
