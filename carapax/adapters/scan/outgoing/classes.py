"""The policy's data classes, ready to be looked for: our own checks of numbers, RE2 patterns, and Presidio if installed.

Layer: adapters/scan/outgoing. Owns compiling and finding. Absent: what follows from a finding (the class says it).
Laws: a class that cannot be compiled is PolicyInvalid, never a class that finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from carapax.adapters.scan.outgoing.numbers import find_cards, find_ibans, find_national_ids
from carapax.adapters.scan.outgoing.people import find_people
from carapax.adapters.scan.outgoing.rules import MAX_HITS, compile_pattern
from carapax.core.terms.error import PolicyInvalid
from carapax.core.terms.tables import DataClass

Find = Callable[[str], Iterable[str]]

BUILTIN: dict[str, Find] = {"card": find_cards, "iban": find_ibans, "national_id": find_national_ids}
PRESIDIO = "presidio:"
"""Before the name of one of Presidio's entities, in a class's `builtin`."""

_LEAVES = ("allow", "ask", "deny")


@dataclass(frozen=True, slots=True)
class CompiledClass:
    """A data class with what finds it."""

    name: str
    leaves: str
    finds: tuple[Find, ...]

    def find(self, text: str) -> Iterator[str]:
        """What in the text is of this class."""
        for find in self.finds:
            yield from find(text)


def compile_classes(classes: Sequence[DataClass]) -> tuple[CompiledClass, ...]:
    """The classes ready for use. Raises PolicyInvalid for an unknown check, a bad pattern or a missing extra."""
    return tuple(_compiled(each) for each in classes)


def _compiled(given: DataClass) -> CompiledClass:
    if given.leaves not in _LEAVES:
        raise PolicyInvalid(f"data class {given.name}: leaves is {given.leaves!r}; it is one of {', '.join(_LEAVES)}")
    finds = [_builtin(given.name, name) for name in given.builtin]
    finds += [_matching(compile_pattern(pattern)) for pattern in given.patterns]
    return CompiledClass(given.name, given.leaves, tuple(finds))


def _builtin(class_name: str, name: str) -> Find:
    if name.startswith(PRESIDIO):
        return find_people(name.removeprefix(PRESIDIO))
    if name not in BUILTIN:
        raise PolicyInvalid(
            f"data class {class_name}: there is no check {name!r}; there are {', '.join(sorted(BUILTIN))}"
        )
    return BUILTIN[name]


def _matching(pattern: Any) -> Find:
    def find(text: str) -> Iterator[str]:
        for count, found in enumerate(pattern.finditer(text)):
            if count >= MAX_HITS:
                return
            if found.group():
                yield found.group()

    return find
