"""Superlatives in the owner's words: which end, of what measure, among what.

Layer: core/intent. Absent: computing one from records (`core/flow`).
Law: when other words may narrow the set, `filtered` says so; the gateway then does not compute it. "From Bob" narrows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from carapax.core.intent.clauses import Sentence
from carapax.core.intent.grammar import bag
from carapax.core.terms.plan import Direction, Superlative

_MOST, _LEAST = Direction.MOST, Direction.LEAST

ADJECTIVES: dict[str, tuple[Direction, str]] = {
    **dict.fromkeys(bag("largest biggest heaviest greatest"), (_MOST, "size")),
    **dict.fromkeys(bag("smallest lightest tiniest"), (_LEAST, "size")),
    **dict.fromkeys(bag("newest latest"), (_MOST, "date")),
    **dict.fromkeys(bag("oldest earliest"), (_LEAST, "date")),
    **dict.fromkeys(bag("cheapest"), (_LEAST, "price")),
    **dict.fromkeys(bag("priciest costliest dearest"), (_MOST, "price")),
    **dict.fromkeys(bag("best"), (_MOST, "rating")),
    **dict.fromkeys(bag("worst"), (_LEAST, "rating")),
    "longest": (_MOST, "length"), "shortest": (_LEAST, "length"),
    "fastest": (_LEAST, "duration"), "quickest": (_LEAST, "duration"),
    "slowest": (_MOST, "duration"), "closest": (_LEAST, "distance"), "nearest": (_LEAST, "distance"), "farthest": (_MOST, "distance"),
    "busiest": (_MOST, "count"),
}  # fmt: skip
_GRADED = {
    "expensive": "price", "recent": "date", "popular": "rating", "rated": "rating", "costly": "price", "affordable": "-price", "active": "count",
    "cher": "price", "chère": "price", "chers": "price", "chères": "price", "récent": "date", "récente": "date", "récents": "date",
    "récentes": "date",
    "ancien": "-date", "ancienne": "-date", "vieux": "-date", "vieille": "-date", "gros": "size", "grosse": "size", "grand": "size", "grande": "size",
    "petit": "-size", "petite": "-size", "lourd": "size", "long": "length", "longue": "length", "court": "-length", "populaire": "rating",
    "proche": "-distance", "rapide": "-duration", "économique": "-price", "actif": "count",
}  # fmt: skip
_HIGH = bag("highest top maximum max")
_LOW = bag("lowest minimum min")
_COUNTED_MORE = bag("most plus")
_COUNTED_LESS = bag("fewest least moins")
_SKIP = bag("the a an my our your of in single very one le la les de du des mon ma mes notre total overall")
_MEASURES = bag(
    "rating ratings price prices size count amount score stars number note prix taille nombre cost salary balance"
)
_RECENT = {
    "last": (_MOST, "date"),
    "dernier": (_MOST, "date"),
    "dernière": (_MOST, "date"),
    "next": (_LEAST, "date"),
    "upcoming": (_LEAST, "date"),
}
_PROCHAIN = {
    "prochain": (_LEAST, "date"),
    "prochaine": (_LEAST, "date"),
    "premier": (_LEAST, "date"),
    "première": (_LEAST, "date"),
}
_PERIODS = bag(
    "week month year night day time monday tuesday wednesday thursday friday saturday sunday name "
    "line lines row step page weekend quarter "
    "january february march april may june july august september october november december few two "
    "three four five to up door "
    "semaine mois fois nuit an année ligne nom"
)
NARROWS = bag(
    "under below over above between than with without that which who whose whom where not except only "
    "less more at most least within before after "
    "since until cheaper avec sans qui que moins plus entre avant après dont ayant starting "
    "containing including has having "
    "serves serving offers offering rated unread from older newer during"
)
_NEXT_REQUEST = bag("and then et puis")
_NARROWS_LATER = NARROWS - bag("that which who whom whose where with not from has have having in qui que dont avec")
"""In a sentence of its own a word like "that" points back; a bound still narrows."""
_NARROWS_AFTER = bag("open available offer serve free")


_FILES = bag("file files note notes document documents fichier fichiers")
_LYING = bag("in inside within under below on of dans sous du de des sur")
_WHOLES = bag("drive cloud workspace disk computer all disque ordinateur")
_FOLDERS = bag("folder directory dossier répertoire")
_THESE = _SKIP | bag("this that ce cet whole entire here")


def lies_in_part(after: Sequence[str]) -> bool:
    """Whether words like "in plans", "du dossier plans" say that only a part of the files is meant; the drive is no part."""
    if not after or after[0] not in _LYING:
        return False
    named = [word for word in after[1:] if word not in _THESE]
    if not named or named[0] in _WHOLES:
        return False
    return named[0] not in _FOLDERS or (len(named) > 1 and named[1] not in _NEXT_REQUEST)


def find_superlatives(sentences: Sequence[Sentence]) -> tuple[Superlative, ...]:
    """Every superlative in order; `filtered` when its own sentence or the next one narrows."""
    found: list[Superlative] = []
    for i, sentence in enumerate(sentences):
        following = sentences[i + 1].words if i + 1 < len(sentences) else ()
        found.extend(_superlatives(strip_breaks(sentence.spoken), following))
    return tuple(dict.fromkeys(found))


def strip_breaks(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for word in words if word not in (",", ":"))


def _superlatives(words: tuple[str, ...], following: Sequence[str]) -> Iterator[Superlative]:
    later = bool(_NARROWS_LATER & set(following)) or any(w.isdigit() for w in following[:6])
    for i in range(len(words)):
        hit = _at(words, i)
        if hit is not None:
            direction, measure, noun, counted, used = hit
            by_author = "from" in words[max(used) + 1 : max(used) + 2]
            used |= {max(used) + 1} if by_author else set()
            part = noun in _FILES and lies_in_part(words[max(used) + 1 : max(used) + 6])
            yield Superlative(direction, measure, noun, later or part or _is_narrowed(words, used), counted, by_author)


_Hit = tuple[Direction, str, str, str, frozenset[int]]


def _at(words: tuple[str, ...], i: int) -> _Hit | None:
    word = words[i]
    if word in ADJECTIVES:
        return _plain(words, i, *ADJECTIVES[word])
    if word in _HIGH or word in _LOW:
        return _measured(words, i, _MOST if word in _HIGH else _LEAST)
    if word in _COUNTED_MORE or word in _COUNTED_LESS:
        return _graded(words, i, _MOST if word in _COUNTED_MORE else _LEAST)
    return _recent(words, i)


def _plain(words: tuple[str, ...], i: int, direction: Direction, measure: str) -> _Hit | None:
    j = next_word(words, i + 1)
    after = words[j] if j < len(words) else ""
    if after in ("number", "amount") and j + 1 < len(words) and words[j + 1] in ("of", "de"):
        return _counting(words, i, direction, j + 2)
    if after in _MEASURES and measure != "date":  # "the newest note" is a note, not a mark
        return direction, after, _before(words, i), "", frozenset({i, j, *_lead_in(words, i)})
    if after in ("rated", "reviewed"):
        j = next_word(words, j + 1)
        measure, after = "rating", words[j] if j < len(words) else ""
    return direction, measure, after, "", frozenset({i, j})


def _measured(words: tuple[str, ...], i: int, direction: Direction) -> _Hit | None:
    j = next_word(words, i + 1)
    if j >= len(words):
        return None
    if words[j] in ("number", "count") and j + 1 < len(words) and words[j + 1] in ("of", "de"):
        return _counting(words, i, direction, j + 2)
    if words[j] in ("rated", "priced", "paid", "reviewed"):
        k = next_word(words, j + 1)
        measure = {"rated": "rating", "reviewed": "rating", "priced": "price", "paid": "salary"}[words[j]]
        return direction, measure, words[k] if k < len(words) else "", "", frozenset({i, j, k})
    return direction, words[j], _before(words, i), "", frozenset({i, j, *_lead_in(words, i)})


def _graded(words: tuple[str, ...], i: int, direction: Direction) -> _Hit | None:
    """ "Most expensive hotel", "le plus gros fichier", "most users", "le fichier le plus récent"."""
    j = next_word(words, i + 1)
    if j >= len(words) or words[i - 1 : i] in (("at",), ("de",), ("ne",)):
        return None
    measure = _GRADED.get(words[j])
    if measure is None:
        english = words[i] in ("most", "fewest", "least") and words[i - 1 : i] == ("the",)
        return _counting(words, i, direction, j) if english and words[j] not in ("of", "part", "important") else None
    if measure.startswith("-"):
        measure, direction = measure[1:], _LEAST if direction == _MOST else _MOST
    french = words[i] in ("plus", "moins")
    if french and words[i - 1 : i] not in (("le",), ("la",), ("les",)):
        return None
    k = next_word(words, j + 1)
    noun = words[k] if k < len(words) else ""
    if (
        french
        and i >= 2
        and words[i - 2] not in ("est", "quel", "quelle", "dans")
        and (k >= len(words) or words[i - 2] not in NARROWS)
    ):
        before = words[i - 2]
        noun, k = (before, i - 2) if len(before) > 2 and _is_noun_before(words, i) else (noun, k)
    return direction, measure, noun, "", frozenset({i, j, k})


def _is_noun_before(words: tuple[str, ...], i: int) -> bool:
    return i >= 3 and words[i - 3] in ("le", "la", "les", "mon", "ma", "du", "un", "une", "quel", "quelle")


def _counting(words: tuple[str, ...], i: int, direction: Direction, j: int) -> _Hit | None:
    j = last = next_word(words, j)
    while last + 1 < len(words) and last - j < 2 and words[last + 1].endswith("s") and words[last + 1] not in NARROWS:
        last += 1  # "channel messages": the last noun is what is counted
    counted = words[last] if last < len(words) else ""
    return direction, "count", _before(words, i), counted, frozenset({i, *range(j, last + 1), *_lead_in(words, i)})


def _lead_in(words: tuple[str, ...], i: int) -> Iterator[int]:
    """The "with the", "who wrote the" that tie a noun to its measure narrow nothing."""
    j = i - 1
    while j >= 0 and i - j <= 4:
        yield j
        if words[j] in ("with", "who", "that", "which", "having", "has", "have", "avec", "qui"):
            return
        j -= 1


def _before(words: tuple[str, ...], i: int) -> str:
    """The noun before "with the highest …" or "who wrote the most …"."""
    for j in range(i - 1, max(-1, i - 6), -1):
        if words[j] in ("with", "who", "that", "which", "having", "has", "avec", "qui"):
            return words[j - 1] if j else ""
    return ""


def _recent(words: tuple[str, ...], i: int) -> _Hit | None:
    found = _RECENT.get(words[i]) or _PROCHAIN.get(words[i])
    if found is None or i + 1 >= len(words) or words[i - 1 : i] == ("at",):
        return None
    j = next_word(words, i + 1)
    if j >= len(words) or words[j] in _PERIODS or words[j].isdigit():
        return None
    owned = words[i] in ("last", "next") or words[i - 1 : i] in (
        ("mon",),
        ("ma",),
        ("le",),
        ("la",),
        ("the",),
        ("my",),
        ("our",),
        ("notre",),
    )
    return (*found, words[j], "", frozenset({i, j})) if owned else None


def next_word(words: Sequence[str], j: int) -> int:
    while j < len(words) and words[j] in _SKIP:
        j += 1
    return j


def _is_narrowed(words: Sequence[str], used: frozenset[int]) -> bool:
    asked = {0} if words and words[0] in ("which", "who", "whose") else set()
    end = max(used)
    # "… and add her to that channel": what follows an "and" is another request, not a bound on this one.
    stop = next((i for i in range(end + 1, len(words)) if words[i] in _NEXT_REQUEST), len(words))
    return any(
        i not in used | asked
        and (word in NARROWS or (i > end and word in _NARROWS_AFTER) or word == "0money" or word.isdigit())
        for i, word in enumerate(words[:stop])
    )
