"""Numbers with a check in them: payment cards, IBANs, national identity numbers.

Layer: adapters/scan/outgoing. Owns finding and checking them in text; pure. Absent: numbers without a check digit,
but for the US and UK ones, which need a word beside them or their exact shape.
Source: ISO/IEC 7812-1 (Luhn), ISO 13616 (mod 97), INSEE NIR, § 139b AO, Spanish RD 1553/2005, Italian DM 23/12/1976.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

_CARD = re.compile(r"(?<![\w.,\-])\d(?:[ \-]?\d){12,18}(?![\w\-]|[.,]\d)")
_IBAN = re.compile(r"(?i)(?<!\w)[a-z]{2}\d{2}(?:[ \-]?[a-z0-9]){11,30}(?!\w)")
_NIR = re.compile(
    r"(?i)(?<!\w)[12][ .]?\d\d[ .]?(?:0[1-9]|1[0-2]|[2-9]\d)[ .]?(?:\d\d|2[ab])[ .]?\d{3}[ .]?\d{3}[ .\-]?\d\d(?!\w)"
)
_SSN = re.compile(r"(?<![\w\-])(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w\-])")
_SSN_WORDS = re.compile(r"(?i)\bssn\b|social security|sécurité sociale américaine|taxpayer")
_NINO = re.compile(r"(?<!\w)(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D](?!\w)")
_TAX_ID = re.compile(r"(?<![\w.,\-])[1-9]\d ?\d{3} ?\d{3} ?\d{3}(?![\w\-]|[.,]\d)")
_DNI = re.compile(r"(?i)(?<!\w)(?:\d{8}|[xyz]-?\d{7})-?[a-z](?!\w)")
_FISCAL = re.compile(r"(?i)(?<!\w)[a-z]{6}[\dl-v]{2}[abcdehlmprst][\dl-v]{2}[a-z][\dl-v]{3}[a-z](?!\w)")

_IBAN_SIZES = dict(
    AD=24, AE=23, AL=28, AT=20, AZ=28, BA=20, BE=16, BG=22, BH=22, BR=29, CH=21, CR=22, CY=28, CZ=24, DE=22, DK=18, DO=28,
    EE=20, EG=29, ES=24, FI=18, FO=18, FR=27, GB=22, GE=22, GI=23, GL=18, GR=27, GT=28, HR=21, HU=28, IE=22, IL=23, IS=26,
    IT=27, JO=30, KW=30, KZ=20, LB=28, LI=21, LT=20, LU=20, LV=21, MC=27, MD=24, ME=22, MK=19, MR=27, MT=31, MU=30, NL=18,
    NO=15, PK=24, PL=28, PS=29, PT=25, QA=29, RO=24, RS=22, SA=24, SE=24, SI=19, SK=24, SM=27, TN=24, TR=26, UA=29, VG=24,
)  # fmt: skip
_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_NEAR = 60


def find_cards(text: str) -> Iterator[str]:
    """Payment card numbers of a known issuer with a right last digit."""
    for found in _CARD.finditer(text):
        digits = re.sub(r"\D", "", found.group())
        if _issued(digits) and _luhn(digits) and len(set(digits)) > 1:
            yield found.group()


def _issued(digits: str) -> bool:
    two, three, four, size = int(digits[:2]), int(digits[:3]), int(digits[:4]), len(digits)
    if digits[0] == "4":
        return size in (13, 16, 19)
    if two in (34, 37):
        return size == 15
    if two in (36, 38, 39) or 300 <= three <= 305:
        return size in (14, 16)
    large = 51 <= two <= 55 or 2221 <= four <= 2720 or four == 6011 or two in (62, 65) or 644 <= three <= 649
    return size in (16, 19) and (large or 3528 <= four <= 3589)


def _luhn(digits: str) -> bool:
    doubled = (int(d) * 2 if i % 2 else int(d) for i, d in enumerate(reversed(digits)))
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0


def find_ibans(text: str) -> Iterator[str]:
    """IBANs of their country's length whose check digits are right; words that follow are not taken in."""
    for found in _IBAN.finditer(text):
        plain = re.sub(r"[ \-]", "", found.group()).upper()
        size = _IBAN_SIZES.get(plain[:2], 0)
        if size and len(plain) >= size and _mod_97(plain[:size]):
            yield plain[:size]


def _mod_97(iban: str) -> bool:
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


def find_national_ids(text: str) -> Iterator[str]:
    """French, US, UK, German, Spanish and Italian identity numbers."""
    for pattern, right in _NATIONAL:
        yield from (found.group() for found in pattern.finditer(text) if right(found))


def _nir(found: re.Match[str]) -> bool:
    plain = re.sub(r"[ .\-]", "", found.group()).upper()
    number = plain[:13].replace("2A", "19").replace("2B", "18") if plain[6] in "AB" else plain[:13]
    return number.isdigit() and 97 - int(number) % 97 == int(plain[13:])


def _ssn(found: re.Match[str]) -> bool:
    return _SSN_WORDS.search(found.string, max(0, found.start() - _NEAR), found.end() + _NEAR) is not None


def _tax_id(found: re.Match[str]) -> bool:
    digits = found.group().replace(" ", "")
    counts = sorted(Counter(digits[:10]).values(), reverse=True)
    if counts[0] not in (2, 3) or counts[1] != 1:
        return False
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def _dni(found: re.Match[str]) -> bool:
    plain = found.group().replace("-", "").upper()
    number = str("XYZ".index(plain[0])) + plain[1:-1] if plain[0] in "XYZ" else plain[:-1]
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == plain[-1]


def _fiscal(found: re.Match[str]) -> bool:
    code = found.group().upper()
    total = 0
    for index, character in enumerate(code[:15]):
        value = int(character) if character.isdigit() else ord(character) - 65
        total += value if index % 2 else _ODD[value]
    return chr(65 + total % 26) == code[15]


def _by_shape(found: re.Match[str]) -> bool:
    return True


_NATIONAL: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], bool]], ...] = (
    (_NIR, _nir),
    (_SSN, _ssn),
    (_NINO, _by_shape),
    (_TAX_ID, _tax_id),
    (_DNI, _dni),
    (_FISCAL, _fiscal),
)
