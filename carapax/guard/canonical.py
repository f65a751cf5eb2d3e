"""Canonical calls: from what a model wrote to the exact bytes that are judged, recorded, shown and run.

Layer: guard. Strict: unknown tools and arguments, wrong types, duplicate keys, deep or large JSON are Malformed,
with a fixed code that the model can read. Absent: any repair of meaning; only a path's spelling is normalised.
Law: canonicalising the canonical form changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Mapping
from typing import Any

from carapax.core.flow.lattice import join
from carapax.core.flow.origin import in_owner_words
from carapax.core.terms.action import ArgRole, ArgSpec, ArgType, Argument, CanonicalCall, Origin, Proposal, ToolManifest
from carapax.core.terms.error import Malformed
from carapax.core.terms.ids import Digest
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Source
from carapax.core.terms.plain import canonical_json

MAX_ARGUMENTS_BYTES = 262_144
"""Arguments over 256 KiB are refused before they are parsed."""

INSIDE = "/workspace/"
"""Where the sandbox shows the workspace; a path spelled so means the workspace."""

Value = str | int | bool


def canonical_call(
    proposal: Proposal, manifest: ToolManifest, owner_words: str, context: Label, created: frozenset[str]
) -> CanonicalCall:
    """The call as it will be judged and run. Raises Malformed with a sentence for the model."""
    given = _parse_arguments(proposal.arguments_json)
    unknown = sorted(set(given) - {spec.name for spec in manifest.args})
    if unknown:
        known = ", ".join(spec.name for spec in manifest.args) or "none"
        raise Malformed(f"{manifest.name} has no argument {unknown[0]!r}; it has: {known}.")
    arguments = tuple(
        _label(spec, _value(spec, given[spec.name]), owner_words, context, created)
        for spec in manifest.args
        if _is_given(spec, given, manifest)
    )
    arguments_json = canonical_json({a.name: a.value for a in arguments}).decode()
    digest = Digest(hashlib.sha256(manifest.name.encode() + b"\0" + arguments_json.encode()).hexdigest())
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


def _value(spec: ArgSpec, given: Any) -> Value:
    wanted: dict[ArgType, type[Value]] = {ArgType.TEXT: str, ArgType.INTEGER: int, ArgType.BOOLEAN: bool}
    # bool is an int in Python, not in a manifest
    if not isinstance(given, wanted[spec.type]) or (spec.type is ArgType.INTEGER and isinstance(given, bool)):
        raise Malformed(f"{spec.name} must be {spec.type.value}, not {type(given).__name__}.")
    if isinstance(given, str):
        _check_text(spec, given)
        return _spell_path(given) if spec.role is ArgRole.PATH else given
    if isinstance(given, int) and abs(given) > 2**53:
        raise Malformed(f"{spec.name} is too large.")
    return given


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


def _label(spec: ArgSpec, value: Value, owner_words: str, context: Label, created: frozenset[str]) -> Argument:
    if isinstance(value, str) and spec.role is ArgRole.PATH and value in created:
        return Argument(spec.name, spec.role, value, Origin.CREATED_HERE, context)
    if isinstance(value, str) and in_owner_words(value, owner_words):
        named = Label(Integrity.USER, OWNER_ONLY, frozenset({Source("message", "owner", spec.name)}))
        return Argument(spec.name, spec.role, value, Origin.OWNER_WORDS, named)
    # The model wrote it, and the model is only as trustworthy as what it was shown.
    composed = Label(Integrity.SYSTEM, OWNER_ONLY, frozenset({Source("model", "completion", spec.name)}))
    return Argument(spec.name, spec.role, value, Origin.MODEL, join(context, composed))
