"""What the hint's model sees of a text: hashed words, pairs and triples of words, and pieces of words.

Layer: adapters/scan/injection. Shared by the hint and by the training script, so that both see the same.
Absent: any list of suspicious phrases; which features weigh is learned.
Laws: equal texts give equal features on every machine (CRC-32, not Python's seeded hash).
"""

from __future__ import annotations

from itertools import pairwise
from zlib import crc32

from carapax.core.flow.tokens import tokens

BUCKETS = 1 << 15
"""Features are hashed into so many weights."""

WINDOW_WORDS = 18
"""A text is looked at in pieces of so many words: an instruction must not drown in a long mail."""

STEP_WORDS = 9


def windows(text: str) -> list[tuple[str, ...]]:
    """The text's words in overlapping pieces, in order."""
    words = tokens(text)
    last = max(len(words) - STEP_WORDS, 1)
    return [words[start : start + WINDOW_WORDS] for start in range(0, last, STEP_WORDS)] if words else []


def features(words: tuple[str, ...]) -> list[int]:
    """The buckets of one piece, each once, in order."""
    named = [f"1{word}" for word in words]
    named += [f"2{a} {b}" for a, b in pairwise(words)]
    named += [f"3{a} {b} {c}" for a, b, c in zip(words, words[1:], words[2:], strict=False)]
    for word in words:
        if len(word) > 4:
            padded = f"<{word[:20]}>"
            named += [f"4{padded[i : i + 4]}" for i in range(len(padded) - 3)]
    return sorted({crc32(name.encode("utf-8", "replace")) % BUCKETS for name in named})
