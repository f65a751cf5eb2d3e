"""Cards and summaries: what a person reads about a call, rendered from data, never from a model's reasons.

Layer: guard. Owns the words for origins and the one-line summary. Control characters are shown, not sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from carapax.core.flow.knowledge import Knowledge
from carapax.core.flow.origin import hidden_characters
from carapax.core.rules.trace import find_source
from carapax.core.rules.turn import Seen
from carapax.core.terms.action import VOUCHED, ArgRole, Argument, CanonicalCall, Origin, Trace
from carapax.core.terms.approval import Approval, ArgumentLine
from carapax.core.terms.decision import Ask
from carapax.core.terms.ids import ApprovalId, Digest
from carapax.core.terms.label import Integrity, Label
from carapax.core.terms.tables import Tables

SUMMARY_CHARS = 100
VALUE_CHARS = 4_000
"""An argument's value on a card is cut here and says so; the digest binds the whole."""

_ORIGINS = {
    Origin.OWNER_WORDS: "you named it",
    Origin.OWNER_SELF: "your own address",
    Origin.CREATED_HERE: "made in this turn",
    Origin.DIRECTORY: "your directory has it under the name you used",
    Origin.NAMED_OBJECT: "you named it by its title",
    Origin.COMPUTED: "looked up by Carapax as you described it",
    Origin.POINTED_AT: "stands where you pointed at",
    Origin.ENDORSED: "in the lines you picked",
    Origin.EARLIER: "as you did before",
    Origin.HANDLE: "a secret in the vault",
    Origin.DEFAULT: "filled in by Carapax",
    Origin.UNTRUSTED: "found in untrusted text",
    Origin.MODEL: "the model chose it",
}


def summary(call: CanonicalCall) -> str:
    """One line: the verb and what it is done to: "write hello.py (15 B)"."""
    words = [call.manifest.name.split("_")[0]]
    for argument in call.arguments:
        if argument.role is ArgRole.CONTENT:
            words.append(f"({_size(argument)})")
        elif argument.role not in (ArgRole.FLAG, ArgRole.COUNT, ArgRole.SECRET):
            words.append(visible(value_text(argument).replace("\n", ", ")))
    line = " ".join(words)
    return line if len(line) <= SUMMARY_CHARS else line[: SUMMARY_CHARS - 1] + "…"


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of a card, and what a person must do about it."""

    call: CanonicalCall
    ask: Ask
    title: str


def with_sources(asked: Asked, knowledge: Knowledge) -> Asked:
    """The same call with the place where each value that nobody vouches for was found."""
    blanks = tuple(replace(b, source=find_source(b.shown, knowledge)) for b in asked.ask.blanks)
    arguments = tuple(
        replace(a, traces=tuple(_found(t, knowledge) for t in a.traces)) if a.origin not in VOUCHED else a
        for a in asked.call.arguments
    )
    return replace(asked, call=replace(asked.call, arguments=arguments), ask=replace(asked.ask, blanks=blanks))


def _found(trace: Trace, knowledge: Knowledge) -> Trace:
    if trace.origin in VOUCHED or len(trace.value) > VALUE_CHARS:
        return trace
    source = find_source(trace.value, knowledge)
    return replace(trace, origin=Origin.UNTRUSTED, source=source) if source else trace


def make_card(
    approval: ApprovalId, asked: Sequence[Asked], seen: Seen, tables: Tables, now_ms: int, wait_ms: int
) -> Approval:
    """The question to a person about exactly these calls."""
    first = asked[0]
    effects = {each.call.manifest.effect.value for each in asked}
    several = len(asked) > 1
    lines = tuple(
        ArgumentLine(f"{at + 1}. {a.name}" if several else a.name, visible_value(a), origin_words(a))
        for at, each in enumerate(asked)
        for a in each.call.arguments
    )
    return Approval(
        id=approval,
        session=first.call.session,
        turn=first.call.turn,
        call=first.call.call,
        digest=card_digest([each.call for each in asked]),
        title="; ".join(each.title for each in asked),
        lines=lines,
        rule=first.ask.rule,
        reason=first.ask.reason,
        taint=taint_words(seen.context),
        asked_ms=now_ms,
        deadline_ms=now_ms + wait_ms,
        blanks=tuple(replace(b, call=at) for at, each in enumerate(asked) for b in each.ask.blanks),
        choices=next((each.ask.choices for each in asked if each.ask.choices), ()),
        choices_source=next((each.ask.choices_source for each in asked if each.ask.choices), ""),
        factor=any(each.ask.factor for each in asked) or bool(effects & tables.second_factor),
        people=max(2 if effects & tables.four_eyes else 1, *(each.ask.people for each in asked)),
        exact="\n".join(f"{each.call.manifest.name} {each.call.arguments_json}" for each in asked),
        hidden=seen.hidden,
        hint=seen.hint,
        calls=len(asked),
    )


def card_digest(calls: Sequence[CanonicalCall]) -> Digest:
    """What an answer is bound to: the call's own digest, or the SHA-256 over those of a batch."""
    if len(calls) == 1:
        return calls[0].digest
    return Digest(hashlib.sha256("\n".join(call.digest for call in calls).encode()).hexdigest())


def taint_words(context: Label) -> str:
    """What outside text the context holds, in words: "2 results of read_file"; "" when none."""
    if context.integrity > Integrity.EXTERNAL:
        return ""
    kinds: dict[str, int] = {}
    for source in context.sources:
        if source.kind == "tool":
            kinds[source.field] = kinds.get(source.field, 0) + 1
    named = ", ".join(f"{count} result{'s' if count > 1 else ''} of {name}" for name, count in sorted(kinds.items()))
    return named or "earlier messages"


def first_line(text: str) -> str:
    """The first line of a result, cut, for the step's line."""
    line = visible(text.strip().split("\n", 1)[0])
    return line if len(line) <= SUMMARY_CHARS else line[: SUMMARY_CHARS - 1] + "…"


def visible(text: str) -> str:
    """The text with every character that does not show spelled out as ⟨U+202E⟩."""
    for point in hidden_characters(text):
        text = text.replace(chr(int(point[2:], 16)), f"⟨{point}⟩")
    return text


def origin_words(argument: Argument) -> str:
    """Where an argument came from, in words; for several values, of each that is not vouched for."""
    found = [t for t in argument.traces if t.origin not in VOUCHED] if len(argument.traces) > 1 else []
    if found:
        return "; ".join(f"{visible(t.value)}: {_words(t.origin, t.source)}" for t in found[:5])
    return _words(argument.origin, argument.traces[0].source if argument.traces else "")


def _words(origin: Origin, source: str) -> str:
    return f"from {visible(source)}" if source else _ORIGINS[origin]


def value_text(argument: Argument) -> str:
    """An argument's value as one text."""
    return ", ".join(argument.value) if isinstance(argument.value, tuple) else str(argument.value)


def visible_value(argument: Argument) -> str:
    """The value as a card shows it."""
    return _cut(visible(value_text(argument)))


def _size(argument: Argument) -> str:
    return f"{len(value_text(argument).encode())} B"


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]}… ({len(text) - VALUE_CHARS} more characters)"
