"""Kept bytes: one file per SHA-256, in sharded folders outside the workspace, readable by the gateway's user only.

Layer: adapters/workspace. A blob is written beside its place and renamed, so a half-written one is never found; it is
verified when read, so a damaged one counts as lost. Which blobs are needed is the index's knowledge.
Absent: fsync per blob; a killed process loses nothing, a power cut may lose the newest, and the check on reading tells.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Container
from pathlib import Path

from carapax.core.terms.ids import Digest

ORPHAN_AGE_NS = 3_600 * 10**9  # a file younger than this may belong to a write that is not recorded yet


def digest_of(content: bytes) -> Digest:
    """Lower-case hex SHA-256."""
    return Digest(hashlib.sha256(content).hexdigest())


class BlobStore:
    """A folder of blobs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shards: set[str] = set()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, digest: Digest, content: bytes) -> None:
        """Keep the bytes under their digest. Raises OSError (disk full); then nothing is found under it."""
        place = self._place(digest)
        if place.parent.name not in self._shards:
            place.parent.mkdir(mode=0o700, exist_ok=True)
            self._shards.add(place.parent.name)
        temporary = place.parent / f"{secrets.token_hex(8)}.part"
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                view = memoryview(content)
                while view:
                    view = view[os.write(fd, view) :]
            finally:
                os.close(fd)
            os.rename(temporary, place)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def find(self, digest: Digest) -> bytes | None:
        """The verified bytes, or None when they are missing or damaged."""
        try:
            content = self._place(digest).read_bytes()
        except OSError:
            return None
        return content if digest_of(content) == digest else None

    def has(self, digest: Digest) -> bool:
        return self._place(digest).is_file()

    def drop(self, digest: Digest) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._place(digest).unlink()

    def sweep(self, known: Container[str], now_ns: int) -> None:
        """Remove files that no record knows and that are older than an hour: left by a killed write."""
        for shard in self._folder.iterdir():
            for blob in shard.iterdir():
                name = shard.name + blob.name
                if name not in known and now_ns - blob.stat().st_mtime_ns > ORPHAN_AGE_NS:
                    with contextlib.suppress(FileNotFoundError):
                        blob.unlink()

    def _place(self, digest: Digest) -> Path:
        return self._folder / digest[:2] / digest[2:]
