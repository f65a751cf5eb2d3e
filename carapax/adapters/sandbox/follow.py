"""Follow: read what a running job writes, bounded, until it ends by itself or meets a limit. Blocking.

Layer: adapters/sandbox; for tiers whose job is one spawned process and one pipe. Absent: ending anything.
Laws: at most the ceiling of output is kept, and what passes it is seen; no wait is longer than its deadline.
"""

from __future__ import annotations

import os
import select
import time

_CHUNK_BYTES = 65_536


class Output:
    """The reading end of a job's one output pipe. The descriptor stays the caller's to close."""

    def __init__(self, descriptor: int, ceiling: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self._ceiling = ceiling
        self._kept = bytearray()
        self.over = False  # more was written than may be kept

    @property
    def kept(self) -> bytes:
        """What was read, up to the ceiling."""
        return bytes(self._kept)

    def read(self) -> bool:
        """Take one piece; False at its end or when there is none now."""
        try:
            piece = os.read(self.descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        room = self._ceiling - len(self._kept)
        self._kept += piece[:room]
        self.over = self.over or len(piece) > room
        return bool(piece)

    def drain(self) -> None:
        """Take what was written before the end, up to the ceiling."""
        while not self.over and self.read():
            continue


def follow(output: Output, process: int, deadline: float, cancelled: int) -> str:
    """Read until the process (a pidfd) ends by itself ("") or meets a limit ("time", "output"); cancelled is "time".

    `deadline` is on the monotonic clock, in seconds.
    """
    waiting = select.poll()
    for descriptor in (output.descriptor, process, cancelled):
        waiting.register(descriptor, select.POLLIN)
    while (left_ms := (deadline - time.monotonic()) * 1000) > 0:
        ready = {descriptor for descriptor, _ in waiting.poll(left_ms)}
        if cancelled in ready:
            return "time"
        if output.descriptor in ready and not output.read():
            waiting.unregister(output.descriptor)
        if output.over:
            return "output"
        if process in ready:
            return ""
    return "time"


def wait_ready(descriptor: int, within_ms: float) -> bool:
    """True when the descriptor turns readable within the time."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(max(within_ms, 0)))
