"""Plain data: terms to JSON-ready values, and the one canonical JSON used under hashes.

Layer: core/terms. Owns the rendering of every term; parsing belongs to whoever reads bytes.
Source: RFC 8785 (JCS), restricted to what we use: no floats, so no number formatting to get wrong.
Law: equal terms give equal bytes.
"""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from typing import Any

from carapax.core.terms.error import Malformed


def plain(value: Any) -> Any:
    """The JSON-ready form of a term: dataclasses to dicts, sets to sorted lists, enums to their values, bytes to hex."""
    if isinstance(value, Enum):
        return value.name.lower() if isinstance(value.value, int) else value.value
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(plain(k)): plain(v) for k, v in value.items()}
    if isinstance(value, frozenset | set):
        return sorted((plain(v) for v in value), key=lambda v: json.dumps(v, sort_keys=True))
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    raise TypeError(f"no plain form for {type(value).__name__}")


def event_plain(event: Any) -> dict[str, Any]:
    """An event with its kind in front: `{"event": "TextDelta", "text": …}`."""
    return {"event": type(event).__name__, **plain(event)}


def canonical_json(value: Any, *, fractions: bool = False) -> bytes:
    """Canonical UTF-8 JSON of plain data. Raises Malformed for lone surrogates, and for floats unless `fractions`."""
    if not fractions:
        _refuse_floats(value)
    try:
        ordered = _order(value)
        return json.dumps(ordered, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise Malformed("text with a lone surrogate cannot be recorded") from error


def _order(value: Any) -> Any:
    # RFC 8785 sorts keys by UTF-16 code units; Python sorts by code points, which differs outside the BMP.
    if isinstance(value, dict):
        return {k: _order(value[k]) for k in sorted(value, key=lambda k: k.encode("utf-16-be"))}
    if isinstance(value, list | tuple):
        return [_order(v) for v in value]
    return value


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise Malformed("numbers with a fraction cannot be recorded")
    if isinstance(value, dict):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
