"""Records: a tool's structured result, read the way its manifest declares.

Layer: core/flow. The gateway looks things up in records itself, so that a model need not be believed about them.
Absent: labels of whole results (the guard's) and any judgement. A result that does not have the declared form gives
no records: then nothing can be looked up, and a person is asked.
Law: every value of a record stood in the result or in the call's own arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from carapax.core.terms.action import FieldRole, FieldSpec, RecordSpec, ToolManifest, Value

MAX_DEPTH = 8
"""Lists in lists that are read."""

MAX_RECORDS = 20_000
"""Records read of one result; the rest is not known."""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing a tool told of. `fields` are its declared fields with their values as texts."""

    kind: str
    tool: str
    org: bool  # everybody in the owner's organisation may read it
    directory: bool
    nouns: tuple[str, ...]
    fields: tuple[tuple[FieldSpec, tuple[str, ...]], ...]
    domain: str = ""
    found: bool = False  # by a search of the web

    def of(self, *roles: FieldRole) -> tuple[str, ...]:
        """The values of every field with one of these roles."""
        return tuple(value for spec, values in self.fields if spec.role in roles for value in values)

    def readers(self) -> tuple[str, ...]:
        """Who besides the owner may read it."""
        return tuple(value for spec, values in self.fields if spec.reader for value in values)

    def sources(self) -> tuple[str, ...]:
        """Whose words it is."""
        return tuple(value for spec, values in self.fields if spec.source for value in values)


def read_records(manifest: ToolManifest, arguments: Mapping[str, Value | None], content: object) -> tuple[Record, ...]:
    """The records of one result, at most 20,000."""
    found: list[Record] = []
    for spec in manifest.records:
        for item in _items(spec.at, content):
            if len(found) >= MAX_RECORDS:
                return tuple(found)
            fields = tuple((f, _values(f, item, arguments)) for f in spec.fields)
            found.append(
                Record(
                    spec.kind,
                    manifest.name,
                    manifest.result_readers == "org",
                    spec.directory,
                    spec.nouns,
                    fields,
                    manifest.domain,
                    spec.found,
                )
            )
    return tuple(found)


def source_name(tool: str, records: tuple[Record, ...]) -> str:
    """What a result is called as a source: its tool, and whose words it is where all its records say the same."""
    told = {source for record in records for source in record.sources()}
    return f"{tool} at {told.pop()}" if len(told) == 1 else tool


def read_places(manifest: ToolManifest, arguments: Mapping[str, Value | None]) -> tuple[tuple[RecordSpec, str], ...]:
    """Containers that a call looked into, so that an empty one is known to hold nothing."""
    return tuple(
        (spec, text)
        for spec in manifest.records
        for field in spec.fields
        if field.name.startswith("@") and field.role is FieldRole.PLACE
        for text in as_texts(arguments.get(field.name[1:]))
    )


def _items(at: str, content: object) -> Iterator[object]:
    if at == "*":
        if isinstance(content, Mapping):
            yield from ({"key": key, "value": value} for key, value in content.items())
        return
    for step in filter(None, at.split(".")):
        content = content.get(step) if isinstance(content, Mapping) else None
    if isinstance(content, list | tuple):
        yield from content
    elif content is not None:
        yield content


def _values(spec: FieldSpec, item: object, arguments: Mapping[str, Value | None]) -> tuple[str, ...]:
    if spec.name.startswith("@"):
        return as_texts(arguments.get(spec.name[1:]))
    if not spec.name:
        return as_texts(item)
    for step in spec.name.split("."):
        item = item.get(step) if isinstance(item, Mapping) else None
    return as_texts(item)


def as_texts(value: object, depth: int = 0) -> tuple[str, ...]:
    """A value as texts: lists one by one, objects by their keys, numbers as written; nothing for None or what lies too deep."""
    if value is None or depth > MAX_DEPTH:
        return ()
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Mapping):
        return tuple(str(key) for key in value)
    if isinstance(value, list | tuple | set | frozenset):
        return tuple(text for item in value for text in as_texts(item, depth + 1))
    return (str(value),)
