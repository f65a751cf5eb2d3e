"""Days, times of day and durations that a text states, in English and French.

Layer: core/flow. Owns the reading of written dates; a date with two readings counts as both.
Absent: weekdays, "next week" and the days between two ends of a range: what is not written is not stated.
Laws: a day that no calendar has is never read; nothing is read across a line's end; time is linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

_NAMES = (
    "january jan janvier janv",
    "february feb février fevrier févr fevr",
    "march mar mars",
    "april apr avril avr",
    "may mai",
    "june jun juin",
    "july jul juillet juil",
    "august aug août aout",
    "september sept sep septembre",
    "october oct octobre",
    "november nov novembre",
    "december dec décembre decembre déc",
)
MONTHS = {name: number for number, names in enumerate(_NAMES, 1) for name in names.split()}
RELATIVE = {"today": 0, "tonight": 0, "tomorrow": 1, "yesterday": -1} | {
    "aujourd'hui": 0,
    "demain": 1,
    "hier": -1,
    "après-demain": 2,
}
_NUMERALS = (
    "one an a un une",
    "two deux",
    "three trois",
    "four quatre",
    "five cinq",
    "six",
    "seven sept",
    "eight huit",
    "nine neuf",
    "ten dix",
)
_COUNTS = {word: count for count, words in enumerate(_NUMERALS, 1) for word in words.split()}

_SPEAKING = frozenset(
    re.findall(
        r"\S+",
        "- – / . ( ) % € $ £ ¥ ₹ + & the le of de du in en to until till through au à jusqu'au jusqu'à dès by and et at"
        " around vers from on for pour pendant with sharp o'clock am pm a.m p.m h hour hours hr hrs heure heures minute"
        " minutes min mins half half-hour demie demi-heure noon midday midi midnight minuit k thousand mille million"
        " millions eur usd gbp chf jpy cad aud euro euros dollar dollars pound pounds livre livres franc francs",
    )
)
"""Words besides numbers that a date, a time or an amount can hold; all others only part them."""

MAX_SPEAKING = 8_192
"""Characters of speaking words that are read for dates and amounts; what stands behind them counts as not stated."""

_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DAY = r"(?:3[01]|[12][0-9]|0?[1-9])(?:st|nd|rd|th|er|ème|eme|e)?(?!\w)"
_NTH = r"(?:3[01]|[12][0-9]|0?[1-9])(?:st|nd|rd|th)(?!\w)"
_TO = r"[ \t]?(?:-|–|to|until|till|through|au|à|jusqu'au)[ \t]?(?:the |le )?"
_AND = r"(?:,|,? ?(?:and|et|&))[ \t]?(?:the |le )?"
_NOT_MORE = r"(?![0-9]|[:%][0-9]|[.,][0-9]|[ \t]?(?:[ap]\.?m\b|h\b|o'clock))"
_YEAR = r"(?:,?[ \t](?:of |in |en )?((?:19|20|21)[0-9]{2})(?![\w:]|[.,][0-9]|[ \t]?(?:€|\$|£|eur|usd|dollars)))?"
_DAY_FIRST = re.compile(
    rf"(?<![\w.:/\-])({_DAY}(?:(?:{_TO}|{_AND}){_DAY}){{0,5}})[ \t\-]?(?:of |de )?({_MONTH})(?!\w)\.?{_YEAR}"
)
_MONTH_FIRST = re.compile(
    rf"(?<!\w)({_MONTH})(?!\w)\.?[ \t](?:the )?({_DAY}{_NOT_MORE}(?:{_TO}{_DAY}{_NOT_MORE}|{_AND}{_NTH}){{0,5}}){_YEAR}"
)
_ISO = re.compile(r"(?<![\w\-/.])([0-9]{4})([\-/.])([0-9]{1,2})\2([0-9]{1,2})(?![0-9]|[\-/.][0-9])")
_NUMERIC = re.compile(r"(?<![\w\-/.])([0-9]{1,2})([\-/.])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})(?!\w|[\-/.][0-9])")
_SHORT = re.compile(r"(?<!\w)(?:on|le|du|au|by) ([0-9]{1,2})/([0-9]{1,2})(?![\w/])")
_BETWEEN = re.compile(r"[ \t]?(?:-|–|to|until|till|through|au|jusqu'au|and|et)[ \t]?(?:the |le )?")
_RELATIVE = re.compile(rf"(?<![\w\-])({'|'.join(sorted(RELATIVE, key=len, reverse=True))})(?!\w)")

_COLON = re.compile(
    r"(?:(?<![\w:.,])|(?<=[0-9]t))([01]?[0-9]|2[0-3]):([0-5][0-9])(?::00)?(?:[ \t]?([ap])\.?m\b)?(?![\w:])"
)
_HALF = re.compile(r"(?<![\w:.,])(1[0-2]|0?[1-9])[ \t]?([ap])\.?m\b")
_SPAN = re.compile(
    r"(?<![\w:.,])(1[0-2]|0?[1-9])(?::([0-5][0-9]))?" + _TO + r"(?:1[0-2]|0?[1-9])(?::[0-5][0-9])?[ \t]?([ap])\.?m\b"
)
_HOURS = re.compile(
    r"(?:(?<!\w)(à|at|vers|dès|from|jusqu'à|until|by) )?(?<![\w:.,])([01]?[0-9]|2[0-3])[ \t]?(?:h|heures?)[ \t]?([0-5][0-9])?(?!\w)"
)
_AT = re.compile(
    r"(?<!\w)(?:at|around|vers) ([01]?[0-9]|2[0-3])(?=[ \t]?(?:\Z|[.,;!?)\n](?!\w)"
    r"|(?:o'clock|on|for|until|till|tomorrow|today|tonight|in|and|with|le|pour|demain|pendant|sharp)(?!\w)))"
)
_NAMED = re.compile(r"(?<!\w)(noon|midday|midi|midnight|minuit)(?!\w)")
_LASTS = re.compile(
    rf"(?<![\w:.,])([0-9]{{1,4}}(?:[.,][0-9]{{1,2}})?|half an|{'|'.join(_COUNTS)})[ \t\-]?"
    r"(hours?|hrs?|heures?|h|minutes?|mins?)(?:[ \t]?(?:and |et )?([0-9]{1,2})(?:[ \t]?(?:minutes?|mins?))?| and a half| et demie)?(?!\w)"
)
_HALF_HOUR = re.compile(r"(?<!\w)(?:half-hour|half hour|demi-heure)(?!\w)")


_DIGIT = re.compile("[0-9]")
_VOCABULARY = _SPEAKING | MONTHS.keys() | RELATIVE.keys() | _COUNTS.keys()


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day as it was written; without a year it is that day of any year."""

    year: int | None
    month: int
    day: int

    def is_on(self, when: date) -> bool:
        """Whether the given date is this day."""
        return (self.month, self.day) == (when.month, when.day) and self.year in {None, when.year}


@dataclass(frozen=True, slots=True)
class Moments:
    """What a text says about when: days, days from today, minutes of the day, lengths in minutes."""

    days: frozenset[Day] = frozenset()
    offsets: frozenset[int] = frozenset()
    times: frozenset[int] = frozenset()
    lengths: frozenset[int] = frozenset()
    rest: str = ""  # the text its numbers that are no part of a date or of a time of day


def _speaks(word: str) -> bool:
    return word == "\n" or _DIGIT.search(word) is not None or word.strip(",.;:!?()[]'\"*") in _VOCABULARY


def _speaking(text: str) -> str:
    """The numbers of a text in small letters and the words that make dates, times and amounts of them; "_" for others."""
    text = text.replace("’", "'").replace("\u00a0", " ").replace("\u202f", " ").replace("\t", " ").replace("\n", " \n ")
    words = text.split(" ")
    speaking = {word for word in set(words) if _speaks(word)}
    kept: list[str] = []
    for word in words:
        if word in speaking:
            kept.append(word)
        elif kept[-1:] != ["_"]:
            kept.append("_")
    return " ".join(kept)[:MAX_SPEAKING]


def read_moments(text: str) -> Moments:
    """All days, times and durations of a text in small letters."""
    text = _speaking(text)
    offsets = frozenset(RELATIVE[found[1]] for found in _RELATIVE.finditer(text))
    named = {0 if found[1].startswith("min") or found[1] == "midnight" else 720 for found in _NAMED.finditer(text)}
    if not _DIGIT.search(text):
        return Moments(frozenset(), offsets, frozenset(named), frozenset(_lengths(text)), text)
    days = frozenset(_written(text)) | frozenset(_numeric(text))
    times = frozenset(named | set(_times(text)))
    rest = text
    for pattern in (_DAY_FIRST, _MONTH_FIRST, _ISO, _NUMERIC, _SHORT, _SPAN, _COLON, _HALF, _HOURS):
        rest = pattern.sub(" ; ", rest)
    return Moments(days, offsets, times, frozenset(_lengths(text)), rest)


def _written(text: str) -> Iterator[Day]:
    found = [(m.start(), m.end(), MONTHS[m[2]], m[1], m[3]) for m in _DAY_FIRST.finditer(text)]
    found += [(m.start(), m.end(), MONTHS[m[1]], m[2], m[3]) for m in _MONTH_FIRST.finditer(text)]
    found.sort()
    next_start, next_month, next_year = -1, 0, None
    for start, end, month, days, written in reversed(found):
        year = int(written) if written else None
        if year is None and next_year and _BETWEEN.fullmatch(text[end:next_start]):
            year = next_year - (month > next_month)
        for number in re.findall("[0-9]+", days):
            yield from _day(year, month, int(number))
        next_start, next_month, next_year = start, month, year


def _numeric(text: str) -> Iterator[Day]:
    for found in _ISO.finditer(text):
        yield from _day(int(found[1]), int(found[3]), int(found[4]))
    for found in _NUMERIC.finditer(text):
        year = int(found[4]) if len(found[4]) == 4 else 2000 + int(found[4])
        yield from _day(year, int(found[3]), int(found[1]))
        yield from _day(year, int(found[1]), int(found[3]))
    for found in _SHORT.finditer(text):
        yield from _day(None, int(found[2]), int(found[1]))
        yield from _day(None, int(found[1]), int(found[2]))


def _day(year: int | None, month: int, day: int) -> Iterator[Day]:
    try:
        date(2000 if year is None else year, month, day)  # 2000 has a 29 February
    except ValueError:
        return
    yield Day(year, month, day)


def _clock(hour: int, minute: int, half: str | None) -> int:
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return hour * 60 + minute


def _times(text: str) -> Iterator[int]:
    for found in _COLON.finditer(text):
        yield _clock(int(found[1]), int(found[2]), found[3])
    for found in _HALF.finditer(text):
        yield _clock(int(found[1]), 0, found[2])
    for found in _SPAN.finditer(text):
        yield _clock(int(found[1]), int(found[2] or 0), found[3])
    for found in _HOURS.finditer(text):
        yield _clock(int(found[2]), int(found[3] or 0), None)
    for found in _AT.finditer(text):
        yield int(found[1]) * 60
        yield (int(found[1]) % 12 + 12) * 60


def _lengths(text: str) -> Iterator[int]:
    for found in _LASTS.finditer(text):
        count, unit, more = found[1], found[2], found[3]
        size = 60 if unit.startswith("h") else 1
        number = 0.5 if count == "half an" else _COUNTS.get(count) or float(count.replace(",", "."))
        half = 0.5 if found[0].endswith(("half", "demie")) else 0
        yield round((number + half) * size) + int(more or 0)
    if _HALF_HOUR.search(text):
        yield 30
