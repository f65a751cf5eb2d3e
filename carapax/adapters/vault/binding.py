"""Bindings as people give them and as they rest: checked, exact, no wildcard.

Layer: adapters/vault. Owns the rules a binding must meet and its JSON. Absent: using one (the egress proxy).
Law: a binding names one host; nothing here ever widens it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from carapax.adapters.vault.seal import dump
from carapax.core.terms.egress import Binding
from carapax.core.terms.error import Malformed

MAX_PATH_CHARS = 1024
MAX_PREFIX_CHARS = 64
MAX_METHODS = 16
_LABEL = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\Z")
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}\Z")
_METHOD = re.compile(r"[A-Z]{1,16}\Z")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*\Z")
_PREFIX = re.compile(r"[ -~]*\Z")
FRAMING = frozenset(
    ("host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive")
) | frozenset(("proxy-authorization", "proxy-connection", "content-type", "accept-encoding"))
"""Headers that a credential can never be in: they steer the connection itself."""


def make_binding(
    handle: str,
    host: str,
    *,
    port: int = 443,
    methods: Sequence[str] = (),
    path: str = "/",
    header: str = "authorization",
    prefix: str = "Bearer ",
    body: bool = False,
) -> Binding:
    """A checked binding. Raises Malformed, which names what is wrong and never a value."""
    header = header.lower()
    checked_methods = tuple(sorted({method.upper() for method in methods}))
    if not 0 < port < 65_536:
        raise _wrong(f"{port} is not a port.", "A port is 1 to 65535.")
    if len(checked_methods) > MAX_METHODS or not all(
        _METHOD.match(method) and method not in ("CONNECT", "TRACE") for method in checked_methods
    ):
        raise _wrong("That is not a list of HTTP methods.", "Name them like GET or POST; CONNECT and TRACE never.")
    if not _HEADER.match(header) or header in FRAMING:
        raise _wrong(f"A secret cannot be sent in the header {header[:64]!r}.", "Name one like authorization.")
    if len(prefix) > MAX_PREFIX_CHARS or not _PREFIX.match(prefix):
        raise _wrong("The prefix is too long or not printable ASCII.", "Give one like 'Bearer '.")
    return Binding(handle, _host(host), int(port), checked_methods, _path(path), header, prefix, bool(body))


def _host(host: str) -> str:
    lowered = host.lower()
    with suppress(ValueError):
        if "%" not in lowered:  # a zone names a way on one machine
            return str(ipaddress.ip_address(lowered))
    labels = lowered.split(".")
    if len(lowered) > 253 or not all(_LABEL.match(label) for label in labels) or labels[-1].isdigit():
        raise _wrong(
            f"{host[:64]!r} is not an exact host name.",
            "Name one host, like api.example.org: no wildcard, no scheme, no path; an international name as xn--….",
        )
    return lowered


def _path(path: str) -> str:
    segments = path.split("/")[1:]
    if (
        len(path) > MAX_PATH_CHARS
        or not _PATH.match(path)
        or any(segment in (".", "..") for segment in segments)
        or "" in segments[:-1]
    ):
        raise _wrong(
            "That is not a plain path.", "A path begins with / and has no query, no %, no '..' and no empty segment."
        )
    return path


def parse_place(text: str) -> tuple[str, int]:
    """HOST, HOST:PORT or [IPv6]:PORT as typed. Raises Malformed."""
    host, port = text, ""
    if text.startswith("[") and "]" in text:
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise _wrong(f"{text[:64]!r} is not HOST or HOST:PORT.", "Write it like api.example.org:443.")
    return _host(host), int(port or 443)


def service_binding(handle: str, base_url: str, header: str = "authorization") -> Binding | None:
    """The binding of a known service's key, None for one that needs none (not https). Raises Malformed."""
    url = urlsplit(base_url)
    if url.scheme != "https" or not url.hostname:
        return None
    prefix = "Bearer " if header == "authorization" else ""
    return make_binding(handle, url.hostname, port=url.port or 443, header=header, prefix=prefix)


def plain_binding(binding: Binding) -> dict[str, Any]:
    """As JSON, without the handle."""
    found = asdict(binding)
    del found["handle"]
    found["methods"] = list(binding.methods)
    return found


def parse_binding(handle: str, found: Mapping[str, Any]) -> Binding | None:
    """Back from JSON; None for anything that `make_binding` would not have made."""
    try:
        made = make_binding(handle, **found)
    except (Malformed, TypeError, AttributeError, ValueError):
        return None
    return made if dump(plain_binding(made)) == dump(found) else None


def _wrong(what: str, next_step: str) -> Malformed:
    return Malformed(what, next_step=next_step)
