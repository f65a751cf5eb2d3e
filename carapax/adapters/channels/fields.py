"""Fields of what a platform sent: each is looked at before anything is made of it.

Layer: adapters/channels; pure. Owns the bounds on ids and texts. Absent: what any field means.
Laws: nothing but Malformed is raised, whatever the bytes; a lone surrogate never gets further.
"""

from __future__ import annotations

import json
from typing import Any

from carapax.core.terms.error import Malformed

ID_CHARS = 512
MAX_TEXT_BYTES = 256 << 10
MAX_PARTS = 1_000
_REMOVED = dict.fromkeys([*(code for code in range(32) if code not in (9, 10)), 127, *range(128, 160)])


def parse_object(raw: bytes | str) -> dict[str, Any]:
    """A JSON object. Raises Malformed."""
    try:
        given = json.loads(raw)
    except (ValueError, RecursionError):
        raise Malformed("This is not JSON.") from None
    if not isinstance(given, dict):
        raise Malformed("This is JSON, but no object.")
    return given


def word(given: dict[str, Any], key: str, most_chars: int = ID_CHARS) -> str:
    """An id or another short printable text; "" when it is missing. Raises Malformed."""
    value = given.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most_chars or not value.isprintable():
        raise Malformed(f"The field {key!r} is no short text.")
    return value


def number(given: dict[str, Any], key: str) -> int | None:
    """A whole number that is not negative; None when it is missing. Raises Malformed."""
    value = given.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise Malformed(f"The field {key!r} is no count.")
    return value


def part(given: dict[str, Any], key: str) -> dict[str, Any]:
    """An object inside; an empty one when it is missing. Raises Malformed."""
    value = given.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"The field {key!r} is no object.")
    return value


def parts(given: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of objects, at most 1,000; what is no object is left out. Raises Malformed."""
    value = given.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_PARTS:
        raise Malformed(f"The field {key!r} is no list, or too long.")
    return [entry for entry in value if isinstance(entry, dict)]


def prose(given: dict[str, Any], key: str) -> str:
    """What a person wrote, made plain; "" when it is missing. Raises Malformed."""
    value = given.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(f"The field {key!r} is no text.")
    return plain(value)


def name(given: dict[str, Any], key: str, most_chars: int = 120) -> str:
    """A name that somebody chose: cut and on one line, never refused for how it looks."""
    value = given.get(key)
    return " ".join(plain(value[: most_chars * 4]).split())[:most_chars] if isinstance(value, str) else ""


def plain(text: str) -> str:
    """Text without control characters other than line ends and tabs, cut at 256 KiB."""
    kept = text[:MAX_TEXT_BYTES].replace("\r\n", "\n").translate(_REMOVED)
    # "replace" turns a lone surrogate into "?", and the cut may fall inside a character.
    return kept.encode("utf-8", "replace")[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
