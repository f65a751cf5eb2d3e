"""Relay: inside a sandbox without a network, leads 127.0.0.1:3128 to the way's unix socket, then becomes the job.

Layer: adapters/sandbox; for tiers whose sandbox cannot hold a listener of the proxy's own.
Owns the small C program and its build; without a compiler `relay.py` leads the way too, but cannot wait for its job.
Law: the job is the sandbox's first process; the relay is its child, and when it fails there is no way out.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

from carapax.adapters.sandbox.relay.build import build_relay

MAX_TOLD_BYTES = 60_000  # what a pipe takes without a reader
_SCRIPT = Path(__file__).with_name("relay.py")


def lay_relay(folder: Path, inside: str, path: str) -> tuple[str, ...]:
    """Put the relay into a folder that will be seen as `inside`; returns the words that precede the job's own.

    `path` is the PATH inside. Raises OSError.
    """
    socket = f"{inside}/socket"
    if can_wait():
        return (*_lay_program(folder, inside), socket, "--")
    shutil.copyfile(_SCRIPT, folder / "relay.py")
    python = shutil.which("python3", path=path) or "python3"
    return (python, "-I", "-S", f"{inside}/relay.py", socket, "--")


def lay_waiting(folder: Path, inside: str, *, led: bool) -> tuple[str, ...]:
    """The same for a sandbox that is started before its job is known; returns all its words. Raises OSError."""
    return (*_lay_program(folder, inside), f"{inside}/socket" if led else "-")


def can_wait() -> bool:
    """Can a sandbox be started before its job is known? Only the compiled relay waits."""
    return build_relay() is not None


def _lay_program(folder: Path, inside: str) -> tuple[str, ...]:
    (folder / "relay").write_bytes(build_relay() or b"")
    (folder / "relay").chmod(0o755)
    return (f"{inside}/relay",)


def tell_program(argv: tuple[str, ...], environment: Mapping[str, str]) -> bytes:
    """What a waiting relay reads to become this program."""
    words = [*argv, *(f"{name}={value}" for name, value in environment.items())]
    text = b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)
    return struct.pack("=II", len(text), len(argv)) + text
