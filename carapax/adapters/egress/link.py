"""The frames between the gateway and the proxy's process: length, JSON, and descriptors beside them.

Layer: adapters/egress. Pure but for packing descriptors. Owns the frame's bytes; both ends use it.
Absent: what a frame says (`keeper` and `proxy/service`).
Law: a frame over FRAME_BYTES or that is no JSON object ends the link, and with it everything that is open.
"""

from __future__ import annotations

import array
import json
import socket
from collections.abc import Iterator, Sequence
from typing import Any

FRAME_BYTES = 16 << 20
DESCRIPTORS = 4
"""Most descriptors beside one frame."""

Frame = dict[str, Any]


class BadFrame(Exception):
    """Bytes on the link that are no frame."""


def render_frame(frame: Frame) -> bytes:
    """Length and JSON. Raises BadFrame over the bound."""
    body = json.dumps(frame, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    if len(body) > FRAME_BYTES:
        raise BadFrame("a frame is too long")
    return len(body).to_bytes(4, "big") + body


def ancillary(descriptors: Sequence[int]) -> list[tuple[int, int, bytes]]:
    """Descriptors as they go beside a frame's first byte."""
    if not descriptors:
        return []
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())]


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Some bytes and the descriptors beside them. Raises OSError, BlockingIOError."""
    room = socket.CMSG_SPACE(DESCRIPTORS * array.array("i").itemsize)
    content, beside, _, _ = sock.recvmsg(262_144, room, socket.MSG_CMSG_CLOEXEC)
    found = array.array("i")
    for level, kind, packed in beside:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(packed[: len(packed) - len(packed) % found.itemsize])
    return content, list(found)


class Frames:
    """Collects bytes and gives out whole frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, content: bytes) -> Iterator[Frame]:
        """The frames that are whole now. Raises BadFrame."""
        self._held += content
        while len(self._held) >= 4:
            size = int.from_bytes(self._held[:4], "big")
            if size > FRAME_BYTES:
                raise BadFrame("a frame is too long")
            if len(self._held) < 4 + size:
                return
            body = bytes(self._held[4 : 4 + size])
            del self._held[: 4 + size]
            yield _parsed(body)


def _parsed(body: bytes) -> Frame:
    try:
        frame = json.loads(body)
    except ValueError:
        raise BadFrame("a frame is no JSON") from None
    if not isinstance(frame, dict):
        raise BadFrame("a frame is no object")
    return frame
