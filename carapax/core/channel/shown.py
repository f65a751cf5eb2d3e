"""What the gateway says in a chat, as text: cards, refusals, answers, pairing, commands.

Layer: core/channel; pure. Absent: the platform's markup, cutting into messages (`chunk`), and anything a model wrote but
what a card quotes. Laws: how to answer is never cut away; foreign text shows everything it holds and, where the channel
reads Markdown, stands in code spans that it cannot leave; a button never says yes where more than a yes is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from carapax.core.channel.commands import Flaw, Misread
from carapax.core.channel.english import ENGLISH
from carapax.core.channel.french import FRENCH
from carapax.core.channel.people import display, revealed, warn
from carapax.core.channel.queue import QueueMode
from carapax.core.terms.approval import Approval, ApprovalState, Blank
from carapax.core.terms.channel import Button, Person
from carapax.core.turn.answer import typable
from carapax.core.turn.batch import call_of, call_titles

Language = Literal["en", "fr"]
CARD_CHARS = 3_500
VALUE_CHARS = 600
VALUE_LINES = 8
TITLE_CHARS = 300
OPEN = "····"
_DIGEST_CHARS = 32
_CATALOGUES = {"en": ENGLISH, "fr": FRENCH}


def say(language: Language, key: str, **values: object) -> str:
    """One of the catalogue's sentences. Foreign values go through `quoted` or `people.display` first."""
    text = _CATALOGUES[language][key]
    return text.format(**values) if values else text


def quoted(text: str, *, markup: bool, most: int = VALUE_CHARS) -> str:
    """Foreign text on one line: all of it visible, in a code span where the channel reads Markdown."""
    shown = revealed(text)
    shown = shown if len(shown) <= most else shown[: most - 1] + "…"
    if not markup or not shown:
        return shown
    return "`" + shown.replace("`", "⟨U+0060⟩") + "`"


def time_left(language: Language, deadline_ms: int, now_ms: int) -> str:
    """How long something still waits, in words."""
    minutes = max(0, deadline_ms - now_ms) // 60_000
    if minutes < 1:
        return say(language, "time.seconds")
    hours, rest = divmod(minutes, 60)
    return (
        say(language, "time.hours", hours=hours, minutes=rest) if hours else say(language, "time.minutes", minutes=rest)
    )


def render_card(
    card: Approval, language: Language, *, now_ms: int, chars: int = CARD_CHARS, markup: bool = False
) -> str:
    """The card as a chat text of at most `chars` (at least 1,000 of them). What does not fit is named; how to answer always stands."""
    shown = _Card(card, language, markup)
    head, foot = shown.head(), shown.foot(now_ms)
    room = max(chars, 1_000) - len(head) - len("\n".join(foot)) - 4
    cut = say(language, "card.cut")
    body: list[str] = []
    for line in shown.body():
        if sum(map(len, body)) + len(body) + len(line) + len(cut) + 1 > room:
            body.append(cut)
            break
        body.append(line)
    return "\n".join([head, *body, "", *foot])


class _Card:
    """One card on its way into text."""

    def __init__(self, card: Approval, language: Language, markup: bool) -> None:
        self._card, self._language, self._markup = card, language, markup
        self._calls = max(1, card.calls)

    def _say(self, key: str, **values: object) -> str:
        return say(self._language, key, **values)

    def _quoted(self, text: str, most: int = VALUE_CHARS) -> str:
        return quoted(text, markup=self._markup, most=most)

    def head(self) -> str:
        if self._calls > 1:
            return self._say("card.calls", count=self._calls)
        return self._say("card.waits", title=self._quoted(self._card.title, TITLE_CHARS))

    def body(self) -> Iterator[str]:
        """What was asked and what it rests on, a line each."""
        titles = call_titles(self._card.title, self._card.exact, self._calls)
        for at, title in enumerate(titles):
            if self._calls > 1:
                yield f"{at + 1}. {self._quoted(title, TITLE_CHARS)}"
            yield from self._call(at)
        yield from self._choices()
        yield from self._surroundings()

    def _call(self, at: int) -> Iterator[str]:
        blanks = [blank for blank in self._card.blanks if min(blank.call, self._calls - 1) == at]
        for line in self._card.lines:
            call, name = call_of(line.name, self._calls)
            if call != at:
                continue
            here = [blank for blank in blanks if blank.argument == name]
            blanks = [blank for blank in blanks if blank not in here]
            if not any(blank.shown == line.value for blank in here):
                origin = f" ({self._quoted(line.origin)})" if line.origin else ""
                yield from self._value(f"{revealed(name)}: ", line.value, origin)
            for blank in here:
                yield from self._blank(blank)
        for blank in blanks:
            yield from self._blank(blank)

    def _blank(self, blank: Blank) -> Iterator[str]:
        source = self._quoted(blank.source) if blank.source else ""
        said = self._say("card.says_from", source=source) if source else self._say("card.says")
        yield from self._value(f"{revealed(blank.argument)}: {OPEN} {said} ", blank.shown, "")

    def _value(self, before: str, value: str, after: str) -> Iterator[str]:
        """A value line by line, so that a long text reads as one; what is left out is counted."""
        lines = value[:VALUE_CHARS].split("\n")[:VALUE_LINES]
        left = len(value) - len("\n".join(lines))
        yield before + self._quoted(lines[0], 2 * VALUE_CHARS) + (after if len(lines) == 1 and not left else "")
        yield from ("  " + self._quoted(line, 2 * VALUE_CHARS) for line in lines[1:] if line.strip())
        if left:
            yield "  " + self._say("card.more", count=left)
        if after and (left or len(lines) > 1):
            yield "  " + after.strip()

    def _choices(self) -> Iterator[str]:
        if self._card.choices:
            source = self._card.choices_source
            yield self._say("card.choices_of", source=self._quoted(source)) if source else self._say("card.choices")
        for number, choice in enumerate(self._card.choices, 1):
            yield from self._value(f"{number}. ", choice, "")

    def _surroundings(self) -> Iterator[str]:
        card = self._card
        if card.taint:
            yield self._say("card.taint", taint=self._quoted(card.taint))
        if card.hidden:
            yield self._say("card.hidden", count=len(card.hidden))
        yield from ("  " + self._quoted(found) for found in card.hidden)
        if card.hint:
            yield self._say("card.hint", hint=self._quoted(card.hint))
        if card.reason:
            yield self._say("card.why", reason=self._quoted(card.reason))
        yield self._say("card.rule", rule=self._quoted(card.rule))

    def foot(self, now_ms: int) -> list[str]:
        """How to answer, and until when."""
        card, lines = self._card, []
        if card.people > 1:
            lines.append(self._say("card.people", people=card.people, agreed=len(card.agreed)))
        if not all(typable(blank) for blank in card.blanks):
            lines.append(self._say("card.elsewhere"))
        names = ", ".join(revealed(blank.argument)[:40] for blank in card.blanks[:8])
        key = {(True, 0): "how_pick", (False, 0): "how", (False, 1): "how_type"}.get(
            (bool(card.choices), len(card.blanks)), "how_both" if card.choices else "how_types"
        )
        lines.append(self._say(f"card.{key}", id=card.id, name=names))
        if card.factor:
            lines.append(self._say("card.factor"))
        return [*lines, self._say("card.expires", left=time_left(self._language, card.deadline_ms, now_ms))]


def card_buttons(card: Approval, language: Language) -> tuple[Button, ...]:
    """Yes and no, where a yes is enough; only no where something has to be typed, picked, or proven by a code."""
    bound = f"{card.id} {card.digest[:_DIGEST_CHARS]}"
    no = Button(say(language, "button.no"), f"no {bound}")
    if card.blanks or card.choices or card.factor:
        return (no,)
    return (Button(say(language, "button.yes"), f"yes {bound}"), no)


@dataclass(frozen=True, slots=True)
class Pressed:
    """A button of a card, as it came back. `digest`: the beginning of the digest that the card had."""

    approve: bool
    card: str
    digest: str


def read_pressed(data: str) -> Pressed | None:
    """What `card_buttons` put there; None for any other data."""
    match data.split(" "):
        case [("yes" | "no") as word, card, digest] if len(digest) == _DIGEST_CHARS and card:
            return Pressed(word == "yes", card, digest)
        case _:
            return None


def same_digest(pressed: Pressed, card: Approval) -> bool:
    """Whether the button was on this very card, and not on another that had its code."""
    return pressed.card == card.id and card.digest[:_DIGEST_CHARS] == pressed.digest


def render_answered(card: Approval, language: Language) -> str:
    """What became of a card; "" while it waits and nobody agreed."""
    if card.state is ApprovalState.WAITING:
        left = card.people - len(card.agreed)
        return say(language, "answered.agreed", id=card.id, left=left) if card.agreed else ""
    return say(language, f"answered.{card.state.value}", id=card.id)


def render_still(cards: Sequence[Approval], language: Language, *, markup: bool = False) -> str:
    """A message came while this conversation waits for these."""
    if len(cards) == 1:
        title = quoted(cards[0].title, markup=markup, most=TITLE_CHARS)
        return f"{say(language, 'still', id=cards[0].id, title=title)}\n{say(language, 'card.how', id=cards[0].id)}"
    return say(language, "still.many", count=len(cards), ids=", ".join(card.id for card in cards[:20]))


def render_refused(
    summary: str, reason: str, language: Language, *, rule: str = "", entry: int = -1, markup: bool = False
) -> str:
    """One step that was not done: what, why, and where the record is."""
    lines = [say(language, "refused", what=quoted(summary, markup=markup, most=TITLE_CHARS))]
    if reason:
        lines.append(quoted(reason, markup=markup))
    marks = [say(language, "refused.rule", rule=rule)] if rule else []
    marks += [say(language, "refused.entry", entry=entry)] if entry >= 0 else []
    return "\n".join([*lines, say(language, "undone"), *([" · ".join(marks)] if marks else [])])


def render_notice(text: str, next_step: str) -> str:
    """The gateway's own words (budget, error, frozen): what happened, then what to do."""
    return "\n".join(revealed(part) for part in (text, next_step) if part)


def render_request(person: Person, channel: str, language: Language) -> str:
    """To the owner: somebody asks to be let in."""
    asked = say(language, "pair.owner", channel=channel, who=display(person))
    why = warn(person)
    return f"{asked}\n{say(language, 'pair.owner_warn', why=why)}" if why else asked


def render_misread(misread: Misread, language: Language) -> str:
    """A command that was not understood, and the nearest."""
    if misread.flaw is Flaw.UNKNOWN and misread.near:
        near = ", ".join(f"/{name}" for name in misread.near)
        return say(language, "command.near", word=revealed(misread.word), near=near)
    others = ", ".join(mode.value for mode in QueueMode)
    return say(language, f"command.{misread.flaw.value}", word=revealed(misread.word), others=others)


def render_queue(mode: QueueMode, language: Language, *, changed: bool) -> str:
    """Which mode this conversation has."""
    about = say(language, f"queue.about.{mode.value}")
    others = ", ".join(each.value for each in QueueMode if each is not mode)
    return say(language, "queue.set" if changed else "queue.is", mode=mode.value, about=about, others=others)
