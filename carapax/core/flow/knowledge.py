"""Knowledge: everything the tools of a session told in records, indexed so that a look-up costs the same at any size.

Layer: core/flow. Grows only; bounded; a plain index without judgement. What is not in it is asked of a person.
Absent: texts that no manifest declares, and anything a model wrote.
Law: answers depend on the set of records, not on their order, except "first seen" in `where`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from carapax.core.flow.canon import canonical, find_links
from carapax.core.flow.records import Record, as_texts, read_places, read_records
from carapax.core.flow.tokens import tokens
from carapax.core.terms.action import ArgRole, FieldRole, ToolManifest, Value

MAX_VALUES = 500_000
"""Values kept for one session; later ones are not known."""

NAME_TOKENS = 12
"""A name is matched by at most this many words."""

Id = tuple[str, str]
"""A record's kind and its id (its name where it has no id)."""


class Knowledge:
    """What is known in one session."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.version = 0
        self.by_id: dict[str, list[int]] = {}
        self.by_name: dict[tuple[str, ...], set[Id]] = {}
        self.by_place: dict[str, list[int]] = {}
        self.by_address: dict[str, list[int]] = {}
        self.links: dict[str, list[int]] = {}
        self.places: set[tuple[str, str]] = set()  # (record kind, container) that was looked into
        self.fetched: dict[str, list[int]] = {}  # source address or path of a text → its records
        self.directory: list[Record] = []
        self.computed: dict[
            tuple[str, str], frozenset[str]
        ] = {}  # answers of look-ups over all records, until more are known
        self.found: set[str] = set()  # ids of records that were the only ones a search for the owner's words brought
        self._values = 0

    def learn(
        self, manifest: ToolManifest, arguments: Mapping[str, Value | None], content: object, *, searched: bool = False
    ) -> tuple[Record, ...]:
        """Add one result's records; returns them. `searched` says that the owner's own words were searched for."""
        records = read_records(manifest, arguments, content)
        for spec, place in read_places(manifest, arguments):
            self.places.add((spec.kind, place))
        asked = [
            text
            for arg in manifest.args
            if arg.role in (ArgRole.URL, ArgRole.PATH, ArgRole.OBJECT)
            for text in as_texts(arguments.get(arg.name))
        ]
        for record in records:
            if self._values > MAX_VALUES:
                break
            self._add(record, asked)
        if searched and len(records) == 1:
            self.found |= {*records[0].of(FieldRole.ID)}
        self.version += 1
        self.computed.clear()
        return records

    def _add(self, record: Record, asked: Iterable[str]) -> None:
        at = len(self.records)
        self.records.append(record)
        name = record_id(record)
        if record.directory:
            self.directory.append(record)
        for value in record.of(FieldRole.ID, FieldRole.NAME):
            self.by_id.setdefault(value, []).append(at)
        for value in record.of(FieldRole.NAME):
            for phrase in name_phrases(value):
                self.by_name.setdefault(phrase, set()).add((record.kind, name))
        for value in record.of(FieldRole.PLACE):
            self.by_place.setdefault(value, []).append(at)
        for value in record.of(FieldRole.ADDRESS):
            self.by_address.setdefault(address_form(value), []).append(at)
        for text in record.of(FieldRole.TEXT, FieldRole.URL, FieldRole.NAME):
            for link in find_links(text):
                self.links.setdefault(canonical(ArgRole.URL, link)[1], []).append(at)
        for source in asked:
            self.fetched.setdefault(source, []).append(at)
        self._values += sum(len(values) for _, values in record.fields) + 1


def record_id(record: Record) -> str:
    """What names a record: its id, else its name, else its bare values."""
    for roles in ((FieldRole.ID,), (FieldRole.NAME,), (FieldRole.ADDRESS, FieldRole.PLACE, FieldRole.TEXT)):
        found = record.of(*roles)
        if found:
            return found[0]
    return ""


def name_phrases(name: str) -> tuple[tuple[str, ...], ...]:
    """The word sequences by which a person may write this name: whole, and a file name without its extension."""
    words = tokens(name)[:NAME_TOKENS]
    stem, dot, extension = name.rpartition(".")
    if dot and 1 <= len(extension) <= 5 and extension.isalnum() and len(words) > 1:
        return words, tokens(stem)[:NAME_TOKENS]
    return (words,) if words else ()


def address_form(value: str) -> str:
    """The canonical form under which an address is known."""
    return canonical(ArgRole.RECIPIENT, value)[1]
