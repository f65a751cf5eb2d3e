"""Look-ups: values that the owner described instead of writing them out, computed by the gateway over known records.

Layer: core/rules. "The largest file", "all users", "the channel starting with X", "the same participants as in Y",
"refund what they sent". Each is unique or it is nothing: an ambiguous description is asked about.
Law: only declared fields are looked at, never free text, except to recognise a message by words that the owner quoted
together with its authenticated sender.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

from carapax.core.flow.canon import canonical_amount
from carapax.core.flow.knowledge import Id, address_form, record_id
from carapax.core.flow.mentions import is_generic
from carapax.core.flow.records import Record
from carapax.core.flow.tokens import tokens
from carapax.core.flow.words import names, names_amount
from carapax.core.intent.marks import both_numbers
from carapax.core.rules.task import Task
from carapax.core.terms.action import ArgRole, FieldRole
from carapax.core.terms.label import Integrity
from carapax.core.terms.plan import Direction, Some, Superlative

_MEASURED = {
    "size": (FieldRole.NUMBER,),
    "price": (FieldRole.AMOUNT, FieldRole.NUMBER),
    "date": (FieldRole.DATE,),
}
_CONTAINERS = (FieldRole.ADDRESS, FieldRole.PLACE)
MAX_SCANNED = 20_000
"""Records scanned for one look-up; over it nothing is computed."""


def is_superlative(value: str, task: Task) -> bool:
    """Whether the value is the one end of a ranking that the owner asked for."""
    return any(
        _is_extreme(value, wanted, task) or _is_most_counted(value, wanted, task)
        for wanted in task.plan.superlatives
        if not wanted.filtered
    )


def _is_extreme(value: str, wanted: Superlative, task: Task) -> bool:
    among = [
        record
        for record in _scan(task)
        if _is_called(record, wanted.noun) and (not wanted.by_author or _is_by_named(record, task))
    ]
    ranked = {
        record_id(record): (key, record) for record in among if (key := _measure(record, wanted.measure)) is not None
    }
    if not ranked or any(record_id(record) not in ranked for record in among):
        return False
    keys = [key for key, _ in ranked.values()]
    end = max(keys) if wanted.direction is Direction.MOST else min(keys)
    best = [record for key, record in ranked.values() if key == end]
    return len(best) == 1 and value in best[0].of(FieldRole.ID, FieldRole.NAME)


def _measure(record: Record, measure: str) -> float | str | None:
    """The record's place in the ranking; only typed fields of a system of record count."""
    for spec, values in record.fields:
        fits = measure == spec.name or measure in spec.words or spec.role in _MEASURED.get(measure, ())
        if not fits or spec.integrity < Integrity.CATALOG or len(values) != 1:
            continue
        if spec.role is FieldRole.DATE:
            return values[0]
        try:
            return float(values[0])
        except ValueError:
            return None
    return None


def _is_most_counted(value: str, wanted: Superlative, task: Task) -> bool:
    """ "The channel with the most users": records counted by the container or author that the noun means."""
    if wanted.measure != "count" or not wanted.noun:
        return False
    for of_kind in (True, False):
        counts: Counter[str] = Counter()
        kinds: set[str] = set()
        for record in _scan(task):
            if of_kind and not _is_called(record, wanted.counted):
                continue
            for spec, values in record.fields:
                typed = spec.role is FieldRole.PLACE or spec.integrity >= Integrity.CATALOG
                if spec.role in _CONTAINERS and wanted.noun in spec.words and typed:
                    counts.update(values)
                    kinds.add(record.kind)
        for kind, place in task.knowledge.places:
            if kind in kinds:
                counts[place] += 0
        if counts:
            end = max(counts.values()) if wanted.direction is Direction.MOST else min(counts.values())
            return counts.get(value) == end and list(counts.values()).count(end) == 1
    return False


def is_one_of_all(value: str, role: ArgRole, task: Task) -> bool:
    """Whether the owner said "all users" and this is one of them, as the system of record lists them."""
    if not task.plan.every and not task.plan.some:
        return False
    if role in (ArgRole.RECIPIENT, ArgRole.PRINCIPAL):
        places = task.knowledge.by_address.get(address_form(value), ())
    else:
        places = task.knowledge.by_id.get(value, ())
    return any(_is_listed(task.knowledge.records[at], value, role, task) for at in places[:MAX_SCANNED])


def _is_listed(record: Record, value: str, role: ArgRole, task: Task) -> bool:
    if role in (ArgRole.RECIPIENT, ArgRole.PRINCIPAL) and not (record.org or record.directory):
        return False  # "everybody" never means strangers who wrote in
    if role not in (ArgRole.RECIPIENT, ArgRole.PRINCIPAL) and any(_fits(record, some, task) for some in task.plan.some):
        return value in record.of(FieldRole.ID, FieldRole.NAME)
    for spec, values in record.fields:
        called = task.plan.every & ({*spec.words} | ({*record.nouns} if spec.role in _NAMING else set()))
        if value in values and spec.integrity >= Integrity.CATALOG and called:
            return True
    return False


_NAMING = (FieldRole.ID, FieldRole.NAME, FieldRole.ADDRESS)


def _fits(record: Record, some: Some, task: Task) -> bool:
    """Whether the record is of the kind and every word that narrows it holds, by typed fields alone."""
    called = any(_is_called(record, noun) for noun in both_numbers(some.noun))
    return (
        called
        and (not some.by_author or _is_by_named(record, task))
        and all(_is_so(record, word) for word in some.adjectives)
    )


def _is_by_named(record: Record, task: Task) -> bool:
    """Whether its author, as the system of record has it, is somebody the owner named."""
    author = next((values for spec, values in record.fields if spec.reader and spec.integrity >= Integrity.CATALOG), ())
    return bool(author) and names(task.said, ArgRole.RECIPIENT, author[0])


def _is_so(record: Record, word: str) -> bool:
    """ "Unread", "open", "shared": a flag of that name is set, its opposite is not, or a status says just that."""
    for spec, values in record.fields:
        if spec.role is not FieldRole.FLAG or spec.integrity < Integrity.CATALOG or len(values) != 1:
            continue
        called, value = {spec.name.casefold(), *spec.words}, values[0].casefold()
        if (word in called and value == "true") or value == word:
            return True
        if word.startswith("un") and word[2:] in called and value == "false":
            return True
    return False


def fits_prefix(value: str, task: Task) -> bool:
    """Whether the owner described the name by its beginning (or "*.tmp" by its end) and it is known; a beginning must be unique."""
    for prefix in (written.rstrip(":,;.!?") for written in task.plan.prefixes):
        if prefix.startswith("*"):
            if len(prefix) > 2 and value.endswith(prefix[1:]) and value in task.knowledge.by_id:
                return True
            continue
        fitting = {known for known in _names(task) if known.casefold().startswith(prefix.casefold())}
        if fitting == {value}:
            return True
    return False


def _names(task: Task) -> Iterator[str]:
    yield from task.knowledge.by_id
    yield from task.knowledge.by_place


def is_field_of_named(value: str, task: Task) -> bool:
    """ "The same participants as in X", "reply to the sender of X": an address field of the one record that was named."""
    for at in task.knowledge.by_address.get(address_form(value), ())[:MAX_SCANNED]:
        record = task.knowledge.records[at]
        if _key(record) not in task.mentions.unique:
            continue
        for spec, values in record.fields:
            called = any(word in task.said.tokens for word in spec.words)
            if called and spec.role is FieldRole.ADDRESS and spec.integrity >= Integrity.CATALOG and value in values:
                return True
    return False


def is_place_of_described(value: str, task: Task) -> bool:
    """ "Reply where Alice asked about the coffee mug": the one container of messages by a named sender with these words."""
    if value not in task.knowledge.by_place:
        return False
    key = ("described", task.said.text)
    found = task.knowledge.computed.get(key)
    if found is None:
        found = frozenset(
            place
            for record in _scan(task)
            if record.of(FieldRole.PLACE) and _is_described(record, task)
            for place in record.of(FieldRole.PLACE)
        )
        task.knowledge.computed[key] = found
    return found == {value}


def _is_described(record: Record, task: Task) -> bool:
    authors = record.readers()
    if not authors or not any(names(task.said, ArgRole.RECIPIENT, author) for author in authors):
        return False
    return any(shares_phrase(text, task) for text in record.of(FieldRole.TEXT, FieldRole.NAME))


def shares_phrase(text: str, task: Task) -> bool:
    """Whether two neighbouring words that mean something stand in the text and in the owner's words."""
    spoken = {pair for pair in _pairs(task.said.tokens) if not any(is_generic((word,)) for word in pair)}
    return bool(spoken) and any(pair in spoken for pair in _pairs(tokens(text)))


def _pairs(words: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    return pairwise(words)


def paid_back(value: str, task: Task) -> int | None:
    """The amount in hundredths that this payee sent, when the owner wants exactly that given back; None when unclear."""
    if not task.plan.back:
        return None
    sent = {
        (author, cents)
        for record in _scan(task)
        for author in record.readers()
        for amount in record.of(FieldRole.AMOUNT)
        if (cents := canonical_amount(amount)) is not None and names_amount(task.words, cents)
        if author not in task.tables.owner_addresses
    }
    return next(iter(sent))[1] if len(sent) == 1 and next(iter(sent))[0] == value else None


def was_paid(payee: str, cents: int, task: Task) -> bool:
    """Whether the owner paid this payee this amount before, says the system of record."""
    for at in task.knowledge.by_address.get(address_form(payee), ())[:MAX_SCANNED]:
        record = task.knowledge.records[at]
        by_owner = {*record.readers()} <= {*task.tables.owner_addresses}
        if record.readers() and by_owner and cents in {canonical_amount(a) for a in record.of(FieldRole.AMOUNT)}:
            return True
    return False


def _is_called(record: Record, noun: str) -> bool:
    return bool(noun) and (noun == record.kind or noun in record.nouns)


def _key(record: Record) -> Id:
    return record.kind, record_id(record)


def _scan(task: Task) -> list[Record]:
    records = task.knowledge.records
    return records if len(records) <= MAX_SCANNED else []
