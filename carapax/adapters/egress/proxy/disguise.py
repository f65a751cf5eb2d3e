"""A value in every usual disguise, and looking for it in bytes that leave or come back.

Layer: adapters/egress/proxy. Pure. Owns exact forms: as it is, reversed, base16, base32, base64 at any alignment, escaped.
Absent: ciphers, compression (undone by the caller) and one's own alphabets. Values under MIN_BYTES have no forms, as
they would be found by chance.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote_to_bytes

import re2  # type: ignore[import-untyped]

MIN_BYTES = 6
PATTERN_BYTES = 33_554_432
"""What a pattern may use while it searches; over it, it is slower and as right."""


def forms_of(value: bytes) -> tuple[bytes, ...]:
    """The forms that tell of a value, the longest first."""
    if len(value) < MIN_BYTES:
        return ()
    return tuple(sorted(dict.fromkeys(_forms(value)), key=len, reverse=True))


def _forms(value: bytes) -> Iterator[bytes]:
    for each in (value, value[::-1]):
        yield each
        yield each.hex().encode()
        yield each.hex().upper().encode()
        yield "".join(f"%{octet:02x}" for octet in each).encode()
        yield "".join(f"%{octet:02X}" for octet in each).encode()
        yield "".join(f"\\x{octet:02x}" for octet in each).encode()
        yield "".join(f"\\u{octet:04x}" for octet in each).encode()
        yield from base64_forms(each)
    yield quote(value, safe="").encode()
    yield quote_plus(value, safe="").encode()
    yield json.dumps(value.decode("latin-1"))[1:-1].encode()
    yield value.replace(b"/", b"\\/")
    yield from _base32_forms(value)
    if value.swapcase() != value:
        yield value.upper()
        yield value.lower()


def base64_forms(value: bytes) -> Iterator[bytes]:
    """What stands of a value in base64 of something that holds it, at every alignment, in both alphabets."""
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + value)
        # The first and last characters also hold bits of the neighbours.
        core = whole[(0, 2, 3)[shift] : len(whole) - (0, 3, 2)[(shift + len(value)) % 3]]
        if len(core) >= MIN_BYTES:
            yield core
            yield core.replace(b"+", b"-").replace(b"/", b"_")


def _base32_forms(value: bytes) -> Iterator[bytes]:
    for shift in range(5):
        whole = base64.b32encode(b"\0" * shift + value).rstrip(b"=")
        core = whole[(0, 2, 4, 5, 7)[shift] : len(whole) - 1]
        if len(core) >= MIN_BYTES:
            yield core
            yield core.lower()


def any_of(forms: Iterable[bytes]) -> Any:
    """A pattern that finds any of these bytes in one pass, the earlier one first; None for none."""
    escaped = [re2.escape(form) for form in forms]
    if not escaped:
        return None
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = PATTERN_BYTES
    return re2.compile(b"|".join(escaped), options)


class Watch:
    """Names by the forms of their values: which of them stand in some bytes.

    `mark` is a beginning that all values share; then it alone is looked for, until it is found.
    """

    def __init__(self, values: Mapping[str, bytes], mark: bytes = b"") -> None:
        self._forms = [(name, forms_of(value)) for name, value in values.items()]
        every = [form for _, forms in self._forms for form in forms]
        self.longest = max(map(len, every), default=0)
        self._any = any_of(forms_of(mark) if mark and every else every)

    def __repr__(self) -> str:
        return f"Watch({len(self._forms)} names)"

    def __bool__(self) -> bool:
        return bool(self._forms)

    def found(self, content: bytes) -> list[str]:
        """The names whose value stands in these bytes, in any form."""
        if self._any is None or self._any.search(content) is None:
            return []
        return [name for name, forms in self._forms if any(form in content for form in forms)]

    def found_in_text(self, content: bytes) -> list[str]:
        """As `found`; and also behind up to two layers of URL escapes, and with white space or commas taken out."""
        if not self._forms:
            return []
        return list(dict.fromkeys(name for view in _views(content) for name in self.found(view)))


def _views(content: bytes) -> Iterable[bytes]:
    yield content
    if b"%" in content:
        once = unquote_to_bytes(content)
        yield once
        yield unquote_to_bytes(once)
    yield content.translate(None, b" \t\r\n,;|:&\"'")


class Stream:
    """Looks through bytes that pass in pieces: a value split over two pieces is found when the second comes."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._tail = b""

    def feed(self, content: bytes) -> list[str]:
        """The names found in what has come so far, as far as it touches these bytes."""
        if not self._watch:
            return []
        whole = self._tail + content
        keep = self._watch.longest - 1
        self._tail = whole[-keep:] if keep > 0 else b""
        return self._watch.found(whole)
