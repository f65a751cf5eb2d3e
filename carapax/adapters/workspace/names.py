"""File names as text that can be shown, recorded and read back: any byte sequence, reversibly.

Layer: adapters/workspace. A name inside is Python's file-system text (invalid UTF-8 as surrogates); a rendered path is
plain Unicode: backslash doubled, a raw byte as \\xNN, an invisible or direction-changing character as \\u{N}.
A folder's rendered path ends with "/". Pure.
Laws: parse_path(render_path(p)) == p; a rendered path has no control, bidirectional or surrogate character.
"""

from __future__ import annotations

import os
import re
import unicodedata

from carapax.core.terms.error import Malformed

_ESCAPE = re.compile(r"\\(?:(\\)|x([0-9a-f]{2})|u\{([0-9a-f]{1,6})\})")
_ODD_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def render_path(path: str, *, folder: bool = False) -> str:
    """The showable form of a file-system path."""
    shown = path if path.isascii() and path.isprintable() and "\\" not in path else "".join(map(_render_char, path))
    return shown + "/" if folder else shown


def _render_char(char: str) -> str:
    if char == "\\":
        return "\\\\"
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: one byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if unicodedata.category(char) in _ODD_CATEGORIES:
        return f"\\u{{{code:x}}}"
    return char


def parse_path(shown: str) -> str:
    """The file-system path of a rendered one. Raises Malformed for what `render_path` never makes."""
    bare = shown.removesuffix("/")
    try:
        path = os.fsdecode(_raw_bytes(bare))
    except (UnicodeEncodeError, ValueError, OverflowError) as error:
        raise Malformed("a recorded path cannot be read") from error
    if any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
        raise Malformed("a recorded path leads outside the workspace")
    return path


def _raw_bytes(bare: str) -> bytes:
    out: list[bytes] = []
    place = 0
    while place < len(bare):
        if bare[place] != "\\":
            end = bare.find("\\", place)
            end = len(bare) if end < 0 else end
            out.append(bare[place:end].encode("utf-8"))
            place = end
            continue
        match = _ESCAPE.match(bare, place)
        if match is None:
            raise ValueError("a lone backslash")
        slash, byte, code = match.groups()
        out.append(b"\\" if slash else bytes([int(byte, 16)]) if byte else chr(int(code, 16)).encode("utf-8"))
        place = match.end()
    return b"".join(out)
