"""A vault in a test's own folder: told time, cheap passphrases, and a process that is ended at any step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.vault import folder as folder_module
from carapax.adapters.vault.keysource import Cost, KeySources
from carapax.adapters.vault.sealed import SealedVault
from carapax.core.terms.error import StoreUnavailable

CHEAP = Cost(memory_kib=64, passes=1, lanes=1)
CHANGES_KEY = b"c" * 32
VALUE = "sk-Zebra41-lantern-0wl8-quartz"
OTHER = "sk-Maple77-harbour-F0x2-copper"
PASSPHRASE = "copper harbour violet engine"


class Clock:
    """Time as told."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now

    def monotonic_ms(self) -> int:
        return self.now


def no_program(argv: Sequence[str], given: bytes) -> bytes:
    raise StoreUnavailable(f"The program {argv[0]} is missing.")


def sources(
    root: Path, *, credentials: str = "", run: Callable[[Sequence[str], bytes], bytes] = no_program
) -> KeySources:
    return KeySources(root / "keys" / "vault.key", credentials, CHANGES_KEY, CHEAP, run)


def opened(root: Path, *, clock: Clock | None = None, keys: KeySources | None = None, **more: Any) -> SealedVault:
    return SealedVault.open(root / "vault", keys or sources(root), clock or Clock(), **more)


def files(root: Path) -> dict[str, bytes]:
    """Every file under a folder, by its path from there."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def found_in_clear(root: Path, *values: str) -> list[str]:
    """The files that hold one of the values, as it is or in a usual disguise."""
    import base64

    wanted = []
    for value in values:
        raw = value.encode()
        wanted += [raw, raw[::-1], raw.hex().encode(), base64.b64encode(raw).rstrip(b"=")[:-1]]
        wanted += [base64.b64encode(b"x" * skip + raw)[4:-4] for skip in (1, 2)]
    return [name for name, content in files(root).items() if any(word in content for word in wanted)]


class Killed(BaseException):
    """The process is ended here: no cleaning up runs."""


WRITES = ("rename", "fsync", "unlink", "write", "pwrite", "fchown")


class DyingOs:
    """The module `os`, until the n-th call that changes something."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.seen = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(os, name)
        if name == "open":
            return lambda path, flags, *rest, **more: (
                self._count() if flags & (os.O_CREAT | os.O_WRONLY) else None,
                found(path, flags, *rest, **more),
            )[1]
        if name in WRITES:
            return lambda *given, **more: (self._count(), found(*given, **more))[1]
        return found

    def _count(self) -> None:
        self.seen += 1
        if self.seen > self.left:
            raise Killed


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, left: int) -> Iterator[DyingOs]:
    """Within it, the vault's folder is cut off after `left` changing calls."""
    mortal = DyingOs(left)
    with monkeypatch.context() as patched:
        patched.setattr(folder_module, "os", mortal)
        yield mortal


def killed_everywhere(monkeypatch: pytest.MonkeyPatch, prepare: Callable[[], Callable[[], None]]) -> Iterator[int]:
    """Do it again and again, ended one step later each time, until it runs to its end. Yields after each ending."""
    for left in range(400):
        act = prepare()
        with dying(monkeypatch, left):
            try:
                act()
                return
            except Killed:
                pass
        yield left
    raise AssertionError("it never came to its end")
