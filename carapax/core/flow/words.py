"""The owner's words, read once: which values, amounts and dates they name.

Layer: core/flow. Owns the one question of rules 3, 4 and 6: does this value stand in the owner's own words?
Absent: closeness, parts of words, meaning; who the owner is and which words are theirs is the guard's matter.
Laws: more lines of words never un-name a value; an empty value and a bare "the" are never named; total and linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from carapax.core.flow.canon import (
    EXACT,
    Kind,
    amounts_of,
    canonical,
    canonical_amount,
    find_addresses,
    path_form,
    take_ibans,
    take_phones,
    text_form,
)
from carapax.core.flow.days import Day, read_moments
from carapax.core.flow.links import address_form, fold, is_link, url_forms, whole_links
from carapax.core.flow.origin import in_owner_words
from carapax.core.flow.tokens import find_phrase, tokens
from carapax.core.terms.action import ArgRole

STOP_WORDS = frozenset(
    tokens(
        "a an and any all as at be by do each every for from he her here him his i in is it its me mine my no none not of"
        " off on one or our out self she so some that the their them then there these they this those to up us we what who"
        " with yes you your"
        " au aux avec ce ces cet cette chaque dans de des du elle elles en et eux il ils je la le les leur leurs lui ma mes"
        " moi mon ne non nos notre nous on ou où oui par pas pour qui se ses son sur ta tes toi ton tous tout toute toutes"
        " tu un une vos votre vous y à"
    )
)
"""Words that name nothing by themselves, English and French."""

_QUOTED = re.compile(r"\"([^\"\n]+)\"|`([^`\n]+)`|“([^”\n]+)”|«([^»\n]+)»|['‘](?<!\w.)([^'’\n]+)['’](?!\w)")
_MARKS = re.compile(r"[\"“”„«»()\[\]`]")
_SIGIL = re.compile(r"[#@](?<!\S.)(?=\w)")
_PIECE = re.compile(r"[^\s\"`“”«»<>|;]+")
_SLASH = re.compile("/").search
_CLITIC = re.compile(r"\A(?:[cdjlmnst]|qu)'(?=\w)|'s\Z")
_WHEN = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.0+)?)?Z?)?")
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Words:
    """A text with what it names; `offsets` are days from today, `times` and `lengths` minutes."""

    text: str
    tokens: tuple[str, ...]
    values: frozenset[tuple[Kind, str]]
    amounts: frozenset[int]  # hundredths
    dates: frozenset[Day]
    offsets: frozenset[int]
    times: frozenset[int]
    lengths: frozenset[int]
    quoted: tuple[str, ...]
    folded: str  # as names are compared
    plain: str  # the same without quotation marks, brackets and the sigils of "#general" and "@anna"
    stems: tuple[str, ...]  # tokens without "'s" and "l'"


_GLUED = re.compile(r"(\.[a-z]{2,}\.)(?=[A-Z][a-z]+\s)")
"""A host at the end of a sentence, with the space after the full stop forgotten: "www.site.example.They said"."""


@lru_cache(maxsize=32)
def read_words(text: str) -> Words:
    """The words of a text and all they name. Total; linear in the text."""
    cut = tokens(text)
    folded = text_form(text).replace("’", "'")
    quoted = tuple(dict.fromkeys(part for found in _QUOTED.findall(text) for part in found if part))
    ibans, rest = take_ibans(text)
    moments = read_moments(fold(rest))
    phones, rest = take_phones(moments.rest)
    values = {(Kind.IBAN, form) for form in ibans} | {(Kind.PHONE, form) for form in phones}
    return Words(
        text=text,
        tokens=cut,
        values=frozenset(values | _links(_GLUED.sub(r"\1 ", text)) | _links(text) | _paths(text, quoted)),
        amounts=amounts_of(rest),
        dates=moments.days,
        offsets=moments.offsets,
        times=moments.times,
        lengths=moments.lengths,
        quoted=quoted,
        folded=folded,
        plain=text_form(_SIGIL.sub("", _MARKS.sub(" ", folded)).strip()),
        stems=_stems(cut),
    )


def names(words: Words, role: ArgRole, value: str) -> bool:
    """Whether the words name exactly this value; the role decides what exactly means."""
    match role:
        case _ if role in EXACT:
            return _stands_exactly(words, value)
        case ArgRole.AMOUNT:
            cents = canonical_amount(value)
            return cents is not None and names_amount(words, cents)
        case ArgRole.DATE:
            return names_date(words, value)
        case ArgRole.PATH:
            return _names_path(words, value)
        case ArgRole.URL:
            return any((Kind.URL, form) in words.values for form in url_forms(value))
        case _:
            return _names_value(words, role, value)


def _names_value(words: Words, role: ArgRole, value: str) -> bool:
    kind, form = canonical(role, value)
    if kind is Kind.TEXT:
        return _names_phrase(words, form.replace("’", "'"))
    if kind is Kind.URL:
        return any((Kind.URL, other) in words.values for other in url_forms(value))
    return (kind, form) in words.values


def _names_phrase(words: Words, form: str) -> bool:
    phrase = _stems(tokens(form))
    if not phrase or all(word in STOP_WORDS for word in phrase) or find_phrase(phrase, words.stems) < 0:
        return False
    return any(form in text and in_owner_words(form, text) for text in (words.folded, words.plain))


def _names_path(words: Words, value: str) -> bool:
    form, phrase = path_form(value), tokens(value)
    if not value.strip() or (phrase and all(word in STOP_WORDS for word in phrase)):
        return False
    return (Kind.PATH, form) in words.values or _stands_exactly(words, value) or _stands_exactly(words, form)


def _stands_exactly(words: Words, value: str) -> bool:
    """Character for character, and not merely as a part of something longer that the owner put in quotation marks."""
    if not value or value != value.strip() or value not in words.text:
        return False
    if value in words.quoted:
        return True
    return in_owner_words(value, _QUOTED.sub(lambda found: _blank(found[0], value), words.text))


def _blank(quoted: str, value: str) -> str:
    return " ; " if value in quoted[1:-1] else quoted


def names_amount(words: Words, cents: int) -> bool:
    """Whether the words state this amount, in hundredths."""
    return cents in words.amounts


def names_date(words: Words, value: str, today: date | None = None) -> bool:
    """Whether the words state this date ("2024-05-19") and, when they state any time, this time of day ("… 12:00")."""
    found = _WHEN.fullmatch(value)
    if found is None:
        return False
    try:
        when = date.fromisoformat(found[1])
    except ValueError:
        return False
    near = today is not None and any(when == today + timedelta(days=offset) for offset in words.offsets)
    if not near and not any(day.is_on(when) for day in words.dates):
        return False
    return found[2] is None or _names_time(words, int(found[2]) * 60 + int(found[3]), found[4] or "00")


def _names_time(words: Words, minute: int, seconds: str) -> bool:
    if minute >= _DAY_MINUTES:
        return False
    if not words.times or minute == 0 or (minute == _DAY_MINUTES - 1 and seconds in {"00", "59"}):
        return True
    ends = {start + length for start in words.times for length in words.lengths}
    return seconds == "00" and (minute in words.times or minute in ends)


def _stems(cut: tuple[str, ...]) -> tuple[str, ...]:
    bare = {word: _CLITIC.sub("", word) for word in set(cut) if "'" in word}
    return tuple(bare.get(word, word) for word in cut) if bare else cut


def _links(text: str) -> set[tuple[Kind, str]]:
    found = {(Kind.URL, form) for link in whole_links(text) if is_link(link) for form in url_forms(link)}
    forms = (address_form(address) for address in find_addresses(text))
    return found | {(Kind.EMAIL, form) for form in forms if form is not None}


def _paths(text: str, quoted: tuple[str, ...]) -> set[tuple[Kind, str]]:
    pieces = (piece.strip("'’,:!?()[]") for word in filter(_SLASH, text.split()) for piece in _PIECE.findall(word))
    found = {path_form(piece) for part in pieces for piece in (part, part.rstrip(".")) if piece}
    return {(Kind.PATH, form) for form in found | {path_form(part) for part in quoted}}
