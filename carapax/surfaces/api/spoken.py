"""An answer to an approval in words, for clients that know only text: `yes K7M2`, `yes K7M2 1,3 DE89…; x 123456`.

Layer: surfaces/api; pure. Owns how the words are read against one card: after the code come the picked lines (when
the card has lines to pick), the typed values in order (parted by semicolons when there are several), the one-time
code (when the card asks for one), and nothing else.
Law: words that are not wholly an answer to this card are None, and so go to the agent as a message.
"""

from __future__ import annotations

import re

from carapax.core.terms.approval import Answer, Approval
from carapax.core.turn.answer import read_picks

_SPOKEN = re.compile(r"(yes|no|oui|non)\s+([a-z0-9-]{2,16})(?:\s+(.+))?", re.IGNORECASE | re.DOTALL)
_CODE = re.compile(r"(?:\A|\s)([0-9]{6})\Z")
YES = ("yes", "oui")


def spoken_code(text: str) -> str:
    """The approval that the words may be about, "" when they are no answer at all."""
    found = _SPOKEN.fullmatch(text.strip())
    return found[2].upper() if found else ""


def read_spoken(text: str, card: Approval) -> Answer | None:
    """What the words give to this card; None when more is said than it asks for."""
    found = _SPOKEN.fullmatch(text.strip())
    if found is None or found[2].upper() != card.id.upper():
        return None
    rest = (found[3] or "").strip()
    if found[1].lower() not in YES:
        return None if rest else Answer(False)
    picked: tuple[int, ...] = ()
    if card.choices:
        first, _, after = rest.partition(" ")
        if (lines := read_picks(first)) is not None:
            picked, rest = lines, after.strip()
    code = ""
    if card.factor and (digits := _CODE.search(rest)):
        code, rest = digits[1], rest[: digits.start()].strip()
    typed = _values(rest, len(card.blanks))
    return None if rest and not card.blanks else Answer(True, typed, picked, code)


def _values(text: str, count: int) -> tuple[str, ...]:
    if not text or not count:
        return ()
    if count == 1:
        return (text,)
    return tuple(value.strip() for value in text.rstrip("; \n").split(";"))


def how_to_say(card: Approval) -> str:
    """The words that a complete yes is made of: "yes K7M2 LINES PAYEE CODE"."""
    lines = ["1,3"] if card.choices else []
    values = ["; ".join(b.role.upper() for b in card.blanks)] if card.blanks else []
    return " ".join(["yes", card.id, *lines, *values, *(["CODE"] if card.factor else [])])
