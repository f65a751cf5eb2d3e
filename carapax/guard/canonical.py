"""Canonical calls: from what a model wrote to the exact bytes that are judged, recorded, shown and run.

Layer: guard. Strict: unknown tools and arguments, wrong types, duplicate keys, deep or large JSON are Malformed,
with a fixed code that the model can read. Absent: any repair of meaning; only a path's spelling is normalised.
Law: canonicalising the canonical form changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from carapax.core.flow.lattice import join
from carapax.core.flow.origin import in_owner_words
from carapax.core.rules.task import Task
from carapax.core.rules.trace import PEOPLE, trace_value
from carapax.core.terms.action import (
    VOUCHED,
    ArgRole,
    ArgSpec,
    ArgType,
    Argument,
    CanonicalCall,
    Origin,
    Proposal,
    ToolManifest,
    Trace,
    Value,
)
from carapax.core.terms.error import Malformed
from carapax.core.terms.ids import Digest
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Shape, Source
from carapax.core.terms.plain import canonical_json

MAX_ARGUMENTS_BYTES = 262_144
"""Arguments over 256 KiB are refused before they are parsed."""

MAX_VALUES = 500
"""Values in one list argument."""

PHRASE_CHARS = 2_000
"""Longer content is not looked for in the owner's words."""

INSIDE = "/workspace/"
"""Where the sandbox shows the workspace; a path spelled so means the workspace."""

_UNDECIDING = frozenset({ArgRole.FLAG, ArgRole.COUNT})


def canonical_call(proposal: Proposal, manifest: ToolManifest, task: Task) -> CanonicalCall:
    """The call as it will be judged and run. Raises Malformed with a sentence for the model."""
    given = _parse_arguments(proposal.arguments_json)
    unknown = sorted(set(given) - {spec.name for spec in manifest.args})
    if unknown:
        known = ", ".join(spec.name for spec in manifest.args) or "none"
        raise Malformed(f"{manifest.name} has no argument {unknown[0]!r}; it has: {known}.")
    specs = [spec for spec in manifest.args if _is_given(spec, given, manifest)]
    values = {spec.name: _value(spec, given[spec.name]) for spec in specs}
    run = {spec.name: given[spec.name] if spec.type is ArgType.JSON else values[spec.name] for spec in specs}
    arguments_json = canonical_json(run, fractions=True).decode()
    digest = Digest(hashlib.sha256(manifest.name.encode() + b"\0" + arguments_json.encode()).hexdigest())
    arguments = tuple(_trace(spec, values[spec.name], given[spec.name], manifest, task) for spec in specs)
    return CanonicalCall(proposal.call, proposal.session, proposal.turn, manifest, arguments, arguments_json, digest)


def _is_given(spec: ArgSpec, given: Mapping[str, Any], manifest: ToolManifest) -> bool:
    if given.get(spec.name) is not None:
        return True
    if spec.required:
        raise Malformed(f"{manifest.name} needs the argument {spec.name!r}: {spec.description}")
    return False


def _parse_arguments(text: str) -> dict[str, Any]:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_ARGUMENTS_BYTES:
        raise Malformed("The arguments are over 256 KiB.")
    try:
        value = json.loads(text or "{}", object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed("The arguments are not one valid JSON object.") from error
    if not isinstance(value, dict):
        raise Malformed("The arguments are not a JSON object.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an argument is given twice")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a value")


# values

_PYTHON: dict[ArgType, tuple[type, ...]] = {
    ArgType.TEXT: (str,),
    ArgType.INTEGER: (int,),
    ArgType.NUMBER: (int, float),
    ArgType.BOOLEAN: (bool,),
    ArgType.LIST: (list,),
    ArgType.JSON: (dict, list, str, int, float, bool),
}


def _value(spec: ArgSpec, given: Any) -> Value:
    # bool is an int in Python, not in a manifest
    number = spec.type in (ArgType.INTEGER, ArgType.NUMBER)
    if not isinstance(given, _PYTHON[spec.type]) or (number and isinstance(given, bool)):
        raise Malformed(f"{spec.name} must be {spec.type.value}, not {type(given).__name__}.")
    if spec.type is ArgType.JSON:
        text = canonical_json(given, fractions=True).decode()
        _check_text(spec, text)
        return text
    if isinstance(given, list):
        return _texts(spec, given)
    if isinstance(given, str):
        _check_text(spec, given)
        return _spell_path(given) if spec.role is ArgRole.PATH else given
    if isinstance(given, int | float) and (not math.isfinite(given) or abs(given) > 2**53):
        raise Malformed(f"{spec.name} is too large.")
    value: Value = given  # type: ignore[assignment]  # _PYTHON has checked it
    return value


def _texts(spec: ArgSpec, given: list[Any]) -> tuple[str, ...]:
    if len(given) > MAX_VALUES or not all(isinstance(text, str) for text in given):
        raise Malformed(f"{spec.name} must be a list of at most {MAX_VALUES} texts.")
    for text in given:
        _check_text(spec, text)
    return tuple(_spell_one(text) if spec.role is ArgRole.PATH else text for text in given)


def _check_text(spec: ArgSpec, given: str) -> None:
    try:
        size = len(given.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise Malformed(f"{spec.name} is not valid Unicode text.") from error
    if size > spec.max_bytes:
        raise Malformed(f"{spec.name} has {size} bytes; {spec.max_bytes} is the most.")
    if "\0" in given:
        raise Malformed(f"{spec.name} contains a NUL character.")
    if spec.choices and given not in spec.choices:
        raise Malformed(f"{spec.name} must be one of: {', '.join(spec.choices)}.")


def _spell_path(given: str) -> str:
    """One spelling per path: relative to the workspace where it lies inside; several paths stand one a line."""
    return "\n".join(_spell_one(line) for line in given.split("\n"))


def _spell_one(path: str) -> str:
    inside = path[len(INSIDE) :] if path.startswith(INSIDE) else "." if path == INSIDE.rstrip("/") else path
    return posixpath.normpath(inside) if inside.strip() else inside.strip()


# where they come from


def _trace(spec: ArgSpec, value: Value, given: Any, manifest: ToolManifest, task: Task) -> Argument:
    if spec.role in _UNDECIDING:
        return _untraced(spec, value, task)
    if spec.role is ArgRole.CONTENT:
        return _trace_content(spec, value, task)
    traces = tuple(trace_value(spec.role, text, manifest, task) for text in _pieces(spec, value, given))
    worst = min((t.origin for t in traces), key=_TRUST.index, default=Origin.DEFAULT)
    return Argument(spec.name, spec.role, value, worst, _label(spec, worst, task), traces)


_TRUST = (Origin.MODEL, Origin.UNTRUSTED, *(origin for origin in Origin if origin in VOUCHED))


def _pieces(spec: ArgSpec, value: Value, given: Any) -> Iterator[str]:
    """The single values in an argument: each is vouched for by itself."""
    if spec.type is ArgType.JSON:
        leaves = _leaves(given, spec.key, inside=not spec.key)
        yield from map(_spell_one, leaves) if spec.role is ArgRole.PATH else leaves
    elif isinstance(value, tuple):
        yield from value
    elif spec.role is ArgRole.PATH:
        yield from (line for line in str(value).split("\n") if line)
    elif spec.role in PEOPLE and isinstance(value, str):
        yield from (piece.strip() for piece in re.split(r"[,;\n]", value) if piece.strip())
    elif str(value).strip():
        yield str(value)


def _leaves(given: Any, key: str, *, inside: bool) -> Iterator[str]:
    if isinstance(given, dict):
        for name, item in given.items():
            yield from _leaves(item, key, inside=inside or name == key)
    elif isinstance(given, list):
        for item in given:
            yield from _leaves(item, key, inside=inside)
    elif inside and given is not None:
        yield str(given)


def _trace_content(spec: ArgSpec, value: Value, task: Task) -> Argument:
    text = "\n".join(value) if isinstance(value, tuple) else str(value)
    owners = len(text) <= PHRASE_CHARS and in_owner_words(text, task.words.text)
    origin = Origin.OWNER_WORDS if owners else Origin.MODEL
    return Argument(spec.name, spec.role, value, origin, _label(spec, origin, task), (Trace(text, origin),))


def _untraced(spec: ArgSpec, value: Value, task: Task) -> Argument:
    return Argument(spec.name, spec.role, value, Origin.MODEL, _label(spec, Origin.MODEL, task))


def _label(spec: ArgSpec, origin: Origin, task: Task) -> Label:
    if origin is Origin.OWNER_WORDS:
        return Label(Integrity.USER, OWNER_ONLY, frozenset({Source("message", "owner", spec.name)}))
    # The model wrote it, and the model is only as trustworthy as what it was shown.
    shape = Shape.SCALAR if spec.role in _UNDECIDING else Shape.TEXT
    composed = Label(Integrity.SYSTEM, OWNER_ONLY, frozenset({Source("model", "completion", spec.name)}), shape=shape)
    return join(task.context, composed)
