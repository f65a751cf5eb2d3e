"""Taking a secret out of what comes back, also when it is split over chunks.

Layer: adapters/egress. Owns exact matching only; encoded forms (base64, hex, URL) are absent here and belong to the
egress proxy. A replacement is as long as the secret, so lengths promised in headers stay true.
Law: the output never contains the secret, and without it input and output are the same bytes.
"""

from __future__ import annotations


class Scrubber:
    """Replaces one secret in a stream of bytes. Holds back at most what could be the secret's beginning."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._mask = b"*" * len(secret)
        self._held = b""

    def __repr__(self) -> str:
        return "Scrubber()"

    def feed(self, chunk: bytes) -> bytes:
        """What may go on now."""
        if not self._secret:
            return chunk
        whole = (self._held + chunk).replace(self._secret, self._mask)
        keep = _overlap(whole, self._secret)
        self._held = whole[len(whole) - keep :]
        return whole[: len(whole) - keep]

    def flush(self) -> bytes:
        """The rest, at the end of the stream."""
        rest, self._held = self._held, b""
        return rest


def _overlap(text: bytes, secret: bytes) -> int:
    # The longest proper beginning of the secret with which the text ends.
    for size in range(min(len(text), len(secret) - 1), 0, -1):
        if text.endswith(secret[:size]):
            return size
    return 0
