"""A placeholder in a stream of any protocol: put the secret in, as written and inside base64 words.

Layer: adapters/egress/proxy. Pure. Absent: what the stream means, and when held bytes are let go by time (`line`).
Laws: what goes on does not depend on how the stream was cut; only what could be the beginning of a placeholder is held
back; behind WINDOW_BYTES nothing is held or changed any more, and a placeholder there is an error.
"""

from __future__ import annotations

import base64
import re

from carapax.adapters.egress.scrub import overlap
from carapax.adapters.egress.swap import Misplaced

WINDOW_BYTES = 65_536
"""Within so many bytes a service is told its credential."""

_RUN = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_LAST_RUN = re.compile(rb"[A-Za-z0-9+/]+={0,2}\Z")
_SIXES = {char: format(at, "06b") for at, char in enumerate(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}  # fmt: skip


class StreamSwap:
    """Feed it what is written. A word of base64 is decoded from where its run of characters begins."""

    def __init__(self, word: bytes, value: bytes) -> None:
        self._word = word
        self._value = value
        self._bits = "".join(format(octet, "08b") for octet in word)
        self._held = b""
        self._phase = 0  # characters of a run that went on before what is held, modulo 4
        self._left = WINDOW_BYTES

    def __repr__(self) -> str:
        return "StreamSwap()"

    @property
    def holds(self) -> bool:
        """Whether something waits for what comes next."""
        return self._left > 0 and bool(self._held)

    def feed(self, content: bytes) -> bytes:
        """What may go on now. Raises Misplaced."""
        inside, beyond = content[: self._left], content[self._left :]
        out = b""
        if inside:
            self._left -= len(inside)
            out = self._passed(self._held + inside)
            if not self._left:
                out += self._held  # still looked at, but it does not wait
        if beyond:
            self._passed(self._held + beyond, late=True)
            out += beyond
        return out

    def flush(self) -> bytes:
        """What is held, as it is: nothing more comes, or it has waited long enough."""
        if not self.holds:
            return b""
        return self._passed(self._held, final=True)

    def _passed(self, text: bytes, *, late: bool = False, final: bool = False) -> bytes:
        out = bytearray()
        at = 0
        while (found := text.find(self._word, at)) >= 0:
            self._check(late)
            out += self._runs(text[at:found], late) + self._value
            at, self._phase = found + len(self._word), 0
        tail = text[at:]
        cut = len(tail) if final else min(len(tail) - overlap(tail, self._word), self._run_kept(tail, late))
        self._held = tail[cut:]
        out += self._runs(tail[:cut], late)
        self._phase = self._phase_after(tail[:cut])
        return bytes(out)

    def _check(self, late: bool) -> None:
        if late:
            raise Misplaced(f"a placeholder stands behind the first {WINDOW_BYTES} bytes")

    def _phase_after(self, passed: bytes) -> int:
        run = _LAST_RUN.search(passed)
        if run is None:
            return self._phase if not passed else 0
        return ((self._phase if run.start() == 0 else 0) + len(run[0])) % 4 if not run[0].endswith(b"=") else 0

    def _runs(self, text: bytes, late: bool) -> bytes:
        """Some text whose runs are whole, with those that hold the word written anew."""
        out = bytearray()
        at = 0
        for run in _RUN.finditer(text):
            phase = self._phase if run.start() == 0 else 0
            if (phase + len(run[0])) * 6 >= len(self._bits) and (anew := self._anew(run[0], phase, late)) is not None:
                out += text[at : run.start()] + anew
                at = run.end()
        return bytes(out + text[at:])

    def _anew(self, run: bytes, phase: int, late: bool) -> bytes | None:
        bare = run.rstrip(b"=")
        content = _decoded(bare, phase)
        if self._word not in content:
            return None
        self._check(late)
        if (phase + len(bare)) % 4 == 1:
            raise Misplaced("a placeholder stands in a word that is no base64")
        written = base64.b64encode(content.replace(self._word, self._value))[phase:]
        unpadded = bare == run and (phase + len(run)) % 4
        return written.rstrip(b"=") if unpadded else written

    def _run_kept(self, tail: bytes, late: bool) -> int:
        """From where on the last run has to wait: it holds the word and is not over, or could still come to hold it."""
        found = _LAST_RUN.search(tail)
        if found is None:
            return len(tail)
        phase = self._phase if found.start() == 0 else 0
        bare = found[0].rstrip(b"=")
        at = _decoded(bare, phase).find(self._word)
        if at >= 0:
            self._check(late)
            return found.start() + at * 8 // 6 - phase
        if bare != found[0]:
            return len(tail)
        return found.start() + self._beginning(bare, phase)

    def _beginning(self, bare: bytes, phase: int) -> int:
        """The index in a run at which what could become the word begins; its length when nothing could."""
        known = phase + len(bare)
        first = max(0, known - len(self._bits) // 6 - 4) // 4 * 4
        skipped = max(0, first - phase)
        bits = "0" * (6 * max(0, phase - first)) + "".join(_SIXES[char] for char in bare[skipped:])
        for start in range(0, len(bits), 8):
            if start >= 6 * max(0, phase - first) and self._bits.startswith(bits[start:]):
                return first + start // 6 - phase
        return len(bare)


def _decoded(bare: bytes, phase: int) -> bytes:
    """The whole bytes of a run; the characters that went on before count as zeros, which no word begins with."""
    whole = b"A" * phase + bare
    size = len(whole) * 6 // 8
    return base64.b64decode(whole + b"A" * (-len(whole) % 4))[:size]
