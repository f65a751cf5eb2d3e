"""Telling a turn as text: what a chat client that knows only text sees of the events.

Layer: surfaces/api; pure. The ask is rendered from the approval's data, every value quoted on a line of its own and
indented, so that neither a line break nor markup in a value can look like words of ours (an indented line is literal
in Markdown: no link, no image).
Law: nothing a model wrote is inside the ask but the argument values themselves.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime

from carapax.core.flow.disguise import disguise
from carapax.core.terms.approval import Approval, ApprovalState, Blank
from carapax.core.terms.conversation import TurnState
from carapax.core.terms.event import (
    Answered,
    Contained,
    Event,
    Notice,
    Question,
    TextDelta,
    TurnEnded,
    TurnStarted,
    Waiting,
)
from carapax.core.terms.ids import SessionId, TurnId
from carapax.core.terms.incident import Incident
from carapax.core.terms.limit import Usage
from carapax.core.turn.answer import people_words
from carapax.core.turn.batch import call_of, call_titles
from carapax.surfaces.api.spoken import how_to_say

_HIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs", "Cs", "Co", "Cn"})
_SETTLED = {
    ApprovalState.APPROVED: "{} was approved.",
    ApprovalState.DENIED: "{} was refused; it was not done.",
    ApprovalState.EXPIRED: "Nobody answered {} in time, so it was refused.",
}


def literal(text: str) -> str:
    """The text on one line, with quotes, and with every invisible or direction-changing character escaped."""
    return visible(json.dumps(text, ensure_ascii=False))


def visible(text: str) -> str:
    """The text with every control, invisible or direction-changing character written as an escape."""
    return "".join(c if c == " " or unicodedata.category(c) not in _HIDDEN else _escape(c) for c in text)


def _escape(character: str) -> str:
    point = ord(character)
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"


def ask_text(approval: Approval, now_ms: int, reply_here: bool) -> str:
    """Exactly what is asked and how to answer. `reply_here`: this token may answer in the conversation."""
    lines = [literal(approval.title), *_argument_lines(approval)]
    lines.append(f"rule {visible(approval.rule)}: {visible(approval.reason)}")
    if approval.taint:
        lines.append(f"this session has read untrusted text: {visible(approval.taint)}")
    lines += [f"hidden text found: {literal(text)}" for text in approval.hidden]
    if approval.hint:
        lines.append(f"a detector marks this (a hint, no more): {visible(approval.hint)}")
    if approval.calls > 1:
        lines.append(f"one answer decides all {approval.calls} calls")
    until = datetime.fromtimestamp(approval.deadline_ms / 1000, UTC)
    left = max(0, approval.deadline_ms - now_ms) // 1000
    here = f", or reply `{how_to_say(approval)}` here" if reply_here else ""
    return (
        "This waits for your answer:\n\n"
        + "\n".join(f"    {line}" for line in lines)
        + f"\n\nUntil {until:%Y-%m-%d %H:%M:%S} UTC ({left // 60} min {left % 60} s left); "
        + "without an answer it is not done.\n"
        + _needs_text(approval)
        + f"Answer with `carapax approve {approval.id}`{here}. With `no` it is refused."
    )


def contained_text(incident: Incident) -> str:
    """What was halted, why, and what a person may do."""
    whose = "Everything" if incident.session is None else "This session"
    how = f"\n    how: {visible(incident.how)}" if incident.how else ""
    return (
        f"{whose} is {incident.state.value} (incident {incident.number}):\n\n    {visible(incident.sentence)}{how}"
        f"\n\nLook at it with `carapax incident show {incident.number}`; then `resume`, `kill` or `keep` it."
    )


def _argument_lines(approval: Approval) -> list[str]:
    """The arguments with their origins, what is to be typed left open; then what is to be picked."""
    titles = call_titles(approval.title, approval.exact, approval.calls)
    found: list[list[str]] = [
        [f"{at}) {literal(title)}"] if len(titles) > 1 else [] for at, title in enumerate(titles, 1)
    ]
    open_ = {(blank.call, blank.argument, blank.shown) for blank in approval.blanks}
    for line in approval.lines:
        call, name = call_of(line.name, approval.calls)
        if (call, name, line.value) not in open_:
            found[call].append(f"{visible(name)}: {literal(line.value)}  ({visible(line.origin)})")
    for blank in approval.blanks:
        found[min(blank.call, len(found) - 1)].append(_blank_line(blank))
    return [text for texts in found for text in texts] + _choice_lines(approval)


def _choice_lines(approval: Approval) -> list[str]:
    found = []
    if approval.choices:
        found.append(f"to pick from {visible(approval.choices_source or 'these lines')}:")
        found += [f"{number}. {literal(choice)}" for number, choice in enumerate(approval.choices, 1)]
    return found


def _blank_line(blank: Blank) -> str:
    said = f"{visible(blank.source)} says" if blank.source else "the model wrote"
    why = disguise(blank.shown)
    return f"{visible(blank.argument)}: ····  (not named by you: type it; {said}: {literal(blank.shown)})" + (
        f"  Look twice: {visible(why)}" if why else ""
    )


def _needs_text(approval: Approval) -> str:
    """What a yes alone does not give; "" for a plain card."""
    needs = [f"type the {visible(b.role)} ({visible(b.argument)})" for b in approval.blanks]
    needs = (["pick the lines that you mean"] if approval.choices else []) + needs
    if approval.factor:
        needs.append("add the one-time code of your second factor (`carapax factor set` sets one up)")
    text = f"A yes is not enough here: {', '.join(needs)}.\n" if needs else ""
    return text + (f"{waits_words(approval)}\n" if approval.people > 1 else "")


def waits_words(approval: Approval) -> str:
    """Who has agreed so far, on a card that several people must agree to."""
    if not approval.agreed:
        return f"{approval.people} different people have to agree."
    return f"{people_words(approval)}: it waits for another person."


@dataclass(slots=True)
class Telling:
    """Feeds on a turn's events and gives the text to add; knows the whole when the turn ended."""

    reply_here: bool
    session: SessionId = SessionId("")
    turn: TurnId = TurnId("")
    waiting: Approval | None = None
    ended: TurnEnded | None = None
    _shown: str = ""  # the last piece given out
    _spoken: list[str] = field(default_factory=list)  # the agent's own words
    _notices: list[str] = field(default_factory=list)

    def feed(self, event: Event, now_ms: int) -> str:
        """What a stream shows for this event, "" for nothing."""
        match event:
            case TurnStarted():
                self.session, self.turn = event.session, event.turn
                return ""
            case TextDelta():
                self._spoken.append(event.text)
                self._shown = event.text or self._shown
                return event.text
            case Waiting():
                self.waiting = event.approval
                return self._block(ask_text(event.approval, now_ms, self.reply_here))
            case Answered():
                self.waiting = None
                return self._block(_SETTLED.get(event.approval.state, "{}").format(event.approval.id))
            case Question():
                return self._question(event.text)
            case Contained():
                return self._block(contained_text(event.incident))
            case Notice():
                self._notices.append(f"{event.text}. {event.next_step}" if event.next_step else event.text)
                return ""
            case TurnEnded():
                return self._end(event)
            case _:
                return ""

    def _question(self, text: str) -> str:
        if "".join(self._spoken).rstrip().endswith(text.strip()):
            return ""
        self._spoken.append(text)
        return self._block(text)

    def _block(self, text: str, after: str = "\n\n") -> str:
        before = "\n\n" if self._shown and not self._shown.endswith("\n\n") else ""
        self._shown = f"{before}{text}{after}"
        return self._shown

    def _end(self, event: TurnEnded) -> str:
        self.ended, self.waiting = event, None
        self.session, self.turn = event.session, event.turn
        spoken, reply = "".join(self._spoken), event.reply
        rest = ""
        if spoken and reply.startswith(spoken):
            rest = reply[len(spoken) :]
            self._shown = rest or self._shown
        elif not spoken.rstrip().endswith(reply.strip()):
            rest = self._block(reply, after="")
        why = self._why()
        return rest + (self._block(why, after="") if why else "")

    def _why(self) -> str:
        """Why a turn that did not end well ended; "" for one that did."""
        if self.ended is None or self.ended.state is TurnState.DONE:
            return ""
        return "\n\n".join(self._notices) or f"Stopped ({self.ended.code or self.ended.state.value})."

    def final_text(self) -> str:
        """The reply of the ended turn; when it was stopped, also why."""
        if self.ended is None:
            return ""
        return "\n\n".join(text for text in (self.ended.reply, self._why()) if text)

    @property
    def usage(self) -> Usage:
        return self.ended.usage if self.ended is not None else Usage()

    @property
    def state(self) -> str:
        if self.waiting is not None:
            return TurnState.WAITING.value
        return self.ended.state.value if self.ended is not None else TurnState.RUNNING.value

    @property
    def code(self) -> str:
        return self.ended.code if self.ended is not None else ""
