"""Where an argument's value came from: exact matching of whole words, never of parts of words.

Layer: core/flow. Absent: any closeness or similarity; a look-alike is a different value.
Laws: an empty value never matches; adding words to the owner's text never un-matches a value.
"""

from __future__ import annotations

import re
import unicodedata

_JOINS = r"\w@%+~#=&/\\"
"""Characters that continue a word: a path or an address is matched whole or not at all."""

INVISIBLE = frozenset({"Cf", "Co", "Cn", "Cs"})
"""Unicode categories that do not show: format (bidi, zero width, tags), private, unassigned, surrogates."""


def in_owner_words(value: str, owner_words: str) -> bool:
    """Whether the value stands in the owner's text as a whole word or phrase, character for character."""
    wanted = value.strip()
    if not wanted:
        return False
    # A dot or a hyphen joins only when a word goes on after it: "hello.py." ends at the "y".
    before, after = rf"(?<![{_JOINS}])(?<!\w[.\-:])", rf"(?![{_JOINS}])(?![.\-:]\w)"
    return re.search(before + re.escape(wanted) + after, owner_words) is not None


def hidden_characters(text: str) -> tuple[str, ...]:
    """The invisible characters of a text, as code points in order of first appearance; controls but tab and newline too."""
    found = dict.fromkeys(
        c
        for c in text
        if c not in "\n\t\r" and (unicodedata.category(c) in INVISIBLE or unicodedata.category(c) == "Cc")
    )
    return tuple(f"U+{ord(c):04X}" for c in found)
