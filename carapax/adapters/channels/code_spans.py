"""Where Markdown is certainly code: there a text stays as it is, everywhere else it is made harmless.

Layer: adapters/channels; pure. Absent: what is code in some dialects only (deep indents, doubled backticks, tildes).
Law: in doubt it is prose, so what a platform takes for prose was never passed over as code.
Source: spec.commonmark.org 0.31, fenced code blocks and code spans.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_FENCE = r"^ {0,3}```[^`\n]*\n(?:.*\n)*?(?: {0,3}```[ \t]*$|.*\Z)"
_SPAN = r"(?<![`\\])`[^`\n]+`(?!`)"
_CODE = re.compile(f"{_FENCE}|{_SPAN}", re.MULTILINE)


def change_around_code(text: str, prose: Callable[[str], str], code: Callable[[str], str] = lambda span: span) -> str:
    """The text with its prose and its code changed by these."""
    out: list[str] = []
    at = 0
    for found in _CODE.finditer(text):
        out += [prose(text[at : found.start()]), code(found.group())]
        at = found.end()
    return "".join([*out, prose(text[at:])])
