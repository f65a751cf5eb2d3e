"""Bait: things on the host that must not be reached. Each is really there, so a refusal means something.

Layer: adapters/sandbox/selftest. Owns making them and taking them away again, and the reader on the host that a
planted link must not lead astray.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_OPENAT2 = 437  # the same number on every machine
_BENEATH_WITHOUT_LINKS = 0x08 | 0x04 | 0x02 | 0x01  # BENEATH, NO_SYMLINKS, NO_MAGICLINKS, NO_XDEV
_IPC_RMID = 0
_NEW_SEGMENT = 0o3600  # IPC_CREAT, IPC_EXCL, for this user


@dataclass(frozen=True, slots=True)
class Bait:
    """`words` tell the attempts what is where."""

    words: dict[str, str]
    workspace: Path  # to be shown for writing: a git repository
    shared: Path  # to be shown for reading: a service's socket lies in it


@contextmanager
def laid_bait(forbidden: tuple[Path, ...]) -> Iterator[Bait]:
    """Bait in a folder of its own; `forbidden` are Carapax's own folders."""
    abstract = f"carapax-canary-{secrets.token_hex(8)}"
    with (
        tempfile.TemporaryDirectory(prefix="carapax-canary-") as name,
        socket.create_server(("127.0.0.1", 0)) as loopback,
        _listening("\0" + abstract),
        _listening(f"{name}/daemon"),
        _segment() as segment,
    ):
        folder = Path(name)
        secret = folder / "secret"
        secret.write_text("canary")
        (folder / "shared").mkdir()
        _make_repository(folder / "workspace")
        with _left_open(secret), _listening(f"{name}/shared/daemon"):
            words = {
                "secret": str(secret),
                "home": str(forbidden[0]) if forbidden else name,
                "port": str(loopback.getsockname()[1]),
                "abstract": abstract,
                "daemon": f"{name}/daemon",
                "segment": str(segment),
            }
            yield Bait(words, folder / "workspace", folder / "shared")


def read_planted(bait: Bait) -> str:
    """What a careful reader on the host meets at the planted link: "open", or an errno's name."""
    folder = os.open(bait.workspace, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    how = (ctypes.c_uint64 * 3)(os.O_RDONLY | os.O_CLOEXEC, 0, _BENEATH_WITHOUT_LINKS)
    library = ctypes.CDLL(None, use_errno=True)
    try:
        opened = library.syscall(
            *(ctypes.c_long(_OPENAT2), ctypes.c_int(folder), ctypes.c_char_p(b"carapax-link")),
            *(ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))),
        )
    finally:
        os.close(folder)
    if opened < 0:
        return errno.errorcode.get(ctypes.get_errno(), "unknown")
    os.close(opened)
    return "open"


def _make_repository(folder: Path) -> None:
    for part in ("hooks", "objects", "refs/heads"):
        (folder / ".git" / part).mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / ".git" / "config").write_text("[core]\n\trepositoryformatversion = 0\n")
    (folder / ".git" / "hooks" / "pre-commit").write_text("#!/bin/sh\n")


@contextmanager
def _segment() -> Iterator[int]:
    """A System V segment of shared memory under a random key."""
    library = ctypes.CDLL(None, use_errno=True)
    key = secrets.randbelow(1 << 30) + 1
    made = library.shmget(key, ctypes.c_size_t(4096), _NEW_SEGMENT)
    try:
        yield key
    finally:
        if made >= 0:
            library.shmctl(made, _IPC_RMID, None)


@contextmanager
def _listening(address: str) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(address)
        server.listen()
        yield


@contextmanager
def _left_open(path: Path) -> Iterator[None]:
    """A file that a child would inherit, were it not for the launch."""
    descriptor = os.open(path, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        yield
    finally:
        os.close(descriptor)
