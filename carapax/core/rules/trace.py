"""Tracing: where one value of an argument came from, as far as exact matching and look-ups can tell.

Layer: core/rules. The order is from the most to the least direct; the first that fits is shown on cards and recorded.
Absent: similarity. What nothing vouches for is the MODEL's; `find_source` tells a card whether it stands in untrusted text.
Laws: a disguised value is never vouched for; a secret comes from the owner's words or is a handle, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from carapax.core.flow.canon import canonical, canonical_amount, disguise
from carapax.core.flow.knowledge import Knowledge, record_id
from carapax.core.flow.mentions import is_generic
from carapax.core.flow.records import Record
from carapax.core.flow.soon import names_day_after
from carapax.core.flow.tokens import tokens
from carapax.core.flow.words import Words, names, names_amount, names_date, read_words
from carapax.core.intent.words import asking_text
from carapax.core.rules.lookups import (
    fits_prefix,
    is_field_of_named,
    is_one_of_all,
    is_place_of_described,
    is_superlative,
    paid_back,
    shares_phrase,
)
from carapax.core.rules.task import Task
from carapax.core.terms.action import ArgRole, Effect, FieldRole, Origin, ToolManifest, Trace

HANDLE = "vault:"
"""A secret argument may name a secret in the vault instead of containing one."""

PEOPLE = frozenset({ArgRole.RECIPIENT, ArgRole.PRINCIPAL, ArgRole.PAYEE})
THINGS = frozenset({ArgRole.OBJECT, ArgRole.PLACE, ArgRole.PATH})
_SHORT = 4
"""An id shorter than this may stand in the owner's words by chance ("5 hours"); it must be called an id there."""
_CALLED_ID = frozenset({"id", "ids", "number", "no", "nr", "numéro", "n", "ref", "issue", "ticket", "pr", "order"})

_EXCEPT = re.compile(
    r"\b(?:except|excepting|excluding|apart from|other than|but not|leave alone|do not touch|don't touch|sauf|excepté|hormis"
    r"|mais pas|à part)\b[^;!?\n]*?(?=[;!?\n]|\.\s|\.$|$)",
    re.IGNORECASE,
)
"""What stands behind these words is not meant."""

MIN_SECRET = 6
"""Characters of a secret that stands in the owner's words without quotes, at least."""

MAX_TEXTS = 5_000
"""Texts searched for an untrusted value's source."""


def trace_value(role: ArgRole, value: str, manifest: ToolManifest, task: Task) -> Trace:
    """Where this value came from."""
    if role is ArgRole.SECRET:
        return _trace_secret(value, task)
    if (role.value, value) in task.typed:
        return Trace(value, Origin.OWNER_WORDS)
    if not disguise(value):
        for origin, fits in _LADDER:
            if fits(role, value, manifest, task):
                return Trace(value, origin)
    return Trace(value, Origin.MODEL)


def _is_given(value: str, task: Task) -> bool:
    """Whether the owner gave it as such: in quotes, or so that it cannot be a plain word of the sentence."""
    return value in task.words.quoted or (len(value) >= MIN_SECRET and not value.isalpha())


def _trace_secret(value: str, task: Task) -> Trace:
    if value.startswith(HANDLE):
        return Trace(value, Origin.HANDLE)
    named = _is_given(value, task) and names(task.words, ArgRole.SECRET, value)
    return Trace(value, Origin.OWNER_WORDS if named else Origin.MODEL)


def _is_self(role: ArgRole, value: str, manifest: ToolManifest, task: Task) -> bool:
    return role in PEOPLE and canonical(role, value) in {canonical(role, own) for own in task.tables.owner_addresses}


def _is_written(role: ArgRole, value: str, manifest: ToolManifest, task: Task) -> bool:
    if role is ArgRole.AMOUNT:
        cents = canonical_amount(value)
        return cents is not None and names_amount(task.words, cents)
    if role is ArgRole.DATE:
        return names_date(_dated_words(manifest.effect, task), value[:10], task.today)
    if role is ArgRole.COMMAND and not _is_given(value, task):
        return False
    if role in THINGS and is_short_id(value):
        return _is_called_id(value, task)
    return names(_without_exceptions(task.words), role, value)


@lru_cache(maxsize=8)
def _without_exceptions(words: Words) -> Words:
    """What the owner said, without what was named to be left alone."""
    kept = _EXCEPT.sub(" ", words.text)
    return words if kept == words.text else read_words(kept)


def _dated_words(effect: Effect, task: Task) -> Words:
    """The sentences that ask for this effect, where they state a date themselves; else everything the owner said."""
    asking = read_words(asking_text(task.words.text, effect))
    return asking if asking.dates or asking.offsets else task.words


def is_short_id(value: str) -> bool:
    """Whether a value is so short or so numeric that it may stand in a sentence by chance."""
    return len(value) < _SHORT or value.isdecimal() or is_generic(tokens(value))


def _is_called_id(value: str, task: Task) -> bool:
    nouns = {noun for at in task.knowledge.by_id.get(value, ()) for noun in task.knowledge.records[at].nouns}
    text, wanted = task.words.tokens, tokens(value)
    return bool(wanted) and any(
        text[i : i + len(wanted)] == wanted and text[i - 1] in _CALLED_ID | nouns for i in range(1, len(text))
    )


def _is_made_here(role: ArgRole, value: str, manifest: ToolManifest, task: Task) -> bool:
    return role in THINGS and value in task.created


def _is_in_directory(role: ArgRole, value: str, manifest: ToolManifest, task: Task) -> bool:
    if role not in PEOPLE or role is ArgRole.PAYEE:
        return False
    form = canonical(role, value)
    entries = [(entry.name, entry.addresses) for entry in task.directory]
    entries += [
        (name, record.of(FieldRole.ADDRESS))
        for record in task.knowledge.directory
        for name in record.of(FieldRole.NAME)
    ]
    owners = {name for name, addresses in entries if form in {canonical(role, a) for a in addresses}}
    return any(_is_only_entry(name, entries, task) for name in owners)


def _is_only_entry(name: str, entries: list[tuple[str, tuple[str, ...]]], task: Task) -> bool:
    """Whether the words use this entry's full name, or a part of it that no other entry shares."""
    others = [(set(tokens(other)), {*addresses}) for other, addresses in entries if tokens(other) != tokens(name)]
    same = {a for other, addresses in entries if tokens(other) == tokens(name) for a in addresses}
    if len(same) != 1:
        return False
    if names(task.words, ArgRole.PRINCIPAL, name):
        return True
    parts = [part for part in tokens(name) if len(part) > 1 and part in task.words.tokens and not is_generic((part,))]
    return any(not any(part in other for other, _ in others) for part in parts)


def _is_named_object(role: ArgRole, value: str, manifest: ToolManifest, task: Task) -> bool:
    if role not in THINGS | {ArgRole.RECIPIENT}:
        return False
    records = [task.knowledge.records[at] for at in task.knowledge.by_id.get(value, ())]
    if role is ArgRole.RECIPIENT:  # a channel by its name; an id is the writer's to choose
        records = [record for record in records if value in record.of(FieldRole.NAME)]
    return bool({(record.kind, record_id(record)) for record in records} & task.mentions.unique)


def _is_found(role: ArgRole, value: str, manifest: ToolManifest, task: Task) -> bool:
    """The one record that a search for the owner's own words brought, when it is to be changed."""
    return role is ArgRole.OBJECT and manifest.effect is Effect.SELF_MODIFY and value in task.knowledge.found


def _is_computed(role: ArgRole, value: str, manifest: ToolManifest, task: Task) -> bool:
    if role in THINGS | {ArgRole.RECIPIENT} and (is_superlative(value, task) or fits_prefix(value, task)):
        return True
    if role in THINGS | {ArgRole.RECIPIENT, ArgRole.PRINCIPAL} and is_one_of_all(value, role, task):
        return True
    if role in (ArgRole.RECIPIENT, ArgRole.PRINCIPAL) and is_field_of_named(value, task):
        return True
    if role in (ArgRole.RECIPIENT, ArgRole.PLACE) and is_place_of_described(value, task):
        return True
    return role is ArgRole.PAYEE and paid_back(value, task) is not None


def _is_pointed_at(role: ArgRole, value: str, manifest: ToolManifest, task: Task) -> bool:
    if role is ArgRole.URL and manifest.effect is Effect.FETCH:
        records = [task.knowledge.records[at] for at in task.knowledge.links.get(canonical(role, value)[1], ())]
        return any(_tells_link(record, task) or _is_found_address(value, record, task) for record in records)
    if role is ArgRole.DATE:
        return any(
            _tells_date(record, value[:10]) for record in task.knowledge.records[:MAX_TEXTS] if _is_source(record, task)
        )
    return False


def _tells_link(record: Record, task: Task) -> bool:
    """Whether a link in this record may be opened as it stands: colleagues' words where the owner looks, or links asked for.

    Never a link in a page that was fetched: the owner named the page, not whoever wrote into it.
    """
    asked = record.org or (bool(record.domain) and task.plan.links)
    return asked and is_pointed_record(record, task)


def _is_found_address(value: str, record: Record, task: Task) -> bool:
    """Whether a search of the web found this very address, and choosing it could tell its host nothing private."""
    if not record.found or task.private_domains:
        return False
    return canonical(ArgRole.URL, value) in {canonical(ArgRole.URL, found) for found in record.of(FieldRole.URL)}


def is_pointed_record(record: Record, task: Task) -> bool:
    """Whether the owner named the record, its container or its author."""
    if (record.kind, record_id(record)) in task.mentions.unique:
        return True
    where = (*record.of(FieldRole.PLACE), *record.readers())
    return any(names(task.said, ArgRole.RECIPIENT, value) for value in where)


def _is_source(record: Record, task: Task) -> bool:
    """Whether the owner pointed at this record as a source: its domain ("based on the mails") and what it is about."""
    if not record.domain or record.domain not in task.plan.sources:
        return False
    return (record.kind, record_id(record)) in task.mentions.unique or any(
        shares_phrase(name, task) for name in record.of(FieldRole.NAME)
    )


def _tells_date(record: Record, day: str) -> bool:
    """Whether the record states this date: in a field, in its text, or as a day soon after it was written ("Friday", "the 18th")."""
    stated = record.of(FieldRole.DATE)
    if any(date[:10] == day for date in stated):
        return True
    texts = record.of(FieldRole.TEXT)
    return any(names_date(read_words(text), day) for text in texts) or any(
        names_day_after(text, written[:10], day) for text in texts for written in stated
    )


def _is_endorsed(role: ArgRole, value: str, manifest: ToolManifest, task: Task) -> bool:
    if task.endorsed is None or role is ArgRole.PAYEE:
        return False
    if role is ArgRole.AMOUNT:
        cents = canonical_amount(value)
        return cents is not None and names_amount(task.endorsed, cents)
    if role is ArgRole.DATE:
        return names_date(task.endorsed, value[:10], task.today)
    return names(task.endorsed, role, value)


Fits = Callable[[ArgRole, str, ToolManifest, Task], bool]
_LADDER: tuple[tuple[Origin, Fits], ...] = (
    (Origin.OWNER_SELF, _is_self),
    (Origin.OWNER_WORDS, _is_written),
    (Origin.CREATED_HERE, _is_made_here),
    (Origin.DIRECTORY, _is_in_directory),
    (Origin.NAMED_OBJECT, _is_named_object),
    (Origin.COMPUTED, _is_found),
    (Origin.COMPUTED, _is_computed),
    (Origin.POINTED_AT, _is_pointed_at),
    (Origin.ENDORSED, _is_endorsed),
)


def find_source(value: str, knowledge: Knowledge) -> str:
    """The first record in which a value stands, in words; "" when in none. For cards: it reads every text."""
    for record in knowledge.records[:MAX_TEXTS]:
        for spec, values in record.fields:
            if value in values or (spec.role is FieldRole.TEXT and any(value in text for text in values)):
                return record_words(record)
    return ""


def record_words(record: Record) -> str:
    """A record as people call it: "email “Re: schedule” from bob@example.org"."""
    name = next(iter(record.of(FieldRole.NAME)), "")
    author = next(iter(record.readers()), "")
    words = [record.kind, f"“{name[:60]}”" if name else "", f"from {author}" if author else ""]
    return " ".join(word for word in words if word)
