"""Canonical values: when two spellings of an address, a link, an account or an amount are one and the same.

Layer: core/flow. Owns the kinds of authority values and the one form of each.
Absent: any closeness; a look-alike, a prefix and an added query are other values.
Laws: `canonical` is total and idempotent; commands and secrets are exact, byte for byte.
"""

from __future__ import annotations

import posixpath
import re
from datetime import date
from enum import StrEnum

from carapax.core.flow.disguise import disguise
from carapax.core.flow.links import address_form, find_addresses, find_links, fold, is_link, url_forms
from carapax.core.terms.action import ArgRole

__all__ = [
    "Kind",
    "amounts_of",
    "canonical",
    "canonical_amount",
    "disguise",
    "find_addresses",
    "find_links",
    "is_iban",
    "take_ibans",
    "take_phones",
]


class Kind(StrEnum):
    EMAIL = "email"
    URL = "url"
    PHONE = "phone"
    IBAN = "iban"
    AMOUNT = "amount"
    DATE = "date"
    TIME = "time"
    PATH = "path"
    TEXT = "text"


EXACT = frozenset({ArgRole.SECRET, ArgRole.COMMAND})
_REACHES = frozenset({ArgRole.RECIPIENT, ArgRole.PAYEE, ArgRole.PRINCIPAL})
"""Roles whose values may be telephone and account numbers; elsewhere digits are a name like any other."""

_SPACES = re.compile("[ \t\r\n\u00a0\u202f]{2,}|[\t\r\n\u00a0\u202f]")
_SPACE = re.compile("[ \t\r\n\u00a0\u202f]")
_ISO = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2})(?::([0-9]{2}))?)?")
_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")

_IBAN = re.compile(r"[A-Za-z]{2}[0-9]{2}(?:[ \u00a0]?[A-Za-z0-9]{4}){2,7}(?:[ \u00a0]?[A-Za-z0-9]{1,4})?")
_IBAN_RUN = re.compile(
    r"\b(?<![.@/=&%\-])[A-Za-z]{2}[0-9]{2}[A-Za-z0-9]{0,30}+(?:[ \u00a0][A-Z0-9]{1,4}(?![\w@/=&%]|[.\-]\w)){0,8}+"
    r"(?![\w@/=&%]|[.\-]\w)"
)
_SHORTEST_IBAN = 15  # Norway's

_PHONE = r"(?:\+|00)?\(?[0-9](?:[ \u00a0.\-/()]{0,2}[0-9]){6,19}+"
_PHONE_ALONE = re.compile(_PHONE)
_PHONE_RUN = re.compile(rf"(?<![\w+@/=&%#])(?<![\w)][.\-]){_PHONE}(?![\w@/=&%]|[.\-]\w|[ \u00a0]?[0-9])")

_COINS = r"(?:€|£|\$|¥|₹|eur|usd|gbp|chf|jpy|cad|aud|euros?|dollars?|pounds?|livres?|francs?)"
_NUMBER = (
    r"(?P<grouped>[0-9]{1,3}(?P<sep>[ \u00a0\u202f'’.,])[0-9]{3}(?:(?P=sep)[0-9]{3}){0,4}(?![0-9]))?"
    r"(?(grouped)|(?P<plain>[0-9]{1,15}))(?:(?P<point>[.,])(?P<cents>[0-9]{1,4}))?"
)
_TIMES = {"k": 1_000, "thousand": 1_000, "mille": 1_000, "million": 10**6, "millions": 10**6}
_MANY = rf"(?:[ \u00a0]?(?P<many>{'|'.join(sorted(_TIMES, key=len, reverse=True))})(?!\w))?"
_AMOUNT = re.compile(rf"(?:{_COINS}[ \u00a0]?)?(?P<sign>[+\-])?{_NUMBER}{_MANY}(?:[ \u00a0]?{_COINS})?")
_AMOUNT_RUN = re.compile(
    rf"(?<![\w.,:/=#&?@+%\-'’])(?:{_COINS}[ \u00a0]?)?{_NUMBER}{_MANY}(?:[ \u00a0]?{_COINS}(?!\w))?"
    r"(?![\w@/=&]|[.,:\-'’][\w]|[ \u00a0]?%)"
)


def canonical(role: ArgRole, value: str) -> tuple[Kind, str]:
    """The kind and the one form of an argument's value. Total; what has no form stays as it is."""
    if role in EXACT:
        return Kind.TEXT, value
    match role:
        case ArgRole.URL:
            return Kind.URL, next(iter(url_forms(value)), value)
        case ArgRole.PATH:
            return Kind.PATH, path_form(value)
        case ArgRole.AMOUNT:
            cents = canonical_amount(value)
            return (Kind.TEXT, text_form(value)) if cents is None else (Kind.AMOUNT, _amount_form(cents))
        case ArgRole.DATE:
            return _date_form(value)
        case _:
            return _name_form(role, value)


def _name_form(role: ArgRole, value: str) -> tuple[Kind, str]:
    if (address := address_form(value)) is not None:
        return Kind.EMAIL, address
    if is_link(value) and (forms := url_forms(value)):
        return Kind.URL, forms[0]
    if role in _REACHES:
        if _IBAN.fullmatch(value.strip()):
            return Kind.IBAN, iban_form(value)
        if (phone := phone_form(value)) is not None:
            return Kind.PHONE, phone
    return Kind.TEXT, text_form(value)


def _amount_form(cents: int) -> str:
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole}.{rest:02d}"


def _date_form(value: str) -> tuple[Kind, str]:
    if _CLOCK.fullmatch(value):
        return Kind.TIME, value
    found = _ISO.fullmatch(value)
    if found is None or not _is_day(found[1]):
        return Kind.TEXT, text_form(value)
    seconds = f":{found[3]}" if found[3] not in {None, "00"} else ""
    return Kind.DATE, f"{found[1]} {found[2]}{seconds}" if found[2] else found[1]


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def text_form(value: str) -> str:
    """A name as people compare names: NFC, small letters, one space between words."""
    return _SPACES.sub(" ", fold(value)).strip(" ")


def path_form(value: str) -> str:
    """A path in POSIX normal form; the case and ".." beyond the start stay."""
    return posixpath.normpath(value) if value else value


def iban_form(value: str) -> str:
    return _SPACE.sub("", value).upper() if value.isascii() else _SPACE.sub("", value)


def is_iban(value: str) -> bool:
    """Whether the check digits of an account number are right (ISO 13616, mod 97)."""
    form = iban_form(value)
    if not form.isascii() or not _IBAN.fullmatch(form) or len(form) < _SHORTEST_IBAN:
        return False
    return int("".join(str(int(c, 36)) for c in form[4:] + form[:4])) % 97 == 1


def take_ibans(text: str) -> tuple[frozenset[str], str]:
    """The account numbers in a text, and the text without them; groups after one that checks are not part of it."""
    forms: set[str] = set()

    def one(run: re.Match[str]) -> str:
        form, rest = _iban_in(run[0])
        forms.update({form} - {""})
        return f" ; {rest}" if form else run[0]

    rest = _IBAN_RUN.sub(one, text)
    return frozenset(forms), rest


def _iban_in(run: str) -> tuple[str, str]:
    groups = _SPACE.split(run)
    if len(groups[0]) >= _SHORTEST_IBAN:
        return iban_form(groups[0]), " ".join(groups[1:])
    counts = range(4, len(groups) + 1)
    count = next((n for n in counts if is_iban("".join(groups[:n]))), len(groups))
    form = iban_form("".join(groups[:count]))
    return (form, " ".join(groups[count:])) if len(form) >= _SHORTEST_IBAN else ("", run)


def phone_form(value: str) -> str | None:
    """The digits of a telephone number, "+" in front when it is international; None when it is none."""
    bare = value.strip()
    bare = bare[4:] if bare[:4].lower() == "tel:" else bare
    if not _PHONE_ALONE.fullmatch(bare):
        return None
    digits = re.sub(r"[^0-9+]", "", bare)
    return f"+{digits[2:]}" if digits.startswith("00") and len(digits) > 9 else digits


def take_phones(text: str) -> tuple[frozenset[str], str]:
    """The telephone numbers in a text, always the longest run; and the text without those that can be no amount."""
    forms: set[str] = set()

    def one(run: re.Match[str]) -> str:
        form = phone_form(run[0])
        forms.update({form} if form else ())
        return " ; " if form and run[0][0] in "+0(" else run[0]

    rest = _PHONE_RUN.sub(one, text)
    return frozenset(forms), rest


def canonical_amount(text: str) -> int | None:
    """Hundredths of one amount; None when it is none, has two readings ("1,284") or parts of a hundredth."""
    found = _AMOUNT.fullmatch(text.strip().lower())
    readings = _readings(found, exact=True) if found else frozenset()
    if found is None or len(readings) != 1:
        return None
    cents = next(iter(readings))
    return -cents if found["sign"] == "-" else cents


def amounts_of(text: str) -> frozenset[int]:
    """Every reading, in hundredths, of every number that stands alone in a text; a part of a number never counts."""
    found = _AMOUNT_RUN.finditer(text.lower())
    return frozenset(cents for one in found for cents in _readings(one, exact=False))


def _readings(found: re.Match[str], *, exact: bool) -> frozenset[int]:
    times = _TIMES.get(found["many"] or "", 1)
    if not found["grouped"]:
        return _hundredths(found["plain"], found["cents"] or "", times, exact=exact)
    sep, point = found["sep"], found["point"]
    if sep == point:
        return frozenset()
    whole = found["grouped"].replace(sep, "")
    grouped = _hundredths(whole, found["cents"] or "", times, exact=exact)
    head, _, tail = found["grouped"].partition(sep)
    if point or sep not in ".," or sep in tail:
        return grouped
    if head.startswith("0"):
        return _hundredths(head, tail, times, exact=exact)
    return grouped | _hundredths(head, tail, times, exact=False)


def _hundredths(whole: str, fraction: str, times: int, *, exact: bool) -> frozenset[int]:
    scale = 10 ** len(fraction)
    value, rest = divmod(int(whole + fraction) * 100 * times, scale)
    if rest and exact:
        return frozenset()
    return frozenset({value + (2 * rest >= scale)})
