"""Wire: what goes into a restored machine and what comes out, as bytes. Pure.

Layer: adapters/sandbox/vm. Owns the job's message, the frames that answer it, and the records of a workspace's copy.
Absent: reading or writing any file (`copy`).
Law: what comes out was written by an enemy: every length and every path is checked before it is used, and a wrong
one is Malformed, never a guess.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from carapax.core.terms.error import Malformed

SEED_BYTES = 64
MAX_FRAME_BYTES = 1 << 20
MAX_NAME_BYTES = 255
MAX_DEPTH = 64
MAX_TARGET_BYTES = 4_095
_FRAME = struct.Struct(">cI")
_HEAD = struct.Struct(">cIQ")
_PERMISSIONS = 0o777


@dataclass(frozen=True, slots=True)
class Record:
    """One thing of a workspace: a folder ("d"), a file ("f") or a link ("l")."""

    kind: str
    path: bytes
    mode: int
    changed_ns: int
    content: bytes = b""  # of a file; a link's target


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Numbers that the guest enforces inside."""

    memory_bytes: int
    processes: int
    tmp_bytes: int
    shm_bytes: int
    file_bytes: int
    open_files: int


@dataclass(frozen=True, slots=True)
class Order:
    """Everything one restored machine is told."""

    argv: Sequence[str]
    variables: Mapping[str, str]
    mount: str  # "n", "r", "w"
    ceilings: Ceilings
    filter: bytes
    files: Mapping[str, bytes]  # below /etc
    stdin: bytes = b""
    archive: bytes = b""
    interpreter: str = ""
    library: str = ""
    way: bool = False


def _bytes(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _text(value: str) -> bytes:
    return _bytes(value.encode("utf-8", "surrogateescape"))


def render_seed(fresh: bytes, now_ns: int) -> bytes:
    """The first word to a copy: fresh random bytes and the time. Raises ValueError for any other number of bytes."""
    if len(fresh) != SEED_BYTES:
        raise ValueError("a seed has a fixed length")
    return fresh + struct.pack(">Q", now_ns)


def render_order(order: Order) -> bytes:
    """The job's message, its length first."""
    limits = order.ceilings
    words = [
        order.mount.encode("ascii") + bytes((bool(order.library), order.way)),
        struct.pack(">6Q", limits.memory_bytes, limits.processes, limits.tmp_bytes, limits.shm_bytes,
                    limits.file_bytes, limits.open_files),
        _text(order.interpreter),
        _text(order.library),
        *_texts(order.argv),
        *_texts([f"{name}={value}" for name, value in order.variables.items()]),
        _bytes(order.filter),
        _bytes(_files(order.files)),
        _bytes(order.stdin),
        _bytes(order.archive),
    ]  # fmt: skip
    return _bytes(b"".join(words))


def _texts(values: Sequence[str]) -> Iterator[bytes]:
    yield struct.pack(">I", len(values))
    yield from map(_text, values)


def _files(files: Mapping[str, bytes]) -> bytes:
    rows = (_text(name) + _bytes(content) for name, content in files.items())
    return struct.pack(">I", len(files)) + b"".join(rows)


class Frames:
    """Cuts what a machine says into (kind, content). Raises Malformed for a frame that no guest of ours sends."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, piece: bytes) -> Iterator[tuple[str, bytes]]:
        """The frames that are complete with this piece."""
        self._held += piece
        while len(self._held) >= _FRAME.size:
            kind, length = _FRAME.unpack_from(self._held)
            if kind not in (b"R", b"O", b"W", b"E", b"F") or length > MAX_FRAME_BYTES:
                raise Malformed("the machine said something that is no frame")
            if len(self._held) < _FRAME.size + length:
                return
            content = bytes(self._held[_FRAME.size : _FRAME.size + length])
            del self._held[: _FRAME.size + length]
            yield kind.decode("ascii"), content


def render_archive(records: Sequence[Record]) -> bytes:
    """A workspace's copy; parents stand before what lies in them."""
    return b"".join((*map(_record, records), b"z"))


def _record(record: Record) -> bytes:
    head = _HEAD.pack(record.kind.encode("ascii"), record.mode & _PERMISSIONS, record.changed_ns)
    return head + _bytes(record.path) + _bytes(record.content)


def parse_archive(data: bytes, most: int) -> tuple[Record, ...]:
    """The records of a copy that came out of a machine, at most `most`. Raises Malformed."""
    found: list[Record] = []
    seen: dict[bytes, str] = {b"": "d"}
    at = 0
    while data[at : at + 1] != b"z":
        if len(found) >= most:
            raise Malformed("the machine's workspace holds too many files")
        record, at = _parse_record(data, at)
        parent = record.path.rpartition(b"/")[0]
        if record.path in seen or seen.get(parent) != "d":
            raise Malformed("the machine's workspace names a file twice, or one that lies in no folder")
        seen[record.path] = record.kind
        found.append(record)
    if at + 1 != len(data):
        raise Malformed("the machine's workspace goes on after its end")
    return tuple(found)


def _parse_record(data: bytes, at: int) -> tuple[Record, int]:
    try:
        kind, mode, changed_ns = _HEAD.unpack_from(data, at)
    except struct.error as error:
        raise Malformed("the machine's workspace ends early") from error
    path, at = _parse_bytes(data, at + _HEAD.size)
    content, at = _parse_bytes(data, at)
    if kind not in (b"d", b"f", b"l") or mode & ~_PERMISSIONS or (kind == b"d" and content):
        raise Malformed("the machine's workspace holds something that is no file, folder or link")
    if kind == b"l" and (not content or b"\0" in content or len(content) > MAX_TARGET_BYTES):
        raise Malformed("the machine's workspace holds a link to nothing")
    _verify_path(path)
    return Record(kind.decode("ascii"), path, mode, changed_ns, content), at


def _parse_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    try:
        (length,) = struct.unpack_from(">I", data, at)
    except struct.error as error:
        raise Malformed("the machine's workspace ends early") from error
    value = data[at + 4 : at + 4 + length]
    if len(value) != length:
        raise Malformed("the machine's workspace ends early")
    return value, at + 4 + length


def _verify_path(path: bytes) -> None:
    parts = path.split(b"/")
    plain = all(part not in (b"", b".", b"..") and len(part) <= MAX_NAME_BYTES and b"\0" not in part for part in parts)
    if not plain or len(parts) > MAX_DEPTH:
        raise Malformed("the machine's workspace names a path that is not plain")
