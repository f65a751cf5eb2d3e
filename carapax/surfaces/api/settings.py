"""What the operator decides about the HTTP surface, and the one rule about where it may listen.

Layer: surfaces/api. Absent: reading a settings file (app). Light to import: the command line uses it too.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from carapax.core.terms.error import SettingsInvalid

DEFAULT_PORT = 18790


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Bounds and names of the HTTP surface; sizes in bytes, times in milliseconds."""

    port: int = DEFAULT_PORT  # as clients see it; part of the Host check
    hosts: tuple[str, ...] = ()  # further names this gateway answers to, "name" or "name:port"
    origins: tuple[str, ...] = ()  # further web origins that may call, "https://panel.example"
    tls: bool = False
    public_url: str = ""  # "https://agent.example.org": where platforms reach the hooks
    text_bytes: int = 1_048_576  # one message
    body_bytes: int = 4_194_304  # one request with its history
    drain_bytes: int = 67_108_864  # read and thrown away of a refused body, so that the refusal is heard
    body_ms: int = 30_000  # for the whole body to arrive
    json_depth: int = 64
    keep_alive_ms: int = 15_000  # between comments on a silent event stream
    grace_ms: int = 5_000  # after an approval's deadline, until an open stream is closed
    failures: int = 10  # wrong tokens or codes per peer and window
    window_ms: int = 60_000
    peers: int = 1_024  # peer addresses remembered for that
    threads: int = 1_024  # conversations remembered (see `threads`)
    hook_ms: int = 30_000  # for a channel to answer a request of its platform
    hook_calls: int = 1_200  # requests per peer, channel and window
    hook_memory_bytes: int = 67_108_864  # of bodies held at a time, in all
    hooks_read: int = 128  # bodies that arrive at a time, in all
    hooks_read_each: int = 32  # and from one peer for one channel
    hooks_open: int = 64  # requests to hooks that are worked on at a time, in all
    hooks_open_each: int = 16  # and for one channel
    hook_streams: int = 256  # answers that go on (web chat), in all


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_bind(host: str, tls_cert: Path | None, tls_key: Path | None) -> None:
    """Refuse an address that others can reach unless TLS is set up. Raises SettingsInvalid."""
    if (tls_cert is None) != (tls_key is None):
        missing = "tls_key" if tls_key is None else "tls_cert"
        raise SettingsInvalid(f"{missing} is not set", next_step="Set both tls_cert and tls_key, or neither.")
    for name, path in (("tls_cert", tls_cert), ("tls_key", tls_key)):
        if path is not None and not path.is_file():
            raise SettingsInvalid(f"{name}: there is no file {path}", next_step=f"Correct {name} in the settings.")
    if tls_cert is None and not is_loopback(host):
        raise SettingsInvalid(
            f"refused to listen on {host or 'every address'} without TLS: tokens would cross the network in clear",
            next_step=(
                "Listen on 127.0.0.1 and reach it through an SSH tunnel "
                "(`ssh -L 18790:127.0.0.1:18790 HOST`), or set tls_cert and tls_key to PEM files "
                "and name the address under hosts."
            ),
        )
