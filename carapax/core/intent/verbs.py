"""The forms of every verb of the vocabulary, and the frames each verb has.

Layer: core/intent. Owns inflection: English by rule and a list of irregulars, French first group by rule, the rest written out.
Law: a French participle written with its accent is never an imperative.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from carapax.core.intent.english import ENGLISH
from carapax.core.intent.french import FRENCH
from carapax.core.intent.vocabulary import Frame
from carapax.core.terms.action import Effect

_IRREGULAR = {
    "send": "sent", "pay": "paid", "repay": "repaid", "prepay": "prepaid", "tell": "told", "write": "written", "give": "given",
    "buy": "bought", "make": "made", "get": "gotten", "take": "taken", "throw": "thrown", "sell": "sold", "withdraw": "withdrawn",
    "build": "built", "find": "found", "keep": "kept", "lend": "lent", "do": "done", "hold": "held", "say": "said", "see": "seen",
    "draw": "drawn", "rewrite": "rewritten", "overwrite": "overwritten", "undo": "undone", "leave": "left", "bring": "brought",
    "ring": "rung", "wake": "woken", "show": "shown", "shut": "shut", "put": "put", "set": "set", "cut": "cut", "let": "let",
    "run": "run", "reset": "reset", "split": "split", "read": "read", "bid": "bid",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a verb: "base" can command, "inf" follows "to", "sub" follows "you", "led" a leading phrase."""

    verb: str
    kind: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A frame whose words are sets."""

    effects: frozenset[Effect]
    near: frozenset[str]
    also: frozenset[str]
    into: frozenset[str]
    unless: frozenset[str]


def plain(word: str) -> str:
    """The word without its accents."""
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))


def _english(verb: str) -> Iterator[tuple[str, str]]:
    yield from ((verb, kind) for kind in ("base", "inf", "sub", "led"))
    stem = verb.removesuffix("e") if not verb.endswith("ee") else verb
    doubled = verb + verb[-1]
    yield from ((form + "ing", "ing") for form in {stem, verb, doubled})
    past = (
        {verb[:-1] + "ied"}
        if verb.endswith("y") and verb[-2] not in "aeou"
        else {stem + "ed", verb + "ed", doubled + "ed"}
    )
    yield from ((form, "part") for form in past | {_IRREGULAR.get(verb, verb + "ed")})


def _french(entry: str) -> Iterator[tuple[str, str]]:
    infinitive, *given = entry.split("/")
    commands = set(given)
    if infinitive.endswith("er"):
        stem = infinitive[:-2]
        soft = stem + "e" if stem.endswith("g") else stem
        commands |= {stem + "ez", soft + "ons"} | (
            {stem + "e", stem + "es"} if not given else {g + "s" for g in given if g.endswith("e")}
        )
        yield from ((stem + end, "part") for end in ("é", "ée", "és", "ées"))
    for form in commands:
        yield from ((form, kind) for kind in ("base", "sub", "led"))
    yield from ((infinitive, kind) for kind in ("base", "inf", "sub"))


def _forms() -> Mapping[str, tuple[Form, ...]]:
    found: dict[str, dict[Form, None]] = {}
    english = {verb for frame in ENGLISH for verb in frame.verbs.split()}
    french = {entry for frame in FRENCH for entry in frame.verbs.split()}
    for verb in sorted(english):
        for form, kind in _english(verb):
            found.setdefault(form, {})[Form(verb, kind)] = None
    for entry in sorted(french):
        verb = entry.split("/")[0]
        for form, kind in _french(entry):
            spellings = {form} if kind == "part" else {form, plain(form)}
            for spelling in sorted(spellings):
                found.setdefault(spelling, {})[Form(verb, kind)] = None
    return MappingProxyType({form: tuple(forms) for form, forms in found.items()})


def _rule(frame: Frame) -> Rule:
    return Rule(
        frame.effects, *(frozenset(words.split()) for words in (frame.near, frame.also, frame.into, frame.unless))
    )


def _frames() -> Mapping[str, tuple[Rule, ...]]:
    found: dict[str, list[Rule]] = {}
    for frame in (*ENGLISH, *FRENCH):
        rule = _rule(frame)
        for entry in frame.verbs.split():
            found.setdefault(entry.split("/")[0], []).append(rule)
    return MappingProxyType({verb: tuple(rules) for verb, rules in found.items()})


VERBS: Mapping[str, tuple[Form, ...]] = _forms()
FRAMES: Mapping[str, tuple[Rule, ...]] = _frames()
