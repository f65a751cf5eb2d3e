"""A call in a few words, for steps and cards: one line, at most 80 characters, nothing invisible.

Layer: adapters/tools. Pure. Control, bidirectional and other invisible characters are shown as escapes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

SUMMARY_CHARS = 80
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    """The text with every character that cannot be seen as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible_char, text))


def _visible_char(char: str) -> str:
    if unicodedata.category(char) in _INVISIBLE:
        return char.encode("unicode_escape").decode("ascii")
    return char


def one_line(text: str, limit: int = SUMMARY_CHARS) -> str:
    """The visible text, cut in the middle when it is longer: both ends of a command matter."""
    shown = visible(text[: limit * 2] + text[max(limit * 2, len(text) - limit * 2) :])
    if len(shown) <= limit:
        return shown
    head = (limit - 3) * 2 // 3
    return f"{shown[:head]} … {shown[len(shown) - (limit - 3 - head) :]}"


def text_of(arguments: Mapping[str, object], name: str) -> str:
    """A text argument, "" when it is absent or of another type."""
    value = arguments.get(name, "")
    return value if isinstance(value, str) else ""
