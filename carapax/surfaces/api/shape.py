"""Shapes of request bodies and queries: one table that both parses and documents.

Layer: surfaces/api. Strict: a field that is not in the shape is refused by name. The OpenAI routes are lenient by
contract and are parsed in `compat_in` instead.
Law: what `parse_shape` accepts is what `shape_schema` describes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carapax.core.terms.error import Malformed, TooLarge

_SMALL = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class Text:
    """A string; `max_bytes` counts its UTF-8 form. `line` forbids control characters."""

    name: str
    about: str = ""
    required: bool = False
    max_bytes: int = 200
    choices: tuple[str, ...] = ()
    line: bool = True


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer from `least` to `most`."""

    name: str
    about: str = ""
    required: bool = False
    least: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class Choices:
    """A non-empty list of distinct words out of `choices`."""

    name: str
    choices: tuple[str, ...]
    about: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    name: str
    about: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """A list of at most `most` one-line texts, in order."""

    name: str
    about: str = ""
    required: bool = False
    max_bytes: int = 200  # of each
    most: int = 0


@dataclass(frozen=True, slots=True)
class Numbers:
    """A list of at most `most` different whole numbers from 0."""

    name: str
    about: str = ""
    required: bool = False
    most: int = 0


@dataclass(frozen=True, slots=True)
class Pairs:
    """An object of at most `most` one-line texts, each under a small name ("server", "app_token")."""

    name: str
    about: str = ""
    required: bool = False
    max_bytes: int = 4_096  # of each text
    most: int = 0


Field = Text | Whole | Choices | Flag | Lines | Numbers | Pairs


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    fields: tuple[Field, ...]


def parse_shape(fields: tuple[Field, ...], value: Mapping[str, Any]) -> dict[str, Any]:
    """The named fields that were given (null counts as absent). Raises Malformed, TooLarge."""
    unknown = sorted(set(value) - {f.name for f in fields})
    if unknown:
        known = ", ".join(f.name for f in fields) or "none"
        raise Malformed(f'unknown field "{unknown[0][:80]}"', next_step=f"Fields that exist: {known}.")
    found: dict[str, Any] = {}
    for field in fields:
        given = value.get(field.name)
        if given is not None:
            found[field.name] = _parse(field, given)
        elif field.required:
            raise Malformed(f'the field "{field.name}" is missing')
    return found


def _parse(field: Field, given: Any) -> Any:
    match field:
        case Text():
            return _parse_text(field, given)
        case Whole():
            if isinstance(given, bool) or not isinstance(given, int) or not field.least <= given <= field.most:
                raise Malformed(f'"{field.name}" must be a whole number from {field.least} to {field.most}')
            return given
        case Flag():
            if not isinstance(given, bool):
                raise Malformed(f'"{field.name}" must be true or false')
            return given
        case Lines():
            return tuple(_parse_text(Text(field.name, max_bytes=field.max_bytes), g) for g in _listed(field, given))
        case Numbers():
            return _numbers(field, given)
        case Pairs():
            return _pairs(field, given)
        case Choices():
            if not isinstance(given, list) or not given or any(g not in field.choices for g in given):
                raise Malformed(f'"{field.name}" must be a list of some of: {", ".join(field.choices)}')
            return tuple(dict.fromkeys(given))


def _listed(field: Lines | Numbers, given: Any) -> list[Any]:
    if not isinstance(given, list) or len(given) > field.most:
        raise Malformed(f'"{field.name}" must be a list of at most {field.most}')
    return given


def _numbers(field: Numbers, given: Any) -> tuple[int, ...]:
    found = _listed(field, given)
    if any(isinstance(g, bool) or not isinstance(g, int) or g < 0 for g in found) or len(set(found)) != len(found):
        raise Malformed(f'"{field.name}" must be a list of different whole numbers from 0')
    return tuple(found)


def _pairs(field: Pairs, given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or len(given) > field.most or not all(_SMALL.fullmatch(name) for name in given):
        raise Malformed(
            f'"{field.name}" must be an object of at most {field.most} texts, each under a name of a-z, 0-9, _'
        )
    return {
        name: _parse_text(Text(f"{field.name}.{name}", max_bytes=field.max_bytes), text) for name, text in given.items()
    }


def _parse_text(field: Text, given: Any) -> str:
    if not isinstance(given, str):
        raise Malformed(f'"{field.name}" must be a text')
    if len(given.encode("utf-8")) > field.max_bytes:
        raise TooLarge(f'"{field.name}" is longer than {field.max_bytes} bytes')
    if field.choices and given not in field.choices:
        raise Malformed(f'"{field.name}" must be one of: {", ".join(field.choices)}')
    if field.line and not given.isprintable():
        raise Malformed(f'"{field.name}" must be one line of printable text')
    if field.required and not given.strip():
        raise Malformed(f'"{field.name}" is empty')
    return given


def parse_query(fields: tuple[Field, ...], query: Mapping[str, str]) -> dict[str, Any]:
    """A query string's fields, numbers read from their digits. Raises Malformed."""
    numbers = {f.name for f in fields if isinstance(f, Whole)}
    read = {
        name: int(value) if name in numbers and value.isascii() and value.isdigit() and len(value) < 10 else value
        for name, value in query.items()
    }
    return parse_shape(fields, read)


def field_schema(field: Field) -> dict[str, Any]:
    """The JSON Schema of one field."""
    about = {"description": field.about} if field.about else {}
    match field:
        case Text(choices=()):
            return {"type": "string", "maxLength": field.max_bytes, **about}
        case Text():
            return {"type": "string", "enum": list(field.choices), **about}
        case Whole():
            return {"type": "integer", "minimum": field.least, "maximum": field.most, **about}
        case Flag():
            return {"type": "boolean", **about}
        case Lines():
            text = {"type": "string", "maxLength": field.max_bytes}
            return {"type": "array", "items": text, "maxItems": field.most, **about}
        case Numbers():
            number = {"type": "integer", "minimum": 0}
            return {"type": "array", "items": number, "maxItems": field.most, "uniqueItems": True, **about}
        case Pairs():
            text = {"type": "string", "maxLength": field.max_bytes}
            return {"type": "object", "additionalProperties": text, "maxProperties": field.most, **about}
        case Choices():
            items = {"type": "string", "enum": list(field.choices)}
            return {"type": "array", "items": items, "minItems": 1, **about}


def shape_schema(shape: Shape) -> dict[str, Any]:
    """The JSON Schema of a body."""
    return {
        "type": "object",
        "properties": {f.name: field_schema(f) for f in shape.fields},
        "required": [f.name for f in shape.fields if f.required],
        "additionalProperties": False,
    }
