"""Mentions: which known records the owner's words name, by the record's own name, whole and longest first.

Layer: core/flow. A record called "drive" must not be hit by "the drive of my choice": generic words alone name nothing,
and a name inside a longer name, or inside a longer quotation, is not meant.
Law: more records never make a mention of an earlier one appear; they can only make it ambiguous.
"""

from __future__ import annotations

from dataclasses import dataclass

from carapax.core.flow.knowledge import NAME_TOKENS, Id, Knowledge, name_phrases
from carapax.core.flow.tokens import find_phrase
from carapax.core.flow.words import Words

GENERIC = frozenset(
    [
        "a",
        "an",
        "and",
        "any",
        "all",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "can",
        "do",
        "each",
        "every",
        "find",
        "first",
        "for",
        "from",
        "get",
        "go",
        "has",
        "have",
        "hello",
        "hey",
        "hi",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "last",
        "latest",
        "let",
        "like",
        "list",
        "make",
        "me",
        "my",
        "new",
        "next",
        "no",
        "not",
        "of",
        "off",
        "on",
        "one",
        "or",
        "our",
        "out",
        "please",
        "same",
        "send",
        "set",
        "show",
        "so",
        "some",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "this",
        "those",
        "to",
        "up",
        "us",
        "use",
        "want",
        "was",
        "we",
        "what",
        "when",
        "where",
        "which",
        "who",
        "will",
        "with",
        "you",
        "your",
        "add",
        "app",
        "account",
        "address",
        "all",
        "book",
        "calendar",
        "call",
        "change",
        "channel",
        "contact",
        "content",
        "copy",
        "create",
        "date",
        "day",
        "delete",
        "document",
        "documents",
        "drive",
        "email",
        "emails",
        "event",
        "events",
        "file",
        "files",
        "folder",
        "friend",
        "group",
        "help",
        "hotel",
        "image",
        "inbox",
        "info",
        "item",
        "items",
        "link",
        "mail",
        "mails",
        "meeting",
        "message",
        "messages",
        "money",
        "move",
        "name",
        "note",
        "notes",
        "number",
        "open",
        "order",
        "page",
        "password",
        "pay",
        "payment",
        "people",
        "person",
        "photo",
        "picture",
        "plan",
        "post",
        "price",
        "project",
        "read",
        "remove",
        "reply",
        "report",
        "restaurant",
        "result",
        "room",
        "save",
        "search",
        "share",
        "site",
        "task",
        "tasks",
        "team",
        "text",
        "thing",
        "things",
        "time",
        "today",
        "tomorrow",
        "transaction",
        "update",
        "user",
        "users",
        "website",
        "week",
        "work",
        "write",
        "year",
        "yes",
        "au",
        "aux",
        "avec",
        "ce",
        "ces",
        "cet",
        "cette",
        "dans",
        "de",
        "des",
        "du",
        "elle",
        "en",
        "est",
        "et",
        "il",
        "ils",
        "je",
        "la",
        "le",
        "les",
        "leur",
        "lui",
        "mais",
        "me",
        "mes",
        "moi",
        "mon",
        "ne",
        "nos",
        "notre",
        "nous",
        "on",
        "ou",
        "par",
        "pas",
        "pour",
        "que",
        "qui",
        "sa",
        "se",
        "ses",
        "si",
        "son",
        "sur",
        "ta",
        "te",
        "tes",
        "toi",
        "ton",
        "tous",
        "tout",
        "toute",
        "toutes",
        "tu",
        "un",
        "une",
        "vos",
        "votre",
        "vous",
        "ajoute",
        "compte",
        "courriel",
        "crée",
        "demain",
        "dossier",
        "efface",
        "envoie",
        "événement",
        "fichier",
        "fichiers",
        "lien",
        "liste",
        "message",
        "mot",
        "note",
        "paiement",
        "page",
        "personne",
        "photo",
        "réunion",
        "semaine",
        "site",
        "supprime",
        "tâche",
    ]
)
"""Words that name nothing when they stand alone."""


@dataclass(frozen=True, slots=True)
class Mentions:
    """Records that the words name. `unique` are those whose name means exactly one record of its kind."""

    named: frozenset[Id]
    unique: frozenset[Id]


def find_mentions(words: Words, knowledge: Knowledge) -> Mentions:
    """Every record whose own name stands in the words."""
    hits = _maximal(_hits(words, knowledge))
    fenced = [phrases for quote in words.quoted if (phrases := name_phrases(quote))]
    named: set[Id] = set()
    unique: set[Id] = set()
    for _, phrase in hits:
        if _inside_quotation(phrase, fenced):
            continue
        ids = knowledge.by_name[phrase]
        named |= ids
        unique |= {each for each in ids if sum(other[0] == each[0] for other in ids) == 1}
    return Mentions(frozenset(named), frozenset(unique))


def _hits(words: Words, knowledge: Knowledge) -> list[tuple[int, tuple[str, ...]]]:
    text = words.tokens
    found = []
    for start in range(len(text)):
        for size in range(1, min(NAME_TOKENS, len(text) - start) + 1):
            phrase = text[start : start + size]
            if phrase in knowledge.by_name and not is_generic(phrase):
                found.append((start, phrase))
    return found


def is_generic(phrase: tuple[str, ...]) -> bool:
    """Whether these words alone name nothing: common words, numbers, single letters."""
    return all(word in GENERIC or word.isdecimal() or len(word) < 2 for word in phrase)


def _maximal(hits: list[tuple[int, tuple[str, ...]]]) -> list[tuple[int, tuple[str, ...]]]:
    spans = [(start, start + len(phrase)) for start, phrase in hits]
    return [
        hit
        for hit, (low, high) in zip(hits, spans, strict=True)
        if not any(a <= low and high <= b and (a, b) != (low, high) for a, b in spans)
    ]


def _inside_quotation(phrase: tuple[str, ...], fenced: list[tuple[tuple[str, ...], ...]]) -> bool:
    """Whether the phrase only stands inside longer quoted names."""
    inside = [phrases for phrases in fenced if any(find_phrase(phrase, whole) >= 0 for whole in phrases)]
    return bool(inside) and not any(phrase in phrases for phrases in inside)
