"""Cards and summaries: what a person reads about a call, rendered from data, never from a model's reasons.

Layer: guard. Owns the words for origins and the one-line summary. Control characters are shown, not sent.
"""

from __future__ import annotations

from carapax.core.flow.origin import hidden_characters
from carapax.core.terms.action import ArgRole, Argument, CanonicalCall, Origin
from carapax.core.terms.approval import Approval, ArgumentLine
from carapax.core.terms.decision import Ask
from carapax.core.terms.ids import ApprovalId
from carapax.core.terms.label import Integrity, Label

SUMMARY_CHARS = 100
VALUE_CHARS = 4_000
"""An argument's value on a card is cut here and says so; the digest binds the whole."""

_ORIGINS = {
    Origin.OWNER_WORDS: "you named it",
    Origin.CREATED_HERE: "made in this turn",
    Origin.DEFAULT: "filled in by Carapax",
    Origin.MODEL: "the model chose it",
}


def summary(call: CanonicalCall) -> str:
    """One line: the verb and what it is done to: "write hello.py (15 B)"."""
    words = [call.manifest.name.split("_")[0]]
    for argument in call.arguments:
        if argument.role is ArgRole.CONTENT:
            words.append(f"({_size(argument)})")
        elif argument.role not in (ArgRole.FLAG, ArgRole.COUNT):
            words.append(visible(str(argument.value).replace("\n", ", ")))
    line = " ".join(words)
    return line if len(line) <= SUMMARY_CHARS else line[: SUMMARY_CHARS - 1] + "…"


def make_card(
    approval: ApprovalId, call: CanonicalCall, ask: Ask, title: str, context: Label, now_ms: int, wait_ms: int
) -> Approval:
    """The question to a person about exactly this call."""
    lines = tuple(ArgumentLine(a.name, _cut(visible(str(a.value))), _origin_words(a)) for a in call.arguments)
    return Approval(
        id=approval,
        session=call.session,
        turn=call.turn,
        call=call.call,
        digest=call.digest,
        title=title,
        lines=lines,
        rule=ask.rule,
        reason=ask.reason,
        taint=taint_words(context),
        asked_ms=now_ms,
        deadline_ms=now_ms + wait_ms,
    )


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


def _origin_words(argument: Argument) -> str:
    return _ORIGINS[argument.origin]


def _size(argument: Argument) -> str:
    return f"{len(str(argument.value).encode())} B"


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]}… ({len(text) - VALUE_CHARS} more characters)"
