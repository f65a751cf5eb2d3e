"""Request bodies: read under a ceiling and a deadline, parsed strictly.

Layer: surfaces/api. Everything that does not parse is Malformed; nothing is guessed.
Source: RFC 8259 (JSON), without its extensions: no NaN, no lone surrogates, bounded depth.
Law: at most `limit` bytes of a body are ever held.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from carapax.core.terms.error import Malformed, TooLarge
from carapax.surfaces.api.settings import ApiSettings

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


async def read_body(scope: Scope, receive: Receive, limit: int, settings: ApiSettings) -> bytes:
    """The whole body. Raises TooLarge over `limit` bytes, Malformed when it is late or breaks off."""
    try:
        async with asyncio.timeout(settings.body_ms / 1000):
            return await _read(_declared(scope), receive, limit, settings.drain_bytes)
    except TimeoutError:
        raise Malformed(f"the request's body did not arrive within {settings.body_ms / 1000:g} s") from None


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)  # the HTTP parser let only digits through
    return 0


async def _read(declared: int, receive: Receive, limit: int, drain: int) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, declared <= drain
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Malformed("the connection closed before the whole body arrived")
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if max(size, declared) > limit:
            chunks.clear()
            more = more and size <= drain
        else:
            chunks.append(chunk)
    if max(size, declared) > limit:
        raise TooLarge(f"the request is larger than {limit // 1024} KiB")
    return b"".join(chunks)


def parse_json(raw: bytes, depth: int) -> dict[str, Any]:
    """A JSON object. Raises Malformed."""
    if not raw.strip():
        raise Malformed("the request has no body; it must be a JSON object")
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Malformed(f"the request is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"the request is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise Malformed(f"the JSON is nested deeper than {depth} levels") from None
    except ValueError:
        raise Malformed("the JSON holds a number too long to read") from None
    _check_depth(raw, value, depth)
    if _SURROGATE.search(raw):
        _check_surrogates(value)
    if not isinstance(value, dict):
        raise Malformed("the request must be a JSON object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is not a JSON number", name, 0)


def _check_depth(raw: bytes, value: Any, depth: int) -> None:
    if raw.count(b"[") + raw.count(b"{") <= depth:
        return  # cannot be deeper than it has brackets
    level = [value]
    for _ in range(depth):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    if any(isinstance(item, dict | list) for item in level):
        raise Malformed(f"the JSON is nested deeper than {depth} levels")


def _children(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Malformed("the request holds half of a character (a lone surrogate)") from None


def parse_form(raw: bytes) -> dict[str, str]:
    """The fields of a posted form; of a repeated one, the last. Raises Malformed."""
    try:
        return dict(parse_qsl(raw.decode("ascii"), strict_parsing=True, errors="strict", max_num_fields=8))
    except ValueError:  # UnicodeDecodeError too
        raise Malformed("the form could not be read") from None
