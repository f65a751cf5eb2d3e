"""What a text says under its encodings: base64, hex, URL encoding, escapes, reversed, split by spaces or lines.

Layer: adapters/scan/outgoing. Owns the decoding before rules are applied. Absent: compression and ciphers.
Laws: never raises; at most MAX_LEVELS deep and MAX_DECODED_CHARS in all, whatever the text.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from urllib.parse import unquote

MAX_LEVELS = 2
"""Encodings inside encodings that are undone."""

MAX_DECODED_CHARS = 2_000_000
"""Of all decoded pieces together."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_\-]{16,}+={0,2}(?:(?:\s*\n\s*|\\n)[A-Za-z0-9+/_\-]{4,}+={0,2})*+")
_HEX = re.compile(r"(?:(?:0x|\\x)?[0-9a-fA-F]{2}[\s:,]?){10,}+")
_ESCAPES = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")
_HEX_EXTRA = re.compile(r"0x|\\x|[\s:,]")
_JOINS = re.compile(r"[\"'`][\s\\]*[+.,&]?[\s\\]*[\"'`]")
_SPACE = re.compile(
    r"[\s\u00ad\u034f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufe00-\ufe0f\U000e0000-\U000e01ff]+"
)
_PRINTED = bytes((9, 10, 13, *range(32, 127)))
_LOOK = 400  # of a piece, to tell whether it reads


@dataclass(frozen=True, slots=True)
class View:
    """One reading of a text. `loose` readings are no longer words: only exact formats may be looked for in them."""

    text: str
    loose: bool = False


def views(text: str) -> Iterator[View]:
    """The text itself, then what is found under its encodings, bounded."""
    left = MAX_DECODED_CHARS
    level = [text]
    for depth in range(MAX_LEVELS + 1):
        following: list[str] = []
        for each in map(_whole_characters, level):
            yield View(each)
            squeezed = squeeze(each)
            if squeezed != each:
                yield View(squeezed, loose=True)
            yield View(squeezed[::-1], loose=True)
            if depth < MAX_LEVELS:
                for piece in (*_decoded(each), *(_base64_pieces(squeezed) if squeezed != each else ())):
                    if left <= 0:
                        break
                    following.append(piece[:left])
                    left -= len(piece)
        level = list(dict.fromkeys(following))


def _whole_characters(text: str) -> str:
    # RE2 reads UTF-8, which has no half of a surrogate pair.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def squeeze(text: str) -> str:
    """The text without white space, invisible characters, and the quotes that join pieces of a string."""
    return _SPACE.sub("", _JOINS.sub("", text))


def _decoded(text: str) -> Iterator[str]:
    if "%" in text and (plain := unquote(text)) != text:
        yield plain
    if "&" in text and (plain := unescape(text)) != text:
        yield plain
    if "\\" in text and (plain := _ESCAPES.sub(lambda m: chr(int(m.group(1) or m.group(2), 16)), text)) != text:
        yield plain
    pieces = [*_base64_pieces(text), *_hex_pieces(text)]
    if pieces:
        # One piece a line: a secret cut into several encoded pieces is found squeezed.
        yield "\n".join(pieces)


def _base64_pieces(text: str) -> Iterator[str]:
    for found in _BASE64.finditer(text):
        whole = found.group()
        if whole.isalpha() and (whole.islower() or whole.isupper()):
            continue  # a word; encoded text mixes cases
        if "\n" in whole or "\\" in whole:
            whole = re.sub(r"\s|\\n|=", "", whole)
        whole = whole.replace("-", "+").replace("_", "/").rstrip("=")
        for start in range(4):
            # The start of a run may not be the start of what was encoded.
            if _is_readable(_unbase64(whole[start : start + _LOOK])) and (said := _readable(_unbase64(whole[start:]))):
                yield said


def _unbase64(text: str) -> bytes:
    text = text[:-1] if len(text) % 4 == 1 else text
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""


def _hex_pieces(text: str) -> Iterator[str]:
    for found in _HEX.finditer(text):
        digits = _HEX_EXTRA.sub("", found.group())
        try:
            said = _readable(bytes.fromhex(digits[: len(digits) & ~1]))
        except ValueError:
            continue
        if said:
            yield said


def _readable(octets: bytes) -> str:
    if not _is_readable(octets[:_LOOK]):
        return ""
    return octets.decode("utf-16-le" if octets[1:2] == b"\0" else "utf-8", "replace")


def _is_readable(octets: bytes) -> bool:
    # What decodes to binary is a picture, a hash or a key's bytes: nothing a rule could read.
    if octets[1:2] == b"\0":
        octets = octets[::2]
    unprinted = len(octets.translate(None, _PRINTED))
    return len(octets) - unprinted >= 8 and unprinted * 5 <= len(octets)
