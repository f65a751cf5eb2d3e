"""What a terminal sends and is sent: a line each, JSON or plain.

Layer: adapters/channels/terminal; pure. A line that begins with "{" is JSON: {"id", "text"}, {"id", "press", "message"}, or
{"hello": true} to hear before saying anything. Any other is what a person typed, and then answers are plain too.
Laws: nothing but Malformed is raised; no text that is sent can begin a line of its own in JSON, or move a terminal's cursor
in plain.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from carapax.adapters.channels.fields import parse_object, plain, prose, word
from carapax.core.terms.channel import Button
from carapax.core.terms.error import Malformed

LINE_BYTES = 256 << 10
SAID_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a person. `id` is the client's own, the same when it sends the line again; "" for a typed line."""

    id: str
    text: str
    press: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the agent. A change of it has the same `id` and a larger `seq`."""

    seq: int
    id: str
    text: str
    buttons: tuple[Button, ...] = ()


HELLO = Said("hello", "")  # a client says that it reads JSON, and nothing else


def parse_line(raw: bytes) -> Said | None:
    """What was sent; None for an empty line. Raises Malformed."""
    if len(raw) > LINE_BYTES:
        raise Malformed("This line is too long.")
    stripped = raw.strip()
    if not stripped:
        return None
    if not stripped.startswith(b"{"):
        return Said("", plain(stripped.decode("utf-8", "replace")))
    given = parse_object(stripped)
    if given.get("hello") is True:
        return HELLO
    said = Said(word(given, "id", 64), prose(given, "text"), word(given, "press", 64), word(given, "message", 64))
    if not SAID_ID.fullmatch(said.id) or not (said.text.strip() or said.press):
        raise Malformed("A line has an id, and a text or a button.")
    return said


def is_plain(said: Said) -> bool:
    """Whether a person typed this without a client."""
    return not said.id


def event_of(person: str, said: str) -> str:
    """The id of a line: another person's same id is another."""
    return hashlib.sha256(f"{person}/{said}".encode()).hexdigest()[:32]


def render_line(line: Line, *, bare: bool) -> bytes:
    """A line of the agent."""
    if not bare:
        buttons = [(button.label, button.data) for button in line.buttons]
        return _json({"type": "line", "seq": line.seq, "id": line.id, "text": line.text, "buttons": buttons})
    words = [_shown(line.text), *(f"  [{_shown(button.label)}] {_shown(button.data)}" for button in line.buttons)]
    return ("\n".join(words) + "\n").encode("utf-8", "replace")


def render_typing() -> bytes:
    return _json({"type": "typing"})


def render_taken(id: str, message: str) -> bytes:
    """The line was kept."""
    return _json({"type": "taken", "id": id, "message": message})


def render_refused(id: str, why: str, *, bare: bool) -> bytes:
    """The line was not kept, and why."""
    return f"! {why}\n".encode() if bare else _json({"type": "refused", "id": id, "text": why})


def render_lines(lines: Sequence[Line], shown: int, last: int) -> bytes:
    """A conversation as kept: its lines, up to which they were shown, and the last number."""
    kept = [[line.seq, line.id, line.text, [[button.label, button.data] for button in line.buttons]] for line in lines]
    return json.dumps({"lines": kept, "shown": shown, "last": last}).encode()


def parse_lines(raw: bytes | None) -> tuple[list[Line], int, int]:
    """The inverse of `render_lines`; an empty one for what does not parse."""
    try:
        given = json.loads(raw or b'{"lines": [], "shown": 0, "last": 0}')
        lines = [
            Line(int(seq), str(id), str(text), tuple(Button(str(label), str(data)) for label, data in buttons))
            for seq, id, text, buttons in given["lines"]
        ]
        return lines, int(given["shown"]), int(given["last"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return [], 0, 0


def _shown(text: str) -> str:
    return "".join(letter for letter in plain(text) if letter in "\n\t" or letter.isprintable() or letter == "\u200d")


def _json(given: dict[str, object]) -> bytes:
    return json.dumps(given).encode() + b"\n"
