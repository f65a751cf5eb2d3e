"""Plans: what a task's own words allow, fixed before any untrusted text is read.

Layer: core/terms. Made from the owner's words alone (`core/intent`); nothing a tool returns can widen one.
Absent: values. Whether a value was named is asked of the words themselves (`core/flow`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from carapax.core.terms.action import Effect


class Direction(StrEnum):
    MOST = "most"  # largest, newest, most expensive, latest
    LEAST = "least"  # smallest, oldest, cheapest, next


@dataclass(frozen=True, slots=True)
class Superlative:
    """ "The largest file": which end, of what measure, among what."""

    direction: Direction
    measure: str  # "size", "date", "price", "count", "rating"; "" when the words do not say
    noun: str  # the word that follows, as written, casefolded: "file"; "" when none
    filtered: bool = False  # the words also narrow the set ("under 200"), so it cannot simply be computed
    counted: str = ""  # for the measure "count": what is counted: "users", "messages"
    by_author: bool = False  # only among those "from" somebody whom the words name


@dataclass(frozen=True, slots=True)
class Some:
    """ "All unread mails from Bob": every one of a kind that fits these words and nothing else."""

    noun: str
    adjectives: tuple[str, ...] = ()
    by_author: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A task's capability set and the ways it names things without writing them out."""

    effects: frozenset[Effect] = frozenset()
    tools: frozenset[str] = frozenset()  # tools asked for by their own words
    domains: frozenset[str] = frozenset()  # private domains that the words name
    superlatives: tuple[Superlative, ...] = ()
    every: frozenset[str] = frozenset()  # nouns under "all", "each", "every" that nothing narrows, casefolded
    some: tuple[Some, ...] = ()  # the same, narrowed by adjectives or an author
    prefixes: tuple[str, ...] = ()  # "starting with X", "named X…"
    sources: frozenset[str] = frozenset()  # domains pointed at as a source: "based on the emails"
    delegates: bool = False  # "do what it says": a text is to be obeyed
    links: bool = False  # links, articles or sites in a named place are to be read
    back: bool = False  # money is to be given back: "refund", "send back"
    again: bool = False  # "yes", "go on", "the same for …": the earlier task goes on
