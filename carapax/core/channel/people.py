"""People's names as they are shown: a name decides nothing, and must not look as if it did.

Layer: core/channel; pure. Laws: the immutable id always stands beside a name; a shown name holds only letters, digits
and a few signs, so it cannot close its quotes, turn the line around, or wear a mark of approval.
Source: Unicode TR 36 (bidirectional text), TR 39.
"""

from __future__ import annotations

import unicodedata

from carapax.core.flow.disguise import disguise
from carapax.core.flow.origin import hidden_characters
from carapax.core.terms.channel import Person

NAME_CHARS = 32
ID_CHARS = 128
_MARKS_IN_A_ROW = 2
_SIGNS = frozenset(" .,'’-_@+&")
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10))))
"""Letters and marks that print as nothing."""

_TURNING = frozenset({"R", "AL", "AN"})


def shown_name(name: str) -> str:
    """The name without what does not show, signs, emoji and brackets, at most 32 characters; "" when nothing is left."""
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", name[:512]):
        kind = "Cf" if character in _BLANK else unicodedata.category(character)
        if kind.startswith("M"):
            marks += 1
            if kept and kept[-1].isalpha() | (marks > 1) and marks <= _MARKS_IN_A_ROW and kind != "Me":
                kept.append(character)
            continue
        marks = 0
        kept.append(character if kind[0] in "LN" or character in _SIGNS else " " if kind[0] in "ZC" else "")
    joined = " ".join("".join(kept).split())
    return joined if len(joined) <= NAME_CHARS else joined[: NAME_CHARS - 1].rstrip() + "…"


def revealed(text: str) -> str:
    """The text with every character that does not show, and every line's end, spelled out as ⟨U+202E⟩."""
    for point in hidden_characters(text):
        text = text.replace(chr(int(point[2:], 16)), f"⟨{point}⟩")
    for character in "\n\r\t\u2028\u2029":
        text = text.replace(character, f"⟨U+{ord(character):04X}⟩")
    return text


def shown_id(id: str) -> str:
    """An id with everything in it visible, at most 128 characters."""
    shown = revealed(id)
    return shown if len(shown) <= ID_CHARS else shown[: ID_CHARS - 1] + "…"


def display(person: Person, *, bot: str = "bot") -> str:
    """What a person is called where it matters: "Anna Meyer" (id 4711).

    A name that is written from right to left stands behind the id, which keeps the line's direction.
    """
    kind = f"{bot}, " if person.bot else ""
    name, id = shown_name(person.name), shown_id(person.id)
    if not name:
        return f"{kind}id {id}"
    if any(unicodedata.bidirectional(c) in _TURNING for c in name):
        return f'{kind}id {id} ("{name}")'
    return f'"{name}" ({kind}id {id})'


def warn(person: Person) -> str:
    """One sentence why the id may mislead a reader, or "" (`core.flow.disguise`)."""
    return disguise(person.id)
