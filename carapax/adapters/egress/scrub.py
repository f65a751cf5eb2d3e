"""Taking secrets out of what comes back, also when one is split over chunks.

Layer: adapters/egress. Owns exact matching only; which forms of a secret there are is the caller's business.
A replacement is as long as what it replaces, so lengths promised in headers stay true.
Law: the output never contains one of them, and without any input and output are the same bytes.
"""

from __future__ import annotations


class Scrubber:
    """Replaces some values in a stream of bytes. Holds back at most what could be the beginning of one."""

    def __init__(self, *values: bytes) -> None:
        self._values = sorted({value for value in values if value}, key=len, reverse=True)
        self._held = b""
        self.hits = 0

    def __repr__(self) -> str:
        return "Scrubber()"

    @property
    def holds(self) -> bool:
        """Whether something waits for what comes next."""
        return bool(self._held)

    def feed(self, chunk: bytes) -> bytes:
        """What may go on now."""
        if not self._values:
            return chunk
        whole = self._held + chunk
        for value in self._values:
            if found := whole.count(value):
                self.hits += found
                whole = whole.replace(value, b"*" * len(value))
        keep = max(overlap(whole, value) for value in self._values)
        self._held = whole[len(whole) - keep :]
        return whole[: len(whole) - keep]

    def flush(self) -> bytes:
        """The rest, at the end of the stream."""
        rest, self._held = self._held, b""
        return rest


def overlap(text: bytes, word: bytes) -> int:
    """The length of the longest proper beginning of `word` with which `text` ends."""
    for size in range(min(len(text), len(word) - 1), 0, -1):
        if text.endswith(word[:size]):
            return size
    return 0
