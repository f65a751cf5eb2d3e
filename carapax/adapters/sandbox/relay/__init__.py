"""Relay: inside a sandbox without a network, leads 127.0.0.1:3128 to the way's unix socket, then runs the job.

Layer: adapters/sandbox; for tiers whose sandbox cannot hold a listener of the proxy's own.
Owns the small C program and its build; without a compiler the same is done by `relay.py`.
Law: the job is the sandbox's first process; the relay is its child, and when it fails there is no way out.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from carapax.adapters.sandbox.relay.build import build_relay

_SCRIPT = Path(__file__).with_name("relay.py")


def lay_relay(folder: Path, inside: str, path: str) -> tuple[str, ...]:
    """Put the relay into a folder that will be seen as `inside`; returns the words that precede the job's own.

    `path` is the PATH inside. Raises OSError.
    """
    built = build_relay()
    socket = f"{inside}/socket"
    if built is not None:
        (folder / "relay").write_bytes(built)
        (folder / "relay").chmod(0o755)
        return (f"{inside}/relay", socket, "--")
    shutil.copyfile(_SCRIPT, folder / "relay.py")
    python = shutil.which("python3", path=path) or "python3"
    return (python, "-I", "-S", f"{inside}/relay.py", socket, "--")
