"""Reading a tool family's manifest.toml: what its tools may do, without importing their code.

Layer: adapters/tools. Strict: an unknown key, a missing one or a value of another type is SettingsInvalid, because a
manifest that is half understood would be judged as something it is not. What is left out is the worst it could be:
an argument without a role is a recipient, a field without an integrity is external, a result is the owner's alone,
code without a provenance is somebody else's.
Law: parse_manifests is pure; equal text gives equal manifests.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from carapax.core.terms.action import (
    ArgRole,
    ArgSpec,
    ArgType,
    Effect,
    FieldRole,
    FieldSpec,
    RecordSpec,
    Sink,
    ToolManifest,
)
from carapax.core.terms.error import SettingsInvalid
from carapax.core.terms.ids import ToolName
from carapax.core.terms.label import Integrity
from carapax.core.terms.tier import Provenance

E = TypeVar("E", bound=Enum)

_TOOL_TYPES: Mapping[str, type] = {
    "name": str,
    "description": str,
    "effect": str,
    "result_integrity": str,
    "reversible": bool,
    "touches_workspace": bool,
    "timeout_ms": int,
    "output_bytes": int,
    "ends_turn": bool,
    "domain": str,
    "domain_words": list,
    "words": list,
    "result_readers": str,
    "media": str,
    "sink": str,
    "contained": bool,
    "scalar": bool,
    "from_files": bool,
    "online": bool,
    "provenance": str,
    "arg": list,
    "record": list,
}
_TOOL_REQUIRED = ("name", "description", "effect", "result_integrity", "reversible", "touches_workspace")
_ARG_TYPES: Mapping[str, type] = {
    "name": str,
    "role": str,
    "type": str,
    "description": str,
    "required": bool,
    "max_bytes": int,
    "choices": list,
    "key": str,
}
_ARG_REQUIRED = ("name", "type", "description")
_RECORD_TYPES: Mapping[str, type] = {
    "kind": str,
    "nouns": list,
    "at": str,
    "directory": bool,
    "found": bool,
    "field": list,
}
_FIELD_TYPES: Mapping[str, type] = {
    "name": str,
    "role": str,
    "integrity": str,
    "words": list,
    "reader": bool,
    "source": bool,
}
_READERS = ("owner", "org", "public")
_MEDIA = ("text", "html", "markdown")


def load_manifests(package: Path) -> tuple[ToolManifest, ...]:
    """The manifests of a family's folder. Raises SettingsInvalid."""
    file = package / "manifest.toml"
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"the tool manifest {file} cannot be read", next_step="Install Carapax again.") from error
    return parse_manifests(text, package.name)


def family_manifests() -> tuple[ToolManifest, ...]:
    """The manifests of every family in this package, by family name. Raises SettingsInvalid, also for a tool named twice."""
    families = sorted(file.parent for file in Path(__file__).parent.glob("*/manifest.toml"))
    tools = tuple(tool for family in families for tool in load_manifests(family))
    if len({tool.name for tool in tools}) != len(tools):
        raise SettingsInvalid("two tool families name the same tool", next_step="Install Carapax again.")
    return tools


def parse_manifests(text: str, family: str, *, any_id: bool = False) -> tuple[ToolManifest, ...]:
    """The manifests of one family, in the file's order. Its id must be the family's, unless any will do.

    Raises SettingsInvalid naming what is wrong.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(f"the manifest of {family} is not TOML: {error}") from error
    _check(document, {"id": str, "tool": list}, ("id", "tool"), family)
    if document["id"] != family and not any_id:
        _refuse(family, f"its id is {document['id']!r}")
    tools = tuple(_tool(table, family) for table in document["tool"])
    if not tools or len({tool.name for tool in tools}) != len(tools):
        _refuse(family, "it names no tool, or one twice")
    return tools


def _tool(table: Any, family: str) -> ToolManifest:
    _check(table, _TOOL_TYPES, _TOOL_REQUIRED, family)
    where = f"{family}.{table['name']}"
    args = tuple(_arg(arg, where) for arg in table.get("arg", []))
    if len({arg.name for arg in args}) != len(args):
        _refuse(where, "an argument is named twice")
    rest = {key: table[key] for key in ("timeout_ms", "output_bytes") if key in table}
    if any(value <= 0 for value in rest.values()):
        _refuse(where, "a ceiling must be above zero")
    if table.get("online") and table.get("contained"):
        _refuse(where, "what is contained has no way out, so it cannot be online")
    return ToolManifest(
        name=ToolName(table["name"]),
        description=table["description"],
        effect=_member(Effect, table["effect"], where),
        args=args,
        result_integrity=_integrity(table["result_integrity"], where),
        reversible=table["reversible"],
        touches_workspace=table["touches_workspace"],
        ends_turn=table.get("ends_turn", False),
        domain=table.get("domain", ""),
        domain_words=_texts(table, "domain_words", where),
        words=_texts(table, "words", where),
        result_readers=_one_of(_READERS, table.get("result_readers", "owner"), where),
        media=_one_of(_MEDIA, table.get("media", "text"), where),  # type: ignore[arg-type]  # one of _MEDIA
        records=tuple(_record(record, args, where) for record in table.get("record", [])),
        sink=_member(Sink, table.get("sink", "none"), where),
        contained=table.get("contained", False),
        scalar=table.get("scalar", False),
        from_files=table.get("from_files", False),
        online=table.get("online", False),
        provenance=_member(Provenance, table.get("provenance", Provenance.THIRD_PARTY.value), where),
        **rest,
    )


def _record(table: Any, args: tuple[ArgSpec, ...], where: str) -> RecordSpec:
    _check(table, _RECORD_TYPES, ("kind", "field"), where)
    where = f"{where}.{table['kind']}"
    fields = tuple(_field(one, args, where) for one in table["field"])
    if not fields or len({one.name for one in fields}) != len(fields):
        _refuse(where, "it names no field, or one twice")
    return RecordSpec(
        kind=table["kind"],
        nouns=_texts(table, "nouns", where),
        at=table.get("at", ""),
        fields=fields,
        directory=table.get("directory", False),
        found=table.get("found", False),
    )


def _field(table: Any, args: tuple[ArgSpec, ...], where: str) -> FieldSpec:
    _check(table, _FIELD_TYPES, ("name", "role"), where)
    name = table["name"]
    if name.startswith("@") and name[1:] not in {arg.name for arg in args}:
        _refuse(where, f"{name!r} names no argument of the tool")
    return FieldSpec(
        name=name,
        role=_member(FieldRole, table["role"], where),
        integrity=_integrity(table.get("integrity", "external"), where),
        words=_texts(table, "words", where),
        reader=table.get("reader", False),
        source=table.get("source", False),
    )


def _arg(table: Any, where: str) -> ArgSpec:
    _check(table, _ARG_TYPES, _ARG_REQUIRED, where)
    rest = {"max_bytes": table["max_bytes"]} if "max_bytes" in table else {}
    return ArgSpec(
        name=table["name"],
        role=_member(ArgRole, table.get("role", ArgRole.RECIPIENT.value), where),
        type=_member(ArgType, table["type"], where),
        description=table["description"],
        required=table.get("required", True),
        choices=_texts(table, "choices", where),
        key=table.get("key", ""),
        **rest,
    )


def _check(table: Any, types: Mapping[str, type], required: tuple[str, ...], where: str) -> None:
    if not isinstance(table, dict):
        _refuse(where, "a table was expected")
    for key, value in table.items():
        if key not in types:
            _refuse(where, f"the key {key!r} is unknown")
        if type(value) is not types[key]:
            _refuse(where, f"{key!r} must be of type {types[key].__name__}")
    for key in required:
        if key not in table:
            _refuse(where, f"the key {key!r} is missing")


def _texts(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    texts = table.get(key, [])
    if not all(isinstance(text, str) for text in texts):
        _refuse(where, f"{key} must be texts")
    return tuple(texts)


def _one_of(known: tuple[str, ...], value: str, where: str) -> str:
    if value not in known:
        _refuse(where, f"{value!r} is none of {', '.join(known)}")
    return value


def _member(kind: type[E], value: str, where: str) -> E:
    try:
        return kind(value)
    except ValueError:
        _refuse(where, f"{value!r} is no {kind.__name__}")


def _integrity(value: str, where: str) -> Integrity:
    found = {member.name.lower(): member for member in Integrity}.get(value)
    if found is None:
        _refuse(where, f"{value!r} is no Integrity")
    return found


def _refuse(where: str, what: str) -> NoReturn:
    raise SettingsInvalid(f"the manifest of {where} is not valid: {what}", next_step="Correct the manifest.toml.")
