"""The plan of a task, from the owner's words alone.

Layer: core/intent. Owns `plan_words`: effects (`effects`), ways of pointing (`marks`), and the tools and domains that the
manifests' own words name. Absent: models, results, sessions; an earlier task's plan is joined by the caller when `again`.
Laws: total; deterministic; READ is always in; a denied clause never widens the effects; linear in the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from carapax.core.flow.tokens import tokens
from carapax.core.intent import marks
from carapax.core.intent.clauses import FILE, Sentence, cut_sentences, mask_quotes, replace_values, split_text
from carapax.core.intent.effects import plan_effects
from carapax.core.intent.grammar import WH, bag
from carapax.core.intent.superlatives import find_superlatives
from carapax.core.terms.action import Effect, ToolManifest
from carapax.core.terms.plan import Plan

_NEGATIONS = bag(
    "not don't dont doesn't never without avoid cannot can't won't mustn't shouldn't ne sans pas jamais instead rather"
)
_FILE_DOMAINS = frozenset({"file", "files", "drive", "document", "documents", "fichier", "fichiers", "workspace"})


def plan_words(text: str, tools: Sequence[ToolManifest]) -> Plan:
    """What the owner's words allow and point at; equal text and manifests give an equal plan."""
    sentences = cut_sentences(text)
    masked = mask_quotes(text)
    words = tokens(text)
    said = _Said((words,))
    return Plan(
        effects=plan_effects(sentences),
        tools=_named_tools(sentences, tools),
        domains=_domains(said, tools, names_file=FILE.search(text) is not None),
        superlatives=find_superlatives(sentences),
        every=marks.find_every(sentences),
        some=marks.find_some(sentences),
        prefixes=marks.find_prefixes(text),
        sources=_sources(masked, tools),
        delegates=marks.delegates(replace_values(text)),
        links=marks.follows_links(masked),
        back=marks.gives_back(masked),
        again=marks.is_continuation(text, words),
    )


@lru_cache(maxsize=64)
def asking_text(text: str, effect: Effect) -> str:
    """The sentences of a text that ask for this effect, as written."""
    asking = [piece for piece in split_text(text) if effect in plan_effects(cut_sentences(piece))]
    return "\n".join(asking)


class _Said:
    """Runs of words, asked for phrases: where each word stands, so that a phrase is only compared there."""

    def __init__(self, runs: Iterable[Sequence[str]]) -> None:
        self.runs = [tuple(run) for run in runs]
        self.places: dict[str, list[tuple[int, int]]] = {}
        for r, run in enumerate(self.runs):
            for i, word in enumerate(run):
                self.places.setdefault(word, []).append((r, i))

    def has(self, phrase: tuple[str, ...]) -> bool:
        size = len(phrase)
        return bool(size) and any(self.runs[r][i : i + size] == phrase for r, i in self.places.get(phrase[0], ()))


def _named_tools(sentences: Sequence[Sentence], tools: Sequence[ToolManifest]) -> frozenset[str]:
    said = _Said(clause for sentence in sentences for clause in _affirmed(sentence))
    # A single word asks for nothing in a question: "what did I note?"
    asked = _Said(clause for s in sentences if s.words[:1] and s.words[0] not in WH for clause in _affirmed(s))
    return frozenset(
        str(tool.name)
        for tool in tools
        if any((said if len(p) > 1 else asked).has(p) for p in map(_phrase, (tool.name, *tool.words)))
    )


def _affirmed(sentence: Sentence) -> Iterable[tuple[str, ...]]:
    """Each clause up to its first negation."""
    clause: list[str] = []
    open_ = True
    for word in sentence.spoken:
        if word in (",", ":", "but", "mais"):
            yield tuple(clause)
            clause, open_ = [], True
        elif word in _NEGATIONS:
            open_ = False
        elif open_:
            clause.append(word)
    yield tuple(clause)


def _phrase(text: str) -> tuple[str, ...]:
    return tokens(text.replace("e-mail", "email"))


def _domains(said: _Said, tools: Sequence[ToolManifest], *, names_file: bool) -> frozenset[str]:
    return frozenset(
        tool.domain
        for tool in tools
        if tool.domain and (any(_is_said(w, said) for w in _names(tool)) or (names_file and _holds_files(tool)))
    )


def _is_said(name: str, said: _Said) -> bool:
    """The phrase stands in the text, its last word in either number."""
    words = tokens(name)
    return bool(words) and any(said.has((*words[:-1], last)) for last in marks.both_numbers(words[-1]))


def _names(tool: ToolManifest) -> Iterable[str]:
    yield from tool.domain_words
    for record in tool.records:
        yield record.kind
        yield from record.nouns


def _holds_files(tool: ToolManifest) -> bool:
    return not _FILE_DOMAINS.isdisjoint(tokens(tool.domain))


def _sources(text: str, tools: Sequence[ToolManifest]) -> frozenset[str]:
    found: set[str] = set()
    seen: set[str] = set()
    for pointer in marks.find_pointers(text):
        words = " ".join(tokens(pointer)[:6])
        if words not in seen:
            seen.add(words)
            found |= _domains(_Said((tokens(words),)), tools, names_file=FILE.search(pointer) is not None)
    return frozenset(found)
