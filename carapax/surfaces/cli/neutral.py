"""Neutralising text before it reaches a terminal: nothing a model, a tool or a file says can drive it.

Layer: surfaces/cli; pure. Control characters (so also every escape sequence), bidirectional overrides, invisible
and tag characters become visible: `\\x1b`, `<U+202E>`. Line feeds and tabs stay.
Source: Unicode TR 36 (security considerations), Trojan Source (CVE-2021-42574).
Law: the result holds no C0 or C1 control but line feed and tab, and nothing invisible of the ranges below.
"""

from __future__ import annotations

import re

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff"
)
# Zero-width joiners are part of ordinary emoji and of several scripts, so they stay visible only where it is strict.
_LOOSE = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_INVISIBLE}]")
_STRICT = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_INVISIBLE}\u200c\u200d\ufe00-\ufe0e]")


def _shown(match: re.Match[str]) -> str:
    point = ord(match.group())
    return f"\\x{point:02x}" if point < 0xA0 else f"<U+{point:04X}>"


def neutralise(text: str, *, strict: bool = False) -> str:
    """Text that is harmless on a terminal. `strict` also shows joiners: for what a person approves."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return (_STRICT if strict else _LOOSE).sub(_shown, text)


def one_line(text: str, *, strict: bool = False) -> str:
    """The same on a single line: line feeds become a visible `\\n`, tabs a space."""
    return neutralise(text, strict=strict).replace("\n", "\\n").replace("\t", " ")
