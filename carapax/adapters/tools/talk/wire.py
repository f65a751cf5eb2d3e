"""The talk tools' words: a moment, and what turns changed.

Layer: adapters/tools/talk. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from carapax.adapters.tools.words import one_line, text_of
from carapax.core.terms.action import Change, ChangeKind
from carapax.core.terms.conversation import Turn

SHOWN_CHANGES = 40  # per turn
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip


def render_time(moment: datetime) -> str:
    """A zoned moment in words; the names do not depend on the machine's language."""
    zone = moment.tzname() or "local time"
    offset = moment.strftime("%z")
    date = f"{_DAYS[moment.weekday()]} {moment.day} {_MONTHS[moment.month - 1]} {moment.year}"
    return f"It is {date}, {moment:%H:%M:%S} ({zone}, UTC{offset[:3]}:{offset[3:5]}). Date: {moment:%Y-%m-%d}."


def render_changes(turns: Sequence[tuple[Turn, Sequence[Change]]]) -> str:
    """What turns changed, newest first; says so when there is nothing."""
    if not any(changes for _, changes in turns):
        return "Nothing was changed yet."
    return "\n".join(_turn_lines(turn, changes) for turn, changes in turns if changes)


def _turn_lines(turn: Turn, changes: Sequence[Change]) -> str:
    rows = [f"- {_change_words(change)}" for change in changes[:SHOWN_CHANGES]]
    if len(changes) > SHOWN_CHANGES:
        rows.append(f"- [… {len(changes) - SHOWN_CHANGES:,} more]")
    noun = "change" if len(changes) == 1 else "changes"
    return "\n".join([f'Turn {turn.number} ("{one_line(turn.text, 60)}"), {len(changes):,} {noun}:', *rows])


def _change_words(change: Change) -> str:
    path = change.path.removesuffix("/")
    thing = f"folder {path}" if change.path.endswith("/") else path
    size = (
        "" if change.path.endswith("/") else f" ({change.size_bytes:,} {'byte' if change.size_bytes == 1 else 'bytes'})"
    )
    undo = "" if change.kept else ", cannot be undone: the old bytes were too large to keep"
    match change.kind:
        case ChangeKind.CREATED:
            return f"created {thing}{size}{undo}"
        case ChangeKind.MODIFIED:
            return f"changed {thing}{size}{undo}"
        case ChangeKind.DELETED:
            return f"deleted {thing}{undo}"


def destroys(tool: str, arguments: Mapping[str, object]) -> int:
    """Always 0: nothing here touches a file."""
    return 0


def summary(tool: str, arguments: Mapping[str, object]) -> str:
    """A call in at most 80 visible characters: "ask: Which file?"."""
    match tool:
        case "ask_user":
            return one_line(f"ask: {text_of(arguments, 'question')}")
        case "show_time":
            return "look at the clock"
        case "show_changes":
            return "look at what changed"
        case _:
            return one_line(tool)
