"""Where a service takes its credential in an HTTP request: finding the placeholder there, and putting the secret in.

Layer: adapters/egress. Pure. Both sides use it: the gateway's narrow client, and the proxy at the last hop.
Absent: where a value comes from, and lines (`streamswap`, `frameswap`).
Laws: a placeholder stands in exactly one place of the head, the one that the spot names, or the request is refused;
a value is written as its place demands, so none can end its field, path segment, argument or JSON string.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import assert_never
from urllib.parse import quote, quote_plus, unquote_to_bytes

from carapax.ports.egress import Spot

BODY_BYTES = 1 << 20
SCHEMES = (b"Bearer ", b"Bot ")
WHOLE_HEADERS = ("x-api-key", "x-goog-api-key")

Header = tuple[str, bytes]  # the name in lower case
_BASIC = b"Basic "
_FORM = b"application/x-www-form-urlencoded"


class Misplaced(Exception):
    """A placeholder where none may stand. The text names the place, never a value."""


def value_fault(spot: Spot, value: str) -> str:
    """Why this value cannot be put there; "" when it can. Never quotes it."""
    if spot is Spot.HEADER:
        fits = all(0x20 < ord(char) < 0x7F for char in value)
        return "" if fits else "has characters that no key has (spaces, line ends, non-ASCII)"
    return line_fault(value)


def line_fault(value: str) -> str:
    """Why this value can be written nowhere; "" when it can."""
    # Whatever the form, a line end or NUL would end the field, the line or the command that it stands in.
    ended = any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000 for char in value)
    return "has control characters" if ended else ""


def check_head(spot: Spot, target: bytes, headers: Sequence[Header], word: bytes) -> bool:
    """Whether the placeholder stands in its spot of the head. Raises Misplaced when it stands anywhere else."""
    found = 0
    for name, value in headers:
        if _in_header(spot, name, value, word):
            found += 1
        elif _stands_in(word, value):
            raise Misplaced(f"a placeholder stands in the header {name}, where this service takes none")
        if word in name.encode():
            raise Misplaced("a placeholder stands in the name of a header")
    rest = _without(spot, target, word)
    if _stands_in(word, rest):
        raise Misplaced("a placeholder stands in the address, where this service takes none")
    found += rest != target
    if found > 1:
        raise Misplaced("a placeholder stands in more than one place")
    return found == 1


def fill_head(
    spot: Spot, target: bytes, headers: Sequence[Header], word: bytes, value: bytes
) -> tuple[bytes, tuple[Header, ...]]:
    """Target and headers with the secret in its place. They were checked before."""
    filled: list[Header] = []
    for name, text in headers:
        if not _in_header(spot, name, text, word):
            filled.append((name, text))
        elif spot is Spot.BASIC:
            user = _unbase(text[len(_BASIC) :]).removesuffix(word)
            filled.append((name, _BASIC + base64.b64encode(user + value)))
        else:
            filled.append((name, text.replace(word, value)))
    escaped = quote(value, safe="!$'()*,:;@~" if spot is Spot.PATH else "").encode()
    return _without(spot, target, word, escaped), tuple(filled)


def header_in_spot(spot: Spot, headers: Sequence[Header], word: bytes) -> str:
    """The name of the header that holds the placeholder as it may, "" when none does."""
    return next((name for name, value in headers if _in_header(spot, name, value, word)), "")


def check_body(spot: Spot, kind: bytes, body: bytes, word: bytes) -> bool:
    """Whether the placeholder stands in a body as it may. `kind` is its content type. Raises Misplaced."""
    if word not in body:
        return False
    if spot is not Spot.BODY or len(body) > BODY_BYTES or body_writer(kind) is None:
        raise Misplaced("a placeholder stands in the body, where this service takes none")
    return True


def fill_body(kind: bytes, body: bytes, word: bytes, value: bytes) -> bytes:
    """The body with the secret wherever the placeholder stands. It was checked before."""
    write = body_writer(kind)
    return body if write is None else body.replace(word, write(value))


def body_writer(kind: bytes) -> Callable[[bytes], bytes] | None:
    """How a value is written in a body of this content type; None for one that has no form of its own."""
    kind = kind.lower().partition(b";")[0].strip()
    if kind == _FORM:
        return lambda value: quote_plus(value).encode()
    return as_json if b"json" in kind else None


def as_json(value: bytes) -> bytes:
    """A value as it stands inside a JSON string."""
    return json.dumps(value.decode("utf-8"), ensure_ascii=False)[1:-1].encode("utf-8")


def _in_header(spot: Spot, name: str, value: bytes, word: bytes) -> bool:
    match spot:
        case Spot.HEADER if name == "authorization":
            return any(value == scheme + word for scheme in SCHEMES)
        case Spot.HEADER:
            return name in WHOLE_HEADERS and value == word
        case Spot.BASIC:
            if name != "authorization" or not value.startswith(_BASIC):
                return False
            user, colon, password = _unbase(value[len(_BASIC) :]).partition(b":")
            return bool(colon) and password == word and word not in user
        case Spot.PATH | Spot.QUERY | Spot.BODY:
            return False
        case _:
            assert_never(spot)


def _without(spot: Spot, target: bytes, word: bytes, value: bytes = b"") -> bytes:
    """The target with `value` instead of the first placeholder that stands as it may."""
    path, mark, query = target.partition(b"?")
    if spot is Spot.PATH:
        return path.replace(word, value, 1) + mark + query
    if spot is not Spot.QUERY:
        return target
    arguments = query.split(b"&")
    for index, argument in enumerate(arguments):
        name, equals, text = argument.partition(b"=")
        if equals and text == word and word not in name:
            arguments[index] = name + equals + value
            break
    return path + mark + b"&".join(arguments)


def _stands_in(word: bytes, text: bytes) -> bool:
    views = (text, unquote_to_bytes(text)) if b"%" in text else (text,)
    if any(word in view.lower() for view in views):
        return True
    return any(word in _unbase(part) for part in text.split() if len(part) >= len(word))


def _unbase(text: bytes) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
