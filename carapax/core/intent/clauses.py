"""From a text to its requests: which verb is asked for, which is denied, and the words around each.

Layer: core/intent. Owns cutting a text into sentences and marking in each the verbs that stand where a request stands:
at the start of a clause, after "please" or "could you", after an infinitive's "to".
Absent: what a verb does (`effects`). Quoted text, addresses and file names are replaced by marks: they are values.
Laws: linear in the text; a sentence is read on its own, so one sentence never changes how another is read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from carapax.core.flow.tokens import tokens
from carapax.core.intent import grammar
from carapax.core.intent.grammar import bag
from carapax.core.intent.verbs import VERBS, Form

EXTENSIONS = (
    "txt|md|csv|tsv|json|ya?ml|toml|ini|cfg|conf|log|pdf|docx?|xlsx?|pptx?|odt|ods|rtf|tex|py|js|ts|jsx|tsx|html?|css|java|c|h|cpp|hpp|rs|go|rb|php|"
    "sh|bash|sql|xml|zip|tar|gz|tgz|bz2|7z|png|jpe?g|gif|svg|bmp|webp|mp3|mp4|wav|mov|avi|mkv|bin|dat|db|sqlite|bak|tmp|ipynb|ics|eml|key|pem|env|lock"
)
_HOSTS = "com|org|net|io|edu|gov|info|dev|app|fr|de|uk|eu|ch|be|it|es|nl|us|ca|me|co|ai|tv|biz|example|test|local|xyz|blog|shop|news"

FILE = re.compile(rf"(?<![\w.~/*@-])[\w.~/*-]{{0,200}}\.(?:{EXTENSIONS})(?![\w@])(?!\.\w)", re.IGNORECASE)
URL = re.compile(
    rf"\b(?:https?|ftp)://[^\s<>\"']+|\bwww\.[^\s<>\"']+|(?<![\w.@-])(?:[\w-]{{1,63}}\.){{1,8}}(?:{_HOSTS})(?![\w@-])(?:/[^\s<>\"']*)?",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    r"\"[^\"\n]{0,2000}\"|“[^“”]{0,2000}”|«[^«»]{0,2000}»|`[^`\n]{1,500}`|(?<!\w)['‘](?=[^\s'’])[^'’\n]{1,200}(?:['’](?=\w)[^'’\n]{1,200}){0,6}['’](?!\w)"
)
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[\w-]{2,63}")
_MONEY = re.compile(
    r"[$€£¥]\s?\d[\d.,]*|(?<![\d.,\w])\d[\d.,]*\s?(?:[$€£¥]|(?:eur|euros?|usd|dollars?|bucks|pounds?|chf|gbp|francs?)(?!\w))",
    re.IGNORECASE,
)
_HANDLE = re.compile(r"(?<![\w&])@\w[\w-]*")
_CHANNEL = re.compile(r"(?<![\w&])#[A-Za-z][\w-]*")
_MAIL_WORD = re.compile(r"\be-mail", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?…;]+(?=[\s)\]\"'»]|$)|(?<=[a-z0-9][a-z0-9])[.!?](?=[A-Z][a-z])|\n+")
_BREAK = re.compile(r"[,:()\[\]—–]|\s-+(?=\s)|^\s*[-*•]+(?=\s)|(?<=\d)[.)](?=\s)")
_CLITIC = re.compile(r"(l|d|n|j|m|t|s|qu|c|jusqu|lorsqu|puisqu)'(.+)")
_CLITIC_WORD = {"l": "le", "d": "de", "n": "ne", "j": "je", "m": "me", "t": "te", "s": "se", "qu": "que", "c": "ce"}
_SPLIT_S = bag("what who where how when it that there here")


def _index_phrases() -> Mapping[str, tuple[tuple[tuple[str, ...], str], ...]]:
    """Every phrase under its first word, longest first."""
    found: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for mark, phrases in grammar.PHRASES:
        for phrase in phrases.split("|"):
            words = tuple(phrase.split())
            found.setdefault(words[0], []).append((words, mark))
    return {first: tuple(sorted(rows, key=lambda row: -len(row[0]))) for first, rows in found.items()}


_PHRASES = _index_phrases()


@dataclass(slots=True)
class Request:
    """One verb that is asked for or denied, and the words that follow it up to the next one."""

    verbs: tuple[str, ...]
    negated: bool
    after: list[str] = field(default_factory=list)
    before: list[str] = field(
        default_factory=list
    )  # the words of its sentence that lead up to it, when they are its topic


@dataclass(frozen=True, slots=True)
class Sentence:
    """Its words and marks in order, breaks among them."""

    words: tuple[str, ...]
    spoken: tuple[str, ...]  # before phrases became marks
    question: bool


def cut_sentences(text: str) -> list[Sentence]:
    """The sentences of a text in order, marks in the place of values."""
    text = replace_values(unicodedata.normalize("NFC", text).replace("’", "'"))
    sentences: list[Sentence] = []
    start = 0
    for end in _SENTENCE.finditer(text):
        _keep(sentences, text[start : end.start()], "?" in end.group())
        start = end.end()
    _keep(sentences, text[start:], False)
    return sentences


def _keep(sentences: list[Sentence], piece: str, question: bool) -> None:
    spoken = tuple(_words(piece))
    if any(word not in _BREAKS for word in spoken):
        sentences.append(Sentence(tuple(_mark_phrases(spoken)), spoken, question))


def split_text(text: str) -> list[str]:
    """A text's sentences as written."""
    return [piece for piece in _SENTENCE.split(text) if piece.strip()]


def mask_quotes(text: str) -> str:
    """The text with every quotation replaced by a mark, unless it is nothing but one."""
    masked = _QUOTED.sub(" 0quote ", text)
    return masked if masked.replace("0quote", "").strip(" .!?\n\t") else text


def replace_values(text: str) -> str:
    """The text with quotations, names of files, addresses and amounts replaced by marks."""
    text = mask_quotes(text)
    for pattern, mark in (
        (FILE, "0file"),
        (_MAIL, "0mail"),
        (URL, "0url"),
        (_MONEY, "0money"),
        (_HANDLE, "0handle"),
        (_CHANNEL, "0channel"),
    ):
        text = pattern.sub(f" {mark} ", text)
    return _MAIL_WORD.sub("email", text)


def _words(piece: str) -> Iterator[str]:
    start = 0
    for found in _BREAK.finditer(piece):
        yield from _split(piece[start : found.start()])
        yield ":" if found.group() == ":" else ","
        start = found.end()
    yield from _split(piece[start:])


def _split(piece: str) -> Iterator[str]:
    for word in tokens(piece):
        clitic = _CLITIC.fullmatch(word)
        if clitic and len(clitic[2]) > 1:
            yield _CLITIC_WORD.get(clitic[1], clitic[1] + "e")
            yield clitic[2]
        elif word.endswith("'s") and word != "let's":
            yield word[:-2]
            if word[:-2] in _SPLIT_S:
                yield "is"
        else:
            yield word


def _mark_phrases(words: tuple[str, ...]) -> Iterator[str]:
    i = 0
    while i < len(words):
        rows = _PHRASES.get(words[i], ())
        phrase, mark = next((row for row in rows if words[i : i + len(row[0])] == row[0]), (words[i : i + 1], words[i]))
        yield mark
        i += len(phrase)


_BREAKS = frozenset({",", ":"})


class _Mode:
    ASK = 0
    QUESTION = 1
    MENTION = 2  # a relative clause or a statement about something
    TOLD = 3  # what somebody is told or reminded to do


class _Reader:
    """Reads one sentence; its state is the clause that it is in."""

    def __init__(self, sentence: Sentence) -> None:
        self.words = sentence.words
        self.requests: list[Request] = []
        self.lead: list[str] = []
        self.mode = _Mode.ASK
        self.bare = False  # a question whose verbs are bare: "how do I delete and push"
        self._start()

    def _start(self) -> None:
        self.slots: frozenset[str] = _CLAUSE
        self.first = True
        self.head = ""
        self.negated = False
        self.blocked = False
        self.last: Request | None = None
        self.since: set[str] = set()

    def read(self) -> list[Request]:
        for i, word in enumerate(self.words):
            if word in _BREAKS:
                if word == ":" and i and self.words[i - 1] in grammar.CONTENT_NOUNS:
                    break
                self._pause(i)
                self._note(word)
            elif self._turn(i, word):
                self._note(word)
            elif not self._ask(i, word):
                self._pass(i, word)
                self._note(word)
        return self.requests

    def _pause(self, i: int) -> None:
        pending = self.negated and i > 0 and self.words[i - 1] == "0not"
        listed = self.last is not None and self.last.negated and not self.last.after
        self._start()
        self.mode, self.negated = _Mode.ASK, pending or listed

    def _turn(self, i: int, word: str) -> bool:
        """Conjunctions, negation and the marks: whatever changes what a verb would mean here."""
        if word in grammar.CONJUNCTIONS:
            self._join(word)
        elif word == "0not":
            self.negated, self.slots = True, _DENIED if self.mode != _Mode.TOLD else frozenset()
        elif word == "0please":
            self.mode, self.blocked, self.slots, self.first = _Mode.ASK, False, _CLAUSE | {"sub"}, False
        elif word == "0canyou":
            if self.mode in (_Mode.QUESTION, _Mode.TOLD) or self._is_relative(i):
                self.slots = frozenset()
            else:
                self.mode, self.slots, self.first, self.blocked = _Mode.ASK, _CLAUSE | {"sub"}, False, False
        elif word in _MARKS:
            asks = self.mode == _Mode.ASK and not self.blocked
            self.slots, self.first = _MARKS[word] if asks else frozenset(), False
        else:
            return False
        return True

    def _is_relative(self, i: int) -> bool:
        return i > 0 and self.words[i - 1] in _RELATIVE_ONLY

    def _join(self, word: str) -> None:
        if self.mode == _Mode.TOLD and word not in ("then", "but", "puis", "mais"):
            self.slots = frozenset()
            return
        if self.mode == _Mode.QUESTION and self.bare:
            self.slots = frozenset()
            return
        last = self.last
        denied = last is not None and last.negated and (word in grammar.OR_WORDS or not last.after)
        pending = self.negated and self.last is None and word in grammar.OR_WORDS
        self._start()
        self.mode, self.negated = _Mode.ASK, denied or pending

    def _ask(self, i: int, word: str) -> bool:
        """Whether the word is a verb that stands where a request stands; then it is kept."""
        forms = VERBS.get(word)
        if not forms or not self.slots:
            return False
        following = self.words[i + 1] if i + 1 < len(self.words) else ""
        fitting = [form for form in forms if form.kind in self.slots]
        if self.slots == _LED and word in grammar.NOUNY and following not in _OBJECT_STARTS:
            return False
        if word == "comment" and (
            following in ("ça", "ca", "je", "tu", "il", "elle", "ils", "nous", "vous")
            or following.endswith(("er", "ir", "re"))
        ):
            return False
        if not fitting or (word in grammar.NOUNY and self._is_noun(i, word, following)):
            return False
        if self.slots == _CAUSED and following and following not in grammar.PARTICIPLE_TAIL:
            return False
        negated = self.negated or following in grammar.NOTHING
        clitic = self.words[i - 1] if i and self.words[i - 1] in grammar.OBJECTS else ""
        self._keep(fitting, negated, [clitic] if clitic else [], refers=following in grammar.PRONOUNS)
        return True

    def _is_noun(self, i: int, word: str, following: str) -> bool:
        if self.negated and following in (",", "or", "ou"):
            return False
        if following == "" and word in grammar.STANDALONE and not self._after_to(i):
            return False
        if following == "" or following in grammar.NOT_OBJECT:
            return word not in grammar.STANDALONE or following in _NOUN_SIGNS
        return False

    def _after_to(self, i: int) -> bool:
        return i > 0 and self.words[i - 1] == "to"

    def _keep(self, forms: list[Form], negated: bool, after: list[str], *, refers: bool) -> None:
        lead = self.lead if not self.requests and (refers or self._is_topic()) else []
        self.last = Request(tuple(dict.fromkeys(f.verb for f in forms)), negated, after, list(lead))
        self.requests.append(self.last)
        self.slots, self.first, self.since = frozenset(), False, set()

    def _is_topic(self) -> bool:
        return bool(self.lead) and (":" in self.lead or self.lead[0] in grammar.LEADS)

    def _pass(self, i: int, word: str) -> None:
        """A word that is no request: it may open or close the place where one could stand."""
        if self.first:
            self.head = word
        if word in ("to", "pour") and self._may_follow(i):
            self.slots = _INFINITIVE if self._leads_verb(i) else _LED
        elif word in grammar.CONTENT_MARKS:
            self.mode, self.slots = _Mode.TOLD if self.last else _Mode.MENTION, frozenset()
        elif self.slots and (word in grammar.FILLERS or word.isdigit() or self._is_clitic(word)):
            return
        elif self.first and self._is_question(i, word):
            self.mode, self.slots = _Mode.QUESTION, frozenset()
            self.bare = bool(grammar.BARE_QUESTION & set(self.words[i : i + 4]))
        elif word in grammar.RELATIVES and not self.first and not self._is_determiner(i, word):
            self.mode = _Mode.MENTION if self.mode == _Mode.ASK else self.mode
            self.slots = frozenset()
        else:
            self._close(i, word)
        self.first = False

    def _is_determiner(self, i: int, word: str) -> bool:
        """ "To that channel", "delete that file": no relative clause."""
        asked = self.last is not None and not self.last.after
        return word in ("that", "which") and (asked or self.words[i - 1] in _PREPOSITIONS)

    def _is_clitic(self, word: str) -> bool:
        return word in grammar.CLITICS and self.slots != _CLAUSE

    def _close(self, i: int, word: str) -> None:
        if word in grammar.BLOCKERS:
            self.blocked = True
        if self.first and word in grammar.LEADS:
            self.slots = _LED
        elif self.slots != _LED or self.head not in _HEADS or word in grammar.SUBJECTS:
            self.slots = _CAUSED if self._is_caused(word) else frozenset()

    def _leads_verb(self, i: int) -> bool:
        """Whether this "to" belongs to a verb; "to each user write …" leads a clause instead."""
        following = self.words[i + 1] if i + 1 < len(self.words) else ""
        return not self.first or "inf" in {form.kind for form in VERBS.get(following, ())}

    def _is_caused(self, word: str) -> bool:
        """ "I need the report sent to Anna", "get it fixed": a participle asks."""
        if self.mode != _Mode.ASK or word in grammar.AUXILIARIES or self.blocked:
            return False
        caused = self.last is None and bool({"need", "want", "like"} & self.since) and "i" in self.since
        caused |= "have" in self.since | {word} and not grammar.SUBJECTS - {"it"} & self.since
        return caused and (word == "it" or word not in grammar.SUBJECTS)

    def _may_follow(self, i: int) -> bool:
        if self.mode != _Mode.ASK or self.blocked or (i and self.words[i - 1] in grammar.OPTIONS):
            return False
        if self.last is not None and (grammar.SAYING & set(self.last.verbs) or grammar.TASK_NOUNS & self.since):
            self.mode = _Mode.TOLD
            return False
        return True

    def _is_question(self, i: int, word: str) -> bool:
        following = self.words[i + 1] if i + 1 < len(self.words) else ""
        if word in ("have", "as", "ai"):
            return following in grammar.SUBJECTS - {"it"}
        return word in grammar.WH or word in grammar.AUXILIARIES

    def _note(self, word: str) -> None:
        self.since.add(word)
        if not self.requests:
            self.lead.append(word)
        elif self.mode != _Mode.MENTION and word not in _BREAKS:
            self.requests[-1].after.append(word)


_CLAUSE = frozenset({"base", "inf"})
_LED = frozenset({"led"})
_HEADS = grammar.LEADS | {"to"}
_PREPOSITIONS = bag("to in into from of for with on at by about and all")
_INFINITIVE = frozenset({"inf"})
_DENIED = frozenset({"base", "inf", "ing", "sub"})
_CAUSED = frozenset({"part", "caused"})
_MARKS = {"0be": frozenset({"part"}), "0ing": frozenset({"ing"}), "0inf": frozenset({"inf"})}
_OBJECT_STARTS = bag(
    "a an the my your our his her their this that it them every each all 0file 0mail 0quote le la les un une mon ma mes to"
)
_RELATIVE_ONLY = frozenset({"that", "which", "what", "who", "how", "que"})
_NOUN_SIGNS = frozenset(
    {"from", "of", "is", "was", "are", "were", "has", "status", "history", "number", "id", "that", "which"}
)


def find_requests(sentence: Sentence) -> list[Request]:
    """The verbs of a sentence that are asked for or denied, in order."""
    return _Reader(sentence).read()
