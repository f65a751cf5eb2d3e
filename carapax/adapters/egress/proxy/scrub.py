"""Taking secrets out of what comes back, in every usual disguise and also when split over chunks.

Layer: adapters/egress/proxy. Owns the replacement: as long as what it replaces, so that lengths stay true.
Absent: answers in a content encoding; they are asked for plain, and refused otherwise.
Laws: the output holds no form of a secret; without one, input and output are the same bytes; only what could be the
beginning of a form is held back, so a stream of events is not delayed.
"""

from __future__ import annotations

from collections.abc import Iterable

from carapax.adapters.egress.proxy.disguise import any_of, forms_of


class Scrubber:
    """Replaces every form of some values in a stream of bytes. `hits` counts what was taken out."""

    def __init__(self, values: Iterable[bytes]) -> None:
        forms = sorted({form for value in values for form in forms_of(value)}, key=len, reverse=True)
        self._pattern = any_of(forms)
        self._beginnings = frozenset(form[:size] for form in forms for size in range(1, len(form)))
        self._longest = len(forms[0]) if forms else 0
        self._held = b""
        self.hits = 0

    def __repr__(self) -> str:
        return "Scrubber()"

    def feed(self, chunk: bytes) -> bytes:
        """What may go on now."""
        if self._pattern is None:
            return chunk
        whole = self.clean(self._held + chunk)
        keep = self._overlap(whole)
        self._held = whole[len(whole) - keep :]
        return whole[: len(whole) - keep]

    def flush(self) -> bytes:
        """The rest, at the end of the stream."""
        rest, self._held = self._held, b""
        return rest

    def clean(self, content: bytes) -> bytes:
        """Some bytes by themselves, scrubbed."""
        if self._pattern is None:
            return content
        if self._pattern.search(content) is None:
            return content
        cleaned, hits = self._pattern.subn(lambda found: b"*" * len(found[0]), content)
        self.hits += hits
        return bytes(cleaned)

    def _overlap(self, text: bytes) -> int:
        # The longest beginning of a form with which the text ends.
        for size in range(min(len(text), self._longest - 1), 0, -1):
            if text[-size:] in self._beginnings:
                return size
        return 0
