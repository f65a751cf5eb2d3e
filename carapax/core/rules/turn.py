"""What one turn knows: the label of its context, what it read, made and counted, and what a person endorsed.

Layer: core/rules. Grows with every step; gives the rules their `Task`. The owner's words and the plan are fixed at the start.
Law: the context's label only ever gets worse within a turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from carapax.core.flow.knowledge import Knowledge
from carapax.core.flow.lattice import join, join_readers
from carapax.core.flow.mentions import Mentions, find_mentions, is_generic
from carapax.core.flow.records import Record, read_records
from carapax.core.flow.tokens import tokens
from carapax.core.flow.words import Words, read_words
from carapax.core.intent.words import plan_words
from carapax.core.rules.authority import payment_key
from carapax.core.rules.task import Counts, Payment, Task
from carapax.core.terms.action import (
    ArgRole,
    Argument,
    CanonicalCall,
    Effect,
    FieldRole,
    Origin,
    ToolManifest,
    Value,
)
from carapax.core.terms.approval import Approval, Blank
from carapax.core.terms.label import PUBLIC, Label, Readers
from carapax.core.terms.plan import Plan
from carapax.core.terms.tables import DirectoryEntry, Tables
from carapax.core.turn.answer import fills

HIDDEN_KEPT = 20
MIN_SEARCH = 1
"""Words that mean something in a search, at least."""

MAX_AGAIN = 4
"""Messages that "go on" reaches back over."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the turn has read so far, as a card tells it."""

    context: Label
    hidden: tuple[str, ...] = ()
    hint: str = ""


@dataclass(slots=True)
class TurnState:
    """The growing part of a turn."""

    context: Label
    words: Words
    plan: Plan
    knowledge: Knowledge
    audience: Readers = PUBLIC
    created: set[str] = field(default_factory=set)
    endorsed: Words | None = None
    typed: set[tuple[str, str]] = field(default_factory=set)
    paid: Counter[Payment] = field(default_factory=Counter)
    agreed: Counter[Payment] = field(default_factory=Counter)
    actions: int = 0
    hidden: list[str] = field(default_factory=list)
    hint: str = ""
    hint_score: int = 0
    _mentions: tuple[int, Words, Mentions] | None = None

    def task(self, tables: Tables, directory: tuple[DirectoryEntry, ...], today: date, counts: Counts) -> Task:
        """What the next call is judged against."""
        said, mentions = self._mentioned()
        return Task(
            self.words,
            said,
            self.plan,
            self.knowledge,
            mentions,
            self.context,
            tables,
            directory,
            frozenset(self.created),
            self.endorsed,
            frozenset(self.typed),
            today,
            replace(counts, actions=self.actions),
            self.audience,
            repeated=frozenset(key for key, count in self.paid.items() if count >= max(1, self.agreed[key])),
        )

    def _mentioned(self) -> tuple[Words, Mentions]:
        if self._mentions is None or self._mentions[0] != self.knowledge.version:
            picked = self.endorsed.text if self.endorsed is not None else ""
            said = read_words(f"{self.words.text}\n{picked}") if picked else self.words
            self._mentions = (self.knowledge.version, said, find_mentions(said, self.knowledge))
        return self._mentions[1:]

    def read(self, label: Label, readers: Readers) -> None:
        """A result with this label was shown to the model; `readers` may know what the tool itself told."""
        self.context = join(self.context, label)
        self.audience = join_readers(self.audience, readers)

    @classmethod
    def begin(
        cls,
        context: Label,
        owner_words: str,
        task: str,
        effects: frozenset[Effect],
        tools: tuple[ToolManifest, ...],
        knowledge: Knowledge,
        audience: Readers = PUBLIC,
    ) -> TurnState:
        """The state at the start of a turn: the plan fixed, nothing read but what earlier turns had read."""
        plan = plan_words(task or owner_words, tools)
        return cls(context, read_words(owner_words), replace(plan, effects=plan.effects | effects), knowledge, audience)

    def seen(self) -> Seen:
        """What a card tells about the turn."""
        hint = f"{self.hint_score} of 100: “{self.hint}”" if self.hint_score else ""
        return Seen(self.context, tuple(self.hidden), hint)

    def records(self, call: CanonicalCall, content: object) -> tuple[Record, ...]:
        """The records of a result, without keeping them."""
        return read_records(call.manifest, _values(call), content) if content is not None else ()

    def learn(self, call: CanonicalCall, content: object) -> None:
        """Know the records of a result; those of a tool that adds something are what this turn made."""
        if content is None:
            return
        records = self.knowledge.learn(call.manifest, _values(call), content, searched=_is_search(call))
        if call.manifest.effect is Effect.SELF_ADD:
            for record in records:
                self.created |= {*record.of(FieldRole.ID, FieldRole.NAME)}

    def type_values(self, card: Approval) -> None:
        """A value that a person typed into a card is vouched for, whole, in this task; a blank is filled by its own value only.

        What stands inside it is not: a name that an attacker chose may hold anything.
        """
        filled = zip(card.blanks, card.typed, strict=False)
        self.typed |= {(blank.role, blank.shown) for blank, typed in filled if fills(blank, typed)}

    def agree(self, call: CanonicalCall, blanks: Iterable[Blank]) -> None:
        """A person agreed to this call and filled all its blanks: a payment may be made once more."""
        if all((blank.role, blank.shown) in self.typed for blank in blanks):
            key = payment_key(call)
            self.agreed[key] = self.paid[key] + 1

    def done(self, call: CanonicalCall) -> None:
        """The call was started."""
        self.actions += call.manifest.effect not in (Effect.READ, Effect.FETCH)
        if call.manifest.effect is Effect.MONEY:
            self.paid[payment_key(call)] += 1

    def endorse(self, lines: Iterable[str], tools: tuple[ToolManifest, ...]) -> None:
        """Lines that a person picked: their values are vouched for, their requests join the plan."""
        text = "\n".join(lines)
        before = self.endorsed.text + "\n" if self.endorsed is not None else ""
        self.endorsed = read_words(before + text)
        more = plan_words(text, tools)
        self.plan = replace(
            self.plan,
            effects=self.plan.effects | more.effects,
            tools=self.plan.tools | more.tools,
            domains=self.plan.domains | more.domains,
            superlatives=(*self.plan.superlatives, *more.superlatives),
            every=self.plan.every | more.every,
            prefixes=(*self.plan.prefixes, *more.prefixes),
            sources=self.plan.sources | more.sources,
            links=self.plan.links or more.links,
        )
        self._mentions = None

    def note_hidden(self, found: Iterable[str]) -> None:
        """Remember hidden text for the cards, at most 20 pieces."""
        self.hidden = [*self.hidden, *found][:HIDDEN_KEPT]

    def note_hint(self, score: int, phrase: str) -> None:
        """Remember what looks most like an injection."""
        if score > self.hint_score:
            self.hint_score, self.hint = score, phrase


def _is_search(call: CanonicalCall) -> bool:
    """Whether a read looked for words that the owner wrote: two that mean something, at least."""
    if call.manifest.effect is not Effect.READ:
        return False
    asked = [a for a in call.arguments if a.role is ArgRole.CONTENT and str(a.value).strip()]
    return bool(asked) and all(a.origin is Origin.OWNER_WORDS and _meaning_words(a) >= MIN_SEARCH for a in asked)


def _meaning_words(argument: Argument) -> int:
    return sum(not is_generic((word,)) for word in tokens(str(argument.value)))


def find_task(words: str, earlier: Sequence[str]) -> str:
    """The words that the task rests on: this message, and the one before it when this only says to go on."""
    said = [words]
    for before in reversed(earlier[-MAX_AGAIN:]):
        if not plan_words(said[0], ()).again:
            break
        said.insert(0, before)
    return "\n".join(said)


def bare_task(words: str, context: Label, tools: tuple[ToolManifest, ...], tables: Tables) -> Task:
    """The task of these words with nothing read yet, in this context: for explaining and rehearsing."""
    state = TurnState.begin(context, words, "", frozenset(), tools, Knowledge())
    return state.task(tables, tables.directory, date.min, Counts())


def _values(call: CanonicalCall) -> dict[str, Value | None]:
    return {argument.name: argument.value for argument in call.arguments}
