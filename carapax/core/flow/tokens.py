"""Words of a text, the one way they are cut everywhere: casefolded runs of letters and digits.

Layer: core/flow. Absent: meaning, stemming, any closeness.
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def tokens(text: str) -> tuple[str, ...]:
    """The words in order, NFC, casefolded; punctuation and underscores part them, an apostrophe inside does not."""
    return tuple(word.casefold().replace("’", "'") for word in _WORD.findall(unicodedata.normalize("NFC", text)))


def find_phrase(phrase: tuple[str, ...], words: tuple[str, ...]) -> int:
    """Where the phrase first stands as consecutive words; -1 when nowhere or when it is empty."""
    size = len(phrase)
    if not size:
        return -1
    return next((i for i in range(len(words) - size + 1) if words[i : i + size] == phrase), -1)
