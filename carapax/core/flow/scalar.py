"""Bounded scalars: the only things that may be read out of untrusted text without carrying its words along.

Layer: core/flow; pure. Owns what can be wanted, the schema a model is given for it, and the strict reading of its answer.
Absent: a way to want a recipient, URL, payee, path, command, secret, address or name; and the asking (`agent/quarantine`).
Laws: a Scalar holds no text of the one who answered: a choice is an index into the asker's own list; a value that does
not fit what was wanted cannot be made into a Scalar; `parse_answer` is total.
Source: design `flow.md` (labels, type); the dual-model pattern (Willison 2023), CaMeL.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, assert_never

from carapax.core.flow.links import find_addresses, find_links
from carapax.core.flow.origin import hidden_characters
from carapax.core.terms.error import Malformed, Refused

MOST_CHOICES = 20
CHOICE_CHARS = 60
MOST_NUMBER = 999_999_999
"""Numbers stay within ± this: too short for an account or card number."""
MOST_CENTS = 9_999_999_999
FIRST_YEAR, LAST_YEAR = 1900, 2199
ANSWER_CHARS = 200
"""A longer answer is none; it is not even parsed."""

KINDS = ("yes_no", "choice", "number", "amount", "date", "date_time")

_CHOICE_PUNCTUATION = frozenset(" '’-,.()%+&")
_CHOICE_DIGITS = 8
_WORD_LETTERS = 24
_DOTTED = re.compile(r"\w\.\w*[^\W\d]|[^\W\d]\w*\.\w")  # a host or a file name; "1.5" is a number
_OPTION = re.compile(r"(?<!\S)-+\w")  # "-rf" of a command
_AMOUNT = re.compile(r"-?[0-9]{1,8}(\.[0-9]{1,2})?", re.ASCII)
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_DATE_TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class YesNo:
    """A yes or a no."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the asker's own texts: 2 to 20, each at most 60 characters, none an address, a link or a path."""

    choices: tuple[str, ...]

    def __post_init__(self) -> None:
        check_choices(self.choices)


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number between two bounds, both within ± 999,999,999."""

    low: int = 0
    high: int = MOST_NUMBER

    def __post_init__(self) -> None:
        if not -MOST_NUMBER <= self.low <= self.high <= MOST_NUMBER:
            raise Refused(
                f"A number can be wanted between {-MOST_NUMBER} and {MOST_NUMBER}, the lower bound first.",
                next_step="Ask with other bounds.",
            )


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount in hundredths of whatever currency the asker means, below 100 million."""


@dataclass(frozen=True, slots=True)
class Day:
    """A date from 1900 to 2199."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A date and a time to the minute, on the text's own clock: its zone is not known."""


Wanted = YesNo | Choice | Number | Amount | Day | Moment
Held = bool | int | date | datetime


@dataclass(frozen=True, slots=True)
class Scalar:
    """What was read: a value that fits what was wanted, or None for no answer. A choice is its index, an amount its cents."""

    wanted: Wanted
    value: Held | None = None
    cut: bool = False  # only the beginning of the text was looked at

    def __post_init__(self) -> None:
        if self.value is not None and not _fits(self.wanted, self.value):
            raise Malformed("A value that does not fit what was wanted is no answer.")

    def render(self) -> str:
        """The value in words of ours or of the asker, at most 60 characters; "" for no answer."""
        if self.value is None:
            return ""
        match self.wanted:
            case YesNo():
                return "yes" if self.value else "no"
            case Choice(choices):
                return choices[int(self.value)]  # type: ignore[arg-type]  # _fits has seen that it is an index
            case Amount():
                return f"{Decimal(self.value).scaleb(-2):.2f}"  # type: ignore[arg-type]  # an int, as _fits has seen
            case Moment():
                return f"{self.value:%Y-%m-%dT%H:%M}"
            case _:
                return str(self.value)


def wanted_of(kind: str, choices: Sequence[str] = (), low: int | None = None, high: int | None = None) -> Wanted:
    """What a kind's name stands for. Raises Refused for any other kind: text, names and addresses cannot be wanted."""
    match kind:
        case "yes_no":
            return YesNo()
        case "choice":
            return Choice(tuple(choices))
        case "number":
            return Number(0 if low is None else low, MOST_NUMBER if high is None else high)
        case "amount":
            return Amount()
        case "date":
            return Day()
        case "date_time":
            return Moment()
        case _:
            raise Refused(
                "Only a yes or no, one of given choices, a number, an amount, a date or a date with a time can be "
                "read out of untrusted text; never a recipient, link, payee, path, command, secret, address or name.",
                next_step="Ask for one of those, or read the text itself.",
            )


def check_choices(choices: Sequence[str]) -> None:
    """Whether these may be chosen from. Raises Refused: one that acts as an address would be a way to steer where things go."""
    if not 2 <= len(choices) <= MOST_CHOICES:
        raise Refused(f"Give 2 to {MOST_CHOICES} choices.", next_step="Ask with other choices.")
    if len({unicodedata.normalize("NFKC", choice).casefold() for choice in choices}) != len(choices):
        raise Refused("Two of the choices are the same.", next_step="Ask with other choices.")
    for number, choice in enumerate(choices, 1):
        reason = _choice_fault(choice)
        if reason:
            raise Refused(f"Choice {number} {reason}.", next_step="Ask with plain words as choices.")


def answer_schema(wanted: Wanted) -> dict[str, Any]:
    """The JSON Schema of `{"answer": …}`; null says that the text does not tell."""
    return {
        "type": "object",
        "properties": {"answer": {"anyOf": [_value_schema(wanted), {"type": "null"}]}},
        "required": ["answer"],
        "additionalProperties": False,
    }


def parse_answer(text: str, wanted: Wanted) -> Held | None:
    """The value that a model's answer holds; None for null and for everything that is not exactly one fitting value."""
    value = _only_answer(text)
    try:
        held = _held(wanted, value)
    except ValueError:
        return None
    return held if held is not None and _fits(wanted, held) else None


def is_answer(text: str, wanted: Wanted) -> bool:
    """Whether the text keeps to the schema, a null included."""
    return parse_answer(text, wanted) is not None or _only_answer(text, missing=False) is None


def _only_answer(text: str, missing: object = None) -> object:
    if len(text) > ANSWER_CHARS:
        return missing
    try:
        pairs = json.loads(text, object_pairs_hook=tuple, parse_float=Decimal)
    except (ValueError, RecursionError):
        return missing
    if isinstance(pairs, tuple) and len(pairs) == 1 and pairs[0][0] == "answer":
        value: object = pairs[0][1]
        return value
    return missing


def _held(wanted: Wanted, value: object) -> Held | None:
    """The value as it is kept. Raises ValueError for a date that is none."""
    match wanted, value:
        case YesNo(), "yes" | "no":
            return value == "yes"
        case Choice(choices), str() if value in choices:
            return choices.index(value)
        case Number(), int():
            return value
        case Amount(), _:
            return _cents(value)
        case Day(), str() if found := _DATE.fullmatch(value):
            return date(*map(int, found.groups()))
        case Moment(), str() if found := _DATE_TIME.fullmatch(value):
            return datetime(*map(int, found.groups()))  # type: ignore[arg-type]  # noqa: DTZ001 - the zone is unknown
        case _:
            return None


def _cents(value: object) -> int | None:
    text = str(value)  # of a text, or of a number as JSON wrote it; nothing else looks like an amount
    return int(Decimal(text).scaleb(2)) if _AMOUNT.fullmatch(text) else None


def _fits(wanted: Wanted, value: object) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    match wanted:
        case YesNo():
            return isinstance(value, bool)
        case Choice(choices):
            return whole and 0 <= value < len(choices)  # type: ignore[operator]
        case Number(low, high):
            return whole and low <= value <= high  # type: ignore[operator]
        case Amount():
            return whole and -MOST_CENTS <= value <= MOST_CENTS  # type: ignore[operator]
        case Day():
            return type(value) is date and FIRST_YEAR <= value.year <= LAST_YEAR
        case Moment():
            minute = type(value) is datetime and value == value.replace(second=0, microsecond=0, tzinfo=None)
            return minute and FIRST_YEAR <= value.year <= LAST_YEAR  # type: ignore[attr-defined]
        case _:
            assert_never(wanted)


def _value_schema(wanted: Wanted) -> Mapping[str, Any]:
    match wanted:
        case YesNo():
            return {"type": "string", "enum": ["yes", "no"]}
        case Choice(choices):
            return {"type": "string", "enum": list(choices)}
        case Number(low, high):
            return {"type": "integer", "minimum": low, "maximum": high}
        case Amount():
            return {"type": "string", "pattern": r"^-?[0-9]{1,8}\.[0-9]{2}$"}
        case Day():
            return {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
        case Moment():
            return {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$"}
        case _:
            assert_never(wanted)


def _choice_fault(choice: str) -> str:
    """What is wrong with a choice, "" when nothing is. Letters, digits and little else: links and paths need more."""
    if not choice.strip() or choice != choice.strip() or len(choice) > CHOICE_CHARS:
        return f"is empty, has blanks around it or is longer than {CHOICE_CHARS} characters"
    if hidden_characters(choice) or any(not _is_plain(char) for char in choice):
        return "has characters that links, addresses, paths or commands are made of"
    if find_links(choice) or find_addresses(choice) or _DOTTED.search(choice) or _OPTION.search(choice):
        return "looks like a host, a file or a command"
    if sum(char.isdigit() for char in choice) > _CHOICE_DIGITS:
        return "looks like an account, card or telephone number"
    if any(len(word) > _WORD_LETTERS for word in choice.split()):
        return "looks like a secret"
    return ""


def _is_plain(char: str) -> bool:
    return char in _CHOICE_PUNCTUATION or unicodedata.category(char)[0] in "LMN"
