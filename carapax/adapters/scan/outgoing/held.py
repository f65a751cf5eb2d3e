"""Values that the vault holds, looked for as they are and in every usual disguise.

Layer: adapters/scan/outgoing. Owns exact matching of known values; nothing of them is kept after a scan.
Absent: values under MIN_CHARS, which would be found by chance. Ciphers and one's own alphabets are not undone.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from carapax.adapters.scan.outgoing.layers import squeeze

MIN_CHARS = 6
"""Shorter values are not looked for."""

_PART_CHARS = 12
_CASELESS_CHARS = 10
_BETWEEN_DIGITS = re.compile(r"\\x|[:,]")


@dataclass(frozen=True, slots=True)
class Held:
    """A value with its disguises: as they stand, without white space, and in any case."""

    value: str
    plain: tuple[str, ...]
    packed: tuple[str, ...]
    caseless: tuple[str, ...]
    digits: tuple[str, ...]


def disguise(values: Iterable[str]) -> tuple[Held, ...]:
    """The values with their disguises, made once a scan; too short ones are left out."""
    return tuple(_disguised(value) for value in dict.fromkeys(values) if len(value) >= MIN_CHARS)


def find_held(text: str, held: Sequence[Held]) -> list[str]:
    """Which of the values stand in the text, also encoded, reversed, split, in other case, or by half."""
    if not held:
        return []
    packed = squeeze(text)
    both = f"{packed}\n{packed[::-1]}"
    lowered = packed.lower()
    digits = _BETWEEN_DIGITS.sub("", lowered)
    return [
        each.value
        for each in held
        if any(form in text for form in each.plain)
        or any(form in both for form in each.packed)
        or any(form in lowered for form in each.caseless)
        or any(form in digits for form in each.digits)
    ]


def _disguised(value: str) -> Held:
    octets = value.encode("utf-8", "surrogatepass")
    packed = squeeze(value)
    caseless = packed.lower()
    return Held(
        value=value,
        plain=(value, value[::-1], quote(octets, safe=""), *_parts(value)),
        packed=(*((packed,) if len(packed) >= MIN_CHARS else ()), *_base64_forms(octets)),
        caseless=(caseless, caseless[::-1]) if len(caseless) >= _CASELESS_CHARS else (),
        digits=(octets.hex(), octets[::-1].hex(), *_base32_forms(octets)),
    )


def _parts(value: str) -> tuple[str, ...]:
    # Sent in pieces: the beginning, the middle or the end is enough to tell.
    half = max(_PART_CHARS, len(value) // 2)
    middle = (len(value) - half) // 2
    return (value[:half], value[middle : middle + half], value[-half:]) if len(value) > half else ()


def _base32_forms(octets: bytes) -> Iterator[str]:
    for shift in range(5):
        whole = base64.b32encode(b"\0" * shift + octets).decode("ascii").lower().rstrip("=")
        # The first and last characters also hold bits of the neighbours.
        core = whole[(0, 2, 4, 5, 7)[shift] : len(whole) - 1]
        if len(core) >= MIN_CHARS:
            yield core


def _base64_forms(octets: bytes) -> Iterator[str]:
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + octets).decode("ascii")
        # The first and last characters also hold bits of the neighbours.
        core = whole[(0, 2, 3)[shift] : len(whole) - (0, 3, 2)[(shift + len(octets)) % 3]]
        if len(core) >= MIN_CHARS:
            yield core
            yield core.replace("+", "-").replace("/", "_")
